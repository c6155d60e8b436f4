"""Pixels with a fixed number of levels, and their dequantization."""

import jax
import jax.numpy as jnp

from genjax.data.dataset import Dataset
from genjax.data.load import require_binary
from genjax.errors import ArgumentError
from genjax.types import Batch, Key


def with_levels(data: Dataset, levels: int) -> Dataset:
    """Round each pixel to the nearest of `levels` values; with two levels, binary data stay unchanged.

    Raises ValueError if `levels` is 2 and the data are not binary, above 2 and they are not real, or below 2.
    """
    if levels == 2:
        require_binary(data)
        return data
    if data.protocol != "real" or levels < 2:
        raise ArgumentError(
            "levels", levels, f" of {data.protocol} data: use 2, or more than 2 with binarization='none'"
        )

    def load(raw: Batch, key: Key) -> Batch:
        batch = data.load(raw, key)
        return {**batch, "image": jnp.round(batch["image"] * (levels - 1)) / (levels - 1)}

    return data._replace(protocol=f"levels-{levels}", load=load)


def dequantized(data: Dataset, levels: int) -> Dataset:
    """Make the K = `levels` grey values continuous: (level + u) / K, with u uniform in [0, 1) under the key.

    The level is round(value * (K - 1)), from 0 to K - 1. Training has new noise in every step; an evaluation always
    uses the same key and so the same noise. A density of these values bounds the probabilities of the levels: E_u log
    p(x) <= log P(level) + D log K (Theis, van den Oord & Bethge 2016, section 3.1).

    Raises ValueError if the data are binarized (protocol other than "real"), or K is below 2.
    """
    if data.protocol != "real" or levels < 2:
        raise ArgumentError("levels", levels, f" of {data.protocol} data: use 2 or more, with binarization='none'")

    def load(raw: Batch, key: Key) -> Batch:
        value_key, noise_key = jax.random.split(key)
        batch = data.load(raw, value_key)
        level = jnp.round(batch["image"] * (levels - 1))
        return {**batch, "image": (level + jax.random.uniform(noise_key, level.shape)) / levels}

    return data._replace(protocol=f"dequantized-{levels}", load=load)
