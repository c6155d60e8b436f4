"""Samples of a trained model, as many as are asked for, by one program of a few at a time."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.types import Key, Params, Stats

CHUNK = 100
"""Images per program call."""


def drawn(
    model: Model, data: Dataset, params: Params, stats: Stats, count: int, key: Key
) -> Float[np.ndarray, "count H W C"]:
    """Samples of a model that needs nothing of a batch but its size."""
    return drawn_of(model, params, stats, {"image": jnp.zeros((min(count, CHUNK), *data.image_shape))}, count, key)


def drawn_of(
    model: Model, params: Params, stats: Stats, batch: Mapping[str, jax.Array], count: int, key: Key
) -> Float[np.ndarray, "count H W C"]:
    """`count` samples: what the model makes of `batch`, by itself and again under other keys until there are enough."""
    generate, size = jax.jit(model.generate), len(batch["image"])
    keys = [jax.random.fold_in(key, n) for n in range(-(-count // size))]
    return np.concatenate([np.asarray(generate(params, stats, batch, key)) for key in keys])[:count]
