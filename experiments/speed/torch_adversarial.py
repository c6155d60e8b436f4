"""DCGAN and Puzzle-GAN, which is built from its layers, in plain PyTorch.

Images are in [0, 1] outside the networks. Both phases of a step draw their own noise, as in genjax; images that only
the discriminator reads are generated without a gradient.
"""

import itertools
from collections.abc import Sequence

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]

from experiments.speed import sides
from experiments.speed.sides import Side, Sizes
from experiments.speed.torch_parts import DEVICE, adam, descend, grey, moved, side
from genjax.models.adversarial.dcgan import all_channels
from genjax.models.adversarial.puzzle_gan_networks import capped_channels

SLOPE = 0.2


def up(inputs: int, outputs: int, *, bias: bool = False) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(inputs, outputs, 5, 2, padding=2, output_padding=1, bias=bias)


class Generator(nn.Module):
    """DCGAN's generator: a linear layer, then transposed convolutions."""

    def __init__(self, sizes: Sizes, inputs: int) -> None:
        super().__init__()
        channels = all_channels(sizes.shape, sizes.features)[::-1]
        small = sizes.side // 2 ** len(channels)
        self.smallest = (channels[0], small, small)
        self.linear = nn.Linear(inputs, channels[0] * small * small, bias=False)
        self.norm = nn.BatchNorm1d(channels[0] * small * small)
        self.ups = nn.Sequential()
        for before, after in itertools.pairwise(channels):
            self.ups.extend([up(before, after), nn.BatchNorm2d(after), nn.ReLU()])
        self.ups.append(up(channels[-1], sizes.channels))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return images in (0, 1)."""
        x = F.relu(self.norm(self.linear(z))).unflatten(1, self.smallest)
        return (torch.tanh(self.ups(x)) + 1) / 2


class StridedConvs(nn.Module):
    """Strided convolutions with batch normalization after all but the first; the outputs of all are returned."""

    def __init__(self, image_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for index, (before, after) in enumerate(zip((image_channels, *channels), channels, strict=False)):
            norm = [nn.BatchNorm2d(after)] if index else []
            conv = nn.Conv2d(before, after, 5, 2, padding=2, bias=False)
            self.layers.append(nn.Sequential(conv, *norm, nn.LeakyReLU(SLOPE)))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of each layer."""
        x, outputs = 2 * images - 1, []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs


class Discriminator(nn.Module):
    """DCGAN's discriminator."""

    def __init__(self, sizes: Sizes, channels: Sequence[int]) -> None:
        super().__init__()
        self.convs = StridedConvs(sizes.channels, channels)
        self.logit = nn.Linear(channels[-1] * (sizes.side // 2 ** len(channels)) ** 2, 1, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits [batch, 1]."""
        return self.logit(self.convs(images)[-1].flatten(1))


def uniform(sizes: Sizes) -> torch.Tensor:
    """Return noise that is uniform on [-1, 1]."""
    return 2 * torch.rand(sizes.batch, sizes.latents, device=DEVICE) - 1


def discriminator_loss(G: nn.Module, D: nn.Module, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Return -log D(x) - log(1 - D(G(z)))."""
    with torch.no_grad():
        fake = G(z)
    return F.softplus(-D(x)).mean() + F.softplus(D(fake)).mean()


def generator_loss(G: nn.Module, D: nn.Module, z: torch.Tensor) -> torch.Tensor:
    """Return -log D(G(z))."""
    return F.softplus(-D(G(z))).mean()


def dcgan_step(sizes: Sizes) -> Side:
    """Return DCGAN's training step: an update of each network."""
    G, D = moved(Generator(sizes, sizes.latents), Discriminator(sizes, all_channels(sizes.shape, sizes.features)))
    x, of_D, of_G = grey(sizes), adam(sides.ADVERSARIAL, D), adam(sides.ADVERSARIAL, G)

    def call() -> torch.Tensor:
        descend(discriminator_loss(G, D, x, uniform(sizes)), of_D)
        return descend(generator_loss(G, D, uniform(sizes)), of_G)

    return side(call, G, D)


class SkipDecoder(nn.Module):
    """Decoder from a vector, which concatenates a skip connection to its activations at each size."""

    def __init__(self, inputs: int, channels: Sequence[int], skips: Sequence[int], small: int, outputs: int) -> None:
        super().__init__()
        self.smallest = (channels[0], small, small)
        self.linear = nn.Linear(inputs, channels[0] * small * small, bias=False)
        self.norm = nn.BatchNorm1d(channels[0] * small * small)
        self.ups = nn.ModuleList()
        for before, skip, after in zip(channels, skips, channels[1:], strict=False):
            self.ups.append(nn.Sequential(up(before + skip, after), nn.BatchNorm2d(after), nn.ReLU()))
        self.last = up(channels[-1] + skips[-1], outputs, bias=True)

    def forward(self, vector: torch.Tensor, skips: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return logits, and the activations of each size with their skip connection, the smallest first."""
        x = F.relu(self.norm(self.linear(vector))).unflatten(1, self.smallest)
        joined = [torch.cat([x, skips[0]], dim=1)]
        for layer, skip in zip(self.ups, skips[1:], strict=True):
            joined.append(torch.cat([layer(joined[-1]), skip], dim=1))
        return self.last(joined[-1]), joined


class PuzzleGenerator(nn.Module):
    """Puzzle-GAN's generator from patches and noise to an image and a mask."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = capped_channels(sizes.shape, sizes.features)
        small, narrow = sizes.side // 2 ** len(channels), channels[::-1]
        self.side = sizes.side
        self.convs = StridedConvs(sizes.channels, channels)
        self.code = nn.Conv2d(channels[-1], sides.CODE, small)
        self.mask = SkipDecoder(sides.CODE, narrow, narrow, small, 1)
        twice = [2 * width for width in narrow]
        self.image = SkipDecoder(sides.CODE + sizes.latents, narrow, twice, small, sizes.channels)

    def forward(self, patches: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images in (0, 1) and masks, from patches [batch, parts, C, h, w]."""
        batch, parts = patches.shape[:2]
        whole = F.interpolate(patches.flatten(0, 1), self.side, mode="bilinear")
        maps = self.convs(whole)
        code = F.leaky_relu(self.code(maps[-1]), SLOPE)
        *sums, total = (one.unflatten(0, (batch, parts)).sum(1) for one in (*maps, code))
        mask, joined = self.mask(total.flatten(1), sums[::-1])
        image, _ = self.image(torch.cat([total.flatten(1), z], dim=1), joined)
        return (torch.tanh(image) + 1) / 2, torch.sigmoid(mask)


def puzzle_discriminator_loss(
    G: nn.Module, D: nn.Module, x: torch.Tensor, patches: torch.Tensor, M: torch.Tensor, z: torch.Tensor
) -> torch.Tensor:
    """Return DCGAN's loss of the discriminator, to which composites of two images are added as fakes."""
    with torch.no_grad():
        fake, _ = G(patches, z)
    other = x.roll(1, 0)
    composites = (other * M + x * (1 - M), x * M + other * (1 - M))
    fakes = [F.softplus(D(one)).mean() for one in (fake, *composites)]
    return F.softplus(-D(x)).mean() + torch.stack(fakes).sum()


def puzzle_generator_loss(
    G: nn.Module, D: nn.Module, x: torch.Tensor, patches: torch.Tensor, M: torch.Tensor, z: torch.Tensor
) -> torch.Tensor:
    """Return the mask loss and the appearance loss, with their weight, and DCGAN's loss of the generator."""
    fake, mask = G(patches, z)
    appearance = ((2 * fake - 1) * mask - (2 * x - 1) * M).abs().sum() / len(x)
    errors = (mask - M).abs().sum() / len(x) + appearance
    return sides.PUZZLE_WEIGHT * errors + F.softplus(-D(fake)).mean()


def puzzle_gan_step() -> Side:
    """Return Puzzle-GAN's training step: an update of each network."""
    sizes = sides.PUZZLE_GAN
    G, D = moved(PuzzleGenerator(sizes), Discriminator(sizes, capped_channels(sizes.shape, sizes.features)))
    x, of_D, of_G = grey(sizes), adam(sides.ADVERSARIAL, D), adam(sides.ADVERSARIAL, G)
    patches = torch.stack([x[:, :, : sides.PATCH, i : i + sides.PATCH] for i in range(sides.PARTS)], dim=1)
    M = torch.zeros_like(x[:, :1])
    M[:, :, : sizes.side // 2, : sizes.side // 2] = 1

    def call() -> torch.Tensor:
        descend(puzzle_discriminator_loss(G, D, x, patches, M, uniform(sizes)), of_D)
        return descend(puzzle_generator_loss(G, D, x, patches, M, uniform(sizes)), of_G)

    return side(call, G, D)
