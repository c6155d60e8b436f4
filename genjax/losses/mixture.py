"""Mixtures of Gaussians: log density in nats, per element, and the scaled gradient with which their means are trained.

Shapes stand in the docstrings, so that nothing but jax and optax need be installed.
"""

import jax
import jax.numpy as jnp
from jax import Array

from genjax.losses.likelihood import gaussian_log_prob

MIN_LOG_SIGMA = -7.0
"""Below it a component counts as exp(-7), 0.0009, wide: a narrower one would raise the density without bound at the
value on which it stands, and its gradient with it. In units of standardized data."""

MAX_LOG_SIGMA = 7.0
"""Above it a component counts as exp(7), 1097, wide: far wider ones overflow in a sampler and in a scaled gradient."""


def bounded_log_sigmas(log_sigmas: Array) -> Array:
    """The log standard deviations that count, in the density and in a sampler alike: from -7 to 7."""
    return jnp.clip(log_sigmas, MIN_LOG_SIGMA, MAX_LOG_SIGMA)


def gaussian_mixture_log_prob(logits: Array, means: Array, log_sigmas: Array, x: Array) -> Array:
    """Log sum_k softmax(logits)_k N(x | means_k, exp(log_sigmas_k)^2) in nats: [..., K] each, and x [...], to [...].

    Uria, Murray & Larochelle (2013). A density: it may be positive. It integrates to 1 for any arguments: log sigmas
    outside of [-7, 7] count as the nearer end. Value and gradient are finite in float32 for any finite logits and log
    sigmas, and for means and x up to 10^9 in absolute value.
    """
    each = gaussian_log_prob(x[..., None], means, 2 * bounded_log_sigmas(log_sigmas))
    return jax.nn.logsumexp(jax.nn.log_softmax(logits) + each, axis=-1)


@jax.custom_jvp
def scale_gradient(x: Array, scale: Array) -> Array:
    """`x` itself, whose gradient arrives multiplied by `scale`, a constant as far as derivatives go.

    With `scale` the standard deviation of the component whose mean `x` is, this is the heuristic of Uria, Murray &
    Larochelle (2013): narrow components, whose means have steep gradients, take smaller steps.
    """
    del scale
    return x


@scale_gradient.defjvp
def scale_gradient_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """The tangent of `x`, scaled."""
    (x, scale), (dx, _) = primals, tangents
    return x, scale * dx
