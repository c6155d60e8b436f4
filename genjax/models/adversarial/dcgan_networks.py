"""The networks of DCGAN (Radford, Metz & Chintala 2016), for images of any side that halving brings to 4, 5, 6 or 7.

Kernels of 5x5 and strides of 2 in place of pooling; batch normalization everywhere but after the generator's last layer
and the discriminator's first and last; ReLU in the generator, leaky ReLU in the discriminator; no biases, as in the
authors' code. Images lie in [0, 1] outside, and in [-1, 1] inside.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import normal
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from genjax.networks.conv import ConvTranspose, Implementation
from genjax.types import Key

KERNEL_SIZE = 5
STRIDE = 2
SLOPE = 0.2
"""Of the leaky ReLU below 0."""
KERNEL_INIT = normal(0.02)

BASE = range(4, 8)
"""Sides of the smallest maps: 4 in the paper; 7 for images of 28x28, as in its code for MNIST."""

POOLED = 4
"""The side to which features are pooled."""

MOMENTUM = 0.9
"""What running statistics keep in a step."""


def scale_init(key: Key, shape: Sequence[int], dtype: DTypeLike = float) -> Array:
    """N(1, 0.02^2): the gains of batch normalization."""
    return 1 + 0.02 * jax.random.normal(key, tuple(shape), dtype)


def halvings(image_shape: tuple[int, int, int]) -> int:
    """How often height and width are halved until both are 4, 5, 6 or 7; the number of strided layers.

    Raises ValueError where this is not reached, or the image has this size already.
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
    """Batch normalization: by the batch in training, else by running statistics."""
    return nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, scale_init=scale_init, name=name)  # pyright: ignore[reportArgumentType]


class Generator(nn.Module):
    """Noise to images in (0, 1): a linear layer to the smallest maps, then one transposed convolution per doubling."""

    image_shape: tuple[int, int, int]
    channels: Sequence[int]
    """Of the maps that go into each transposed convolution, from the smallest to the largest."""
    implementation: Implementation = "auto"

    @nn.compact
    def __call__(self, z: Float[Array, "batch latents"], train: bool = False) -> Float[Array, "batch H W C"]:
        """Images (tanh + 1) / 2."""
        factor = STRIDE ** len(self.channels)
        height, width = (side // factor for side in self.image_shape[:2])
        linear = nn.Dense(height * width * self.channels[0], use_bias=False, kernel_init=KERNEL_INIT, name="linear")
        x = jax.nn.relu(norm(train, "norm")(linear(z))).reshape(-1, height, width, self.channels[0])
        for index, channels in enumerate(self.channels[1:]):
            x = jax.nn.relu(norm(train, f"norm_{index}")(transpose(channels, index, self.implementation)(x)))
        x = transpose(self.image_shape[-1], len(self.channels) - 1, self.implementation)(x)
        return (jnp.tanh(x) + 1) / 2


def transpose(
    channels: int, index: int, implementation: Implementation = "auto", *, use_bias: bool = False
) -> ConvTranspose:
    """The transposed convolution number `index` of a generator: to maps twice as high and wide."""
    return ConvTranspose(
        channels,
        KERNEL_SIZE,
        STRIDE,
        kernel_init=KERNEL_INIT,
        use_bias=use_bias,
        implementation=implementation,
        name=f"transpose_{index}",
    )


class StridedConvs(nn.Module):
    """Images in [0, 1] to the maps of each of several convolutions, each half as high and wide as what it reads."""

    channels: Sequence[int]

    @nn.compact
    def __call__(self, images: Float[Array, "batch H W C"], train: bool = False) -> tuple[Array, ...]:
        """Maps [batch, height, width, channels] after the leaky ReLU, the largest first."""
        conv = functools.partial(
            nn.Conv, kernel_size=(KERNEL_SIZE,) * 2, strides=STRIDE, use_bias=False, kernel_init=KERNEL_INIT
        )
        x, maps = 2 * images - 1, []
        for index, channels in enumerate(self.channels):
            x = conv(channels, name=f"conv_{index}")(x)
            x = jax.nn.leaky_relu(norm(train, f"norm_{index}")(x) if index else x, SLOPE)
            maps.append(x)
        return tuple(maps)


class Discriminator(nn.Module):
    """`StridedConvs`, and one logit that is linear in the last maps."""

    channels: Sequence[int]

    @nn.compact
    def __call__(self, images: Float[Array, "batch H W C"], train: bool = False) -> Float[Array, "batch 1"]:
        """The logit, [batch, 1]."""
        maps = StridedConvs(self.channels, name="convs")(images, train)
        return nn.Dense(1, use_bias=False, kernel_init=KERNEL_INIT, name="logit")(maps[-1].reshape(len(images), -1))


def pooled_features(maps: Sequence[Float[Array, "batch _ _ _"]]) -> Float[Array, "batch features"]:
    """All maps max-pooled to 4x4, flattened and concatenated (Radford et al. 2016, sec. 5.1).

    A map whose side is no multiple of 4 has windows that overlap by a pixel.
    """
    pooled = [pool(pool(one, axis=1), axis=2) for one in maps]
    return jnp.concatenate([one.reshape(len(one), -1) for one in pooled], axis=-1)


def pool(maps: Float[Array, "batch H W C"], *, axis: int) -> Float[Array, "batch _ _ C"]:
    """The greatest value in each of 4 windows that cover an axis of at least 4."""
    side = maps.shape[axis]
    windows = [(i * side // POOLED, -(-(i + 1) * side // POOLED)) for i in range(POOLED)]
    parts = [jax.lax.slice_in_dim(maps, start, stop, axis=axis).max(axis=axis) for start, stop in windows]
    return jnp.stack(parts, axis=axis)
