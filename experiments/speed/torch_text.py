"""Text to image (Reed et al. 2016) in plain PyTorch, built from DCGAN's layers."""

from collections.abc import Sequence

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]

from experiments.speed import sides
from experiments.speed.sides import Side, Sizes
from experiments.speed.torch_adversarial import SLOPE, Generator, StridedConvs
from experiments.speed.torch_parts import DEVICE, adam, characters, descend, grey, moved, side
from genjax.models.adversarial.dcgan import all_channels


class TextEncoder(nn.Module):
    """Encoder of captions: linear in the last state of a GRU. It is not trained here."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.words = nn.Embedding(sizes.words, sides.WORD)
        self.gru = nn.GRU(sides.WORD, sides.EMBEDDED, batch_first=True)
        self.features = nn.Linear(sides.EMBEDDED, sides.EMBEDDED)

    @torch.no_grad()
    def forward(self, captions: torch.Tensor) -> torch.Tensor:
        """Return one vector per caption."""
        _, state = self.gru(self.words(captions))
        return self.features(state[0])


class Projection(nn.Sequential):
    """Linear layer with leaky ReLU, with which a network reads an embedded text."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(sides.EMBEDDED, sides.EMBEDDED), nn.LeakyReLU(SLOPE))


class TextGenerator(nn.Module):
    """DCGAN's generator on noise and a projected text."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.text, self.body = Projection(), Generator(sizes, sizes.latents + sides.EMBEDDED)

    def forward(self, z: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """Return images in (0, 1)."""
        return self.body(torch.cat([z, self.text(h)], dim=1))


class TextDiscriminator(nn.Module):
    """DCGAN's convolutions, to whose last activations the text is appended, and two more layers."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = all_channels(sizes.shape, sizes.features)
        self.convs, self.text = StridedConvs(sizes.channels, channels), Projection()
        joint = nn.Conv2d(channels[-1] + sides.EMBEDDED, channels[-1], 1, bias=False)
        self.joint = nn.Sequential(joint, nn.BatchNorm2d(channels[-1]), nn.LeakyReLU(SLOPE))
        self.logit = nn.Linear(channels[-1] * (sizes.side // 2 ** len(channels)) ** 2, 1)

    def forward(self, images: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """Return the logits [batch, 1]."""
        x = self.convs(images)[-1]
        text = self.text(h)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.logit(self.joint(torch.cat([x, text], dim=1)).flatten(1))


class StyleEncoder(nn.Module):
    """DCGAN's convolutions and a linear layer to the noise."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = all_channels(sizes.shape, sizes.features)
        self.convs = StridedConvs(sizes.channels, channels)
        self.features = nn.Linear(channels[-1] * (sizes.side // 2 ** len(channels)) ** 2, sizes.latents)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the noise of each image."""
        return self.features(self.convs(images)[-1].flatten(1))


def halfway(h: torch.Tensor) -> torch.Tensor:
    """Return the mean of each embedded text and the next one in the batch."""
    return (h + h.roll(1, 0)) / 2


def matching_aware_loss(
    G: nn.Module, D: nn.Module, x: torch.Tensor, h: torch.Tensor, z: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return the discriminator's loss of images with their own text, with another text, and of two kinds of fakes."""
    between = halfway(h)
    with torch.no_grad():
        fake, fake_between = G(z[0], h), G(z[1], between)
    wrong = F.softplus(D(x, h.roll(1, 0))).mean() + F.softplus(D(fake, h)).mean()
    return F.softplus(-D(x, h)).mean() + (wrong + F.softplus(D(fake_between, between)).mean()) / 2


def deceiving_loss(G: nn.Module, D: nn.Module, h: torch.Tensor, z: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the generator's loss for both kinds of texts."""
    between = halfway(h)
    return F.softplus(-D(G(z[0], h), h)).mean() + F.softplus(-D(G(z[1], between), between)).mean()


def style_loss(G: nn.Module, S: nn.Module, h: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Return the squared error of the noise that the style encoder reads from a generated image."""
    with torch.no_grad():
        fake = G(z, h)
    return ((S(fake) - z) ** 2).sum() / len(z)


def text_to_image_step() -> Side:
    """Return the training step after the encoders are trained: discriminator, generator and style encoder."""
    sizes = sides.TEXT_TO_IMAGE
    encoder, G, D, S = moved(TextEncoder(sizes), TextGenerator(sizes), TextDiscriminator(sizes), StyleEncoder(sizes))
    x, captions = grey(sizes), characters(sizes)
    of_G, of_D, of_S = (adam(sides.ADVERSARIAL, network) for network in (G, D, S))

    def noise() -> torch.Tensor:
        return torch.randn(sizes.batch, sizes.latents, device=DEVICE)

    def call() -> torch.Tensor:
        descend(matching_aware_loss(G, D, x, encoder(captions), (noise(), noise())), of_D)
        descend(deceiving_loss(G, D, encoder(captions), (noise(), noise())), of_G)
        return descend(style_loss(G, S, encoder(captions), noise()), of_S)

    return side(call, G, D, S)
