"""Samples over training: a phase that draws from the model as it is, and moves nothing."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from genjax.core import Model, Phase
from genjax.pictures.figures import image_grid
from genjax.types import Batch, Key, Metrics, Params, PyTree, Scalar, Stats

KEY = 0
"""Seed of the noise, the same in every frame: what differs between two frames is the model."""


class Film(NamedTuple):
    """Samples before training and during it."""

    steps: Int[np.ndarray, " frames"]
    """Done when each frame was drawn."""
    samples: Float[np.ndarray, "frames N *shape"]


def filmed(model: Model, batch: Mapping[str, np.ndarray | jax.Array], *, frames: int, steps: int) -> Model:
    """The model with samples of itself in stats["film"]: before training, and after at most `frames` equal parts of it.

    `batch` is what it makes samples of. Raises ValueError where `frames` or `steps` is below 1.
    """
    if frames < 1 or steps < 1:
        raise ValueError(f"frames={frames} and steps={steps} must be at least 1")
    every = -(-steps // frames)

    def draw(params: Params, stats: Stats) -> jax.Array:
        like = {name: jnp.asarray(array) for name, array in batch.items()}
        return model.generate(params, stats, like, jax.random.key(KEY))

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        params, stats = model.init(key, batch)
        first = draw(params, stats)
        samples = jnp.zeros((steps // every + 1, *first.shape), first.dtype).at[0].set(first)
        return params, {**stats, "film": {"samples": samples, "every": jnp.asarray(every), "taken": jnp.asarray(1)}}

    def take(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        film: PyTree = stats["film"]
        samples = film["samples"].at[film["taken"]].set(draw(params, stats))
        taken = {**film, "samples": samples, "taken": film["taken"] + 1}
        return jnp.zeros(()), ({}, {**stats, "film": taken})

    phases = (*model.phases, Phase("film", take, (), optax.identity(), every=every))
    return model._replace(init=init, phases=phases)


def film_of(stats: Stats) -> Film:
    """What `filmed` has kept so far."""
    film = stats["film"]
    taken = int(film["taken"])
    return Film(np.arange(taken) * int(film["every"]), np.asarray(film["samples"])[:taken])


def film_rows(film: Film) -> Figure:
    """A row of images per frame, each column of one noise."""
    columns = film.samples.shape[1]
    title = f"a row each after {', '.join(map(str, film.steps))} steps"
    return image_grid(film.samples.reshape(-1, *film.samples.shape[2:]), columns=columns, title=title)
