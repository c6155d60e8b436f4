"""Networks of DCGAN (Radford, Metz & Chintala 2016), for images whose sides are 4, 5, 6 or 7 times a power of 2.

Kernels of 5x5 and strides of 2 instead of pooling; batch normalization after all layers but the generator's last one
and the discriminator's first and last ones; ReLU in the generator, leaky ReLU in the discriminator; no biases, as in
the authors' code. Images lie in [0, 1] outside the networks, and in [-1, 1] inside.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import normal
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from genjax.networks.conv import Conv, ConvTranspose
from genjax.networks.images import signed, unsigned
from genjax.types import Key

KERNEL_SIZE = 5
STRIDE = 2
SLOPE = 0.2
"""Negative slope of the leaky ReLU."""
KERNEL_INIT = normal(0.02)
"""Initializer of all kernels: N(0, 0.02^2) (sec. 4)."""

BASE = range(4, 8)
"""Possible sides of the smallest activations: 4 in the paper; 7 for images of 28x28, as in its code for MNIST."""

POOLED = 4
"""Height and width to which features are pooled."""

MOMENTUM = 0.9
"""Decay of the running statistics of batch normalization."""


def scale_init(key: Key, shape: Sequence[int], dtype: DTypeLike = float) -> Array:
    """Draw the scales of batch normalization from N(1, 0.02^2)."""
    return 1 + 0.02 * jax.random.normal(key, tuple(shape), dtype)


def halvings(image_shape: tuple[int, int, int]) -> int:
    """Return the number of strided layers: downsamplings by 2 until height and width are both 4, 5, 6 or 7.

    Raises ValueError if there is no such number of at least 1.
    """
    height, width, _ = image_shape
    for count in range(1, height.bit_length()):
        factor = STRIDE**count
        if not (height % factor or width % factor) and height // factor in BASE and width // factor in BASE:
            return count
    raise ValueError(
        f"image_shape={image_shape}: height and width must be {', '.join(map(str, BASE))} times one power of 2, at "
        "least 2, such as 8, 16, 28, 32 or 64"
    )


def norm(train: bool, name: str) -> nn.BatchNorm:
    """Return batch normalization, with the batch's statistics in training, else with running statistics."""
    return nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, scale_init=scale_init, name=name)  # pyright: ignore[reportArgumentType]


class Generator(nn.Module):
    """Generator from noise to images in (0, 1): a linear layer, then transposed convolutions that upsample by 2."""

    image_shape: tuple[int, int, int]
    channels: Sequence[int]
    """Input channels of each transposed convolution, from the first to the last."""

    @nn.compact
    def __call__(self, z: Float[Array, "batch latents"], train: bool = False) -> Float[Array, "batch H W C"]:
        """Return images [batch, H, W, C]."""
        factor = STRIDE ** len(self.channels)
        height, width = (side // factor for side in self.image_shape[:2])
        linear = nn.Dense(height * width * self.channels[0], use_bias=False, kernel_init=KERNEL_INIT, name="linear")
        x = jax.nn.relu(norm(train, "norm")(linear(z))).reshape(-1, height, width, self.channels[0])
        for index, channels in enumerate(self.channels[1:]):
            x = jax.nn.relu(norm(train, f"norm_{index}")(transpose(channels, index)(x)))
        x = transpose(self.image_shape[-1], len(self.channels) - 1)(x)
        return unsigned(jnp.tanh(x))


def transpose(channels: int, index: int, *, use_bias: bool = False) -> ConvTranspose:
    """Return transposed convolution number `index` of a generator, which doubles height and width."""
    return ConvTranspose(
        channels,
        KERNEL_SIZE,
        STRIDE,
        kernel_init=KERNEL_INIT,
        use_bias=use_bias,
        name=f"transpose_{index}",
    )


class StridedConvs(nn.Module):
    """Successive strided convolutions of images in [0, 1], each of which downsamples by 2; all outputs are returned."""

    channels: Sequence[int]
    """Output channels of each convolution."""

    @nn.compact
    def __call__(self, images: Float[Array, "batch H W C"], train: bool = False) -> tuple[Array, ...]:
        """Return the output of each convolution after its leaky ReLU, [batch, height, width, channels]."""
        conv = functools.partial(
            Conv, kernel_size=(KERNEL_SIZE,) * 2, strides=STRIDE, use_bias=False, kernel_init=KERNEL_INIT
        )
        x, outputs = signed(images), []
        for index, channels in enumerate(self.channels):
            x = conv(channels, name=f"conv_{index}")(x)
            x = jax.nn.leaky_relu(norm(train, f"norm_{index}")(x) if index else x, SLOPE)
            outputs.append(x)
        return tuple(outputs)


class Discriminator(nn.Module):
    """Discriminator: `StridedConvs`, then a logit that is linear in the output of the last convolution."""

    channels: Sequence[int]
    """Output channels of each convolution."""

    @nn.compact
    def __call__(self, images: Float[Array, "batch H W C"], train: bool = False) -> Float[Array, "batch 1"]:
        """Return the logit, [batch, 1]."""
        *_, x = StridedConvs(self.channels, name="convs")(images, train)
        return nn.Dense(1, use_bias=False, kernel_init=KERNEL_INIT, name="logit")(x.reshape(len(x), -1))


def pooled_features(outputs: Sequence[Float[Array, "batch _ _ _"]]) -> Float[Array, "batch features"]:
    """Return all layers' outputs, max-pooled to 4x4, flattened and concatenated (Radford et al. 2016, sec. 5.1).

    Pooling windows overlap by a pixel if a side is no multiple of 4.
    """
    pooled = [pool(pool(x, axis=1), axis=2) for x in outputs]
    return jnp.concatenate([x.reshape(len(x), -1) for x in pooled], axis=-1)


def pool(x: Float[Array, "batch H W C"], *, axis: int) -> Float[Array, "batch _ _ C"]:
    """Return the maxima over 4 windows that together cover an axis of length 4 or more."""
    side = x.shape[axis]
    windows = [(i * side // POOLED, -(-(i + 1) * side // POOLED)) for i in range(POOLED)]
    parts = [jax.lax.slice_in_dim(x, start, stop, axis=axis).max(axis=axis) for start, stop in windows]
    return jnp.stack(parts, axis=axis)
