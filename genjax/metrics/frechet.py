"""Frechet distance between Gaussians fitted to features (Heusel et al. 2017, eq. 6, with a named extractor)."""

import numpy as np
from jaxtyping import Float

from genjax.metrics.features import Distance, FeatureSets


def frechet_distance(sets: FeatureSets) -> Distance:
    """Return |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) for means m, m' and unbiased covariances C, C' of the features.

    This is the squared Wasserstein-2 distance of two Gaussians (Dowson & Landau 1982), 0 if the moments agree. The
    estimate is too large for few images, the more so the more features there are: compare equal numbers of images.

    Raises ValueError if a set has fewer than two images or features that are not finite.
    """
    (mean, covariance), (other_mean, other_covariance) = (moments(features) for features in sets.in_float64())
    root = square_root(covariance)
    # C C' and C^(1/2) C' C^(1/2) have the same eigenvalues, and the second is symmetric.
    shared = np.sqrt(np.linalg.eigvalsh(root @ other_covariance @ root).clip(0)).sum()
    value = ((mean - other_mean) ** 2).sum() + np.trace(covariance + other_covariance) - 2 * shared
    return Distance(max(0.0, float(value)), sets.protocol("Frechet distance"))


def moments(features: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d e"]]:
    """Mean and unbiased covariance of the features."""
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))


def square_root(covariance: Float[np.ndarray, "d e"]) -> Float[np.ndarray, "d e"]:
    """Symmetric square root of a positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
