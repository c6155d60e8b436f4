"""Kernel distance between features (Binkowski et al. 2018, sec. 4, with a named extractor)."""

import numpy as np
from jaxtyping import Float

from genjax.metrics.features import Distance, FeatureSets

CHUNK = 500
"""Rows of the kernel's matrix in memory at a time."""


def kernel_distance(sets: FeatureSets) -> Distance:
    """The unbiased squared MMD under k(x, y) = (x.y / d + 1)^3 of d-dimensional features.

    Its mean over samples of one distribution is 0, at any number of images, so that it may be below. All pairs are
    used, and not blocks of 1000 images. Raises ValueError where a set has fewer than two images or features that are
    not finite.
    """
    real, fake = sets.in_float64()
    across = kernel_sum(real, fake) / (len(real) * len(fake))
    value = mean_of_pairs(real) + mean_of_pairs(fake) - 2 * across
    return Distance(value, sets.protocol("Kernel distance, cubic polynomial, unbiased"))


def mean_of_pairs(x: Float[np.ndarray, "n d"]) -> float:
    """The mean of k over pairs of different rows."""
    itself = (((x**2).mean(axis=1) + 1) ** 3).sum()
    return float((kernel_sum(x, x) - itself) / (len(x) * (len(x) - 1)))


def kernel_sum(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    """The sum of k over all pairs."""
    starts = range(0, len(x), CHUNK)
    return float(sum(((x[i : i + CHUNK] @ y.T / x.shape[1] + 1) ** 3).sum() for i in starts))
