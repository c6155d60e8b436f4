"""Where an output layer of binary pixels starts: at the data's own frequencies."""

import numpy as np
from jax.nn.initializers import Initializer, constant, zeros
from jaxtyping import Float

LOWEST, HIGHEST = 0.001, 0.999
"""What frequencies are clipped to, as in the code of Burda et al. (2016)."""


def frequency_logits(frequencies: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Log p / (1 - p) of the frequencies p, clipped to [0.001, 0.999]."""
    clipped = np.clip(np.asarray(frequencies), LOWEST, HIGHEST)
    return np.log(clipped) - np.log1p(-clipped)


def image_bias(mean: Float[np.ndarray, "H W C"] | None) -> Initializer:
    """The logits of the mean image; zeros where it is None."""
    return zeros if mean is None else constant(frequency_logits(mean))
