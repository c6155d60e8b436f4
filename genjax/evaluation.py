"""Evaluation of a model on all examples of a split, and selection of the parameters with the best validation score."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Shaped

from genjax.core import TrainState
from genjax.data.dataset import Load, Split
from genjax.keys import EVALUATION
from genjax.mesh import BATCH, constrained, fetched, is_here, mesh_of
from genjax.programs import shared
from genjax.types import Evaluate, Key, Metrics, Params, PyTree, Stats

EVALUATION_BATCH = 500
"""Examples per call of an evaluation program."""

Measure = Callable[[Params, Stats, Split, Key], Mapping[str, float]]
"""(params, stats, split, key) -> numbers of one trained seed on all of a split that are not means over its examples."""

SplitValues = Callable[[Params, Stats, Split, Key], Mapping[str, np.ndarray]]
"""(params, stats, split, key) -> arrays [N, ...] of one seed over all examples of the split, in order."""

EvaluateSeeds = Callable[[Params, Stats, PyTree, Key], Metrics]
"""`(params, stats, raw examples, key)` with a leading seed axis on the first two -> metrics [seeds, batch]."""


def map_batches(
    function: Callable[[int, Int[np.ndarray, " batch"]], PyTree], size: int, batch_size: int, *, axis: int = 0
) -> Iterator[PyTree]:
    """Yield `function(index, rows)` for batches of `batch_size` out of `size` examples, as NumPy arrays.

    Every call gets a full batch, so that one compiled shape is enough: the last batch is padded with copies of
    example 0, whose results are dropped along `axis`. Batches are computed one after another, when they are
    asked for.
    """
    for index, start in enumerate(range(0, size, batch_size)):
        rows = np.arange(start, start + batch_size)
        result = fetched(function(index, np.where(rows < size, rows, 0)))
        kept = (*[slice(None)] * axis, slice(size - start))
        yield jax.tree.map(lambda array, kept=kept: array[kept], result)


def map_split(
    function: Callable[[Mapping[str, Array], Key], PyTree],
    split: Split,
    *,
    key: Key,
    batch_size: int | None = None,
    axis: int = 0,
    put: bool = True,
) -> PyTree:
    """Apply `function(raw examples, key)` to all examples of a split and join the results along `axis`.

    Batch number i has the key `fold_in(key, i)`. `batch_size` is EVALUATION_BATCH by default, or the size of the split
    if that is smaller. `put` puts the examples on the device; a program on devices of several processes takes them from
    the host. Returns a tree of NumPy arrays without the results of padding.
    """

    def read_and_apply(index: int, rows: Int[np.ndarray, " batch"]) -> PyTree:
        raw: Any = dict(split.read(rows))
        return function(jax.device_put(raw) if put else raw, jax.random.fold_in(key, index))

    size = min(EVALUATION_BATCH, split.size) if batch_size is None else batch_size
    results = map_batches(read_and_apply, split.size, size, axis=axis)
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis=axis), *results)


@shared
def make_evaluate_seeds(evaluate: Evaluate, load: Load, mesh: Mesh | None = None) -> EvaluateSeeds:
    """Return `evaluate` for all seeds as one jitted program; all seeds see the same batch under the same key.

    On a mesh the examples of a batch are spread over the devices of each group, and all devices have the metrics.
    """

    @jax.jit
    def evaluate_seeds(params: Params, stats: Stats, raw: PyTree, key: Key) -> Metrics:
        load_key, evaluate_key = jax.random.split(key)
        # Each device has all examples before they are loaded: arguments that are spread must divide evenly.
        batch = constrained(mesh, load(constrained(mesh, raw), load_key), BATCH)
        metrics = jax.vmap(lambda params, stats: evaluate(params, stats, batch, evaluate_key))(params, stats)
        return constrained(mesh, metrics)

    return evaluate_seeds


def evaluate_split(
    evaluate_seeds: EvaluateSeeds,
    params: Params,
    stats: Stats,
    split: Split,
    *,
    key: Key,
    batch_size: int | None = None,
) -> dict[str, Shaped[np.ndarray, "seeds examples *features"]]:
    """Evaluate every seed on every example of the split: quantity name -> values [seeds, examples, ...].

    `params` and `stats` have a leading seed axis. Keys and `batch_size` are explained at `map_split`.
    """
    return map_split(
        lambda raw, key: evaluate_seeds(params, stats, raw, key),
        split,
        key=key,
        batch_size=batch_size,
        axis=1,
        put=is_here(params),
    )


def means(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the means over examples in float64, [seeds] for each quantity."""
    return {name: array.mean(axis=1, dtype=np.float64) for name, array in values.items()}


def evaluation_key() -> Key:
    """Return the key of every evaluation, which never changes, so that two evaluations differ by the model only."""
    return jax.random.fold_in(jax.random.key(0), EVALUATION)


@jax.jit
def with_axis(tree: PyTree) -> PyTree:
    """Return all arrays with a first axis of length one."""
    return jax.tree.map(lambda leaf: leaf[None], tree)


def make_split_values(evaluate: Evaluate, load: Load) -> SplitValues:
    """Return a function that evaluates one seed on all examples of a split, with one program for all seeds and
    splits, on the devices of the parameters.
    """

    def values(params: Params, stats: Stats, split: Split, key: Key) -> Mapping[str, np.ndarray]:
        params, stats = with_axis((params, stats))
        evaluate_seeds = make_evaluate_seeds(evaluate, load, mesh_of(params))
        found = evaluate_split(evaluate_seeds, params, stats, split, key=key)
        return {name: array[0] for name, array in found.items()}

    return values


class Selected(NamedTuple):
    """Parameters with the best validation score so far; every leaf has a leading seed axis."""

    params: Params
    stats: Stats
    score: Float[Array, " seeds"]
    """Validation score of the selected parameters; 0 before the first evaluation."""
    step: Int[Array, " seeds"]
    """Number of training steps after which the parameters were selected; 0 if none were."""


@jax.jit
def select_none(state: TrainState) -> Selected:
    """Return the selection before the first evaluation: copies of the state's parameters, after 0 steps."""
    score = jnp.zeros(state.key.shape, jnp.float32)
    # Copies, since the next step reuses the state's own buffers.
    params, stats = jax.tree.map(jnp.copy, (state.params, state.stats))
    return Selected(params, stats, score, jnp.zeros(state.key.shape, jnp.int32))


@functools.partial(jax.jit, static_argnames="larger_is_better")
def select_better(
    selected: Selected, state: TrainState, score: Float[Array, " seeds"], *, larger_is_better: bool
) -> Selected:
    """For each seed, select the state's parameters if their score is better than the best so far.

    Any score is better than none or NaN, and NaN is better than no other score. Among equal scores the first is kept.
    """
    better = (score > selected.score) if larger_is_better else (score < selected.score)
    better |= jnp.isnan(selected.score) | (selected.step == 0)
    now = Selected(state.params, state.stats, score, jnp.broadcast_to(state.step, better.shape))
    return jax.tree.map(lambda new, old: jnp.where(along(better, new), new, old), now, selected)


def along(mask: Bool[Array, " seeds"], leaf: Array) -> Bool[Array, "seeds ..."]:
    """Return the mask with axes of length one appended, so that it broadcasts against the leaf."""
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - 1))
