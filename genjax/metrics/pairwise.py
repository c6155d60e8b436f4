"""Distances between all pairs of two sets of points."""

import numpy as np
from jaxtyping import Float


def squared_distances(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Return the squared Euclidean distances |x_i - y_j|^2 of all pairs, never negative despite rounding.

    Points far from 0 lose no digits by it: distances are taken from the middle of `y`.
    """
    middle = y.mean(axis=0)
    x, y = x - middle, y - middle
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)
