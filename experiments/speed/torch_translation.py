"""CycleGAN and StarGAN in plain PyTorch, with the residual generator of both (Johnson, Alahi & Fei-Fei 2016).

Images are in [0, 1] outside the networks. Discriminators are trained on images that the generators return after their
own update, as in genjax.
"""

import itertools
import random
from typing import Literal

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]

from experiments.speed import sides
from experiments.speed.sides import Side, Sizes
from experiments.speed.torch_parts import DEVICE, adam, descend, grey, moved, side
from genjax.models.adversarial import stargan_networks

Padding = Literal["reflect", "zeros"]

HALVINGS = 2
"""Downsamplings of a generator."""
EDGE = 7
"""Size of a generator's first and last kernel."""


class Residual(nn.Module):
    """Residual block of two convolutions with instance normalization."""

    def __init__(self, features: int, padding: Padding, *, affine: bool) -> None:
        super().__init__()
        first, second = (
            [
                nn.Conv2d(features, features, 3, padding=1, padding_mode=padding, bias=False),
                nn.InstanceNorm2d(features, affine=affine),
            ]
            for _ in range(2)
        )
        self.block = nn.Sequential(*first, nn.ReLU(), *second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x + f(x)."""
        return x + self.block(x)


class ResidualGenerator(nn.Module):
    """Downsamplings, residual blocks and upsamplings, from channels in [-1, 1] to images in (0, 1)."""

    def __init__(self, inputs: int, sizes: Sizes, *, padding: Padding, affine: bool) -> None:
        super().__init__()
        widths, edge = [sizes.features * 2**level for level in range(HALVINGS + 1)], EDGE // 2

        def normed(conv: nn.Module, features: int) -> list[nn.Module]:
            return [conv, nn.InstanceNorm2d(features, affine=affine), nn.ReLU()]

        layers = normed(nn.Conv2d(inputs, widths[0], EDGE, padding=edge, padding_mode=padding, bias=False), widths[0])
        for before, after in itertools.pairwise(widths):
            layers += normed(nn.Conv2d(before, after, 3, 2, padding=1, padding_mode=padding, bias=False), after)
        layers += [Residual(widths[-1], padding, affine=affine) for _ in range(sizes.layers)]
        for before, after in zip(widths[::-1], widths[-2::-1], strict=False):
            layers += normed(nn.ConvTranspose2d(before, after, 3, 2, padding=1, output_padding=1, bias=False), after)
        layers.append(nn.Conv2d(widths[0], sizes.channels, EDGE, padding=edge, padding_mode=padding))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images."""
        return (torch.tanh(self.layers(x)) + 1) / 2


class Translator(nn.Module):
    """CycleGAN's generator between two domains."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.body = ResidualGenerator(sizes.channels, sizes, padding="reflect", affine=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return translated images."""
        return self.body(2 * x - 1)


class PatchDiscriminator(nn.Module):
    """CycleGAN's discriminator, which for images of this size has two layers of stride 1."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        first = nn.Conv2d(sizes.channels, sizes.features, 4, padding=1)
        self.layers = nn.Sequential(first, nn.LeakyReLU(0.2), nn.Conv2d(sizes.features, 1, 4, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the score of each patch."""
        return self.layers(2 * x - 1)


class Pool:
    """Images that a generator returned for earlier batches (Shrivastava et al. 2017)."""

    def __init__(self) -> None:
        self.images: list[torch.Tensor] = []

    def query(self, images: torch.Tensor) -> torch.Tensor:
        """Return each image, or with probability 1/2 an earlier one in its place, once the pool is full."""
        answers = []
        for image in images:
            if len(self.images) < sides.POOL:
                self.images.append(image)
                answers.append(image)
            elif random.random() < 0.5:
                position = random.randrange(sides.POOL)
                answers.append(self.images[position])
                self.images[position] = image
            else:
                answers.append(image)
        return torch.stack(answers)


def distance(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute difference of images that are rescaled to [-1, 1]."""
    return 2 * (images - others).abs().mean()


def cycle_loss(
    G: nn.Module, H: nn.Module, D_X: nn.Module, D_Y: nn.Module, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Return the loss of the generators G: X -> Y and H: Y -> X: least squares, and cycle consistency times 10."""
    fake_y, fake_x = G(x), H(y)
    adversarial = ((D_Y(fake_y) - 1) ** 2).mean() + ((D_X(fake_x) - 1) ** 2).mean()
    return adversarial + 10 * (distance(H(fake_y), x) + distance(G(fake_x), y))


def patches_loss(D: nn.Module, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Return the least squares loss of a discriminator."""
    return (((D(real) - 1) ** 2).mean() + (D(fake) ** 2).mean()) / 2


def cyclegan_step() -> Side:
    """Return CycleGAN's training step: an update of both generators, then one of both discriminators."""
    sizes = sides.CYCLEGAN
    G, H, D_X, D_Y = moved(*(make(sizes) for make in (Translator, Translator, PatchDiscriminator, PatchDiscriminator)))
    (x, y), pool_x, pool_y = grey(sizes, 2 * sizes.batch).chunk(2), Pool(), Pool()
    generators, discriminators = adam(sides.ADVERSARIAL, G, H), adam(sides.ADVERSARIAL, D_X, D_Y)

    def call() -> torch.Tensor:
        descend(cycle_loss(G, H, D_X, D_Y, x, y), generators)
        with torch.no_grad():
            fake_x, fake_y = pool_x.query(H(y)), pool_y.query(G(x))
        return descend(patches_loss(D_X, x, fake_x) + patches_loss(D_Y, y, fake_y), discriminators)

    return side(call, G, H, D_X, D_Y)


class LabelledGenerator(nn.Module):
    """StarGAN's generator, which reads each number of a label as a constant channel."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.body = ResidualGenerator(sizes.channels + sides.BITS, sizes, padding="zeros", affine=True)

    def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return translated images."""
        constant = label[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.body(torch.cat([2 * x - 1, constant], dim=1))


class TwoHeads(nn.Module):
    """StarGAN's discriminator: scores of patches, and logits of the label."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        strided = stargan_networks.strided_layers(sizes.shape)
        widths = [sizes.channels, *(sizes.features * 2**index for index in range(strided))]
        layers = [
            one
            for before, after in itertools.pairwise(widths)
            for one in (nn.Conv2d(before, after, 4, 2, padding=1), nn.LeakyReLU(0.01))
        ]
        self.convs = nn.Sequential(*layers)
        self.score = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.label = nn.Linear(widths[-1] * (sizes.side // 2**strided) ** 2, sides.BITS, bias=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean score of each image's patches, and the logits of its label."""
        features = self.convs(2 * x - 1)
        return self.score(features).mean(dim=(1, 2, 3)), self.label(features.flatten(1))


def label_loss(logits: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the label, summed over attributes."""
    return F.binary_cross_entropy_with_logits(logits, bits, reduction="sum") / len(bits)


def critic_loss(
    G: nn.Module, D: nn.Module, x: torch.Tensor, bits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Return the discriminator's loss, with a gradient penalty between real and generated images at these weights."""
    with torch.no_grad():
        fake = G(x, target)
    (real_score, logits), (fake_score, _) = D(x), D(fake)
    points = (weight * x + (1 - weight) * fake).requires_grad_()
    (gradients,) = torch.autograd.grad(D(points)[0].sum(), points, create_graph=True)
    penalty = 10 * ((gradients.flatten(1).norm(dim=1) / 2 - 1) ** 2).mean()  # of images rescaled to [-1, 1]
    return (fake_score - real_score).mean() + penalty + label_loss(logits, bits)


def translator_loss(
    G: nn.Module, D: nn.Module, x: torch.Tensor, bits: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """Return the generator's loss: score, label of the translation, and reconstruction times 10."""
    fake = G(x, target)
    score, logits = D(fake)
    return -score.mean() + label_loss(logits, target) + 10 * distance(G(fake, bits), x)


def stargan_step() -> Side:
    """Return StarGAN's training step: an update of each network."""
    sizes = sides.STARGAN
    G, D = moved(LabelledGenerator(sizes), TwoHeads(sizes))
    x, of_D, of_G = grey(sizes), adam(sides.STARGAN_ADAM, D), adam(sides.STARGAN_ADAM, G)
    bits = torch.randint(0, 2, (sizes.batch, sides.BITS), device=DEVICE).float()

    def permuted() -> torch.Tensor:
        return bits[torch.randperm(sizes.batch, device=DEVICE)]

    def call() -> torch.Tensor:
        weight = torch.rand(sizes.batch, 1, 1, 1, device=DEVICE)
        descend(critic_loss(G, D, x, bits, permuted(), weight), of_D)
        return descend(translator_loss(G, D, x, bits, permuted()), of_G)

    return side(call, G, D)
