"""Convolutional encoder and decoder: convolutions, or transposed ones, and dense layers."""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, he_normal, zeros
from jaxtyping import Array, Float

from genjax.networks.conv import Conv, ConvTranspose

Activation = Callable[[Array], Array]


class ConvEncoder(nn.Module):
    """Convolutions, one for each entry of `channels`, followed by a dense layer."""

    channels: Sequence[int]
    """Output channels of each convolution."""
    features: int
    """Units of the dense layer."""
    kernel_size: int = 4
    activation: Activation = jax.nn.relu
    kernel_init: Initializer = he_normal()
    strides: Sequence[int] | None = None
    """Stride of each convolution; 2 for all with None."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch H W C"]) -> Float[Array, "batch features"]:
        """Return features [batch, features]."""
        for channels, stride in zip(self.channels, all_strides(self.strides, self.channels), strict=True):
            x = Conv(channels, (self.kernel_size,) * 2, strides=stride, kernel_init=self.kernel_init)(x)
            x = self.activation(x)
        x = nn.Dense(self.features, kernel_init=self.kernel_init)(x.reshape(x.shape[0], -1))
        return self.activation(x)


class ConvDecoder(nn.Module):
    """Mirror of `ConvEncoder`: two dense layers, then transposed convolutions up to logits [batch, H, W, C].

    Raises ValueError unless H and W are multiples of the product of the strides.
    """

    image_shape: tuple[int, int, int]
    """Height, width and channels of the image."""
    channels: Sequence[int]
    """Input channels of each transposed convolution, from the smallest image to the largest."""
    features: int
    """Units of the first dense layer."""
    kernel_size: int = 4
    activation: Activation = jax.nn.relu
    kernel_init: Initializer = he_normal()
    bias_init: Initializer = zeros
    """Initializer of the bias of the logits, called with the shape (H, W, C)."""
    strides: Sequence[int] | None = None
    """Stride of each transposed convolution, from the smallest image to the largest; 2 for all with None."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch latents"]) -> Float[Array, "batch H W C"]:
        """Return logits [batch, H, W, C]."""
        strides = all_strides(self.strides, self.channels)
        height, width = divided(self.image_shape, math.prod(strides))
        for width_of_layer in (self.features, height * width * self.channels[0]):
            x = self.activation(nn.Dense(width_of_layer, kernel_init=self.kernel_init)(x))
        x = x.reshape(-1, height, width, self.channels[0])
        transpose = functools.partial(ConvTranspose, kernel_size=self.kernel_size, kernel_init=self.kernel_init)
        for channels, stride in zip(self.channels[1:], strides, strict=False):
            x = self.activation(transpose(channels, stride=stride)(x))
        x = transpose(self.image_shape[-1], stride=strides[-1], use_bias=False)(x)
        return x + self.param("bias", self.bias_init, self.image_shape, jnp.float32)


def all_strides(strides: Sequence[int] | None, channels: Sequence[int]) -> Sequence[int]:
    """Return a stride for each entry of `channels`, 2 for all with None. Raises ValueError if the lengths differ."""
    if strides is not None and len(strides) != len(channels):
        raise ValueError(
            f"strides={tuple(strides)}: must be {len(channels)}, one for each of channels={tuple(channels)}"
        )
    return (2,) * len(channels) if strides is None else strides


def divided(image_shape: tuple[int, int, int], factor: int) -> tuple[int, int]:
    """Return height and width of the image divided by `factor`. Raises ValueError if they are not multiples of it."""
    height, width, _ = image_shape
    if height % factor or width % factor:
        raise ValueError(f"image_shape={image_shape}: height and width must be multiples of {factor}")
    return height // factor, width // factor
