"""Errors between a reconstruction and the original, per example."""

import jax.numpy as jnp
from jax import Array

from genjax.losses.likelihood import flat_pixels
from genjax.losses.numbers import in_float32


@in_float32
def squared_error(reconstruction: Array, x: Array) -> Array:
    """Return ||x - reconstruction||^2, summed over all axes but the first: two arrays [batch, ...] to [batch].

    Up to a constant, this is twice the negative log-density in nats of a Gaussian around the reconstruction with
    variance 1.
    """
    return ((flat_pixels(x) - flat_pixels(reconstruction)) ** 2).sum(axis=1)


@in_float32
def mean_squared_error(reconstruction: Array, x: Array) -> Array:
    """Return the squared error averaged over the elements of an example: two arrays [batch, ...] to [batch]."""
    return ((flat_pixels(x) - flat_pixels(reconstruction)) ** 2).mean(axis=1)


@in_float32
def mean_absolute_error(reconstruction: Array, x: Array) -> Array:
    """Return |x - reconstruction| averaged over the elements of an example: two arrays [batch, ...] to [batch].

    This is the L1 norm of Zhu et al. (2017, eq. 2) divided by the number of elements, as in the authors' code.
    """
    return jnp.abs(flat_pixels(x) - flat_pixels(reconstruction)).mean(axis=1)


@in_float32
def absolute_error(reconstruction: Array, x: Array) -> Array:
    """Return |x - reconstruction| summed over all axes but the first: two arrays [batch, ...] to [batch]."""
    return jnp.abs(flat_pixels(x) - flat_pixels(reconstruction)).sum(axis=1)
