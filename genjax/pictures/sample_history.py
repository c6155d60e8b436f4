"""Sample history: samples drawn during training, by a phase that changes no network."""

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

SEED = 0
"""Seed of the noise, which is the same for all samples: two rows of the history differ by the model alone."""

NAME = "film"
"""Name of the phase, and of its entry in `stats`: a part of every checkpoint, which must not change."""


class SampleHistory(NamedTuple):
    """Samples that one model drew during its training."""

    steps: Int[np.ndarray, " times"]
    """Training steps done when the samples were drawn; the first is 0."""
    samples: Float[np.ndarray, "times N *shape"]
    """N samples for each of these steps, from the same noise."""


def with_sample_history(model: Model, batch: Mapping[str, np.ndarray | jax.Array], *, frames: int, steps: int) -> Model:
    """Return the model with a sample history: samples before training, and after each of `frames` equal parts of it.

    The samples are `model.generate` of `batch` and lie in `stats`; a training of `steps` steps has at most `frames`
    parts. Raises ValueError if `frames` or `steps` is below 1.
    """
    if frames < 1 or steps < 1:
        raise ValueError(f"frames={frames} and steps={steps} must be at least 1")
    every = -(-steps // frames)

    def draw(params: Params, stats: Stats) -> jax.Array:
        like = {name: jnp.asarray(array) for name, array in batch.items()}
        return model.generate(params, stats, like, jax.random.key(SEED))

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        params, stats = model.init(key, batch)
        first = draw(params, stats)
        samples = jnp.zeros((steps // every + 1, *first.shape), first.dtype).at[0].set(first)
        return params, {**stats, NAME: {"samples": samples, "every": jnp.asarray(every), "taken": jnp.asarray(1)}}

    def take(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        history: PyTree = stats[NAME]
        samples = history["samples"].at[history["taken"]].set(draw(params, stats))
        longer = {**history, "samples": samples, "taken": history["taken"] + 1}
        return jnp.zeros(()), ({}, {**stats, NAME: longer})

    phases = (*model.phases, Phase(NAME, take, (), optax.identity(), every=every))
    return model._replace(init=init, phases=phases)


def has_sample_history(stats: Stats) -> bool:
    """Whether these are statistics of a model made by `with_sample_history`."""
    return NAME in stats


def sample_history(stats: Stats) -> SampleHistory:
    """Return the samples that a model made by `with_sample_history` has drawn so far."""
    history = stats[NAME]
    taken = int(history["taken"])
    return SampleHistory(np.arange(taken) * int(history["every"]), np.asarray(history["samples"])[:taken])


def sample_history_figure(history: SampleHistory) -> Figure:
    """Draw the images of a history: one row for each step, one column for each noise vector."""
    columns = history.samples.shape[1]
    title = f"rows: samples after {', '.join(map(str, history.steps))} steps"
    return image_grid(history.samples.reshape(-1, *history.samples.shape[2:]), columns=columns, title=title)
