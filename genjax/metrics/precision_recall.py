"""Precision and recall of generated images (Kynkaanniemi et al. 2019, with a named extractor)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from genjax.metrics.features import FeatureSets
from genjax.metrics.pairwise import squared_distances

CHUNK = 500
"""Examples per block: memory grows with CHUNK x examples."""


class PrecisionRecall(NamedTuple):
    """Precision and recall, both in [0, 1], and the protocol behind them."""

    precision: float
    """Fraction of generated images that lie among real ones: quality."""
    recall: float
    """Fraction of real images that lie among generated ones: variety."""
    protocol: str
    """Extractor, numbers of images, split of the real images, and number of neighbours."""


def precision_recall(sets: FeatureSets, *, neighbors: int = 3) -> PrecisionRecall:
    """Fraction of each set that lies inside the other set's manifold (Kynkaanniemi et al. 2019, eqs. 1 and 2).

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
    """For each point, whether it lies in the manifold of the other set."""
    radii = squared_radii(manifold, neighbors)
    starts = range(0, len(points), CHUNK)
    return np.concatenate([(squared_distances(points[i : i + CHUNK], manifold) <= radii).any(axis=1) for i in starts])


def squared_radii(manifold: Float[np.ndarray, "m d"], neighbors: int) -> Float[np.ndarray, " m"]:
    """Squared distance of each point to the `neighbors`-th nearest other point of the set."""
    starts = range(0, len(manifold), CHUNK)
    chunks = [squared_distances(manifold[i : i + CHUNK], manifold) for i in starts]
    # Rank 0 is the distance of the point to itself.
    return np.concatenate([np.partition(squared, neighbors, axis=1)[:, neighbors] for squared in chunks])
