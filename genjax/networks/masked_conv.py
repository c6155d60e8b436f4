"""Causal convolutions and the two networks of PixelCNN (van den Oord et al. 2016a, 2016b).

A convolution sees the rows above, the pixels to the left in the same row, and of the centre pixel what its mask allows.
Feature maps belong to the image's channels in turn: map i to channel i mod C, in every layer, the image and the outputs
included. So a pixel's red is predicted first, then green given red, then blue given both.

Every layer works on a whole feature map, or on one row or one pixel at a time: then it remembers the rows it needs, in
the collection "cache" (`MaskedConv`). So a sampler need not compute a pixel's features again for the pixels after it.
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

from genjax.types import Key, PyTree

Mask = Literal["A", "B", "above"]
"""What a map sees of the centre pixel: channels before its own (A), its own too (B), or all of a past row (above)."""

Column = Int[Array, ""] | int

Place = Column | Literal["row", "window"] | None
"""What a layer computes: the whole map (None), the next whole row, one column of that row, or wherever the kernel fits
in the input given (window)."""


def causal_mask(
    kernel_size: tuple[int, int], in_features: int, out_features: int, *, mask: Mask, channels: int, copies: int = 1
) -> Bool[np.ndarray, "rows columns inputs outputs"]:
    """Where a causal kernel is not zero (van den Oord et al. 2016a, section 3.4).

    The centre is the middle of the kernel's last row: rows below it would be masked, and are left out. The outputs are
    `copies` times `out_features` maps, each counted from channel 0.
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
    """Normal weights of variance gain / (inputs that the mask leaves to the output), and 0 where masked.

    gain = 2 keeps the second moment of a layer behind a ReLU (He et al. 2015).
    """
    scale = np.sqrt(gain / np.maximum(mask.sum(axis=(0, 1, 2)), 1))
    return jax.random.normal(key, shape, dtype) * jnp.asarray(scale * mask, dtype)


def correlate(
    window: Float[Array, "batch height width inputs"], kernel: Float[Array, "rows columns inputs outputs"], taps: int
) -> Float[Array, "batch high wide outputs"]:
    """The kernel at every place of the window where it fits, as one matrix product over its first `taps` pixels.

    On a CPU that is about as fast as XLA's convolution with few channels, and much faster where the kernel is 1x1, in a
    loop, or has a seed axis.
    """
    rows, columns, inputs, outputs = kernel.shape
    high, wide = window.shape[1] - rows + 1, window.shape[2] - columns + 1
    corners = [divmod(tap, columns) for tap in range(taps)]
    patches = jnp.concatenate([window[:, row : row + high, left : left + wide] for row, left in corners], axis=-1)
    return patches @ kernel.reshape(-1, outputs)[: taps * inputs]


class MaskedConv(nn.Module):
    """A causal convolution of stride 1, [batch, H, W, inputs] to [batch, H, W, copies * features].

    At a `place`, x is the next row [batch, 1, W, inputs], or that column of it [batch, 1, 1, inputs], and what comes
    before has been given earlier: "cache" holds the last rows of the input, and `next_row` moves them up where a row
    begins. A call at the place "row" makes the cache.
    """

    features: int
    kernel_size: tuple[int, int] = (1, 1)
    """Rows down to the centre's, and columns: an odd number."""
    mask: Mask = "B"
    channels: int = 1
    copies: int = 1
    gain: float = 2.0
    dtype: DTypeLike | None = None
    """Of the computation; that of the parameters and the input where none is given."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch H W inputs"], place: Place = None
    ) -> Float[Array, "batch high wide outputs"]:
        """The feature map, or what of it is at the place."""
        shape = (self.kernel_size, x.shape[-1], self.features)
        mask = causal_mask(*shape, mask=self.mask, channels=self.channels, copies=self.copies)
        kernel = self.param("kernel", functools.partial(masked_normal, mask=mask, gain=self.gain), mask.shape)
        bias = self.param("bias", zeros, (self.copies * self.features,))
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        taps = int(mask.any(axis=(2, 3)).sum())  # those that are masked in all maps are the kernel's last
        return correlate(self.seen(x, place), kernel * mask, taps) + bias

    def seen(self, x: Float[Array, "batch H W inputs"], place: Place) -> Float[Array, "batch height width inputs"]:
        """What the kernel is laid over."""
        if place is None:
            return self.padded(x)
        return x if place == "window" else self.remembered(x, place)

    def padded(self, x: Float[Array, "batch H W inputs"]) -> Float[Array, "batch height width inputs"]:
        """The map with zeros above and at both sides."""
        rows, columns = self.kernel_size
        return jnp.pad(x, ((0, 0), (rows - 1, 0), (columns // 2, columns // 2), (0, 0)))

    def remembered(
        self, x: Float[Array, "batch 1 W inputs"], place: Column | Literal["row"]
    ) -> Float[Array, "batch rows width inputs"]:
        """What the kernel sees at the place, x among it."""
        rows, columns = self.kernel_size
        if self.kernel_size == (1, 1):
            return x
        batch, _, width, inputs = x.shape
        cache = self.variable("cache", "rows", jnp.zeros, (batch, rows, width + columns - 1, inputs), x.dtype)
        if isinstance(place, str):
            cache.value = written(cache.value, x, columns // 2)
            return cache.value
        cache.value = written(cache.value, x, place + columns // 2)
        return jax.lax.dynamic_slice_in_dim(cache.value, place, columns, axis=2)


def written(
    rows: Float[Array, "batch rows width inputs"], x: Float[Array, "batch 1 W inputs"], start: Column
) -> Float[Array, "batch rows width inputs"]:
    """Cached rows with x in the last of them, from the index `start` on."""
    return jax.lax.dynamic_update_slice(rows, x.astype(rows.dtype), (0, rows.shape[1] - 1, start, 0))


def with_pixel(cache: PyTree, pixel: Float[Array, "batch 1 1 C"], column: Column, first_kernel: int) -> PyTree:
    """The caches of a network after the image's pixel at `column` has been decided: its first layer reads it."""
    rows = written(cache["first"]["rows"], pixel, column + first_kernel // 2)
    return {**cache, "first": {"rows": rows}}


def next_row(cache: PyTree) -> PyTree:
    """The caches at the beginning of a row: their rows move up, and an empty one follows."""
    return jax.tree.map(lambda rows: jnp.concatenate([rows[:, 1:], jnp.zeros_like(rows[:, :1])], axis=1), cache)


def gate(x: Float[Array, "*shape double"]) -> Float[Array, "*shape half"]:
    """tanh(a) * sigmoid(b) of the first and the second half of the maps (van den Oord et al. 2016b, equation 2)."""
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.tanh(a) * jax.nn.sigmoid(b)


GATE_GAIN = 4.0
"""A gate halves what is small: sigmoid(0)^2 = 1/4, which the next kernel makes up for."""

LOGIT_GAIN = 0.1
"""Parameters start near 0 and no two alike: a softmax or a Bernoulli near uniform, logistics about the middle grey."""


class PixelCNN(nn.Module):
    """The residual network of van den Oord et al. (2016a), table 1: P parameters [batch, H, W, C, P] per element.

    It has a blind spot: to the right in the rows above, a 3x3 kernel gains one column per row and no more.
    """

    channels: int
    """C."""
    parameters: int
    """P."""
    features: int
    """h; between the blocks there are 2 h."""
    blocks: int
    first_kernel: int = 7
    kernel: int = 3
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch H W C"],
        above: None = None,
        context: Float[Array, "batch h w K"] | None = None,
        place: Place = None,
    ) -> Float[Array, "batch H W C P"]:
        """The parameters of each conditional; `context` is added in each block. There is no stack `above`."""
        conv = functools.partial(MaskedConv, channels=self.channels, dtype=self.dtype)
        size, first = self.kernel, self.first_kernel
        features = conv(2 * self.features, (first // 2 + 1, first), "A", gain=1.0, name="first")(x, place)
        for _ in range(self.blocks):
            inner = added(conv(self.features)(jax.nn.relu(features)), context, self.dtype)
            inner = conv(self.features, (size // 2 + 1, size))(jax.nn.relu(inner), place)
            # The blocks together add as much variance as comes into the first.
            features += conv(2 * self.features, gain=2 / self.blocks)(jax.nn.relu(inner))
        return head(conv, features, 2 * self.features, self.channels, self.parameters, x.dtype)


def added(
    x: Float[Array, "batch H W features"], context: Float[Array, "batch h w K"] | None, dtype: DTypeLike | None
) -> Float[Array, "batch H W features"]:
    """X plus a linear map of the context, which may be one vector for all pixels; only within a compact method."""
    return x if context is None else x + nn.Dense(x.shape[-1], use_bias=False, dtype=dtype)(context)


def head(
    conv: functools.partial[MaskedConv],
    features: Float[Array, "batch H W features"],
    width: int,
    channels: int,
    parameters: int,
    dtype: DTypeLike,
) -> Float[Array, "batch H W C P"]:
    """Twice ReLU and a 1x1 convolution; the second gives the parameters, P copies of C maps."""
    hidden = conv(width)(jax.nn.relu(features))
    out = conv(channels, copies=parameters, gain=LOGIT_GAIN)(jax.nn.relu(hidden))
    return jnp.swapaxes(out.reshape(*out.shape[:3], parameters, channels), -1, -2).astype(dtype)


class VerticalStack(nn.Module):
    """The gated network of the rows above (van den Oord et al. 2016b, section 2.2): what each horizontal block reads.

    Its input is the image one row down (`shifted_down`), so that all it sees is past, in all channels.
    """

    features: int
    blocks: int
    first_kernel: int = 7
    kernel: int = 3
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch H W C"],
        context: Float[Array, "batch h w K"] | None = None,
        place: Place = None,
    ) -> tuple[Float[Array, "batch H W double"], ...]:
        """One map [batch, H, W, 2 features] per block."""
        conv = functools.partial(MaskedConv, self.features, mask="above", copies=2, dtype=self.dtype)
        outputs = []
        for block in range(self.blocks):
            size = (self.kernel // 2 + 1, self.kernel) if block else (self.first_kernel // 2, self.first_kernel)
            gates = conv(size, gain=GATE_GAIN if block else 1.0)(x, place)
            outputs.append(conv(gain=1.0)(gates))
            x = gate(added(gates, context, self.dtype))
        return tuple(outputs)


def shifted_down(x: Float[Array, "batch H W C"]) -> Float[Array, "batch H W C"]:
    """Each row holds the one before it; the first is 0."""
    return jnp.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))


class HorizontalStack(nn.Module):
    """The gated network of the row (van den Oord et al. 2016b, figure 2), which reads the stack above in each block.

    Residual connections, and skip connections to the output: P parameters [batch, H, W, C, P] per element.
    """

    channels: int
    parameters: int
    features: int
    blocks: int
    first_kernel: int = 7
    kernel: int = 3
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch H W C"],
        above: tuple[Float[Array, "batch H W double"], ...],
        context: Float[Array, "batch h w K"] | None = None,
        place: Place = None,
    ) -> Float[Array, "batch H W C P"]:
        """The parameters of each conditional; `context` is added in each block."""
        conv = functools.partial(MaskedConv, channels=self.channels, dtype=self.dtype)
        features, skips = x, jnp.zeros(())
        for block, from_above in enumerate(above):
            if block:
                wide = conv(self.features, (1, self.kernel), copies=2, gain=GATE_GAIN)
            else:
                wide = conv(self.features, (1, self.first_kernel), "A", copies=2, gain=1.0, name="first")
            gates = wide(features, place)
            gated = gate(added(gates + from_above, context, self.dtype))
            skips += conv(2 * self.features, gain=GATE_GAIN / self.blocks)(gated)
            residual = conv(self.features)(gated)
            features = features + residual if block else residual
        return head(conv, skips, 2 * self.features, self.channels, self.parameters, x.dtype)


class ConditionEncoder(nn.Module):
    """Features of an image that is given, such as a grey or a coarse one: [batch, H, W, Cc] to [batch, H, W, features].

    A 7x7 and a 3x3 convolution without masks: all of it is known beforehand.
    """

    features: int
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, condition: Float[Array, "batch H W Cc"]) -> Float[Array, "batch H W features"]:
        """ReLU features of each pixel's surroundings."""
        for size in (7, 3):
            condition = jax.nn.relu(nn.Conv(self.features, (size, size), dtype=self.dtype)(condition))
        return condition
