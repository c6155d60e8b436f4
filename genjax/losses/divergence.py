"""Divergences between diagonal Gaussians, in nats."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def gaussian_kl(
    mean: Float[Array, "*batch latents"], log_var: Float[Array, "*batch latents"]
) -> Float[Array, "*batch"]:
    """KL(N(mean, exp(log_var)) || N(0, I)) in nats, summed over latents (Kingma & Welling 2014, app. B)."""
    # expm1 keeps the difference exp(v) - 1 - v, which is tiny near the prior.
    return 0.5 * jnp.sum(mean**2 + jnp.expm1(log_var) - log_var, axis=-1)


def gaussian_kl_between(
    mean_q: Float[Array, "*batch latents"],
    log_var_q: Float[Array, "*batch latents"],
    mean_p: Float[Array, "*batch latents"],
    log_var_p: Float[Array, "*batch latents"],
) -> Float[Array, "*batch"]:
    """KL(N(mean_q, exp(log_var_q)) || N(mean_p, exp(log_var_p))) in nats, summed over latents."""
    log_ratio = log_var_q - log_var_p
    distance = (mean_q - mean_p) ** 2 * jnp.exp(-log_var_p)
    return 0.5 * jnp.sum(distance + jnp.expm1(log_ratio) - log_ratio, axis=-1)
