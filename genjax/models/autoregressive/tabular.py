"""Tabular models: p(x) = prod_i p(x_i | context of x_i), each conditional a table of counts, without gradients.

The context determines the model: nothing (independent pixels), the last pixel (Markov), the last k pixels (AR-k), all
earlier pixels (the full joint), or neighbours above and to the left. The contexts of one model have one common flat
table: the row of pixel i is starts[i] + sum_j strides[i, j] x[neighbours[i, j]], so that a shorter context has a
shorter table and every row can occur.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from genjax.core import Model, Phase
from genjax.errors import ArgumentError
from genjax.losses.likelihood import flat_pixels
from genjax.models.completion import given_pixels, prefix_or_nan
from genjax.types import Batch, Key, Metrics, Params, Scalar, Stats

MAX_COUNTS = 2**26
"""Largest number of counts in a table."""

OFFSETS = (
    *((0, -1), (-1, 0), (-1, -1), (-1, 1), (-2, 0), (0, -2)),
    *((-1, -2), (-1, 2), (-2, -1), (-2, 1), (-2, -2), (-2, 2)),
)
"""Offsets (row, column) of twelve causal neighbours relative to a pixel, nearest first."""


class Contexts(NamedTuple):
    """Earlier pixels on which each of D pixels depends, and the rows of its table."""

    levels: int
    """Number of values of a pixel, m."""
    order: Int[np.ndarray, " D"]
    """Flat indices of the pixels in the order of generation."""
    neighbours: Int[np.ndarray, "D K"]
    """Flat indices of the pixels on which each pixel depends; 0 where a neighbour is missing."""
    strides: Int[np.ndarray, "D K"]
    """Number of table rows between successive levels of each neighbour; 0 where a neighbour is missing."""
    starts: Int[np.ndarray, " D"]
    """First row of each pixel's table."""
    rows: int
    """Number of rows, one for each conditional distribution."""


def ar_contexts(
    pixels: int, k: int, *, levels: int = 2, ordering: Sequence[int] | Int[np.ndarray, " D"] | None = None
) -> Contexts:
    """Return contexts of the `k` pixels before each pixel: k=0 independent, k=1 Markov, k=pixels-1 full joint.

    Args:
        pixels: Number of pixels D = height x width x channels.
        k: Number of pixels in a context, from 0 to D - 1; the first k pixels depend on all pixels before them.
        levels: Number of values of a pixel: 0, 1 / (levels - 1), ..., 1.
        ordering: Permutation of the D flat indices; by default row by row, with channels innermost.

    Raises ValueError if k or the ordering is out of range or the tables would hold more than 2^26 counts.
    """
    if not 0 <= k < pixels:
        raise ArgumentError("k", k, f" must be from 0 to {pixels - 1}, one less than the number of pixels")
    order = np.arange(pixels) if ordering is None else np.asarray(ordering)
    if sorted(order.tolist()) != list(range(pixels)):
        raise ValueError(f"ordering must hold each of 0, ..., {pixels - 1} once, got {ordering}")
    positions = np.arange(pixels)[:, None] - np.arange(1, k + 1)
    neighbours = np.empty((pixels, k), np.int64)
    neighbours[order] = np.where(positions < 0, -1, order[positions])
    return lay_out(neighbours, levels=levels, order=order, tied=False)


def offset_contexts(
    height: int, width: int, offsets: Sequence[tuple[int, int]], *, levels: int = 2, tied: bool = False
) -> Contexts:
    """Return contexts of the pixels at `offsets` from each pixel of a one-channel image; outside pixels count as 0.

    Args:
        height: Number of rows of the image.
        width: Number of columns of the image.
        offsets: (row, column) of each neighbour relative to the pixel: a row above, or the same row to the left.
        levels: Number of values of a pixel: 0, 1 / (levels - 1), ..., 1.
        tied: Whether all pixels have one common table; by default each has its own.

    Raises ValueError if an offset repeats or is not causal, or the tables would hold more than 2^26 counts.
    """
    if len(set(offsets)) < len(offsets) or any(tuple(offset) >= (0, 0) for offset in offsets):
        raise ValueError(f"offsets must differ and lie above or to the left of (0, 0), got {list(offsets)}")
    rows, columns = np.divmod(np.arange(height * width), width)
    steps = np.array(offsets, np.int64).reshape(-1, 2)
    rows, columns = rows[:, None] + steps[:, 0], columns[:, None] + steps[:, 1]
    inside = (rows >= 0) & (columns >= 0) & (columns < width)
    neighbours = np.where(inside, rows * width + columns, -1)
    return lay_out(neighbours, levels=levels, order=np.arange(height * width), tied=tied)


def lay_out(neighbours: Int[np.ndarray, "D K"], *, levels: int, order: Int[np.ndarray, " D"], tied: bool) -> Contexts:
    """Return the contexts of these neighbours (-1 where there is none); the pixels' tables follow one another.

    Raises ValueError if `levels` is below 2 or the tables would hold more than 2^26 counts.
    """
    if levels < 2:
        raise ArgumentError("levels", levels, " must be at least 2")
    inside = neighbours >= 0
    pixels, size = neighbours.shape
    sizes = [levels**size] if tied else [levels ** int(count) for count in inside.sum(axis=1)]
    if (counts := sum(sizes) * levels) > MAX_COUNTS:
        raise ValueError(
            f"k and levels={levels} ask for tables of 2^{math.log2(counts):.0f} counts; at most 2^26 are allowed"
        )
    rank = np.arange(size) if tied else np.cumsum(inside, axis=1) - inside
    strides = np.where(inside, levels**rank, 0)
    starts = np.zeros(pixels, np.int64) if tied else np.cumsum([0, *sizes[:-1]])
    return Contexts(levels, order, np.where(inside, neighbours, 0), strides, starts, sum(sizes))


def free_parameters(contexts: Contexts) -> int:
    """Return the number of free parameters of these tables: levels - 1 for each conditional distribution."""
    return contexts.rows * (contexts.levels - 1)


def independent_parameters(pixels: int, *, levels: int = 2) -> int:
    """Return the free parameters of independent pixels, (m - 1) n: n for binary pixels."""
    return (levels - 1) * pixels


def markov_parameters(pixels: int, *, levels: int = 2) -> int:
    """Return the free parameters of a Markov chain, (m - 1) + (n - 1) (m - 1) m: 2 n - 1 for binary pixels."""
    return (levels - 1) * (1 + (pixels - 1) * levels)


def ar_parameters(pixels: int, k: int, *, levels: int = 2) -> int:
    """Return the free parameters of AR-k, m^k - 1 + (n - k) (m - 1) m^k: 2^k - 1 + (n - k) 2^k for binary pixels."""
    return levels**k - 1 + (pixels - k) * (levels - 1) * levels**k


def joint_parameters(pixels: int, *, levels: int = 2) -> int:
    """Return the free parameters of the full joint distribution, m^n - 1: 2^n - 1 for binary pixels."""
    return levels**pixels - 1


def table_rows(contexts: Contexts, values: Int[Array, "B D"]) -> Int[Array, "B D"]:
    """Return the row of the table that the context of each pixel selects."""
    rows = jnp.broadcast_to(contexts.starts.astype(np.int32), values.shape)
    for neighbours, strides in zip(contexts.neighbours.T, contexts.strides.T.astype(np.int32), strict=True):
        rows += strides * values[:, neighbours]
    return rows


def conditionals(
    contexts: Contexts, weights: Float[Array, "rows m"], values: Int[Array, "B D"]
) -> Float[Array, "B D m"]:
    """Return log p(x_i = v | context of x_i) of all levels v, in nats; `weights` are counts plus smoothing, above 0."""
    context_weights = weights[table_rows(contexts, values)]
    return jnp.log(context_weights) - jnp.log(context_weights.sum(axis=-1, keepdims=True))


def log_prob(contexts: Contexts, weights: Float[Array, "rows m"], values: Int[Array, "B D"]) -> Float[Array, " B"]:
    """Return the exact log p(x) in nats."""
    log_probs = conditionals(contexts, weights, values)
    return jnp.take_along_axis(log_probs, values[..., None], axis=-1).sum(axis=(1, 2))


def add_counts(
    contexts: Contexts, counts: Int[Array, "rows m"], values: Int[Array, "B D"], weights: Int[Array, " B"]
) -> Int[Array, "rows m"]:
    """Return the counts after counting each pixel of example i `weights[i]` times."""
    cells = table_rows(contexts, values) * contexts.levels + values
    return counts.reshape(-1).at[cells].add(weights[:, None]).reshape(counts.shape)


def to_levels(image: Float[Array, "B H W C"], levels: int) -> Int[Array, "B D"]:
    """Round pixels in [0, 1] to integers 0, ..., levels - 1."""
    return jnp.round(image.reshape(len(image), -1) * (levels - 1)).astype(jnp.int32)


def sample(
    contexts: Contexts, weights: Float[Array, "rows m"], values: Int[Array, " D"], known: Bool[Array, " D"], key: Key
) -> Int[Array, " D"]:
    """Draw one image, pixel by pixel in order; pixels that are `known` keep their value in `values`."""
    neighbours, strides, starts = map(jnp.asarray, (contexts.neighbours, contexts.strides, contexts.starts))

    def draw(values: Int[Array, " D"], step: tuple[Int[Array, ""], Scalar]) -> tuple[Int[Array, " D"], None]:
        pixel, uniform = step
        row = starts[pixel] + (strides[pixel] * values[neighbours[pixel]]).sum()
        cumulative = jnp.cumsum(weights[row])
        drawn = (cumulative[:-1] <= uniform * cumulative[-1]).sum()
        value = jnp.where(known[pixel], values[pixel], drawn)
        return values.at[pixel].set(value.astype(values.dtype)), None

    uniforms = jax.random.uniform(key, values.shape)
    values, _ = jax.lax.scan(draw, values, (jnp.asarray(contexts.order), uniforms))
    return values


def tabular(contexts: Contexts, *, examples: int, smoothing: float = 0.1) -> Model:
    """Return a model of counted probabilities p = (c_v + a) / (c + m a); its one phase counts and trains no network.

    Steps count the first `examples` examples of the stream, that is each training example once, whether or not the
    batch size divides their number; further steps change nothing. The loss of the phase is the mean negative
    log-likelihood of a batch under the counts of the batches before it. `generate` draws images; where the batch has
    `known` [B, H, W, C] (0 or 1) it completes `image`: known pixels must be the first of the ordering, or ValueError is
    raised (under `jit`, the image is NaN instead).

    Args:
        contexts: Pixels on which each pixel depends.
        examples: Size of the training set.
        smoothing: Number a > 0 added to each count (0 would give unseen values probability 0).

    Raises ValueError if `examples` or `smoothing` is not positive, a count could reach 2^31, or images do not have
    as many pixels as the contexts.
    """
    if examples < 1:
        raise ValueError(f"examples={examples} must be at least 1")
    if not 0 < smoothing < math.inf:
        raise ArgumentError("smoothing", smoothing, " must be positive")
    pixels, levels = len(contexts.order), contexts.levels
    tied = pixels > 1 and not contexts.starts.any()
    if (most := examples * (pixels if tied else 1)) >= 2**31:
        raise ValueError(f"examples={examples}: one count could reach {most}, and 32 bits hold less than 2^31")

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        check_pixels(batch["image"], pixels)
        return {}, {"counts": jnp.zeros((contexts.rows, levels), jnp.int32), "seen": jnp.zeros((), jnp.int32)}

    def count(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        check_pixels(batch["image"], pixels)
        values = to_levels(batch["image"], levels)
        nll = -log_prob(contexts, stats["counts"] + smoothing, values).mean()
        first_time = stats["seen"] + jnp.arange(len(values)) < examples
        counts = add_counts(contexts, stats["counts"], values, first_time.astype(jnp.int32))
        seen = jnp.minimum(stats["seen"] + len(values), examples)
        return nll, ({"nll_nats": nll}, {"counts": counts, "seen": seen})

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        check_pixels(batch["image"], pixels)
        nll = -log_prob(contexts, stats["counts"] + smoothing, to_levels(batch["image"], levels))
        return {"nll_nats": nll, "bits_per_dim": nll / (pixels * math.log(2))}

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Float[Array, "B H W C"]:
        check_pixels(batch["image"], pixels)
        image, is_known = given_pixels(batch)
        values, known = to_levels(image, levels), flat_pixels(is_known)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(values)))
        draw = jax.vmap(functools.partial(sample, contexts, stats["counts"] + smoothing))
        filled = draw(values, known > 0, keys) / (levels - 1)
        return prefix_or_nan(batch, filled, known[:, contexts.order]).reshape(image.shape)

    phase, kinds = Phase("count", count, (), optax.identity()), {"nll_nats": "exact", "bits_per_dim": "exact"}
    return Model(init, (phase,), evaluate, generate, kinds=kinds)


def check_pixels(image: Float[Array, "B H W C"], pixels: int) -> None:
    """Raise ValueError if images have another number of pixels than the contexts."""
    if math.prod(image.shape[1:]) != pixels:
        raise ValueError(f"batch['image']: {image.shape[1:]} must have {pixels} pixels, as the contexts do")
