"""What samples cover of a known density: an equal mixture of Gaussians N(centre, std^2 I), on a ring or a grid.

No sample that is not finite is near a mode or in a cell: it counts against a model like any other bad one.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import jensenshannon
from scipy.special import ndtr

from genjax.metrics.pairwise import squared_distances

WITHIN = 3.0
"""Standard deviations (Srivastava et al. 2017, sec. 4)."""


class Modes(NamedTuple):
    """How many modes there are samples of, and how good these are."""

    covered: int
    """Modes that are the nearest to at least `least` high-quality samples."""
    high_quality: float
    """The share of samples within so many standard deviations of a mode, in [0, 1]."""
    protocol: str
    """The numbers of samples and modes, and the limits."""


class Divergence(NamedTuple):
    """An estimate in nats, and how it was made."""

    nats: float
    protocol: str
    """The number of samples and the grid."""


def mode_coverage(
    samples: Float[np.ndarray, "n d"],
    centres: Float[np.ndarray, "modes d"],
    std: float,
    *,
    within: float = WITHIN,
    least: int = 1,
) -> Modes:
    """The modes covered and the share of high-quality samples (Srivastava et al. 2017, sec. 4).

    A sample is of high quality where its distance to the nearest centre is at most `within` standard deviations; of a
    Gaussian in two dimensions 1.1 % are beyond three. Raises ValueError where `std`, `within` or `least` is not above
    0, or there are no samples.
    """
    if not min(std, within, least) > 0 or not len(samples):
        raise ValueError(f"std={std}, within={within} and least={least} must be above 0, and samples given")
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
    """JSD in [0, log 2] between the histogram of samples and the true masses of its cells.

    The cells divide [-limit, limit]^2 into `cells` x `cells` squares; one more is all that is outside. n samples of the
    density itself do not give 0, but about (cells in use - 1) / (8 n): measure that beside it. Raises ValueError where
    `std`, `limit` or `cells` is not above 0, or there are no samples.
    """
    if not min(std, limit, cells) > 0 or not len(samples):
        raise ValueError(f"std={std}, limit={limit} and cells={cells} must be above 0, and samples given")
    edges = np.linspace(-limit, limit, cells + 1)
    counts = np.histogram2d(*np.asarray(samples, np.float64).T, bins=(edges, edges))[0]
    found = with_outside(counts / len(samples))
    expected = with_outside(mixture_masses(np.asarray(centres, np.float64), std, edges))
    grid = f"{cells} x {cells} cells on [-{limit:g}, {limit:g}]^2 and the rest of the plane"
    return Divergence(float(jensenshannon(found, expected) ** 2), f"JSD, {len(samples)} samples, {grid}")


def mixture_masses(
    centres: Float[np.ndarray, "modes 2"], std: float, edges: Float[np.ndarray, " edges"]
) -> Float[np.ndarray, "cells cells"]:
    """The probability of each cell."""
    horizontal, vertical = (np.diff(ndtr((edges - axis[:, None]) / std)) for axis in centres.T)
    return np.einsum("ki,kj->ij", horizontal, vertical) / len(centres)


def with_outside(masses: Float[np.ndarray, "cells cells"]) -> Float[np.ndarray, " all"]:
    """The masses in a row, and after them what is missing to 1."""
    return np.append(masses.ravel(), max(0.0, 1 - masses.sum()))
