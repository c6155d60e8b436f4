"""Distances between all pairs of two sets of points."""

import numpy as np
from jaxtyping import Float


def squared_distances(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Squared Euclidean distance |x_i - y_j|^2 of all pairs; rounding never makes one negative."""
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)
