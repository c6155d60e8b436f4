"""Divergences between diagonal Gaussians, in nats. Arguments are [..., latents], results [...]."""

import jax.numpy as jnp
from jax import Array

from genjax.losses.numbers import in_float32


@in_float32
def gaussian_kl(mean: Array, log_var: Array) -> Array:
    """Return KL(N(mean, exp(log_var)) || N(0, I)) in nats, summed over latents (Kingma & Welling 2014, app. B)."""
    # expm1 keeps the difference exp(v) - 1 - v, which is tiny near the prior.
    return 0.5 * jnp.sum(mean**2 + jnp.expm1(log_var) - log_var, axis=-1)


@in_float32
def gaussian_kl_between(mean_q: Array, log_var_q: Array, mean_p: Array, log_var_p: Array) -> Array:
    """Return KL(N(mean_q, exp(log_var_q)) || N(mean_p, exp(log_var_p))) in nats, summed over latents."""
    log_ratio = log_var_q - log_var_p
    distance = (mean_q - mean_p) ** 2 * jnp.exp(-log_var_p)
    return 0.5 * jnp.sum(distance + jnp.expm1(log_ratio) - log_ratio, axis=-1)
