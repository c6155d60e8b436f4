"""Metric of how many latents a latent variable model uses."""

import numpy as np
from jaxtyping import Shaped

from genjax.metrics.numbers import reals

ACTIVE = 0.01
"""Variance of the posterior mean above which a latent counts as active (Burda et al. 2016)."""


def active_units(means: Shaped[np.ndarray, "N latents"], *, threshold: float = ACTIVE) -> int:
    """Return the number of latents z_i with Var_x(E[z_i|x]) above `threshold` (Burda et al. 2016, sec. 5.2).

    `means` holds E[z|x] of N examples. Raises ValueError if there are fewer than two examples, or a mean is not
    finite.
    """
    return int((reals("means", means, least=2).var(axis=0, ddof=1) > threshold).sum())
