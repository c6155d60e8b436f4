"""Training steps of DCGAN: both forms of its transposed convolutions, and its phases as branches of one program."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.plain_forms import Call
from genjax.core import Due, Model, init_state, make_step
from genjax.models.adversarial.dcgan import dcgan
from genjax.models.adversarial.gan import Optimizers
from genjax.networks.conv import Implementation

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


def game_step(model: Model, side: int, due: Due | None) -> Call:
    """A training step; its result are the players' losses."""
    batch = {"image": jnp.asarray(np.random.default_rng(0).random((GAME_BATCH, side, side, 1)), jnp.float32)}
    step = jax.jit(make_step(model.phases, due), donate_argnums=0)
    memory = [init_state(model, jax.random.key(0), batch)]

    def call() -> tuple[Array, Array]:
        memory[0], metrics = step(memory[0], batch)
        return metrics["discriminator/loss"], metrics["generator/loss"]

    return call
