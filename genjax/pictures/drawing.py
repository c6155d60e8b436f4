"""Samples of a trained model that uses only the size of a batch."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.sampling import CHUNK, drawn_of
from genjax.types import Key, Params, Stats


def drawn(
    model: Model, data: Dataset, params: Params, stats: Stats, count: int, key: Key
) -> Float[np.ndarray, "count H W C"]:
    """Return `count` samples of a model that uses only the size of a batch."""
    return drawn_of(model, params, stats, {"image": jnp.zeros((min(count, CHUNK), *data.image_shape))}, count, key)
