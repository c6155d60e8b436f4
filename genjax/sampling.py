"""Sampling of any number of examples from a trained model, by one compiled program of fixed batch size."""

from collections.abc import Mapping

import jax
import numpy as np
from jax import Array
from jaxtyping import Shaped

from genjax.core import Model
from genjax.types import Generate, Key, Params, Stats

CHUNK = 100
"""Largest number of examples per program call."""


def drawn_of(
    model: Model, params: Params, stats: Stats, batch: Mapping[str, Array], count: int, key: Key
) -> Shaped[np.ndarray, "count ..."]:
    """Return `count` samples, generated from `batch` under one key after another until there are enough."""
    generate, size = jax.jit(model.generate), len(batch["image"])
    keys = [jax.random.fold_in(key, n) for n in range(-(-count // size))]
    return np.concatenate([np.asarray(generate(params, stats, batch, key)) for key in keys])[:count]


def in_chunks(
    generate: Generate,
    params: Params,
    stats: Stats,
    batch: Mapping[str, np.ndarray],
    key: Key,
) -> Shaped[np.ndarray, "count ..."]:
    """Return the output of `generate` for each example of a batch of any size, at most `CHUNK` examples at a time.

    Chunk n of `CHUNK` examples is generated under the key folded with n; the last one is filled up with copies of the
    batch's first example, whose results are dropped.
    """
    count = len(next(iter(batch.values())))
    size, results = min(count, CHUNK), []
    for index, start in enumerate(range(0, count, size)):
        rows = np.arange(start, start + size)
        rows = np.where(rows < count, rows, 0)
        part = jax.device_put({name: array[rows] for name, array in batch.items()})
        results.append(np.asarray(generate(params, stats, part, jax.random.fold_in(key, index))))
    return np.concatenate(results)[:count]
