"""Coverage of a known density by samples: an equal mixture of Gaussians N(centre, std^2 I), on a ring or a grid.

A sample that is not finite is near no mode and in no cell: it counts against a model like any other bad sample.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import jensenshannon
from scipy.special import ndtr

from genjax.metrics.pairwise import squared_distances

WITHIN = 3.0
"""Distance from a mode, in standard deviations, up to which a sample is of high quality (Srivastava et al. 2017, sec.
4)."""


class Modes(NamedTuple):
    """Number of covered modes, quality of the samples, and the protocol behind both."""

    covered: int
    """Number of modes that are nearest to at least `least` high-quality samples."""
    high_quality: float
    """Fraction of samples close to a mode, in [0, 1]."""
    protocol: str
    """Numbers of samples and modes, and the limits of closeness and coverage."""


class Divergence(NamedTuple):
    """Divergence in nats and the protocol behind it."""

    nats: float
    protocol: str
    """Number of samples and grid."""


def mode_coverage(
    samples: Float[np.ndarray, "n d"],
    centres: Float[np.ndarray, "modes d"],
    std: float,
    *,
    within: float = WITHIN,
    least: int = 1,
) -> Modes:
    """Count the covered modes and the fraction of high-quality samples (Srivastava et al. 2017, sec. 4).

    A sample is of high quality if its distance to the nearest centre is at most `within` standard deviations; 1.1 % of
    the samples of a Gaussian in two dimensions are further away than three. Raises ValueError if `std`, `within` or
    `least` is not above 0, or there are no samples.
    """
    if not min(std, within, least) > 0 or not len(samples):
        raise ValueError(f"std={std}, within={within} and least={least} must be above 0, and there must be samples")
    samples, centres = np.asarray(samples, np.float64), np.asarray(centres, np.float64)
    finite = np.isfinite(samples).all(axis=1, keepdims=True)
    squared = np.where(finite, squared_distances(samples, centres), np.inf)
    good = squared.min(axis=1) <= (within * std) ** 2
    counts = np.bincount(squared.argmin(axis=1)[good], minlength=len(centres))
    limits = f"within {within:g} standard deviations, {least} or more such samples make a mode covered"
    protocol = f"{len(samples)} samples, {len(centres)} modes of standard deviation {std:g}, {limits}"
    return Modes(int((counts >= least).sum()), float(good.mean()), protocol)


def grid_divergence(
    samples: Float[np.ndarray, "n 2"],
    centres: Float[np.ndarray, "modes 2"],
    std: float,
    *,
    limit: float,
    cells: int = 32,
) -> Divergence:
    """Jensen-Shannon divergence, in [0, log 2], between the histogram of samples and the true masses of its cells.

    The cells divide [-limit, limit]^2 into `cells` x `cells` squares; one more cell holds the rest of the plane. For n
    samples of the density itself the result is not 0, but about (occupied cells - 1) / (8 n): measure that for
    comparison. Raises ValueError if `std`, `limit` or `cells` is not above 0, or there are no samples.
    """
    if not min(std, limit, cells) > 0 or not len(samples):
        raise ValueError(f"std={std}, limit={limit} and cells={cells} must be above 0, and there must be samples")
    edges = np.linspace(-limit, limit, cells + 1)
    counts = np.histogram2d(*np.asarray(samples, np.float64).T, bins=(edges, edges))[0]
    found = with_outside(counts / len(samples))
    expected = with_outside(mixture_masses(np.asarray(centres, np.float64), std, edges))
    grid = f"{cells} x {cells} cells on [-{limit:g}, {limit:g}]^2 and the rest of the plane"
    return Divergence(float(jensenshannon(found, expected) ** 2), f"JSD, {len(samples)} samples, {grid}")


def mixture_masses(
    centres: Float[np.ndarray, "modes 2"], std: float, edges: Float[np.ndarray, " edges"]
) -> Float[np.ndarray, "cells cells"]:
    """Probability of each cell under the mixture."""
    horizontal, vertical = (np.diff(ndtr((edges - axis[:, None]) / std)) for axis in centres.T)
    return np.einsum("ki,kj->ij", horizontal, vertical) / len(centres)


def with_outside(masses: Float[np.ndarray, "cells cells"]) -> Float[np.ndarray, " all"]:
    """Return the masses of all cells in one row, followed by the mass outside of the grid."""
    return np.append(masses.ravel(), max(0.0, 1 - masses.sum()))
