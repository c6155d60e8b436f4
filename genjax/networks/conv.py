"""Convolutions that are fast on CPUs as well as on accelerators; the results are those of `jax.lax`.

XLA's convolutions on a CPU are fast as long as the input is not dilated, that is, spread out with zeros between its
pixels. Two computations dilate: a transposed convolution of stride s, and the gradient of a convolution of stride s by
its input. Both equal s x s convolutions of stride 1 of the undilated input, one for each phase: the outputs whose rows
and columns leave the same remainders on division by s, with the taps of the kernel that reach them (the sub-pixel
convolution of Shi et al. 2016). On a CPU this form replaces the dilation; everywhere else, and at stride 1, the
convolution is XLA's own. The choice is made when a program is lowered for a platform, so that a program exported for an
accelerator holds none of the CPU's forms.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.nn.initializers import Initializer, he_normal, zeros
from jaxtyping import Array, Float

Images = Float[Array, "batch H W in_channels"]
Kernel = Float[Array, "rows columns in_channels out_channels"]
Output = Float[Array, "batch height width out_channels"]
Padding = tuple[tuple[int, int], tuple[int, int]]
"""Pixels of zeros before and after the rows and the columns; negative ones are cut off."""

LAYOUT = ("NHWC", "HWIO", "NHWC")

CHANNELS = 4096
"""Smallest product of input and output channels at which the forms of this file are used. A step of DCGAN on 28x28 with
32 filters, whose products are at most 2048, is slower by them."""


def xla_conv(x: Images, kernel: Kernel, stride: int, padding: Padding, dilation: int = 1) -> Output:
    """Return XLA's convolution, where `dilation` - 1 zeros are put between neighbouring pixels of the input."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, lhs_dilation=(dilation, dilation), dimension_numbers=LAYOUT
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def strided_conv(x: Images, kernel: Kernel, stride: int, padding: Padding) -> Output:
    """Return the convolution of stride `stride`, whose gradient by the input is fast on a CPU as well."""
    return xla_conv(x, kernel, stride, padding)


@strided_conv.defjvp
def strided_conv_jvp(
    stride: int, padding: Padding, primals: tuple[Images, Kernel], tangents: tuple[Images, Kernel]
) -> tuple[Output, Output]:
    """Return the convolution and its tangent, whose transpose by the input is `jax.grad`'s."""
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    by_input = lax.platform_dependent(
        x_dot,
        kernel,
        cpu=lambda x_dot, kernel: phase_conv(x_dot, kernel, stride, padding),
        default=lambda x_dot, kernel: xla_conv(x_dot, kernel, stride, padding),
    )
    return strided_conv(x, kernel, stride, padding), by_input + xla_conv(x, kernel_dot, stride, padding)


def phase_conv(x: Images, kernel: Kernel, stride: int, padding: Padding) -> Output:
    """Return the convolution of stride s as a sum over the s x s phases of its input, each convolved with stride 1.

    Its transpose by the input is the sub-pixel convolution.
    """
    batch, *sides, channels = x.shape
    sizes = kernel.shape[:2]
    outputs = [(n + sum(pad) - size) // stride + 1 for n, pad, size in zip(sides, padding, sizes, strict=True)]
    # Rows and columns of a phase; those that no output sees are cut off.
    rows, columns = (output - 1 + -(-size // stride) for output, size in zip(outputs, sizes, strict=True))
    after = (stride * rows - sides[0] - padding[0][0], stride * columns - sides[1] - padding[1][0])
    widths = [(pad[0], rest, 0) for pad, rest in zip(padding, after, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *widths, (0, 0, 0)))
    x = x.reshape(batch, rows, stride, columns, stride, channels).transpose(2, 4, 0, 1, 3, 5)
    phases = lax.split(x.reshape(stride * stride * batch, rows, columns, channels), (batch,) * stride**2)
    parts = []
    for phase, part in enumerate(phases):
        row, column = divmod(phase, stride)
        taps = kernel[row::stride, column::stride]
        if taps.size:
            window = part[:, : outputs[0] + taps.shape[0] - 1, : outputs[1] + taps.shape[1] - 1]
            parts.append(xla_conv(window, taps, 1, ((0, 0), (0, 0))))
    return functools.reduce(jnp.add, parts)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def dilated_conv(x: Images, kernel: Kernel, dilation: int, padding: Padding) -> Output:
    """Return the convolution of stride 1 of an input with `dilation` - 1 zeros between neighbouring pixels."""
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: sub_pixel_conv(x, kernel, dilation, padding),
        default=lambda x, kernel: xla_conv(x, kernel, 1, padding, dilation),
    )


@dilated_conv.defjvp
def dilated_conv_jvp(
    dilation: int, padding: Padding, primals: tuple[Images, Kernel], tangents: tuple[Images, Kernel]
) -> tuple[Output, Output]:
    """Return the convolution and its tangent; its transpose by the input is a convolution of stride `dilation`."""
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    by_kernel = lax.platform_dependent(
        x,
        kernel_dot,
        cpu=lambda x, kernel_dot: sub_pixel_conv(x, kernel_dot, dilation, padding),
        default=lambda x, kernel_dot: xla_conv(x, kernel_dot, 1, padding, dilation),
    )
    return dilated_conv(x, kernel, dilation, padding), by_kernel + xla_conv(x_dot, kernel, 1, padding, dilation)


def sub_pixel_conv(x: Images, kernel: Kernel, dilation: int, padding: Padding) -> Output:
    """Return `dilated_conv` as convolutions of stride 1, one for each phase of the output.

    It is the transpose of `phase_conv` with the kernel turned by 180 degrees, whose inputs and outputs are exchanged.
    """
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    pads = [(size - 1 - low, size - 1 - high) for size, (low, high) in zip(kernel.shape[:2], padding, strict=True)]
    sides = [
        (side - 1) * dilation + size - low - high
        for side, size, (low, high) in zip(x.shape[1:3], kernel.shape[:2], pads, strict=True)
    ]
    image = jax.ShapeDtypeStruct((len(x), *sides, kernel.shape[3]), x.dtype)
    return jax.linear_transpose(lambda image: phase_conv(image, turned, dilation, (pads[0], pads[1])), image)(x)[0]


def conv_general_dilated(
    lhs: Images,
    rhs: Float[Array, "rows columns _ out_channels"],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> Output:
    """Return `jax.lax.conv_general_dilated` with the arguments of Flax's `Conv`; square strides have a fast gradient.

    Groups and dilations are left to XLA.
    """
    stride, *others = window_strides
    plain = options.get("feature_group_count", 1) == 1 and all(
        set(options.get(name) or (1,)) == {1} for name in ("lhs_dilation", "rhs_dilation")
    )
    if stride == 1 or others != [stride] or not plain or rhs.shape[2] * rhs.shape[3] < CHANNELS:
        return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **options)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], window_strides, padding)
    rows, columns = ((int(low), int(high)) for low, high in padding)
    return strided_conv(lhs, rhs, stride, (rows, columns))


Conv = functools.partial(nn.Conv, conv_general_dilated=conv_general_dilated)
"""Flax's convolution of images [batch, H, W, C], with the forms of this file."""


def conv_transpose(x: Images, kernel: Kernel, *, stride: int) -> Output:
    """Return `jax.lax.conv_transpose` with padding SAME; the result is `stride` times as high and wide."""
    if stride == 1 or kernel.shape[2] * kernel.shape[3] < CHANNELS:
        return lax.conv_transpose(x, kernel, (stride, stride), "SAME")
    rows, columns = (same_padding(size, stride) for size in kernel.shape[:2])
    return dilated_conv(x, kernel, stride, (rows, columns))


def same_padding(size: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after the dilated input of a transposed convolution with padding SAME."""
    total = size + stride - 2
    before = size - 1 if stride > size - 1 else math.ceil(total / 2)
    return before, total - before


class ConvTranspose(nn.Module):
    """Transposed convolution with padding SAME: [batch, H, W, C] to [batch, stride H, stride W, features]."""

    features: int
    """Output channels."""
    kernel_size: int = 4
    """Height and width of the kernel in pixels."""
    stride: int = 2
    kernel_init: Initializer = he_normal()
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "batch H W C"]) -> Output:
        """Return an image `stride` times as high and wide."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        x = conv_transpose(x, self.param("kernel", self.kernel_init, shape), stride=self.stride)
        return x + self.param("bias", zeros, (self.features,)) if self.use_bias else x
