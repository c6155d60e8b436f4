"""Log-likelihoods in nats, unreduced, of pixels with K levels 0, 1 / (K - 1), ..., 1.

Shapes are documented, not checked, so that this module needs nothing but jax and optax.
"""

import jax
import jax.numpy as jnp
from jax import Array

from genjax.losses.numbers import in_float32

MIN_LOG_SCALE = -7.0
"""Smallest log scale of a logistic (Salimans et al. 2017). A narrower one is already narrower than any of 256 bins, and
only its gradient would suffer."""

MAX_LOG_SCALE = 20.0
"""Largest log scale of a logistic. Above it, every bin but the two outermost has a mass below 1e-8, and float32 would
run out of smaller masses."""


@in_float32
def categorical_log_prob(logits: Array, x: Array) -> Array:
    """Return log softmax(logits)[level of x] in nats, [...], from logits [..., K] and x [...] in [0, 1].

    Each x is rounded to its level. This is the 256-way softmax of van den Oord, Kalchbrenner & Kavukcuoglu (2016),
    "Pixels as discrete variables", for any K. The result is NaN where x rounds to none of the levels.
    """
    top = logits.shape[-1] - 1
    level = jnp.round(x * top)
    index = level.astype(jnp.int32).clip(0, top)[..., None]
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), index, axis=-1)[..., 0]
    return jnp.where((level >= 0) & (level <= top), log_probs, jnp.nan)


@in_float32
def discretized_logistic_log_prob(mean: Array, log_scale: Array, x: Array, *, levels: int) -> Array:
    """Return the log mass in nats that Logistic(mean, exp(log_scale)) puts on the bin of each x in [0, 1].

    This is equation 2 of Salimans et al. (2017). Mean and scale are in units of pixels scaled to [-1, 1], as in the
    authors' code: a bin is 2 / (levels - 1) wide, and the first and the last bin extend to infinity. log_scale is
    clipped to [-7, 20]. The masses of all levels sum to 1. They are computed by the right side of sigmoid(a) -
    sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which is exact where the left side cancels. Value and gradient
    are finite for all finite arguments, but NaN where x rounds to none of the levels.
    """
    inverse_scale = jnp.exp(-jnp.clip(log_scale, MIN_LOG_SCALE, MAX_LOG_SCALE))
    half = 1 / (levels - 1)
    centered = 2 * x - 1 - mean
    upper, lower = inverse_scale * (centered + half), inverse_scale * (centered - half)
    below, above = jax.nn.log_sigmoid(upper), jax.nn.log_sigmoid(-lower)
    inside = below + above + jnp.log(-jnp.expm1(-2 * half * inverse_scale))
    level = jnp.round(x * (levels - 1))
    mass = jnp.where(level == 0, below, jnp.where(level == levels - 1, above, inside))
    return jnp.where((level >= 0) & (level <= levels - 1), mass, jnp.nan)


@in_float32
def discretized_logistic_mixture_log_prob(parameters: Array, x: Array, *, levels: int) -> Array:
    """Return log p(x) in nats, x [...], under a mixture of M discretized logistics: parameters [..., 3 M] to [...].

    The parameters are M logits of the component weights, M means and M log scales (Salimans et al. 2017, section 2.1).
    """
    logits, means, log_scales = jnp.split(parameters, 3, axis=-1)
    each = discretized_logistic_log_prob(means, log_scales, x[..., None], levels=levels)
    return jax.nn.logsumexp(jax.nn.log_softmax(logits) + each, axis=-1)
