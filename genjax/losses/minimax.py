"""Minimax value of a GAN on K symbols, in nats, for known distributions p_data and p_model, each [K].

V(D, G) = E_data log D(x) + E_model log(1 - D(x)) (Goodfellow et al. 2014, eq. 1), with D = sigmoid(logits) [K].
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import rel_entr


def optimal_logits(p_data: Array, p_model: Array) -> Array:
    """Return logits [K] of the best discriminator, D* = p_data / (p_data + p_model) (Goodfellow et al. 2014, eq. 2).

    The logits are log p_data - log p_model: infinite where one of the two is 0, and set to 0 where both are 0.
    """
    either = (p_data > 0) | (p_model > 0)
    return jnp.where(either, jnp.log(p_data) - jnp.log(p_model), 0)


def minimax_value(logits: Array, p_data: Array, p_model: Array) -> Array:
    """Return V(D, G), a scalar, at most 0 (Goodfellow et al. 2014, eq. 1).

    Symbols of probability 0 do not count, whatever their logit. The gradient with respect to `p_model` equals that
    of the minimax generator loss at this discriminator.
    """
    return expected_log(p_data, logits) + expected_log(p_model, -logits)


def expected_log(p: Array, logits: Array) -> Array:
    """Return the sum of p log sigmoid(logits) over the symbols with p above 0."""
    possible = p > 0
    return jnp.where(possible, p * jax.nn.log_sigmoid(jnp.where(possible, logits, 0)), 0).sum()


def best_value(p_data: Array, p_model: Array) -> Array:
    """Return C(G) = max over D of V(D, G), a scalar in [-log 4, 0] (Goodfellow et al. 2014, eq. 4).

    The value is -log 4 + 2 JSD(p_data, p_model) (eq. 6), and -log 4 only if p_data = p_model.
    """
    return minimax_value(optimal_logits(p_data, p_model), p_data, p_model)


def jensen_shannon(p: Array, q: Array) -> Array:
    """Return JSD(p, q) = (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, a scalar in [0, log 2], in nats."""
    middle = (p + q) / 2
    return (rel_entr(p, middle) + rel_entr(q, middle)).sum() / 2
