"""Causal convolutions and the two networks of PixelCNN (van den Oord et al. 2016a, 2016b).

A convolution sees the rows above, pixels to the left in the row, and the centre-pixel channels that its mask allows.
In every layer, the image and the outputs included, feature i belongs to image channel i mod C. So a pixel's red is
predicted first, then green given red, then blue given red and green.

Every layer computes a complete image, or one row or pixel at a time, with the input rows that it needs kept in the
collection "cache" (`MaskedConv`), so that a sampler computes the features of each pixel only once.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import Array
from jax.nn.initializers import zeros
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Int

from genjax.networks.conv import Conv, xla_conv
from genjax.types import Key, PyTree

Mask = Literal["A", "B", "above"]
"""Channels of the centre pixel that a feature sees: those before its own (A), its own too (B), or all (above)."""

Column = Int[Array, ""] | int

Position = Column | Literal["row", "window"] | None
"""Part of the image to compute: all (None), the next row, a column of that row, or where the kernel fits (window)."""


def causal_mask(
    kernel_size: tuple[int, int], in_features: int, out_features: int, *, mask: Mask, channels: int, copies: int = 1
) -> Bool[np.ndarray, "rows columns inputs outputs"]:
    """Return the mask of a causal kernel, True where weights are used (van den Oord et al. 2016a, section 3.4).

    The centre is the middle of the kernel's last row; rows below it would be masked and are omitted. The outputs are
    `copies` times `out_features` features, each counted from channel 0.
    """
    rows, columns = kernel_size
    allowed = np.ones((rows, columns, in_features, copies * out_features), bool)
    if mask == "above":
        return allowed
    inputs = np.arange(in_features)[:, None] % channels
    outputs = np.tile(np.arange(out_features) % channels, copies)
    allowed[-1, columns // 2] = inputs < outputs if mask == "A" else inputs <= outputs
    allowed[-1, columns // 2 + 1 :] = False
    return allowed


def masked_normal(
    key: Key,
    shape: tuple[int, ...],
    dtype: DTypeLike = jnp.float32,
    *,
    mask: Bool[np.ndarray, "rows columns inputs outputs"],
    gain: float,
) -> Float[Array, "rows columns inputs outputs"]:
    """Draw normal weights of variance gain / (number of unmasked inputs of the output), and 0 where masked.

    gain = 2 preserves the second moment through a layer that follows a ReLU (He et al. 2015).
    """
    scale = np.sqrt(gain / np.maximum(mask.sum(axis=(0, 1, 2)), 1))
    return jax.random.normal(key, shape, dtype) * jnp.asarray(scale * mask, dtype)


def correlate(
    window: Float[Array, "batch height width inputs"], kernel: Float[Array, "rows columns inputs outputs"], taps: int
) -> Float[Array, "batch high wide outputs"]:
    """Apply the kernel at every position where it fits, as one matrix product over its first `taps` pixels.

    On a CPU this is much faster than XLA's convolution for a 1x1 kernel and for the few pixels of a sampler's step.
    """
    rows, columns, inputs, outputs = kernel.shape
    high, wide = window.shape[1] - rows + 1, window.shape[2] - columns + 1
    corners = [divmod(tap, columns) for tap in range(taps)]
    patches = jnp.concatenate([window[:, row : row + high, left : left + wide] for row, left in corners], axis=-1)
    return patches @ kernel.reshape(-1, outputs)[: taps * inputs]


class MaskedConv(nn.Module):
    """Causal convolution of stride 1, [batch, H, W, inputs] to [batch, H, W, copies * features].

    With a `position`, x is the next row [batch, 1, W, inputs] or one column of it [batch, 1, 1, inputs]; earlier rows
    and columns were given in earlier calls. "cache" holds the last rows of the input, and `next_row` shifts them up
    when a row begins. A call with the position "row" creates the cache.
    """

    features: int
    kernel_size: tuple[int, int] = (1, 1)
    """Number of rows, the last of which is the centre's, and number of columns, which is odd."""
    mask: Mask = "B"
    channels: int = 1
    copies: int = 1
    gain: float = 2.0
    dtype: DTypeLike | None = None
    """Type of the computation; with None, that of the parameters and the input."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch H W inputs"], position: Position = None
    ) -> Float[Array, "batch high wide outputs"]:
        """Return the features at the position."""
        shape = (self.kernel_size, x.shape[-1], self.features)
        mask = causal_mask(*shape, mask=self.mask, channels=self.channels, copies=self.copies)
        kernel = self.param("kernel", functools.partial(masked_normal, mask=mask, gain=self.gain), mask.shape)
        bias = self.param("bias", zeros, (self.copies * self.features,), jnp.float32)
        x, kernel, bias = promote_dtype(x, kernel, bias)
        if position is None and self.kernel_size != (1, 1):
            rows, columns = self.kernel_size
            return xla_conv(x, kernel * mask, 1, ((rows - 1, 0), (columns // 2, columns // 2))) + bias
        window = x if position is None or position == "window" else self.remembered(x, position)
        taps = int(mask.any(axis=(2, 3)).sum())  # the taps that are masked for all outputs are the last
        return correlate(window, kernel * mask, taps) + bias

    def remembered(
        self, x: Float[Array, "batch 1 W inputs"], position: Column | Literal["row"]
    ) -> Float[Array, "batch rows width inputs"]:
        """Store x in the cache and return the window that the kernel sees at the position."""
        rows, columns = self.kernel_size
        if self.kernel_size == (1, 1):
            return x
        batch, _, width, inputs = x.shape
        cache = self.variable("cache", "rows", jnp.zeros, (batch, rows, width + columns - 1, inputs), x.dtype)
        if isinstance(position, str):
            cache.value = written(cache.value, x, columns // 2)
            return cache.value
        cache.value = written(cache.value, x, position + columns // 2)
        return jax.lax.dynamic_slice_in_dim(cache.value, position, columns, axis=2)


def written(
    rows: Float[Array, "batch rows width inputs"], x: Float[Array, "batch 1 W inputs"], start: Column
) -> Float[Array, "batch rows width inputs"]:
    """Write x into the last of the cached rows, from column `start` on."""
    return jax.lax.dynamic_update_slice(rows, x.astype(rows.dtype), (0, rows.shape[1] - 1, start, 0))


def with_pixel(cache: PyTree, pixel: Float[Array, "batch 1 1 C"], column: Column, first_kernel: int) -> PyTree:
    """Write the image's pixel at `column` into the cache of a network's first layer."""
    rows = written(cache["first"]["rows"], pixel, column + first_kernel // 2)
    return {**cache, "first": {"rows": rows}}


def next_row(cache: PyTree) -> PyTree:
    """Shift the cached rows up by one at the beginning of a row, and set the last row to 0."""
    return jax.tree.map(lambda rows: jnp.concatenate([rows[:, 1:], jnp.zeros_like(rows[:, :1])], axis=1), cache)


def gate(x: Float[Array, "*shape double"]) -> Float[Array, "*shape half"]:
    """Return tanh(a) * sigmoid(b) for the two halves a, b of the features (van den Oord et al. 2016b, equation 2)."""
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.tanh(a) * jax.nn.sigmoid(b)


GATE_GAIN = 4.0
"""Gain of a kernel after a gate, which multiplies the variance of small features by sigmoid(0)^2 = 1/4."""

LOGIT_GAIN = 0.1
"""Gain of the last kernel, small so that initial distributions are near uniform or around middle grey, not equal."""


class PixelCNN(nn.Module):
    """Residual network of van den Oord et al. (2016a), table 1: P parameters [batch, H, W, C, P] per element.

    It has a blind spot to the right in the rows above, where a 3x3 kernel sees one more column per row only.
    """

    channels: int
    """Image channels C."""
    parameters: int
    """Parameters P of each conditional."""
    features: int
    """Features h inside a block; between the blocks there are 2 h."""
    blocks: int
    first_kernel: int = 7
    kernel: int = 3

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch H W C"],
        above: None = None,
        context: Float[Array, "batch h w K"] | None = None,
        position: Position = None,
    ) -> Float[Array, "batch H W C P"]:
        """Return the parameters of each conditional. `context` is added in each block; `above` is always None."""
        conv = functools.partial(MaskedConv, channels=self.channels)
        size, first = self.kernel, self.first_kernel
        features = conv(2 * self.features, (first // 2 + 1, first), "A", gain=1.0, name="first")(x, position)
        for _ in range(self.blocks):
            inner = added(conv(self.features)(jax.nn.relu(features)), context)
            inner = conv(self.features, (size // 2 + 1, size))(jax.nn.relu(inner), position)
            # All blocks together add as much variance as enters the first one.
            features += conv(2 * self.features, gain=2 / self.blocks)(jax.nn.relu(inner))
        return head(conv, features, 2 * self.features, self.channels, self.parameters)


def added(
    x: Float[Array, "batch H W features"], context: Float[Array, "batch h w K"] | None
) -> Float[Array, "batch H W features"]:
    """Add a linear function of the context, which may be one vector for all pixels; call only in a compact method."""
    return x if context is None else x + nn.Dense(x.shape[-1], use_bias=False)(context)


def head(
    conv: functools.partial[MaskedConv],
    features: Float[Array, "batch H W features"],
    width: int,
    channels: int,
    parameters: int,
) -> Float[Array, "batch H W C P"]:
    """Apply ReLU and a 1x1 convolution twice; the second gives the parameters, P copies of C channels."""
    hidden = conv(width)(jax.nn.relu(features))
    out = conv(channels, copies=parameters, gain=LOGIT_GAIN)(jax.nn.relu(hidden))
    return jnp.swapaxes(out.reshape(*out.shape[:3], parameters, channels), -1, -2)


class VerticalStack(nn.Module):
    """Gated network over the rows above (van den Oord et al. 2016b, section 2.2), read by each horizontal block.

    Its input is the image shifted down by one row (`shifted_down`), so that it sees past pixels only, in all channels.
    """

    features: int
    blocks: int
    first_kernel: int = 7
    kernel: int = 3

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch H W C"],
        context: Float[Array, "batch h w K"] | None = None,
        position: Position = None,
    ) -> tuple[Float[Array, "batch H W double"], ...]:
        """Return features [batch, H, W, 2 features] for each block."""
        conv = functools.partial(MaskedConv, self.features, mask="above", copies=2)
        outputs = []
        for block in range(self.blocks):
            size = (self.kernel // 2 + 1, self.kernel) if block else (self.first_kernel // 2, self.first_kernel)
            gates = conv(size, gain=GATE_GAIN if block else 1.0)(x, position)
            outputs.append(conv(gain=1.0)(gates))
            x = gate(added(gates, context))
        return tuple(outputs)


def shifted_down(x: Float[Array, "batch H W C"]) -> Float[Array, "batch H W C"]:
    """Shift the image down by one row; the first row becomes 0."""
    return jnp.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))


class HorizontalStack(nn.Module):
    """Gated network along the row (van den Oord et al. 2016b, figure 2), which reads the vertical stack in each block.

    It has residual connections, and skip connections to the output: P parameters [batch, H, W, C, P] per element.
    """

    channels: int
    parameters: int
    features: int
    blocks: int
    first_kernel: int = 7
    kernel: int = 3

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch H W C"],
        above: tuple[Float[Array, "batch H W double"], ...],
        context: Float[Array, "batch h w K"] | None = None,
        position: Position = None,
    ) -> Float[Array, "batch H W C P"]:
        """Return the parameters of each conditional. `context` is added in each block."""
        conv = functools.partial(MaskedConv, channels=self.channels)
        features, skips = x, jnp.zeros(())
        for block, from_above in enumerate(above):
            if block:
                wide = conv(self.features, (1, self.kernel), copies=2, gain=GATE_GAIN)
            else:
                wide = conv(self.features, (1, self.first_kernel), "A", copies=2, gain=1.0, name="first")
            gates = wide(features, position)
            gated = gate(added(gates + from_above, context))
            skips += conv(2 * self.features, gain=GATE_GAIN / self.blocks)(gated)
            residual = conv(self.features)(gated)
            features = features + residual if block else residual
        return head(conv, skips, 2 * self.features, self.channels, self.parameters)


class ConditionEncoder(nn.Module):
    """Encoder of a conditioning image, such as a grey or coarse one: [batch, H, W, Cc] to [batch, H, W, features].

    It has a 7x7 and a 3x3 convolution without masks, since the conditioning image is known beforehand.
    """

    features: int

    @nn.compact
    def __call__(self, condition: Float[Array, "batch H W Cc"]) -> Float[Array, "batch H W features"]:
        """Return ReLU features of each pixel's surroundings."""
        for size in (7, 3):
            condition = jax.nn.relu(Conv(self.features, (size, size))(condition))
        return condition
