"""Convolutions that are fast on CPUs as well as on accelerators; the results are those of `jax.lax`.

XLA has fast routines for convolutions on a CPU, which three kinds miss:

- A kernel with more pixels than its image. XLA exchanges the two, and has no fast routine for the kernel that is then
  turned by 180 degrees. This happens where small images are enlarged, in a transposed convolution or in the gradient of
  a strided one by its input. Both equal s x s convolutions of stride 1 of the image without the zeros between its
  pixels, one for each phase: the outputs whose rows and columns leave the same remainders on division by s, with the
  taps of the kernel that reach them (the sub-pixel convolution of Shi et al. 2016).
- The gradient of a transposed convolution by its kernel, for the same reason. Here it is computed as that of the
  strided convolution whose transpose it is, where the larger of the two arrays is the image.
- An image without padding. One more row and column of zeros are added, and what they give is cut off.

These forms are used on a CPU; everywhere else the convolution is XLA's own. The choice is made when a program is
lowered for a platform, so that a program exported for an accelerator holds none of the CPU's forms.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import lax
from jax.nn.initializers import Initializer, he_normal, zeros
from jaxtyping import Array, Float

Images = Float[Array, "batch H W in_channels"]
Kernel = Float[Array, "rows columns in_channels out_channels"]
Output = Float[Array, "batch height width out_channels"]
Padding = tuple[tuple[int, int], tuple[int, int]]
"""Pixels of zeros before and after the rows and the columns; negative ones are cut off."""

LAYOUT = ("NHWC", "HWIO", "NHWC")

UNPADDED = ((0, 0), (0, 0))
PADDED = ((0, 1), (0, 1))
"""Padding in place of none: a row and a column of zeros after the others."""


def exchanged(image: Sequence[int], kernel: Sequence[int]) -> bool:
    """Whether XLA exchanges an image and a kernel of these heights and widths."""
    return math.prod(kernel) > math.prod(image)


def xla_conv(x: Images, kernel: Kernel, stride: int, padding: Padding, dilation: int = 1) -> Output:
    """Return XLA's convolution, where `dilation` - 1 zeros are put between neighbouring pixels of the input."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, lhs_dilation=(dilation, dilation), dimension_numbers=LAYOUT
    )


def padded_conv(x: Images, kernel: Kernel, stride: int, padding: Padding) -> Output:
    """Return XLA's convolution of stride `stride`, on a CPU of an image that is padded in any case."""
    if padding != UNPADDED or math.prod(kernel.shape[:2]) == 1:
        return xla_conv(x, kernel, stride, padding)
    rows, columns = ((side - size) // stride + 1 for side, size in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: xla_conv(x, kernel, stride, PADDED)[:, :rows, :columns],
        default=lambda x, kernel: xla_conv(x, kernel, stride, UNPADDED),
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def strided_conv(x: Images, kernel: Kernel, stride: int, padding: Padding) -> Output:
    """Return the convolution of stride `stride`, whose gradient by the input is fast on a CPU as well."""
    return padded_conv(x, kernel, stride, padding)


@strided_conv.defjvp
def strided_conv_jvp(
    stride: int, padding: Padding, primals: tuple[Images, Kernel], tangents: tuple[Images, Kernel]
) -> tuple[Output, Output]:
    """Return the convolution and its tangent, whose transpose by the input is `jax.grad`'s."""
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    output = strided_conv(x, kernel, stride, padding)
    by_input = lax.platform_dependent(
        x_dot,
        kernel,
        cpu=lambda x_dot, kernel: (
            phase_conv(x_dot, kernel, stride, padding)
            if exchanged(output.shape[1:3], kernel.shape[:2])
            else xla_conv(x_dot, kernel, stride, padding)
        ),
        default=lambda x_dot, kernel: xla_conv(x_dot, kernel, stride, padding),
    )
    return output, by_input + padded_conv(x, kernel_dot, stride, padding)


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
    # The axis of the phases stays apart from that of the examples, which may lie on several devices.
    phases = lax.split(x.reshape(stride * stride, batch, rows, columns, channels), (1,) * stride**2)
    parts = []
    for phase, part in enumerate(map(functools.partial(jnp.squeeze, axis=0), phases)):
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
        cpu=lambda x, kernel: (
            sub_pixel_conv(x, kernel, dilation, padding)
            if exchanged(x.shape[1:3], kernel.shape[:2])
            else xla_conv(x, kernel, 1, padding, dilation)
        ),
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
        cpu=lambda x, kernel_dot: conv_by_kernel(x, kernel_dot, dilation, padding),
        default=lambda x, kernel_dot: xla_conv(x, kernel_dot, 1, padding, dilation),
    )
    return dilated_conv(x, kernel, dilation, padding), by_kernel + xla_conv(x_dot, kernel, 1, padding, dilation)


def conv_by_kernel(x: Images, kernel: Kernel, dilation: int, padding: Padding) -> Output:
    """Return `dilated_conv`, whose transpose by the kernel is the gradient of a strided convolution by its kernel."""
    turned, image, pads = strided_counterpart(x, kernel, dilation, padding)

    def kernel_gradient(image: Images) -> Kernel:
        conv = jax.linear_transpose(lambda turned: xla_conv(image, turned, dilation, pads), turned)
        return conv(x)[0]

    return jax.linear_transpose(kernel_gradient, image)(turned)[0]


def sub_pixel_conv(x: Images, kernel: Kernel, dilation: int, padding: Padding) -> Output:
    """Return `dilated_conv` as convolutions of stride 1, one for each phase of the output."""
    turned, image, pads = strided_counterpart(x, kernel, dilation, padding)
    return jax.linear_transpose(lambda image: phase_conv(image, turned, dilation, pads), image)(x)[0]


def strided_counterpart(
    x: Images, kernel: Kernel, dilation: int, padding: Padding
) -> tuple[Float[Array, "rows columns out_channels in_channels"], jax.ShapeDtypeStruct, Padding]:
    """Return the kernel, the shape of the input and the padding of the strided convolution with this transpose.

    Its kernel is turned by 180 degrees, with inputs and outputs exchanged.
    """
    sizes, sides = kernel.shape[:2], x.shape[1:3]
    pads = [(size - 1 - low, size - 1 - high) for size, (low, high) in zip(sizes, padding, strict=True)]
    rows, columns = (
        (side - 1) * dilation + size - low - high for side, size, (low, high) in zip(sides, sizes, pads, strict=True)
    )
    image = jax.ShapeDtypeStruct((len(x), rows, columns, kernel.shape[3]), x.dtype)
    return kernel[::-1, ::-1].swapaxes(2, 3), image, (pads[0], pads[1])


def conv_general_dilated(
    lhs: Images,
    rhs: Float[Array, "rows columns _ out_channels"],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> Output:
    """Return `jax.lax.conv_general_dilated` with the arguments of Flax's `Conv`, in the forms of this file.

    Groups, dilations and strides that are not square are left to XLA.
    """
    stride, *others = window_strides
    plain = options.get("feature_group_count", 1) == 1 and all(
        set(options.get(name) or (1,)) == {1} for name in ("lhs_dilation", "rhs_dilation")
    )
    if others != [stride] or not plain:
        return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **options)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], window_strides, padding)
    rows, columns = ((int(low), int(high)) for low, high in padding)
    form = padded_conv if stride == 1 else strided_conv
    return form(lhs, rhs, stride, (rows, columns))


Conv = functools.partial(nn.Conv, conv_general_dilated=conv_general_dilated)
"""Flax's convolution of images [batch, H, W, C], with the forms of this file."""


def conv_transpose(x: Images, kernel: Kernel, *, stride: int) -> Output:
    """Return `jax.lax.conv_transpose` with padding SAME; the result is `stride` times as high and wide."""
    if stride == 1:
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
        x, kernel = promote_dtype(x, self.param("kernel", self.kernel_init, shape, jnp.float32))
        x = conv_transpose(x, kernel, stride=self.stride)
        return x + self.param("bias", zeros, (self.features,), jnp.float32) if self.use_bias else x
