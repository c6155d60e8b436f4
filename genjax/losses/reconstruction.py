"""How far a reconstruction is from what it reconstructs, per example."""

import jax.numpy as jnp
from jax import Array

from genjax.losses.likelihood import flat_pixels


def squared_error(reconstruction: Array, x: Array) -> Array:
    """||x - reconstruction||^2, summed over all axes but the first: two arrays [batch, ...] to [batch].

    Up to a constant, twice the negative log-density in nats of a Gaussian around the reconstruction with variance 1.
    """
    return ((flat_pixels(x) - flat_pixels(reconstruction)) ** 2).sum(axis=1)


def mean_squared_error(reconstruction: Array, x: Array) -> Array:
    """`squared_error` divided by the number of elements of an example: [batch, ...] twice to [batch]."""
    return ((flat_pixels(x) - flat_pixels(reconstruction)) ** 2).mean(axis=1)


def mean_absolute_error(reconstruction: Array, x: Array) -> Array:
    """The mean of |x - reconstruction| over all axes but the first: two arrays [batch, ...] to [batch].

    The L1 norm of Zhu et al. (2017, eq. 2) divided by the number of elements, as their code has it.
    """
    return jnp.abs(flat_pixels(x) - flat_pixels(reconstruction)).mean(axis=1)


def absolute_error(reconstruction: Array, x: Array) -> Array:
    """The sum of |x - reconstruction| over all axes but the first: two arrays [batch, ...] to [batch]."""
    return jnp.abs(flat_pixels(x) - flat_pixels(reconstruction)).sum(axis=1)
