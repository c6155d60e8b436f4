"""Initial bias of an output layer of binary pixels: the logits of the data's pixel frequencies."""

import numpy as np
from jax.nn.initializers import Initializer, constant, zeros
from jaxtyping import Float

LOWEST, HIGHEST = 0.001, 0.999
"""Bounds to which frequencies are clipped, as in the code of Burda et al. (2016)."""


def frequency_logits(frequencies: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return the logits log p / (1 - p) of frequencies p, clipped to [0.001, 0.999]."""
    clipped = np.clip(np.asarray(frequencies), LOWEST, HIGHEST)
    return np.log(clipped) - np.log1p(-clipped)


def image_bias(mean: Float[np.ndarray, "H W C"] | None) -> Initializer:
    """Return an initializer with the logits of the mean image, or with zeros for None."""
    return zeros if mean is None else constant(frequency_logits(mean))
