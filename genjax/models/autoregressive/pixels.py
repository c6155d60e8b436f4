"""Distributions of one element of an image given its context, and the plain sampler of autoregressive models.

A model of pixels returns parameters [B, H, W, C, P] of the conditional of each element (one channel of one pixel); its
`Output` defines the P parameters. Elements are generated row by row, within a row from left to right, and within
a pixel from the first channel to the last, unless the model has its own ordering.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from genjax.errors import ArgumentError
from genjax.losses.discrete import categorical_log_prob, discretized_logistic_mixture_log_prob
from genjax.losses.likelihood import bernoulli_log_prob
from genjax.types import Key

Parameters = Float[Array, "*shape P"]
Elements = Float[Array, "*shape"]


class Output(NamedTuple):
    """Distribution of one element over the levels 0, 1 / (levels - 1), ..., 1, given by P parameters."""

    levels: int
    """Number of levels."""
    parameters: int
    """Number of parameters of one element, P."""
    log_prob: Callable[[Parameters, Elements], Elements]
    """Function from (parameters, elements) to log p of each element, in nats."""
    log_probs: Callable[[Parameters], Float[Array, "*shape levels"]]
    """Function from parameters to the normalized log p of every level, in nats."""

    @property
    def values(self) -> str:
        """Range of the elements, as named in `genjax.core.Input`."""
        return "binary" if self.levels == 2 else f"levels-{self.levels}"

    def draw(self, parameters: Parameters, uniform: Elements) -> Elements:
        """Draw by inversion: the level at which the distribution function first exceeds `uniform` in [0, 1).

        The result is NaN where a parameter is NaN.
        """
        cumulative = jnp.cumsum(jnp.exp(self.log_probs(parameters)), axis=-1)
        level = (cumulative[..., :-1] <= uniform[..., None] * cumulative[..., -1:]).sum(axis=-1)
        value = level.astype(uniform.dtype) / (self.levels - 1)
        return jnp.where(jnp.isnan(cumulative[..., -1]), jnp.nan, value)


def bernoulli() -> Output:
    """Return the Bernoulli distribution of a binary element, with its logit as the only parameter."""

    def log_probs(parameters: Parameters) -> Array:
        return jnp.concatenate([jax.nn.log_sigmoid(-parameters), jax.nn.log_sigmoid(parameters)], axis=-1)

    return Output(2, 1, lambda parameters, x: bernoulli_log_prob(parameters[..., 0], x), log_probs)


def categorical(levels: int) -> Output:
    """Return a softmax over the levels. Raises ValueError if there are fewer than two."""
    if levels < 2:
        raise ArgumentError("levels", levels, " must be at least 2")
    return Output(levels, levels, categorical_log_prob, jax.nn.log_softmax)


def logistic_mixture(levels: int, components: int) -> Output:
    """Return a mixture of discretized logistics, with 3 parameters for each component.

    Raises ValueError if there are fewer than two levels or no component.
    """
    if levels < 2 or components < 1:
        raise ArgumentError("levels", levels, f" must be at least 2, and components={components} at least 1")
    log_prob = functools.partial(discretized_logistic_mixture_log_prob, levels=levels)

    def log_probs(parameters: Parameters) -> Array:
        every = jnp.broadcast_to(jnp.arange(levels) / (levels - 1), (*parameters.shape[:-1], levels))
        return log_prob(parameters[..., None, :], every.astype(parameters.dtype))

    return Output(levels, 3 * components, log_prob, log_probs)


def element_uniforms(key: Key, images: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """Draw a random number in [0, 1) for each element.

    Image i uses the key folded with i, so that a sample does not depend on how many others are drawn.
    """
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(len(images)))
    return jax.vmap(lambda key: jax.random.uniform(key, images.shape[1:], images.dtype))(keys)


def fill_by_passes(
    conditionals: Callable[[Float[Array, "B H W C"]], Float[Array, "B H W C P"]],
    output: Output,
    key: Key,
    image: Float[Array, "B H W C"],
    known: Float[Array, "B H W C"] | None = None,
    *,
    ordering: Int[np.ndarray, " D"] | None = None,
) -> Float[Array, "B H W C"]:
    """Draw the D elements one after another, computing all conditionals anew for each: the plain sampler of D passes.

    Elements of `image` are kept where `known` is 1; `completion.prefix_or_nan` checks that such elements come first.
    `ordering[d]` is the flat index of the element drawn at position d.
    """
    shape, size = image.shape, image[0].size
    uniform = element_uniforms(key, image).reshape(-1, size)
    given = image.reshape(-1, size)
    keep = jnp.zeros_like(given) if known is None else known.reshape(-1, size)
    order = jnp.arange(size) if ordering is None else jnp.asarray(ordering)

    def element(position: Array, x: Array) -> Array:
        index = order[position]
        parameters = conditionals(x.reshape(shape)).reshape(-1, size, output.parameters)[:, index]
        value = jnp.where(keep[:, index] > 0, given[:, index], output.draw(parameters, uniform[:, index]))
        return x.at[:, index].set(value)

    return jax.lax.fori_loop(0, size, element, jnp.zeros_like(given)).reshape(shape)
