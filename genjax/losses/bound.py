"""Lower bounds on log p(x) from log-densities of posterior samples, in nats per example.

With w_i = p(x, z_i) / q(z_i|x), z_i ~ q(z|x): ELBO = E log w_1 <= IWAE_k = E log (1/k) sum_i w_i <= log p(x).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.losses.likelihood import log_mean_exp


class Terms(NamedTuple):
    """Log-densities in nats of k samples z_i ~ q(z|x), [k, batch] each; the KL divergence is in closed form [batch]."""

    log_likelihood: Array
    log_prior: Array
    log_posterior: Array
    kl: Array


Bound = Callable[[Terms], Array]
"""A lower bound of log p(x) per example, [batch]."""


def log_weights(terms: Terms) -> Array:
    """[k, batch]: log w_i = log p(x|z_i) + log p(z_i) - log q(z_i|x)."""
    return terms.log_likelihood + terms.log_prior - terms.log_posterior


def elbo(terms: Terms) -> Array:
    """(1/k) sum_i log p(x|z_i) - KL(q(z|x) || p(z)) (Kingma & Welling 2014, eq. 7)."""
    return terms.log_likelihood.mean(axis=0) - terms.kl


def monte_carlo_elbo(terms: Terms) -> Array:
    """(1/k) sum_i log w_i: the ELBO without the closed form of its KL (Kingma & Welling 2014, eq. 6)."""
    return log_weights(terms).mean(axis=0)


def iwae_bound(terms: Terms) -> Array:
    """Log (1/k) sum_i w_i (Burda et al. 2016, sec. 3)."""
    return log_mean_exp(log_weights(terms), axis=0)


def streamed_means(terms: Callable[[Array], Terms], *, samples: int, chunk: int, batch: int) -> tuple[Array, Array]:
    """The means of `terms(indices)` over indices 0 ... samples - 1, `chunk` at a time, so that memory does not grow.

    `terms` takes indices [chunk]. Returns mean_i log p(x|z_i) and log mean_i w_i in nats, [batch] each.
    """

    def add(carry: tuple[Array, Array], indices: Array) -> tuple[tuple[Array, Array], None]:
        total, log_total = carry
        values = terms(indices)
        counted = (indices < samples)[:, None]  # the last chunk may reach beyond
        total += jnp.where(counted, values.log_likelihood, 0).sum(axis=0)
        log_sum = jax.nn.logsumexp(jnp.where(counted, log_weights(values), -jnp.inf), axis=0)
        return (total, jnp.logaddexp(log_total, log_sum)), None

    dtype = jax.eval_shape(terms, jnp.arange(chunk)).log_likelihood.dtype
    start = jnp.zeros(batch, dtype), jnp.full(batch, -jnp.inf, dtype)
    indices = jnp.arange(-(-samples // chunk) * chunk).reshape(-1, chunk)
    (total, log_total), _ = jax.lax.scan(add, start, indices)
    return total / samples, log_total - math.log(samples)
