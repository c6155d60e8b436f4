"""Sampling of any number of examples from a trained model, by one compiled program of fixed batch size."""

from collections.abc import Mapping

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Shaped

from genjax.core import Model
from genjax.mesh import mesh_of, over_examples
from genjax.programs import shared
from genjax.types import Batch, Generate, Key, Params, Stats

CHUNK = 100
"""Largest number of examples per program call."""


@shared
def make_generate(generate: Generate, mesh: Mesh | None = None) -> Generate:
    """Return the jitted sampler, with the examples of its batch spread over the devices of a mesh."""

    @jax.jit
    def spread(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        return over_examples(mesh, lambda batch: generate(params, stats, batch, key), batch)

    return spread


def drawn_of(
    model: Model, params: Params, stats: Stats, batch: Mapping[str, Array], count: int, key: Key
) -> Shaped[np.ndarray, "count ..."]:
    """Return `count` samples, generated from `batch` under one key after another until there are enough."""
    generate, size = make_generate(model.generate, mesh_of(params)), len(batch["image"])
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
