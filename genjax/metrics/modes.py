"""Coverage of a known density by samples: an equal mixture of Gaussians N(centre, std^2 I), on a ring or a grid.

A sample that is not finite is near no mode and in no cell of the grid: it counts as a bad sample.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from scipy.spatial.distance import jensenshannon
from scipy.special import ndtr

from genjax.metrics.numbers import reals
from genjax.metrics.pairwise import squared_distances

WITHIN = 3.0
"""Distance from a mode, in standard deviations, up to which a sample is of high quality (Srivastava et al. 2017, sec.
4)."""


class Modes(NamedTuple):
    """Number of covered modes, quality of the samples, and the protocol by which both were measured."""

    covered: int
    """Number of modes that are the nearest mode of at least `least` high-quality samples."""
    high_quality: float
    """Fraction of samples of high quality, within `within` standard deviations of a mode, in [0, 1]."""
    protocol: str
    """Numbers of samples and modes, and the limits of closeness and coverage."""


class Divergence(NamedTuple):
    """Divergence in nats, and the protocol by which it was measured."""

    nats: float
    protocol: str
    """Description of the number of samples and the grid."""


def mode_coverage(
    samples: Shaped[np.ndarray, "n d"],
    centres: Shaped[np.ndarray, "modes d"],
    std: float,
    *,
    within: float = WITHIN,
    least: int = 1,
) -> Modes:
    """Return the number of covered modes and the fraction of high-quality samples (Srivastava et al. 2017, sec. 4).

    A sample is of high quality if its distance to the nearest centre is at most `within` standard deviations; 1.1 % of
    the samples of a Gaussian in two dimensions are further away than three. Raises ValueError if `std`, `within` or
    `least` is not above 0, or there are no samples or no centres.
    """
    if not min(std, within, least) > 0:
        raise ValueError(f"std={std}, within={within} and least={least} must be above 0")
    samples, centres = reals("samples", samples, finite=False), reals("centres", centres)
    finite = np.isfinite(samples).all(axis=1, keepdims=True)
    squared = np.where(finite, squared_distances(samples, centres), np.inf)
    good = squared.min(axis=1) <= (within * std) ** 2
    counts = np.bincount(squared.argmin(axis=1)[good], minlength=len(centres))
    limits = f"within {within:g} standard deviations, {least} or more such samples make a mode covered"
    protocol = f"{len(samples)} samples, {len(centres)} modes of standard deviation {std:g}, {limits}"
    return Modes(int((counts >= least).sum()), float(good.mean()), protocol)


def grid_divergence(
    samples: Shaped[np.ndarray, "n 2"],
    centres: Shaped[np.ndarray, "modes 2"],
    std: float,
    *,
    limit: float,
    cells: int = 32,
) -> Divergence:
    """Return the Jensen-Shannon divergence, in [0, log 2], of the histogram of samples and the true cell probabilities.

    The cells divide [-limit, limit]^2 into `cells` x `cells` squares; one more cell holds the rest of the plane. For n
    samples of the density itself the result is not 0, but about (occupied cells - 1) / (8 n): measure it as a baseline.
    Raises ValueError if `std`, `limit` or `cells` is not above 0, or there are no samples or no centres.
    """
    if not min(std, limit, cells) > 0:
        raise ValueError(f"std={std}, limit={limit} and cells={cells} must be above 0")
    samples, centres = reals("samples", samples, finite=False), reals("centres", centres)
    edges = np.linspace(-limit, limit, cells + 1)
    counts = np.histogram2d(*samples.T, bins=(edges, edges))[0]
    found = with_outside(counts / len(samples))
    expected = with_outside(mixture_masses(centres, std, edges))
    grid = f"{cells} x {cells} cells on [-{limit:g}, {limit:g}]^2 and the rest of the plane"
    return Divergence(float(jensenshannon(found, expected) ** 2), f"JSD, {len(samples)} samples, {grid}")


def mixture_masses(
    centres: Float[np.ndarray, "modes 2"], std: float, edges: Float[np.ndarray, " edges"]
) -> Float[np.ndarray, "cells cells"]:
    """Probability of each cell under the mixture."""
    horizontal, vertical = (np.diff(ndtr((edges - axis[:, None]) / std)) for axis in centres.T)
    return np.einsum("ki,kj->ij", horizontal, vertical) / len(centres)


def with_outside(masses: Float[np.ndarray, "cells cells"]) -> Float[np.ndarray, " all"]:
    """Return the probabilities of all cells in one row, followed by the probability outside the grid."""
    return np.append(masses.ravel(), max(0.0, 1 - masses.sum()))
