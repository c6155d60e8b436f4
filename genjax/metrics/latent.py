"""Metric of how many latents a latent variable model uses."""

import numpy as np
from jaxtyping import Float

ACTIVE = 0.01
"""Variance of the posterior mean above which a latent counts as active (Burda et al. 2016)."""


def active_units(means: Float[np.ndarray, "N latents"], *, threshold: float = ACTIVE) -> int:
    """Return the number of latents z_i with Var_x(E[z_i|x]) above `threshold` (Burda et al. 2016, sec. 5.2).

    `means` holds E[z|x] of N examples. Raises ValueError if there are fewer than two examples.
    """
    if len(means) < 2:
        raise ValueError(f"means: has {len(means)} examples, needs at least 2")
    return int((means.var(axis=0, ddof=1) > threshold).sum())
