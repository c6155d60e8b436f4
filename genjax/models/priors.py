"""Priors of an adversarial autoencoder: distributions that need no density, only samples."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from genjax.types import Key

Sample = Callable[[Key, int, Int[Array, " count"] | None], Float[Array, "count dimension"]]
"""(key, count, labels) -> samples: see `Prior`."""


class Prior(NamedTuple):
    """A distribution of codes, and where it has classes the distribution of each.

    `sample(key, count, labels)` gives [count, dimension]: example i is of class `labels[i]` in 0 ... classes - 1, or of
    the whole distribution where that is `classes`, the slot "unlabelled"; without labels all are of the whole. A prior
    without classes is given none.
    """

    dimension: int
    classes: int
    """0 where samples belong to no class."""
    sample: Sample


def check_prior(prior: Prior, latents: int) -> None:
    """Raise ValueError where the prior's samples are no codes of `latents` dimensions."""
    if prior.dimension != latents:
        raise ValueError(f"prior: its samples have {prior.dimension} dimensions, the code has latents={latents}")
    labels = jnp.zeros(2, jnp.int32) if prior.classes else None
    drawn = jax.eval_shape(lambda key: prior.sample(key, 2, labels), jax.random.key(0))
    if drawn.shape != (2, latents):
        raise ValueError(f"prior: two samples have the shape {drawn.shape}, codes of latents={latents} (2, {latents})")


def gaussian(dimension: int, *, std: float = 1.0) -> Prior:
    """N(0, std^2 I). Raises ValueError where `dimension` is below 1 or `std` not above 0."""
    check_positive(dimension=dimension, std=std)
    return Prior(dimension, 0, lambda key, count, _: std * jax.random.normal(key, (count, dimension)))


def uniform(dimension: int, *, limit: float = 2.0) -> Prior:
    """Uniform on [-limit, limit]^dimension. Raises ValueError where an argument is not above 0."""
    check_positive(dimension=dimension, limit=limit)
    return Prior(
        dimension,
        0,
        lambda key, count, _: jax.random.uniform(key, (count, dimension), minval=-limit, maxval=limit),
    )


def gaussian_mixture(components: int = 10, *, std: tuple[float, float] = (0.5, 0.1), distance: float = 1.4) -> Prior:
    """The petals of Makhzani et al. (2015), fig. 4: class k of K is an equal part, a Gaussian in the plane.

    Its mean lies at the angle 2 pi k / K and the given distance from 0; its standard deviations are std[0] along this
    direction and std[1] across it. Raises ValueError where an argument is not above 0.
    """
    check_positive(components=components, std=min(std), distance=distance)

    def sample(key: Key, count: int, labels: Int[Array, " count"] | None) -> Float[Array, "count 2"]:
        class_key, noise_key = jax.random.split(key)
        angle = 2 * math.pi * drawn_where_unlabelled(class_key, count, labels, components) / components
        along, across = (jax.random.normal(noise_key, (count, 2)) * jnp.asarray(std) + jnp.array([distance, 0.0])).T
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return jnp.stack([cos * along - sin * across, sin * along + cos * across], axis=-1)

    return Prior(2, components, sample)


def swiss_roll(classes: int = 10, *, radius: float = 3.0, turns: float = 2.0) -> Prior:
    """A spiral in the plane along which the classes lie one after another (Makhzani et al. 2015, fig. 4).

    u is uniform on [0, 1), and within [k / classes, (k + 1) / classes) for class k; the sample lies at the distance
    `radius` sqrt(u) from 0 and the angle 2 pi `turns` sqrt(u). Raises ValueError where an argument is not above 0.
    """
    check_positive(classes=classes, radius=radius, turns=turns)

    def sample(key: Key, count: int, labels: Int[Array, " count"] | None) -> Float[Array, "count 2"]:
        class_key, place_key = jax.random.split(key)
        k = drawn_where_unlabelled(class_key, count, labels, classes)
        root = jnp.sqrt((k + jax.random.uniform(place_key, (count,))) / classes)
        angle = 2 * math.pi * turns * root
        return radius * root[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)

    return Prior(2, classes, sample)


def drawn_where_unlabelled(
    key: Key, count: int, labels: Int[Array, " count"] | None, classes: int
) -> Int[Array, " count"]:
    """The labels, with a class drawn for each that is missing."""
    drawn = jax.random.randint(key, (count,), 0, classes)
    return drawn if labels is None else jnp.where(labels == classes, drawn, labels)


def check_positive(**arguments: float | int) -> None:
    """Raise ValueError where an argument is not above 0."""
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(f"{name}={value} must be above 0")
