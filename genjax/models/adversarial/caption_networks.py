"""Networks of text to image (Reed et al. 2016): DCGAN's, which read an embedded text beside noise or an image."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import normal
from jaxtyping import Array, Float

from genjax.models.adversarial import dcgan_networks as dcgan

Images = Float[Array, "batch H W C"]
Embedded = Float[Array, "batch features"]
Noise = Float[Array, "batch latents"]


class Projection(nn.Module):
    """Leaky ReLU of a linear layer: how a player reads an embedded text."""

    features: int

    @nn.compact
    def __call__(self, h: Embedded) -> Float[Array, "batch text"]:
        """[batch, features]."""
        return jax.nn.leaky_relu(nn.Dense(self.features, kernel_init=normal(0.02))(h), dcgan.SLOPE)


class Generator(nn.Module):
    """DCGAN's generator of noise and a projected text."""

    body: nn.Module
    text_features: int

    @nn.compact
    def __call__(self, z: Noise, h: Embedded, train: bool = False) -> Images:
        """Images in (0, 1)."""
        text = Projection(self.text_features, name="text")(h)
        return self.body(jnp.concatenate([z, text], axis=-1), train)


class Discriminator(nn.Module):
    """DCGAN's convolutions, the text at each place of the last maps, a 1x1 convolution, and one logit."""

    channels: Sequence[int]
    text_features: int

    @nn.compact
    def __call__(self, images: Images, h: Embedded, train: bool = False) -> Float[Array, "batch 1"]:
        """The logit, [batch, 1]."""
        maps = dcgan.StridedConvs(self.channels, name="convs")(images, train)[-1]
        text = Projection(self.text_features, name="text")(h)[:, None, None]
        joint = jnp.concatenate([maps, jnp.broadcast_to(text, (*maps.shape[:3], text.shape[-1]))], axis=-1)
        mixed = nn.Conv(self.channels[-1], (1, 1), use_bias=False, kernel_init=dcgan.KERNEL_INIT, name="joint")(joint)
        mixed = jax.nn.leaky_relu(dcgan.norm(train, "norm")(mixed), dcgan.SLOPE)
        return nn.Dense(1, kernel_init=dcgan.KERNEL_INIT, name="logit")(mixed.reshape(len(images), -1))


class ConvFeatures(nn.Module):
    """DCGAN's convolutions and a linear layer, or two with rectified units between them."""

    channels: Sequence[int]
    features: int
    hidden: int = 0
    """Units between; none where it is 0."""

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Embedded:
        """[batch, features]."""
        x = dcgan.StridedConvs(self.channels, name="convs")(images, train)[-1].reshape(len(images), -1)
        if self.hidden:
            x = jax.nn.relu(nn.Dense(self.hidden, name="hidden")(x))
        return nn.Dense(self.features, name="features")(x)
