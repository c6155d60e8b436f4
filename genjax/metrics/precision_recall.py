"""Precision and recall of generated images (Kynkaanniemi et al. 2019, with a named extractor)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from genjax.metrics.features import FeatureSets

CHUNK = 500
"""Number of examples per block: memory grows with CHUNK x examples."""


class PrecisionRecall(NamedTuple):
    """Precision and recall, both in [0, 1], and the protocol by which they were measured."""

    precision: float
    """Fraction of generated images inside the manifold of the real images, which measures quality."""
    recall: float
    """Fraction of real images inside the manifold of the generated images, which measures variety."""
    protocol: str
    """Extractor, numbers of images, split of the real images, and number of neighbours."""


def precision_recall(sets: FeatureSets, *, neighbors: int = 3) -> PrecisionRecall:
    """Return the fraction of each set inside the other set's manifold (Kynkaanniemi et al. 2019, eqs. 1 and 2).

    The manifold of a set is the union of balls around its points; the radius of a ball is the distance to the
    `neighbors`-th nearest other point of the set. Compare equal numbers of images. Raises ValueError if a set does not
    have more than `neighbors` images, its features are not finite, or `neighbors` is below 1.
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
    """Return for each of `points` whether it lies inside the union of balls around the points of `manifold`."""
    radii = radii_of(manifold, neighbors)
    starts = range(0, len(points), CHUNK)
    return np.concatenate([(distances(points[i : i + CHUNK], manifold) <= radii).any(axis=1) for i in starts])


def radii_of(manifold: Float[np.ndarray, "m d"], neighbors: int) -> Float[np.ndarray, " m"]:
    """Return the distance of each point to the `neighbors`-th nearest other point of the set."""
    starts = range(0, len(manifold), CHUNK)
    chunks = [distances(manifold[i : i + CHUNK], manifold) for i in starts]
    # Rank 0 is the distance of the point to itself.
    return np.concatenate([np.partition(chunk, neighbors, axis=1)[:, neighbors] for chunk in chunks])


def distances(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Return the distances of all pairs, from differences: it is 0 for equal points, and the same for equal pairs.

    |x|^2 - 2 x.y + |y|^2 is faster, but rounding would put points on a ball's surface outside of it.
    """
    from scipy.spatial.distance import cdist  # slow to import

    return cdist(x, y)
