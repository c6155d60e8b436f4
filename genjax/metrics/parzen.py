"""Log-likelihood of test data under a Gaussian Parzen window around a model's samples.

The metric ranks models poorly in high dimensions: k-means centres score above real data (Theis, van den Oord & Bethge
2016). Always report the values of k-means centres and of training images as baselines.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from genjax.metrics.numbers import reals
from genjax.metrics.pairwise import squared_distances

BANDWIDTHS = tuple(np.logspace(-1, 0, 10).tolist())
"""Grid of bandwidths in the code of Goodfellow et al. (2014)."""

CHUNK = 500
"""Number of examples per block: memory grows with CHUNK x samples."""


class Parzen(NamedTuple):
    """Parzen log-likelihood in nats, and the protocol by which it was measured."""

    nats: float
    """Mean log-likelihood of the test examples."""
    standard_error: float
    """Standard error of the mean: standard deviation over test examples, divided by the square root of their number."""
    bandwidth: float
    """Bandwidth that makes the validation examples most likely."""
    protocol: str
    """Numbers of samples and examples, and the grid of bandwidths."""


def parzen_log_probs(
    x: Shaped[np.ndarray, "n d"], samples: Shaped[np.ndarray, "m d"], bandwidths: tuple[float, ...]
) -> Float[np.ndarray, "bandwidths n"]:
    """Return log (1/m) sum_j N(x_i; samples_j, s^2 I) in nats for each bandwidth s.

    Raises ValueError if there are no examples or no samples, one is not finite, or a bandwidth is not above 0.
    """
    if not bandwidths or not min(bandwidths) > 0:
        raise ValueError(f"bandwidths={bandwidths} must be above 0")
    x, samples = reals("x", x), reals("samples", samples)
    if x.shape[1] != samples.shape[1]:
        raise ValueError(f"x {x.shape} and samples {samples.shape}: must have equally many dimensions")
    chunks = [
        [log_mean_density(squared, s, x.shape[1]) for s in bandwidths]
        for start in range(0, len(x), CHUNK)
        for squared in [squared_distances(x[start : start + CHUNK], samples)]
    ]
    return np.concatenate(chunks, axis=1)


def log_mean_density(squared: Float[np.ndarray, "n m"], bandwidth: float, dimensions: int) -> Float[np.ndarray, " n"]:
    """Return the log, in nats, of the mean over samples of the Gaussian density at these squared distances."""
    from scipy.special import logsumexp  # slow to import

    log_normalizer = dimensions * math.log(bandwidth * math.sqrt(2 * math.pi)) + math.log(squared.shape[1])
    return np.asarray(logsumexp(squared / (-2 * bandwidth**2), axis=1)) - log_normalizer


def parzen(
    samples: Shaped[np.ndarray, "m d"],
    validation: Shaped[np.ndarray, "n d"],
    test: Shaped[np.ndarray, "k d"],
    *,
    bandwidths: tuple[float, ...] = BANDWIDTHS,
) -> Parzen:
    """Return the log-likelihood of test examples, with the bandwidth that makes the validation examples most likely.

    The protocol is that of Goodfellow et al. (2014), sec. 5. The result is the log of a density: it has no upper bound,
    and cannot be compared with a probability mass. Raises ValueError as `parzen_log_probs` does.
    """
    validation, test = reals("validation", validation), reals("test", test)
    best = bandwidths[int(parzen_log_probs(validation, samples, bandwidths).mean(axis=1).argmax())]
    log_probs = parzen_log_probs(test, samples, (best,))[0]
    counts = f"{len(samples)} samples, {len(validation)} validation and {len(test)} test examples"
    grid = f"best of {len(bandwidths)} bandwidths from {min(bandwidths):.4g} to {max(bandwidths):.4g}"
    error = float(log_probs.std() / math.sqrt(len(log_probs)))
    return Parzen(float(log_probs.mean()), error, best, f"Gaussian Parzen window, {counts}, {grid}")
