"""Training: one jitted step over a leading seed axis, yielded step by step."""

from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.core import Model, TrainState, init_state, make_step
from genjax.data.feed import Feed
from genjax.types import Key, Metrics, PyTree

DATA = 2**31 - 1
"""What the step's key is folded with to make the batch; phases fold it with 0, 1, 2, ..."""

AXES = TrainState(params=0, stats=0, opt=0, key=0, step=None)  # pyright: ignore[reportArgumentType]
"""The seed axis leads every leaf but the step, which is shared, so that `Phase.every` stays one real branch."""


def init_seeds(model: Model, feed: Feed, seeds: Sequence[int]) -> TrainState:
    """The states of all `seeds` before the first step."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    item = next(feed.items(0))

    def init(key: Key, item: PyTree, arrays: PyTree) -> TrainState:
        return init_state(model, key, feed.load(arrays, item, key))

    return jax.jit(jax.vmap(init, in_axes=(0, 0, None), out_axes=AXES))(keys, item, feed.arrays)


def make_train_step(model: Model, feed: Feed) -> Callable[[TrainState, PyTree, PyTree], tuple[TrainState, Metrics]]:
    """The step of all seeds as one jitted program: `(state, feed.arrays, item) -> (state, metrics [seeds])`.

    The state passed in is donated: use the one returned.
    """
    step = make_step(model.phases)

    def load_and_step(state: TrainState, arrays: PyTree, item: PyTree) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), DATA)
        return step(state, feed.load(arrays, item, key))

    return jax.jit(jax.vmap(load_and_step, in_axes=(AXES, None, 0), out_axes=(AXES, 0)), donate_argnums=0)


def iterate(model: Model, feed: Feed, state: TrainState, steps: int) -> Iterator[tuple[int, TrainState, Metrics]]:
    """Train until `steps` steps are done in all, and yield (steps done, state, metrics [seeds]) after each.

    A yielded state is given up to the next step: copy what must outlive it. Metrics are fetched only when read.
    """
    advance = make_train_step(model, feed)
    done = int(state.step)
    for item in feed.items(done):
        if done >= steps:
            return
        state, metrics = advance(state, feed.arrays, item)
        done += 1
        yield done, state, metrics


def seed(state: TrainState, index: int) -> TrainState:
    """The state of one seed, without the seed axis."""
    return jax.tree.map(lambda axis, leaf: leaf if axis is None else leaf[index], AXES, state, is_leaf=lambda leaf: leaf is None)


def first_nonfinite(tree: PyTree) -> str | None:
    """The path of the first array in `tree` that holds NaN or infinity, or None."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if is_float(leaf) and not np.isfinite(np.asarray(leaf, np.float32)).all():
            return jax.tree_util.keystr(path)
    return None


def is_float(leaf: Array) -> bool:
    """Whether the array holds real numbers."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)
