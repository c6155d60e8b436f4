"""Convolutional encoder and decoder, and a transposed convolution that is fast on CPUs as well."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, he_normal, zeros
from jaxtyping import Array, Float

Activation = Callable[[Array], Array]
Implementation = Literal["auto", "matmul", "lax"]
"""Algorithm of a transposed convolution; see `conv_transpose`."""


def conv_transpose(
    x: Float[Array, "batch H W in_channels"],
    kernel: Float[Array, "k k in_channels out_channels"],
    *,
    stride: int,
    implementation: Implementation = "auto",
) -> Float[Array, "batch height width out_channels"]:
    """Apply a transposed convolution with padding SAME; the result is `stride` times as high and wide.

    All implementations agree with `jax.lax.conv_transpose`: "matmul" is one matrix product and an overlap-add, "lax" is
    `jax.lax.conv_transpose`. "auto" is "matmul" on a CPU for strides above 1 and kernels of at most two strides, for
    which XLA computes the gradient faster in this form. Otherwise it is "lax": the patches of larger kernels overlap
    more. `experiments.speed.benchmark` times both on DCGAN.
    """
    near_on_cpu = stride > 1 and kernel.shape[0] <= 2 * stride and jax.default_backend() == "cpu"
    if implementation == "matmul" or (implementation == "auto" and near_on_cpu):
        return overlap_add(x, kernel, stride)
    return jax.lax.conv_transpose(x, kernel, (stride, stride), "SAME")


def overlap_add(
    x: Float[Array, "batch H W in_channels"], kernel: Float[Array, "k k in_channels out_channels"], stride: int
) -> Float[Array, "batch height width out_channels"]:
    """Compute `conv_transpose` as one matrix product: each input pixel gives a k x k patch, and overlaps are added."""
    size = kernel.shape[0]
    reach = math.ceil(size / stride)  # number of strides that a patch covers
    fill = reach * stride - size
    # lax slides the kernel over the dilated image; a kernel that is used as a patch has to be flipped.
    patch = jnp.pad(kernel[::-1, ::-1], ((0, fill), (0, fill), (0, 0), (0, 0)))
    patch = patch.reshape(reach, stride, reach, stride, *kernel.shape[2:])
    blocks = jnp.einsum("bhwi,msntio->mnbhswto", x, patch)
    full = functools.reduce(jnp.add, [shifted(blocks[m, n], m, n, reach) for m in range(reach) for n in range(reach)])
    batch, high, _, wide, _, channels = full.shape
    full = full.reshape(batch, high * stride, wide * stride, channels)
    start = size - 1 - same_padding(size, stride)
    height, width = x.shape[1] * stride, x.shape[2] * stride
    return full[:, start : start + height, start : start + width]


def shifted(
    block: Float[Array, "batch H s W t out_channels"], rows: int, columns: int, reach: int
) -> Float[Array, "batch high s wide t out_channels"]:
    """Shift the block by `rows` and `columns` strides on a canvas that is `reach` - 1 strides larger."""
    vertical, horizontal = (rows, reach - 1 - rows), (columns, reach - 1 - columns)
    return jnp.pad(block, ((0, 0), vertical, (0, 0), horizontal, (0, 0), (0, 0)))


def same_padding(size: int, stride: int) -> int:
    """Return the number of pixels that `jax.lax.conv_transpose` pads before the first pixel under padding SAME."""
    return size - 1 if stride > size - 1 else math.ceil((size + stride - 2) / 2)


class ConvTranspose(nn.Module):
    """Transposed convolution with padding SAME: [batch, H, W, C] to [batch, stride H, stride W, features]."""

    features: int
    """Output channels."""
    kernel_size: int = 4
    """Height and width of the kernel in pixels."""
    stride: int = 2
    kernel_init: Initializer = he_normal()
    use_bias: bool = True
    implementation: Implementation = "auto"

    @nn.compact
    def __call__(self, x: Float[Array, "batch H W C"]) -> Float[Array, "batch height width features"]:
        """Return an image `stride` times as high and wide."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        x = conv_transpose(x, kernel, stride=self.stride, implementation=self.implementation)
        return x + self.param("bias", zeros, (self.features,)) if self.use_bias else x


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
            x = nn.Conv(channels, (self.kernel_size,) * 2, strides=stride, kernel_init=self.kernel_init)(x)
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
        return x + self.param("bias", self.bias_init, self.image_shape)


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
