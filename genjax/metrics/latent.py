"""Use of a latent representation."""

import numpy as np
from jaxtyping import Float

ACTIVE = 0.01
"""Variance above which a latent counts as active (Burda et al. 2016)."""


def active_units(means: Float[np.ndarray, "N latents"], *, threshold: float = ACTIVE) -> int:
    """Count the latents z_i that depend on x: Var_x(E[z_i|x]) is above `threshold` (Burda et al. 2016, sec. 5.2).

    `means` holds E[z|x] of N examples. Raises ValueError if there are fewer than two.
    """
    if len(means) < 2:
        raise ValueError(f"means: has {len(means)} examples, needs at least 2")
    return int((means.var(axis=0, ddof=1) > threshold).sum())
