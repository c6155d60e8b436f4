"""Held-out quantities of a split, per example and per seed."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from genjax.data.dataset import Load, Split
from genjax.types import Evaluate, Key, Params, PyTree, Stats


def evaluate_split(
    evaluate: Evaluate, params: Params, stats: Stats, split: Split, load: Load, *, key: Key, batch_size: int
) -> dict[str, np.ndarray]:
    """Each quantity of `evaluate` for every seed and example, [seeds, examples].

    `params` and `stats` have a leading seed axis; all seeds see the same batches under the same keys. The last batch
    is filled up with copies of the first example, and what they give is thrown away.
    """

    @jax.jit
    def all_seeds(params: Params, stats: Stats, raw: PyTree, key: Key) -> PyTree:
        load_key, evaluate_key = jax.random.split(key)
        batch = load(raw, load_key)
        return jax.vmap(lambda params, stats: evaluate(params, stats, batch, evaluate_key))(params, stats)

    batches = []
    for index, indices in enumerate(padded_batches(split.size, batch_size)):
        raw = {name: jnp.asarray(array) for name, array in split.read(indices).items()}
        batches.append(jax.device_get(all_seeds(params, stats, raw, jax.random.fold_in(key, index))))
    return {name: np.concatenate([batch[name] for batch in batches], axis=1)[:, : split.size] for name in batches[0]}


def padded_batches(size: int, batch_size: int) -> Iterator[np.ndarray]:
    """Indices of all `size` examples in order, every batch full: the last one is filled up with zeros."""
    for start in range(0, size, batch_size):
        indices = np.arange(start, start + batch_size)
        yield np.where(indices < size, indices, 0)


def means(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The mean over examples, in float64: [seeds] each."""
    return {name: array.mean(axis=1, dtype=np.float64) for name, array in values.items()}
