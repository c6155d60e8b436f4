"""Maximum mean discrepancy: how far apart two sets of samples are, as a kernel sees them (Gretton et al. 2012)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of `rbf_at_median`, in median distances."""

CHUNK = 500
"""Rows of the kernel's matrix in memory at a time."""


class Kernel(NamedTuple):
    """k(x, y) as a function of |x - y|^2, with k(x, x) = 1."""

    name: str
    """With all that one needs to compute it again."""
    of_squared_distance: Callable[[Float[np.ndarray, "n m"]], Float[np.ndarray, "n m"]]


class Discrepancy(NamedTuple):
    """An estimate, and how it was made."""

    value: float
    protocol: str
    """The kernel and the numbers of samples."""


def rbf_mixture(bandwidths: tuple[float, ...]) -> Kernel:
    """The mean over s in `bandwidths` of exp(-|x - y|^2 / (2 s^2)). Raises ValueError where one is not above 0."""
    if not bandwidths or not min(bandwidths) > 0:
        raise ValueError(f"bandwidths={bandwidths}: give one or more, each above 0")

    def mean(squared: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        return np.mean([np.exp(squared / (-2 * s**2)) for s in bandwidths], axis=0)

    return Kernel(f"RBF, mean over bandwidths {', '.join(f'{s:.4g}' for s in bandwidths)}", mean)


def rbf_at_median(reference: Float[np.ndarray, "n d"], scales: tuple[float, ...] = SCALES, most: int = 1000) -> Kernel:
    """`rbf_mixture` at `scales` times the median distance among the first `most` samples of `reference`.

    For numbers that compare, take one reference, such as the samples that all others are held against.
    """
    first = np.asarray(reference[:most], np.float64)
    median = float(np.median(np.sqrt(squared_distances(first, first)[np.triu_indices(len(first), k=1)])))
    kernel = rbf_mixture(tuple(scale * median for scale in scales))
    return kernel._replace(name=f"{kernel.name} (x median {median:.4g} of the reference)")


def squared_distances(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """|x_i - y_j|^2 for all pairs, not below 0."""
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)


def unbiased_mmd2(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], kernel: Kernel) -> Discrepancy:
    """MMD^2 = E k(x, x') - 2 E k(x, y) + E k(y, y'), over pairs of different samples (Gretton et al. 2012, eq. 3).

    Its mean over samples of one distribution is 0, so that it may be below. Raises ValueError where a side has fewer
    than two samples.
    """
    if len(x) < 2 or len(y) < 2:
        raise ValueError(f"samples: needs two or more on both sides, got {len(x)} and {len(y)}")
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    within = sum((kernel_sum(z, z, kernel) - len(z)) / (len(z) * (len(z) - 1)) for z in (x, y))  # k(z, z) = 1
    value = within - 2 * kernel_sum(x, y, kernel) / (len(x) * len(y))
    return Discrepancy(float(value), f"unbiased MMD^2, {len(x)} against {len(y)} samples, {kernel.name}")


def kernel_sum(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], kernel: Kernel) -> float:
    """The sum of k over all pairs."""
    starts = range(0, len(x), CHUNK)
    return float(sum(kernel.of_squared_distance(squared_distances(x[i : i + CHUNK], y)).sum() for i in starts))
