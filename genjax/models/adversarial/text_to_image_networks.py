"""Networks of text to image (Reed et al. 2016): DCGAN's, which read an embedded text in addition to noise or image."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import normal
from jaxtyping import Array, Float

from genjax.models.adversarial import dcgan_networks as dcgan
from genjax.models.adversarial.dcgan import all_channels
from genjax.models.priors import Prior, gaussian
from genjax.networks.conv import Conv
from genjax.networks.text import TextEncoder

Images = Float[Array, "batch H W C"]
Embedded = Float[Array, "batch features"]
Noise = Float[Array, "batch latents"]


class Networks(NamedTuple):
    """Networks of text to image. All are called with `train`, and may keep batch statistics."""

    text_encoder: nn.Module
    """(captions [batch, T], train) to embeddings [batch, features]."""
    image_encoder: nn.Module
    """(images, train) to embeddings [batch, features]."""
    generator: nn.Module
    """G: (noise [batch, latents], embedded texts [batch, features], train) to images in [0, 1]."""
    discriminator: nn.Module
    """D: (images, embedded texts [batch, features], train) to a logit [batch, 1]."""
    style_encoder: nn.Module
    """S: (images, train) to noise [batch, latents]."""
    prior: Prior
    """Distribution of the noise, without classes."""


class Projection(nn.Module):
    """Linear layer with leaky ReLU, with which generator and discriminator read an embedded text."""

    features: int

    @nn.compact
    def __call__(self, h: Embedded) -> Float[Array, "batch text"]:
        """Return the projected texts [batch, features]."""
        return jax.nn.leaky_relu(nn.Dense(self.features, kernel_init=normal(0.02))(h), dcgan.SLOPE)


class Generator(nn.Module):
    """DCGAN's generator on the concatenation of noise and a projected text."""

    body: nn.Module
    text_features: int
    """Length of the projected text."""

    @nn.compact
    def __call__(self, z: Noise, h: Embedded, train: bool = False) -> Images:
        """Return images in (0, 1)."""
        text = Projection(self.text_features, name="text")(h)
        return self.body(jnp.concatenate([z, text], axis=-1), train)


class Discriminator(nn.Module):
    """DCGAN's convolutions, to whose last activations the text is appended at each position, and two more layers."""

    channels: Sequence[int]
    """Channels of each strided convolution, from the first to the last."""
    text_features: int
    """Length of the projected text."""

    @nn.compact
    def __call__(self, images: Images, h: Embedded, train: bool = False) -> Float[Array, "batch 1"]:
        """Return the logit [batch, 1], positive for a real image with its own text."""
        x = dcgan.StridedConvs(self.channels, name="convs")(images, train)[-1]
        text = Projection(self.text_features, name="text")(h)[:, None, None]
        joint = jnp.concatenate([x, jnp.broadcast_to(text, (*x.shape[:3], text.shape[-1]))], axis=-1)
        mixed = Conv(self.channels[-1], (1, 1), use_bias=False, kernel_init=dcgan.KERNEL_INIT, name="joint")(joint)
        mixed = jax.nn.leaky_relu(dcgan.norm(train, "norm")(mixed), dcgan.SLOPE)
        return nn.Dense(1, kernel_init=dcgan.KERNEL_INIT, name="logit")(mixed.reshape(len(images), -1))


class ConvFeatures(nn.Module):
    """DCGAN's convolutions and a linear layer, with an optional hidden layer of ReLU units between them."""

    channels: Sequence[int]
    """Channels of each strided convolution, from the first to the last."""
    features: int
    """Length of the output."""
    hidden: int = 0
    """Units of the hidden layer; 0 for none."""

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Embedded:
        """Return features [batch, features]."""
        x = dcgan.StridedConvs(self.channels, name="convs")(images, train)[-1].reshape(len(images), -1)
        if self.hidden:
            x = jax.nn.relu(nn.Dense(self.hidden, name="hidden")(x))
        return nn.Dense(self.features, name="features")(x)


def conv_networks(
    image_shape: tuple[int, int, int],
    words: int,
    *,
    filters: int = 64,
    features: int = 1024,
    text_features: int = 128,
    latents: int = 100,
    hidden: int = 512,
) -> Networks:
    """Return the paper's networks, built from DCGAN's, with a GRU as text encoder.

    The image encoder has a hidden layer of ReLU units before its embedding; without it, learning to tell digits
    apart takes longer.

    Args:
        image_shape: Height, width and channels of the images.
        words: Size of the vocabulary; word numbers are below it.
        filters: Channels of the discriminator's first convolution.
        features: Number of dimensions of the embedding of texts and images.
        text_features: Number of dimensions to which generator and discriminator project an embedded text.
        latents: Number of dimensions of the noise, which is standard normal.
        hidden: Units of the GRU.
    """
    channels = all_channels(image_shape, filters)
    return Networks(
        text_encoder=TextEncoder(words, features, hidden=hidden),
        image_encoder=ConvFeatures(channels, features, hidden=2 * features),
        generator=Generator(dcgan.Generator(image_shape, channels[::-1]), text_features),
        discriminator=Discriminator(channels, text_features),
        style_encoder=ConvFeatures(channels, latents),
        prior=gaussian(latents),
    )
