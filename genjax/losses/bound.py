"""Lower bounds of log p(x) from log-densities of posterior samples, in nats per example.

With w_i = p(x, z_i) / q(z_i|x), z_i ~ q(z|x): ELBO = E log w_1 <= IWAE_k = E log (1/k) sum_i w_i <= log p(x).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.losses.likelihood import log_mean_exp
from genjax.losses.numbers import in_float32


class Terms(NamedTuple):
    """Log-densities in nats of k samples z_i ~ q(z|x), [k, batch] each."""

    log_likelihood: Array
    """Log-likelihood log p(x|z_i)."""
    log_prior: Array
    """Log prior density log p(z_i)."""
    log_posterior: Array
    """Log posterior density log q(z_i|x)."""
    kl: Array
    """KL(q(z|x) || p(z)): in closed form if there is one (the same for each i), else its estimates log q - log p."""


Bound = Callable[[Terms], Array]
"""Function from `Terms` to a lower bound of log p(x) for each example, [batch]."""


@in_float32
def log_weights(terms: Terms) -> Array:
    """Return the log importance weights log w_i = log p(x|z_i) + log p(z_i) - log q(z_i|x), [k, batch]."""
    return terms.log_likelihood + terms.log_prior - terms.log_posterior


@in_float32
def elbo(terms: Terms) -> Array:
    """Return the ELBO (1/k) sum_i log p(x|z_i) - KL(q(z|x) || p(z)) (Kingma & Welling 2014, eq. 7)."""
    return (terms.log_likelihood - terms.kl).mean(axis=0)


@in_float32
def monte_carlo_elbo(terms: Terms) -> Array:
    """Return the ELBO with an estimated KL divergence, (1/k) sum_i log w_i (Kingma & Welling 2014, eq. 6)."""
    return log_weights(terms).mean(axis=0)


@in_float32
def iwae_bound(terms: Terms) -> Array:
    """Return the importance weighted bound log (1/k) sum_i w_i (Burda et al. 2016, sec. 3)."""
    return log_mean_exp(log_weights(terms), axis=0)


@in_float32
def tempered(terms: Terms, beta: Array | float) -> Terms:
    """Replace p(z) / q(z|x) by (p(z) / q(z|x))^beta, so that `elbo` weights the KL divergence by beta.

    beta = 1 keeps the bound, beta > 1 makes it looser, and beta < 1 gives no bound (Higgins et al. 2017, eq. 4).
    """
    return Terms(terms.log_likelihood, beta * terms.log_prior, beta * terms.log_posterior, beta * terms.kl)


class Means(NamedTuple):
    """Means over k samples in nats, [batch] each."""

    log_likelihood: Array
    """Mean of log p(x|z_i)."""
    kl: Array
    """Mean of the terms of KL(q(z|x) || p(z))."""
    log_weight: Array
    """Logarithm of the mean importance weight, log (1/k) sum_i w_i."""


def streamed_means(terms: Callable[[Array], Terms], *, samples: int, chunk: int, batch: int) -> Means:
    """Return the means of `terms(indices)` over samples with the indices 0 ... samples - 1.

    `terms` is called with indices [chunk], so that `chunk` bounds the memory.
    """

    def add(sums: Means, indices: Array) -> tuple[Means, None]:
        values = terms(indices)
        counted = (indices < samples)[:, None]  # the last chunk may reach beyond `samples`
        log_sum = jax.nn.logsumexp(jnp.where(counted, log_weights(values), -jnp.inf), axis=0)
        return Means(
            sums.log_likelihood + jnp.where(counted, values.log_likelihood, 0).sum(axis=0),
            sums.kl + jnp.where(counted, values.kl, 0).sum(axis=0),
            jnp.logaddexp(sums.log_weight, log_sum),
        ), None

    dtype = jax.eval_shape(terms, jnp.arange(chunk)).log_likelihood.dtype
    start = Means(jnp.zeros(batch, dtype), jnp.zeros(batch, dtype), jnp.full(batch, -jnp.inf, dtype))
    indices = jnp.arange(-(-samples // chunk) * chunk).reshape(-1, chunk)
    sums, _ = jax.lax.scan(add, start, indices)
    return Means(sums.log_likelihood / samples, sums.kl / samples, sums.log_weight - math.log(samples))
