"""Residual generators from images to images (Johnson, Alahi & Fei-Fei 2016; Zhu et al. 2017, app. 7.2).

In the papers' notation, at 256x256: c7s1-64, d128, d256, nine times R256, u128, u64, c7s1-3. Instance normalization
(without gain and bias, but in StarGAN) and ReLU after all but the last, no biases before it. Images lie in [0, 1]
outside, and in [-1, 1] inside.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import normal, ones, zeros
from jaxtyping import Array, Float

from genjax.networks.conv import ConvTranspose
from genjax.networks.images import signed, unsigned

Images = Float[Array, "batch H W C"]
Padding = Literal["reflect", "zero"]

KERNEL_INIT = normal(0.02)

EDGE_SIZE = 7
"""Kernel of the first and the last convolution of the papers."""
SIZE = 3
"""Of all others."""

SMALLEST_SIDE = 4
"""Of the maps that `halvings` leaves."""
MOST_HALVINGS = 2
"""Of the papers."""


def halvings(image_shape: tuple[int, int, int]) -> int:
    """How often the generator halves height and width: twice, or less where a side is odd or would fall below 4."""
    height, width, _ = image_shape
    count = 0
    while count < MOST_HALVINGS and not (height % 2 or width % 2) and min(height, width) // 2 >= SMALLEST_SIDE:
        height, width, count = height // 2, width // 2, count + 1
    return count


def residual_blocks(image_shape: tuple[int, int, int]) -> int:
    """The number of blocks for images of this size: 9 from 256x256 on, 6 below (Zhu et al. 2017, app. 7.2)."""
    return 9 if min(image_shape[:2]) >= 256 else 6


def instance_norm(x: Images) -> Images:
    """Mean 0 and variance 1 over the places of each map of each image; a map that is the same everywhere becomes 0."""
    centred = x - x.mean(axis=(1, 2), keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(axis=(1, 2), keepdims=True) + 1e-5)


def padded(x: Images, width: int, padding: Padding) -> Float[Array, "batch height width C"]:
    """`width` more pixels on all sides: those inside in reverse, or zeros."""
    widths = ((0, 0), (width, width), (width, width), (0, 0))
    return jnp.pad(x, widths, mode="reflect") if padding == "reflect" else jnp.pad(x, widths)


class InstanceNorm(nn.Module):
    """`instance_norm`, by the image's own statistics in training as otherwise."""

    affine: bool = False
    """Whether each map has a gain and a bias after it."""

    @nn.compact
    def __call__(self, x: Images) -> Images:
        """Maps of the same shape."""
        x = instance_norm(x)
        if not self.affine:
            return x
        return x * self.param("gain", ones, x.shape[-1:]) + self.param("bias", zeros, x.shape[-1:])


class NormalizedConv(nn.Module):
    """Padding, a convolution without bias and instance normalization."""

    features: int
    size: int = SIZE
    stride: int = 1
    padding: Padding = "reflect"
    affine: bool = False

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "batch height width features"]:
        """Maps, `stride` times smaller."""
        conv = nn.Conv(
            self.features,
            (self.size,) * 2,
            strides=self.stride,
            padding="VALID",
            use_bias=False,
            kernel_init=KERNEL_INIT,
            name="conv",
        )
        return InstanceNorm(self.affine, name="norm")(conv(padded(x, self.size // 2, self.padding)))


class ResidualBlock(nn.Module):
    """X + f(x), f of two convolutions with ReLU between them."""

    padding: Padding = "reflect"
    affine: bool = False

    @nn.compact
    def __call__(self, x: Images) -> Images:
        """Maps of the same shape."""
        first, second = (
            NormalizedConv(x.shape[-1], padding=self.padding, affine=self.affine, name=f"conv_{index}")
            for index in range(2)
        )
        return x + second(jax.nn.relu(first(x)))


class ResidualGenerator(nn.Module):
    """Images to images in (0, 1) of the same size: halved, through residual blocks, and doubled again."""

    channels: int
    """Of the images that are made."""
    filters: int = 64
    """Maps at full size; each halving doubles them."""
    blocks: int = 6
    halvings: int = MOST_HALVINGS
    """Height and width must be multiples of 2 to this power."""
    padding: Padding = "reflect"
    """Of all but the transposed convolutions."""
    edge_size: int = EDGE_SIZE
    """Kernel of the first and the last convolution, odd; height and width must be above half of it."""
    affine: bool = False
    """Whether normalized maps have a gain and a bias."""

    @nn.compact
    def __call__(self, images: Images) -> Float[Array, "batch H W channels"]:
        """Images (tanh + 1) / 2."""
        widths = [self.filters * 2**level for level in range(self.halvings + 1)]
        conv = functools.partial(NormalizedConv, padding=self.padding, affine=self.affine)
        x = conv(widths[0], self.edge_size, name="first")(signed(images))
        for level, width in enumerate(widths[1:]):
            x = conv(width, stride=2, name=f"down_{level}")(jax.nn.relu(x))
        x = jax.nn.relu(x)
        for index in range(self.blocks):
            x = ResidualBlock(self.padding, self.affine, name=f"block_{index}")(x)
        for level, width in enumerate(widths[-2::-1]):
            up = ConvTranspose(width, SIZE, 2, kernel_init=KERNEL_INIT, use_bias=False, name=f"up_{level}")
            x = jax.nn.relu(InstanceNorm(self.affine, name=f"up_norm_{level}")(up(x)))
        last = nn.Conv(self.channels, (self.edge_size,) * 2, padding="VALID", kernel_init=KERNEL_INIT, name="last")
        return unsigned(jnp.tanh(last(padded(x, self.edge_size // 2, self.padding))))
