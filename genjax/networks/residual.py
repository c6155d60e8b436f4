"""Residual generators from images to images (Johnson, Alahi & Fei-Fei 2016; Zhu et al. 2017, app. 7.2).

In the papers' notation, at 256x256: c7s1-64, d128, d256, nine times R256, u128, u64, c7s1-3. Instance normalization and
ReLU follow every layer but the last, and convolutions before a normalization have no bias. Only StarGAN's instance
normalization has a gain and a bias. Images are in [0, 1] outside of the network and in [-1, 1] inside.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import normal, ones, zeros
from jaxtyping import Array, Float

from genjax.networks.conv import Conv, ConvTranspose
from genjax.networks.images import signed, unsigned

Images = Float[Array, "batch H W C"]
Padding = Literal["reflect", "zero"]

KERNEL_INIT = normal(0.02)
"""Initializer of all convolution kernels."""

EDGE_SIZE = 7
"""Outer kernel size, which the first and the last convolution have in the papers."""
SIZE = 3
"""Kernel size of all other convolutions."""

SMALLEST_SIDE = 4
"""Smallest height and width after the downsamplings that `halvings` chooses."""
MOST_HALVINGS = 2
"""Number of downsamplings in the papers."""


def halvings(image_shape: tuple[int, int, int]) -> int:
    """Return the number of downsamplings for this image size: two, or fewer if a side is odd or would fall below 4."""
    height, width, _ = image_shape
    count = 0
    while count < MOST_HALVINGS and not (height % 2 or width % 2) and min(height, width) // 2 >= SMALLEST_SIDE:
        height, width, count = height // 2, width // 2, count + 1
    return count


def residual_blocks(image_shape: tuple[int, int, int]) -> int:
    """Return the number of residual blocks by image size: 9 from 256x256 on, else 6 (Zhu et al. 2017, app. 7.2)."""
    return 9 if min(image_shape[:2]) >= 256 else 6


def instance_norm(x: Images) -> Images:
    """Normalize each channel of each image to mean 0 and variance 1 over its pixels; a constant channel becomes 0."""
    centred = x - x.mean(axis=(1, 2), keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(axis=(1, 2), keepdims=True) + 1e-5)


def reflected(x: Images, width: int, padding: Padding) -> tuple[Float[Array, "batch height width C"], int]:
    """Return images with reflections around them, or as they are, and the pixels of zeros that a convolution adds."""
    widths = ((0, 0), (width, width), (width, width), (0, 0))
    return (jnp.pad(x, widths, mode="reflect"), 0) if padding == "reflect" else (x, width)


class InstanceNorm(nn.Module):
    """Instance normalization, by each image's own statistics in training and in evaluation."""

    affine: bool = False
    """Whether each channel has a gain and a bias after the normalization."""

    @nn.compact
    def __call__(self, x: Images) -> Images:
        """Return normalized channels of the same shape."""
        x = instance_norm(x)
        if not self.affine:
            return x
        gain = self.param("gain", ones, x.shape[-1:], jnp.float32)
        return x * gain + self.param("bias", zeros, x.shape[-1:], jnp.float32)


class NormalizedConv(nn.Module):
    """Padding, a convolution without bias, and instance normalization."""

    features: int
    """Output channels."""
    size: int = SIZE
    """Kernel size."""
    stride: int = 1
    padding: Padding = "reflect"
    affine: bool = False
    """Whether normalized channels have a gain and a bias."""

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "batch height width features"]:
        """Return channels at `1 / stride` of the height and width."""
        x, outside = reflected(x, self.size // 2, self.padding)
        conv = Conv(
            self.features,
            (self.size,) * 2,
            strides=self.stride,
            padding=outside,
            use_bias=False,
            kernel_init=KERNEL_INIT,
            name="conv",
        )
        return InstanceNorm(self.affine, name="norm")(conv(x))


class ResidualBlock(nn.Module):
    """Residual block x + f(x), where f is two convolutions with a ReLU between them."""

    padding: Padding = "reflect"
    affine: bool = False

    @nn.compact
    def __call__(self, x: Images) -> Images:
        """Return x + f(x), of the shape of `x`."""
        first, second = (
            NormalizedConv(x.shape[-1], padding=self.padding, affine=self.affine, name=f"conv_{index}")
            for index in range(2)
        )
        return x + second(jax.nn.relu(first(x)))


class ResidualGenerator(nn.Module):
    """Network from images to images in (0, 1) of the same size: downsamplings, residual blocks, upsamplings."""

    channels: int
    """Channels of the generated images."""
    filters: int = 64
    """Channels at full size; each downsampling doubles them."""
    blocks: int = 6
    """Number of residual blocks."""
    halvings: int = MOST_HALVINGS
    """Number of downsamplings; height and width must be multiples of 2 to this power."""
    padding: Padding = "reflect"
    """Padding of all convolutions but the transposed ones."""
    edge_size: int = EDGE_SIZE
    """Outer kernel size, of the first and the last convolution. It must be odd, and height and width above half of
    it."""
    affine: bool = False
    """Whether normalized channels have a gain and a bias."""

    @nn.compact
    def __call__(self, images: Images) -> Float[Array, "batch H W channels"]:
        """Return images (tanh + 1) / 2."""
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
        x, outside = reflected(x, self.edge_size // 2, self.padding)
        last = Conv(self.channels, (self.edge_size,) * 2, padding=outside, kernel_init=KERNEL_INIT, name="last")
        return unsigned(jnp.tanh(last(x)))
