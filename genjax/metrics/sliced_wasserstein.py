"""Sliced Wasserstein distance of two sets of points, averaged over random directions (Rabin et al. 2011)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from genjax.metrics.numbers import reals

CHUNK = 32
"""Number of directions per block: memory grows with CHUNK x points."""


class SlicedWasserstein(NamedTuple):
    """Distance in the unit of the points, and the protocol by which it was measured."""

    value: float
    protocol: str
    """Numbers of points and directions, and the seed."""


def sliced_wasserstein(
    x: Shaped[np.ndarray, "n d"], y: Shaped[np.ndarray, "m e"], *, directions: int = 512, seed: int = 0
) -> SlicedWasserstein:
    """Return the mean over random unit vectors u of the Wasserstein-1 distance between x.u and y.u.

    Both sets must have n points. The distance is 0 for equal sets of points in any order; the seed only determines the
    directions. Raises ValueError if the shapes differ, there are no points or directions, or a point is not finite.
    """
    if x.shape != y.shape or not x.size or directions < 1:
        raise ValueError(f"x {x.shape} and y {y.shape} must have one shape, and directions={directions} at least 1")
    x, y = reals("x", x), reals("y", y)
    rng = np.random.default_rng(seed)
    value = mean_distance(x, y, unit_vectors(rng, x.shape[1], directions))
    return SlicedWasserstein(value, f"sliced Wasserstein-1, {len(x)} points each, {directions} directions, seed {seed}")


def unit_vectors(rng: np.random.Generator, dimensions: int, count: int) -> Float[np.ndarray, "d count"]:
    """Return random unit vectors, uniformly distributed, one per column."""
    drawn = rng.normal(size=(dimensions, count))
    return drawn / np.sqrt((drawn**2).sum(axis=0))


def mean_distance(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"], vectors: Float[np.ndarray, "d count"]
) -> float:
    """Return the mean over vectors of the Wasserstein-1 distance between projections, matched in sorted order."""
    vectors = vectors.astype(x.dtype)  # float32 stays float32, since the patches are many
    chunks = [vectors[:, i : i + CHUNK] for i in range(0, vectors.shape[1], CHUNK)]
    sums = [
        np.abs(np.sort(x @ chunk, axis=0) - np.sort(y @ chunk, axis=0)).mean(axis=0).sum(dtype=np.float64)
        for chunk in chunks
    ]
    return float(sum(sums) / vectors.shape[1])
