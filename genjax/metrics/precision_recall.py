"""Precision and recall of generated images (Kynkaanniemi et al. 2019, with a named extractor)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from genjax.metrics.features import FeatureSets
from genjax.metrics.pairwise import squared_distances

CHUNK = 500
"""Examples at a time: memory is CHUNK x examples."""


class PrecisionRecall(NamedTuple):
    """Two shares in [0, 1], and how they were made."""

    precision: float
    """Of generated images that lie among real ones: quality."""
    recall: float
    """Of real images that lie among generated ones: variety."""
    protocol: str
    """The extractor, the numbers of images, the split of the real ones, and the number of neighbours."""


def precision_recall(sets: FeatureSets, *, neighbors: int = 3) -> PrecisionRecall:
    """The shares of each set inside the other's manifold (Kynkaanniemi et al. 2019, eqs. 1 and 2).

    A set's manifold is all that is within one of its balls: around each of its points as far as the `neighbors`-th
    nearest of the others. Compare numbers of equally many images. Raises ValueError where a set does not have more than
    `neighbors` images, its features are not finite, or `neighbors` is below 1.
    """
    real, fake = sets.in_float64()
    if not 1 <= neighbors < min(len(real), len(fake)):
        raise ValueError(
            f"neighbors={neighbors} must be from 1 to {min(len(real), len(fake)) - 1}, one less than images"
        )
    protocol = sets.protocol(f"Precision and recall, {neighbors} neighbours")
    return PrecisionRecall(
        float(covered(fake, real, neighbors).mean()), float(covered(real, fake, neighbors).mean()), protocol
    )


def covered(
    points: Float[np.ndarray, "n d"], manifold: Float[np.ndarray, "m d"], neighbors: int
) -> Bool[np.ndarray, " n"]:
    """Which of the points lie in the manifold of the others."""
    radii = squared_radii(manifold, neighbors)
    starts = range(0, len(points), CHUNK)
    return np.concatenate([(squared_distances(points[i : i + CHUNK], manifold) <= radii).any(axis=1) for i in starts])


def squared_radii(manifold: Float[np.ndarray, "m d"], neighbors: int) -> Float[np.ndarray, " m"]:
    """The squared distance of each point to the `neighbors`-th nearest of the others."""
    starts = range(0, len(manifold), CHUNK)
    chunks = [squared_distances(manifold[i : i + CHUNK], manifold) for i in starts]  # the nearest is the point itself
    return np.concatenate([np.partition(squared, neighbors, axis=1)[:, neighbors] for squared in chunks])
