"""What all models of pixels share: the distribution of one pixel given its context, and what is known of an image.

A model of pixels gives parameters [B, H, W, C, P] of the conditional of each element, P as its `Output` says. Elements
are generated row by row, in a row from left to right, in a pixel from the first channel to the last, unless the model
has an ordering of its own.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import Float, Int

from genjax.losses.discrete import categorical_log_prob, discretized_logistic_mixture_log_prob
from genjax.losses.likelihood import bernoulli_log_prob
from genjax.types import Batch, Key

Parameters = Float[Array, "*shape P"]
Elements = Float[Array, "*shape"]


class Output(NamedTuple):
    """The distribution of one element over its levels 0, 1 / (levels - 1), ..., 1, read off P parameters."""

    levels: int
    parameters: int
    """P."""
    log_prob: Callable[[Parameters, Elements], Elements]
    """In nats, per element."""
    log_probs: Callable[[Parameters], Float[Array, "*shape levels"]]
    """Of all levels, normalized."""

    def draw(self, parameters: Parameters, uniform: Elements) -> Elements:
        """The level at which the distribution function first exceeds `uniform` in [0, 1); NaN where parameters are."""
        cumulative = jnp.cumsum(jnp.exp(self.log_probs(parameters)), axis=-1)
        level = (cumulative[..., :-1] <= uniform[..., None] * cumulative[..., -1:]).sum(axis=-1)
        value = level.astype(uniform.dtype) / (self.levels - 1)
        return jnp.where(jnp.isnan(cumulative[..., -1]), jnp.nan, value)


def bernoulli() -> Output:
    """Binary pixels: one logit."""

    def log_probs(parameters: Parameters) -> Array:
        return jnp.concatenate([jax.nn.log_sigmoid(-parameters), jax.nn.log_sigmoid(parameters)], axis=-1)

    return Output(2, 1, lambda parameters, x: bernoulli_log_prob(parameters[..., 0], x), log_probs)


def categorical(levels: int) -> Output:
    """A softmax over the levels. Raises ValueError where there are fewer than two."""
    if levels < 2:
        raise ValueError(f"levels={levels} must be at least 2")
    return Output(levels, levels, categorical_log_prob, jax.nn.log_softmax)


def logistic_mixture(levels: int, components: int) -> Output:
    """A mixture of discretized logistics: 3 parameters for each component.

    Raises ValueError where there are fewer than two levels or no component.
    """
    if levels < 2 or components < 1:
        raise ValueError(f"levels={levels} must be at least 2, and components={components} at least 1")
    log_prob = functools.partial(discretized_logistic_mixture_log_prob, levels=levels)

    def log_probs(parameters: Parameters) -> Array:
        every = jnp.broadcast_to(jnp.arange(levels) / (levels - 1), (*parameters.shape[:-1], levels))
        return log_prob(parameters[..., None, :], every.astype(parameters.dtype))

    return Output(levels, 3 * components, log_prob, log_probs)


def element_uniforms(key: Key, images: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """The random number of each element in [0, 1).

    Those of image i come of the key folded with i: a sample does not depend on how many are drawn beside it.
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
    """Elements drawn one after another, each with all conditionals computed anew: the plain sampler, D passes.

    Where `known` is 1 the element of `image` is kept; see `prefix_or_nan`. `ordering[d]` is the flat index of the
    element drawn in place d.
    """
    shape, size = image.shape, image[0].size
    uniform = element_uniforms(key, image).reshape(-1, size)
    given = image.reshape(-1, size)
    keep = jnp.zeros_like(given) if known is None else known.reshape(-1, size)
    order = jnp.arange(size) if ordering is None else jnp.asarray(ordering)

    def element(place: Array, x: Array) -> Array:
        index = order[place]
        parameters = conditionals(x.reshape(shape)).reshape(-1, size, output.parameters)[:, index]
        value = jnp.where(keep[:, index] > 0, given[:, index], output.draw(parameters, uniform[:, index]))
        return x.at[:, index].set(value)

    return jax.lax.fori_loop(0, size, element, jnp.zeros_like(given)).reshape(shape)


def prefix_or_nan(filled: Array, known_in_order: Float[Array, "B D"]) -> Array:
    """`filled` where the known elements are the first of the ordering: then what follows them is exact.

    Otherwise ValueError, or, where the values are not known yet (under `jit`), NaN.
    """
    prefix = (known_in_order[:, 1:] <= known_in_order[:, :-1]).all()
    if not isinstance(prefix, Tracer) and not prefix:
        raise ValueError(
            "known: the model completes what follows a prefix of its ordering; here a known pixel follows an unknown "
            "one"
        )
    return jnp.where(prefix, filled, jnp.nan)


def given_pixels(batch: Batch) -> tuple[Float[Array, "B H W C"], Float[Array, "B H W C"]]:
    """The image with 0 where it is not known, and `known` as 0 and 1 of its dtype; all 0 where the batch has none.

    Raises ValueError where `known` is no array of the image's shape, or holds another value than 0 and 1 (or false and
    true); where values are not known yet (under `jit`), `known` is NaN then, and so are the images that come of it.
    """
    image = batch["image"]
    if "known" not in batch:
        return jnp.zeros_like(image), jnp.zeros_like(image)
    known: Any = batch["known"]
    dtype = getattr(known, "dtype", None)
    if dtype is None or not any(jnp.issubdtype(dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating)):
        raise ValueError(f"known: {type(known).__name__} of {dtype} must be an array of 0 and 1, or of booleans")
    if known.shape != image.shape:
        raise ValueError(f"known: shape {known.shape} must be that of image, {image.shape}")
    valid = jnp.all((known == 0) | (known == 1))
    if not isinstance(valid, Tracer) and not valid:
        strange = np.asarray(known)[~np.isin(known, (0, 1))]
        raise ValueError(f"known: holds {strange.flat[0]}, and must hold 0 (not known) and 1 only")
    return jnp.where(known == 1, image, 0), jnp.where(valid, known, jnp.nan).astype(image.dtype)
