"""What a latent representation uses."""

import numpy as np
from jaxtyping import Float

ACTIVE = 0.01


def active_units(means: Float[np.ndarray, "N latents"], *, threshold: float = ACTIVE) -> int:
    """Latents z_i that depend on x: the variance over x of E[z_i|x] is above `threshold` (Burda et al. 2016, sec. 5.2).

    `means` are the E[z|x] of N examples. Raises ValueError where there are fewer than two.
    """
    if len(means) < 2:
        raise ValueError(f"means: of {len(means)} examples, must be of at least 2")
    return int((means.var(axis=0, ddof=1) > threshold).sum())
