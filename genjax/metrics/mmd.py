"""Maximum mean discrepancy (MMD), a kernel distance between two sets of samples (Gretton et al. 2012)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from genjax.metrics.numbers import reals

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of `rbf_at_median`, as multiples of the median distance."""

CHUNK = 500
"""Number of rows of the kernel matrix that are held in memory at a time."""


class Kernel(NamedTuple):
    """A positive definite kernel k(x, y)."""

    name: str
    """Description of the kernel with all its parameters, for the protocol."""
    matrix: Callable[[Float[np.ndarray, "n d"], Float[np.ndarray, "m d"]], Float[np.ndarray, "n m"]]
    """Kernel matrix k(x_i, y_j) of all pairs."""


class Discrepancy(NamedTuple):
    """Estimate of a squared MMD, and the protocol by which it was measured."""

    value: float
    protocol: str
    """Name of the kernel and numbers of samples."""


def rbf_mixture(bandwidths: tuple[float, ...]) -> Kernel:
    """Return the mean over s in `bandwidths` of the Gaussian kernels exp(-|x - y|^2 / (2 s^2)).

    Raises ValueError if there is no bandwidth, or a bandwidth is not above 0.
    """
    if not bandwidths or not min(bandwidths) > 0:
        raise ValueError(f"bandwidths={bandwidths}: give one or more, each above 0")

    def mean(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
        from sklearn.metrics.pairwise import rbf_kernel  # slow to import

        return np.mean([rbf_kernel(x, y, gamma=1 / (2 * s**2)) for s in bandwidths], axis=0)

    return Kernel(f"RBF, mean over bandwidths {', '.join(f'{s:.4g}' for s in bandwidths)}", mean)


def rbf_at_median(reference: Shaped[np.ndarray, "n d"], scales: tuple[float, ...] = SCALES, most: int = 1000) -> Kernel:
    """Return `rbf_mixture` at `scales` times the median distance between the first `most` samples of `reference`.

    Use one reference for all numbers that are to be compared, such as the real samples.
    """
    from scipy.spatial.distance import pdist  # slow to import

    median = float(np.median(pdist(reals("reference", reference[:most], least=2))))
    kernel = rbf_mixture(tuple(scale * median for scale in scales))
    return kernel._replace(name=f"{kernel.name} (x median {median:.4g} of the reference)")


def cubic_kernel() -> Kernel:
    """Return the kernel k(x, y) = (x.y / d + 1)^3 of d-dimensional points (Binkowski et al. 2018, sec. 4)."""

    def cubic(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
        from sklearn.metrics.pairwise import polynomial_kernel  # slow to import

        return polynomial_kernel(x, y, degree=3, gamma=1 / x.shape[1], coef0=1)

    return Kernel("cubic polynomial", cubic)


def unbiased_mmd2(x: Shaped[np.ndarray, "n d"], y: Shaped[np.ndarray, "m d"], kernel: Kernel) -> Discrepancy:
    """Return MMD^2 = E k(x, x') - 2 E k(x, y) + E k(y, y') over different samples (Gretton et al. 2012, eq. 3).

    The estimate has mean 0 if both sets come from one distribution, and can therefore be negative. Raises ValueError
    if either set has fewer than two samples or a value that is not finite.
    """
    x, y = reals("x", x, least=2), reals("y", y, least=2)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x {x.shape} and y {y.shape}: must have equally many dimensions")
    across = sum(rows.sum() for _, rows in kernel_rows(x, y, kernel)) / (len(x) * len(y))
    value = mean_of_pairs(x, kernel) + mean_of_pairs(y, kernel) - 2 * across
    return Discrepancy(float(value), f"unbiased MMD^2, {len(x)} against {len(y)} samples, {kernel.name}")


def mean_of_pairs(x: Float[np.ndarray, "n d"], kernel: Kernel) -> float:
    """Return the mean of k over all pairs of different samples."""
    total = sum(rows.sum() - np.trace(rows, offset=start) for start, rows in kernel_rows(x, x, kernel))
    return float(total / (len(x) * (len(x) - 1)))


def kernel_rows(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], kernel: Kernel
) -> Iterator[tuple[int, Float[np.ndarray, "rows m"]]]:
    """Yield the kernel matrix in blocks of at most CHUNK rows, each with the index of its first row."""
    for start in range(0, len(x), CHUNK):
        yield start, kernel.matrix(x[start : start + CHUNK], y)
