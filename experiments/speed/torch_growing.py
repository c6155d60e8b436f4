"""Progressive GAN (Karras et al. 2018) at its last level, in plain PyTorch; images are in [-1, 1]."""

import itertools
import math

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]

from experiments.speed import sides
from experiments.speed.sides import Side, Sizes
from experiments.speed.torch_parts import DEVICE, adam, descend, grey, moved, side

GAIN = math.sqrt(2)
SLOPE = 0.2


def channels_of(sizes: Sizes) -> list[int]:
    """Return the channels of each level, the smallest images first."""
    levels = (sizes.side // sides.STARTING_SIDE).bit_length()
    return [min(sides.MOST_MAPS, sizes.features * 2**level) for level in range(levels)][::-1]


class EqualizedConv(nn.Module):
    """Convolution whose weights are scaled at run time."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale, self.padding = gain / math.sqrt(inputs * size * size), size // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features of the same height and width."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class EqualizedLinear(nn.Module):
    """Linear layer whose weights are scaled at run time."""

    def __init__(self, inputs: int, outputs: int, gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        return F.linear(x, self.weight * self.scale, self.bias)


def pixel_norm(x: torch.Tensor) -> torch.Tensor:
    """Divide the features of each pixel by their root mean square."""
    return x * torch.rsqrt((x**2).mean(dim=1, keepdim=True) + 1e-8)


def leaky(x: torch.Tensor) -> torch.Tensor:
    """Apply the leaky ReLU of both networks."""
    return F.leaky_relu(x, SLOPE)


def doubled(x: torch.Tensor) -> torch.Tensor:
    """Repeat each pixel twice in both directions."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Generator(nn.Module):
    """Generator whose last level is faded in with the weight alpha."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels, start = channels_of(sizes), sides.STARTING_SIDE
        self.smallest = (channels[0], start, start)
        self.linear = EqualizedLinear(sizes.latents, channels[0] * start * start, GAIN / 4)
        self.first = EqualizedConv(channels[0], channels[0])
        pairs = list(itertools.pairwise(channels))
        self.blocks = nn.ModuleList(
            nn.Sequential(EqualizedConv(before, after), EqualizedConv(after, after)) for before, after in pairs
        )
        self.to_image = nn.ModuleList(EqualizedConv(width, sizes.channels, 1, 1.0) for width in channels)

    def forward(self, z: torch.Tensor, alpha: float) -> torch.Tensor:
        """Return images of the last level."""
        x = pixel_norm(leaky(self.linear(pixel_norm(z)).unflatten(1, self.smallest)))
        x = below = pixel_norm(leaky(self.first(x)))
        for block in self.blocks:
            below, x = x, doubled(x)
            for conv in block.children():
                x = pixel_norm(leaky(conv(x)))
        old, new = self.to_image[-2](below), self.to_image[-1](x)
        return (1 - alpha) * doubled(old) + alpha * new


class Discriminator(nn.Module):
    """Discriminator that mirrors the generator, with the deviation of the batch as an additional feature."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels, start = channels_of(sizes), sides.STARTING_SIDE
        self.from_image = nn.ModuleList(EqualizedConv(sizes.channels, width, 1) for width in channels)
        pairs = list(itertools.pairwise(channels))[::-1]
        self.blocks = nn.ModuleList(
            nn.Sequential(EqualizedConv(after, after), EqualizedConv(after, before)) for before, after in pairs
        )
        self.last = EqualizedConv(channels[0] + 1, channels[0])
        self.linear = EqualizedLinear(channels[0] * start * start, channels[0])
        self.output = EqualizedLinear(channels[0], 1, 1.0)

    def forward(self, images: torch.Tensor, alpha: float) -> torch.Tensor:
        """Return the scores [batch]."""
        x = leaky(self.from_image[-1](images))
        for index, block in enumerate(self.blocks):
            for conv in block.children():
                x = leaky(conv(x))
            x = F.avg_pool2d(x, 2)
            if index == 0:
                x = (1 - alpha) * leaky(self.from_image[-2](F.avg_pool2d(images, 2))) + alpha * x
        deviation = torch.sqrt(x.var(dim=0, unbiased=False) + 1e-8).mean().expand(len(x), 1, *x.shape[2:])
        x = leaky(self.last(torch.cat([x, deviation], dim=1)))
        return self.output(leaky(self.linear(x.flatten(1))))[:, 0]


def critic_loss(
    G: nn.Module, D: nn.Module, x: torch.Tensor, z: torch.Tensor, weight: torch.Tensor, alpha: float
) -> torch.Tensor:
    """Return the discriminator's Wasserstein loss, with its drift term and the gradient penalty at these weights."""
    with torch.no_grad():
        fake = G(z, alpha)
    real_score, fake_score = D(x, alpha), D(fake, alpha)
    points = (weight * x + (1 - weight) * fake).requires_grad_()
    (gradients,) = torch.autograd.grad(D(points, alpha).sum(), points, create_graph=True)
    penalty = 10 * ((gradients.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return (fake_score - real_score + 0.001 * real_score**2).mean() + penalty


def step_of(G: nn.Module, D: nn.Module, sizes: Sizes) -> Side:
    """Return the training step of these networks: an update of each."""
    images, alpha = 2 * grey(sizes) - 1, 1.0
    of_D, of_G = adam(sides.PROGRESSIVE_ADAM, D), adam(sides.PROGRESSIVE_ADAM, G)

    def noise() -> torch.Tensor:
        return torch.randn(sizes.batch, sizes.latents, device=DEVICE)

    def call() -> torch.Tensor:
        x = (1 - alpha) * doubled(F.avg_pool2d(images, 2)) + alpha * images
        weight = torch.rand(sizes.batch, 1, 1, 1, device=DEVICE)
        descend(critic_loss(G, D, x, noise(), weight, alpha), of_D)
        return descend(-D(G(noise(), alpha), alpha).mean(), of_G)

    return side(call, G, D)


def progressive_gan_step() -> Side:
    """Return Progressive GAN's training step at its complete last level."""
    sizes = sides.PROGRESSIVE_GAN
    G, D = moved(Generator(sizes), Discriminator(sizes))
    return step_of(G, D, sizes)
