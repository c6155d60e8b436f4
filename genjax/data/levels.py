"""Pixels with a number of levels."""

import jax.numpy as jnp

from genjax.data.dataset import Dataset
from genjax.data.load import require_binary
from genjax.types import Batch, Key


def with_levels(data: Dataset, levels: int) -> Dataset:
    """The data set with each pixel rounded to the nearest of `levels` values; binary data as they are, for two."""
    if levels == 2:
        require_binary(data)
        return data
    if data.protocol != "real" or levels < 2:
        raise ValueError(f"levels={levels} of {data.protocol} data: use 2, or more than 2 with --binarization none")

    def load(raw: Batch, key: Key) -> Batch:
        batch = data.load(raw, key)
        return {**batch, "image": jnp.round(batch["image"] * (levels - 1)) / (levels - 1)}

    return data._replace(protocol=f"levels-{levels}", load=load)
