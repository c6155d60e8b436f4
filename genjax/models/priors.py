"""Priors of latent codes: distributions that need no density, only samples."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from genjax.errors import check_positive
from genjax.types import Key

Sample = Callable[[Key, int, Int[Array, " count"] | None], Float[Array, "count dimension"]]
"""(key, count, labels) -> samples, as described at `Prior`."""


DTYPE = jnp.float32
"""Type of drawn noise, also where JAX's own is float64: networks with float32 parameters then stay in float32."""


class Prior(NamedTuple):
    """Distribution of codes, which may be divided into classes.

    `sample(key, count, labels)` returns samples [count, dimension]. Sample i is drawn from class `labels[i]` in
    0 ... classes - 1, or from all classes where `labels[i]` is `classes`, which means unlabelled; without labels all
    samples are drawn from all classes. A prior without classes must be given no labels.
    """

    dimension: int
    """Dimension of a sample."""
    classes: int
    """Number of classes; 0 where samples belong to no class."""
    sample: Sample
    """Function that draws samples: (key, count, labels) -> [count, dimension]."""


def check_prior(prior: Prior, latents: int) -> None:
    """Raise ValueError if the prior's samples are not codes of `latents` dimensions."""
    if prior.dimension != latents:
        raise ValueError(f"prior: its samples have {prior.dimension} dimensions, the code has latents={latents}")
    labels = jnp.zeros(2, jnp.int32) if prior.classes else None
    drawn = jax.eval_shape(lambda key: prior.sample(key, 2, labels), jax.random.key(0))
    if drawn.shape != (2, latents):
        raise ValueError(f"prior: two samples have the shape {drawn.shape}, codes of latents={latents} (2, {latents})")


def gaussian(dimension: int, *, std: float = 1.0) -> Prior:
    """Return the Gaussian prior N(0, std^2 I). Raises ValueError if `dimension` is below 1 or `std` not above 0."""
    check_positive(dimension=dimension, std=std)
    return Prior(dimension, 0, lambda key, count, _: std * jax.random.normal(key, (count, dimension), DTYPE))


def uniform(dimension: int, *, limit: float = 2.0) -> Prior:
    """Return the uniform prior on [-limit, limit]^dimension. Raises ValueError if an argument is not above 0."""
    check_positive(dimension=dimension, limit=limit)
    return Prior(
        dimension,
        0,
        lambda key, count, _: jax.random.uniform(key, (count, dimension), DTYPE, minval=-limit, maxval=limit),
    )


def gaussian_mixture(components: int = 10, *, std: tuple[float, float] = (0.5, 0.1), distance: float = 1.4) -> Prior:
    """Return a mixture of K Gaussians in the plane, arranged like petals, one per class (Makhzani et al. 2015, fig. 4).

    The mean of class k lies at the angle 2 pi k / K and the given distance from 0; the standard deviations are std[0]
    along this direction and std[1] across it. Raises ValueError if an argument is not above 0.
    """
    check_positive(components=components, std=min(std), distance=distance)

    def sample(key: Key, count: int, labels: Int[Array, " count"] | None) -> Float[Array, "count 2"]:
        class_key, noise_key = jax.random.split(key)
        angle = 2 * math.pi * drawn_where_unlabelled(class_key, count, labels, components) / components
        noise = jax.random.normal(noise_key, (count, 2), DTYPE)
        along, across = (noise * jnp.asarray(std, DTYPE) + jnp.array([distance, 0.0], DTYPE)).T
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return jnp.stack([cos * along - sin * across, sin * along + cos * across], axis=-1)

    return Prior(2, components, sample)


def swiss_roll(classes: int = 10, *, radius: float = 3.0, turns: float = 2.0) -> Prior:
    """Return a Swiss roll, a spiral in the plane with one class after another along it (Makhzani et al. 2015, fig. 4).

    A sample lies at the distance `radius` sqrt(u) from 0 and the angle 2 pi `turns` sqrt(u), with u uniform on [0, 1),
    or on [k / classes, (k + 1) / classes) for class k. Raises ValueError if an argument is not above 0.
    """
    check_positive(classes=classes, radius=radius, turns=turns)

    def sample(key: Key, count: int, labels: Int[Array, " count"] | None) -> Float[Array, "count 2"]:
        class_key, position_key = jax.random.split(key)
        k = drawn_where_unlabelled(class_key, count, labels, classes)
        root = jnp.sqrt((k + jax.random.uniform(position_key, (count,), DTYPE)) / classes)
        angle = 2 * math.pi * turns * root
        return radius * root[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)

    return Prior(2, classes, sample)


def drawn_where_unlabelled(
    key: Key, count: int, labels: Int[Array, " count"] | None, classes: int
) -> Int[Array, " count"]:
    """Return the labels, with a class drawn for each example without one."""
    drawn = jax.random.randint(key, (count,), 0, classes)
    return drawn if labels is None else jnp.where(labels == classes, drawn, labels)
