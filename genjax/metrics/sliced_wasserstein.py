"""Sliced Wasserstein distance: how far apart two sets of points are along random directions (Rabin et al. 2011)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

CHUNK = 32
"""Directions per block: memory grows with CHUNK x points."""


class SlicedWasserstein(NamedTuple):
    """Distance in the unit of the points and the protocol behind it."""

    value: float
    protocol: str
    """Numbers of points and directions, and the seed."""


def sliced_wasserstein(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m e"], *, directions: int = 512, seed: int = 0
) -> SlicedWasserstein:
    """Mean over random unit vectors u of the Wasserstein-1 distance between x.u and y.u.

    Both sets have n points. The distance is 0 for the same points in any order; the seed determines the directions
    only. Raises ValueError if the shapes differ or there are no points or directions.
    """
    if x.shape != y.shape or not x.size or directions < 1:
        raise ValueError(f"x {x.shape} and y {y.shape} must have one shape, and directions={directions} at least 1")
    rng = np.random.default_rng(seed)
    value = mean_distance(x, y, unit_vectors(rng, x.shape[1], directions))
    return SlicedWasserstein(value, f"sliced Wasserstein-1, {len(x)} points each, {directions} directions, seed {seed}")


def unit_vectors(rng: np.random.Generator, dimensions: int, count: int) -> Float[np.ndarray, "d count"]:
    """Draw unit vectors uniformly, one per column."""
    drawn = rng.normal(size=(dimensions, count))
    return drawn / np.sqrt((drawn**2).sum(axis=0))


def mean_distance(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"], vectors: Float[np.ndarray, "d count"]
) -> float:
    """Mean over vectors of the Wasserstein-1 distance between equally many projections, which are matched in sorted
    order.
    """
    vectors = vectors.astype(x.dtype)  # patches are many: float32 stays float32
    chunks = [vectors[:, i : i + CHUNK] for i in range(0, vectors.shape[1], CHUNK)]
    sums = [
        np.abs(np.sort(x @ chunk, axis=0) - np.sort(y @ chunk, axis=0)).mean(axis=0).sum(dtype=np.float64)
        for chunk in chunks
    ]
    return float(sum(sums) / vectors.shape[1])
