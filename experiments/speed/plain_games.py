"""Training steps of adversarial systems: DCGAN's in several forms, and those that are compared with DCGAN's."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from experiments.speed.plain_forms import Call
from genjax.core import Due, Model, init_state, make_step
from genjax.models.adversarial.dcgan import dcgan
from genjax.models.adversarial.gan import Optimizers
from genjax.models.adversarial.progressive_gan import Sizes, progressive_gan
from genjax.networks.conv import Implementation
from genjax.runs.options import experiment_function
from genjax.training import init_seeds, iterate, seed
from genjax.types import Batch, Metrics

GAME_BATCH = 64
"""Images in a batch."""

FILTERS = 32
LAST = 10**9
"""A step that is never reached: a phase that stops there moves in every step, but its program cannot know."""


def dcgan_of(side: int, implementation: Implementation) -> Model:
    """DCGAN on grey images of this side, with Adam."""
    optimizers = Optimizers(*(optax.adam(2e-4, b1=0.5) for _ in range(2)))
    return dcgan((side, side, 1), optimizers=optimizers, filters=FILTERS, implementation=implementation)


def dcgan_step(implementation: Implementation = "auto", *, side: int = 28) -> Call:
    """A step of both players with one form of the transposed convolutions."""
    return game_step(dcgan_of(side, implementation), side, (True, True))


def branched_step(side: int = 28) -> Call:
    """The same step where each phase is a branch of the program."""
    model = dcgan_of(side, "auto")
    phases = tuple(phase._replace(stop=LAST) for phase in model.phases)
    return game_step(model._replace(phases=phases), side, None)


def level_step(level: int, *, side: int = 28) -> Call:
    """A step of Progressive GAN, with the networks of its `small`, on images of a level that is all there."""
    preset = importlib.import_module("experiments.progressive_gan").PRESETS["small"]
    sizes = Sizes(*(preset[name] for name in ("start", "latents", "maps", "maps_times_side")))
    optimizers = Optimizers(*(optax.adam(1e-3, b1=0.0, b2=0.99) for _ in range(2)))
    model = progressive_gan((side, side, 1), optimizers=optimizers, sizes=sizes)
    images = random_images(sizes.start * 2**level)
    return batch_step(model, {"image": images, "depth": jnp.full(GAME_BATCH, level, jnp.float32)}, (True, True))


def system_step(name: str) -> Call:
    """Two steps of an experiment's `quick`, with batches of `GAME_BATCH`, after the last of that preset.

    Two, since a player may move in every second one. Data are the embedded digits, as the preset has them.
    """
    preset = dict(importlib.import_module(f"experiments.{name}").PRESETS["quick"])
    run = dataclasses.replace(preset["run"], batch_size=GAME_BATCH)
    experiment = experiment_function(name)(**{**preset, "run": run})
    feed = experiment.training_feed((0,), GAME_BATCH)
    state = seed(init_seeds(experiment.model, feed, (0,)), 0)._replace(step=jnp.asarray(run.steps, jnp.int32))
    training = iterate(experiment.model, feed, state, LAST)

    def call() -> Metrics:
        next(training)
        return next(training)[2]

    return call


def random_images(side: int) -> Float[Array, "batch side side 1"]:
    """Grey noise."""
    return jnp.asarray(np.random.default_rng(0).random((GAME_BATCH, side, side, 1)), jnp.float32)


def game_step(model: Model, side: int, due: Due | None) -> Call:
    """A training step; its result are the players' losses."""
    return batch_step(model, {"image": random_images(side)}, due)


def batch_step(model: Model, batch: Batch, due: Due | None) -> Call:
    """A training step on one batch, again and again."""
    step = jax.jit(make_step(model.phases, due), donate_argnums=0)
    memory = [init_state(model, jax.random.key(0), batch)]

    def call() -> tuple[Array, Array]:
        memory[0], metrics = step(memory[0], batch)
        return metrics["discriminator/loss"], metrics["generator/loss"]

    return call
