"""Minimax value of a GAN on K symbols, in nats, for known distributions p_data and p_model, each [K].

V(D, G) = E_data log D(x) + E_model log(1 - D(x)) (Goodfellow et al. 2014, eq. 1), with D = sigmoid(logits) [K].
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from genjax.losses.numbers import in_float32


@in_float32
def optimal_logits(p_data: Array, p_model: Array) -> Array:
    """Return logits [K] of the best discriminator, D* = p_data / (p_data + p_model) (Goodfellow et al. 2014, eq. 2).

    The logits are log p_data - log p_model: infinite where one of the two is 0, and set to 0 where both are 0.
    """
    neither = (p_data == 0) & (p_model == 0)
    return jnp.where(neither, 0, jnp.log(p_data) - jnp.log(p_model))


@in_float32
def minimax_value(logits: Array, p_data: Array, p_model: Array) -> Array:
    """Return V(D, G), a scalar, at most 0 (Goodfellow et al. 2014, eq. 1).

    Symbols of probability 0 do not count, whatever their logit. The gradient with respect to `p_model` equals that
    of the minimax generator loss at this discriminator.
    """
    return expected_log(p_data, logits) + expected_log(p_model, -logits)


@in_float32
def expected_log(p: Array, logits: Array) -> Array:
    """Return the sum of p log sigmoid(logits) over the symbols whose p is not 0."""
    return weighted(p, jax.nn.log_sigmoid(jnp.where(p == 0, 0, logits))).sum()


@in_float32
def best_value(p_data: Array, p_model: Array) -> Array:
    """Return C(G) = max over D of V(D, G), a scalar in [-log 4, 0] (Goodfellow et al. 2014, eq. 4).

    The value is -log 4 + 2 JSD(p_data, p_model) (eq. 6), and -log 4 only if p_data = p_model.
    """
    return 2 * jensen_shannon(p_data, p_model) - math.log(4)


@in_float32
def jensen_shannon(p: Array, q: Array) -> Array:
    """Return JSD(p, q) = (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, a scalar in [0, log 2], in nats.

    The gradient by p is log(2 p / (p + q)) / 2: -infinity where p alone is 0, and log(2) / 2 where q is 0. In forward
    mode a direction that does not change such a p gives NaN.
    """
    return divergence(p, q)


@jax.custom_jvp
def divergence(p: Array, q: Array) -> Array:
    """Return the Jensen-Shannon divergence, with a gradient that is right at probabilities of 0."""
    return (weighted(p, log_ratio(p, q)) + weighted(q, log_ratio(q, p))).sum() / 2


@divergence.defjvp
def divergence_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the divergence and its tangent."""
    (p, q), (dp, dq) = primals, tangents
    return divergence(p, q), (log_ratio(p, q) * dp + log_ratio(q, p) * dq).sum() / 2


def log_ratio(p: Array, q: Array) -> Array:
    """Return log(2 p / (p + q)), by its limit log 2 where both are 0."""
    neither = (p == 0) & (q == 0)
    return jnp.where(neither, math.log(2), jnp.log(2 * p) - jnp.log(jnp.where(neither, 1, p + q)))


def weighted(p: Array, logs: Array) -> Array:
    """Return p logs, and 0 where p is 0."""
    return jnp.where(p == 0, 0, p * jnp.where(p == 0, 0, logs))
