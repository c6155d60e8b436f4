"""Mixtures of Gaussians: log density in nats, per element, and the scaled gradient with which their means are trained.

Shapes are documented, not checked, so that this module needs nothing but jax and optax.
"""

import jax
import jax.numpy as jnp
from jax import Array

from genjax.losses.likelihood import gaussian_log_prob
from genjax.losses.numbers import in_float32

MIN_LOG_SIGMA = -7.0
"""Smallest log standard deviation of a component, in units of standardized data: exp(-7) is 0.0009. A narrower
component would raise the density without bound at the value on which it is centred, and its gradient too."""

MAX_LOG_SIGMA = 7.0
"""Largest log standard deviation of a component: exp(7) is 1097. Far wider components overflow in a sampler and in a
scaled gradient."""


@in_float32
def bounded_log_sigmas(log_sigmas: Array) -> Array:
    """Clip log standard deviations to [-7, 7], for the density and for samplers alike."""
    return jnp.clip(log_sigmas, MIN_LOG_SIGMA, MAX_LOG_SIGMA)


@in_float32
def gaussian_mixture_log_prob(logits: Array, means: Array, log_sigmas: Array, x: Array) -> Array:
    """Return log sum_k softmax(logits)_k N(x | means_k, exp(log_sigmas_k)^2) in nats.

    Parameters are [..., K], x and the result [...] (Uria, Murray & Larochelle 2013). The log density may be positive.
    The density integrates to 1 for all arguments, since log
    sigmas are clipped to [-7, 7]. Value and gradient are finite in float32 for all finite logits and log sigmas, and
    for means and x up to 10^9 in absolute value.
    """
    each = gaussian_log_prob(x[..., None], means, 2 * bounded_log_sigmas(log_sigmas))
    return jax.nn.logsumexp(jax.nn.log_softmax(logits) + each, axis=-1)


@jax.custom_jvp
def scale_gradient(x: Array, scale: Array) -> Array:
    """Return `x` unchanged, with its gradient multiplied by `scale`, which counts as a constant in derivatives.

    Let x be the mean of a mixture component and `scale` the component's standard deviation: this is the heuristic of
    Uria, Murray & Larochelle (2013), under which narrow components, whose means have steep gradients, take smaller
    steps.
    """
    del scale
    return x


@scale_gradient.defjvp
def scale_gradient_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return `x` and its tangent multiplied by `scale`."""
    (x, scale), (dx, _) = primals, tangents
    return x, scale * dx
