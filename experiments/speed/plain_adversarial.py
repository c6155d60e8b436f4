"""Training steps of adversarial systems, and layers of DCGAN in the form of genjax and in that of XLA."""

import dataclasses
import functools
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from experiments.progressive_gan import PRESETS as PROGRESSIVE_GAN
from experiments.progressive_gan import sizes_of
from experiments.speed.plain_forms import Call
from genjax.core import Due, Model, init_state, make_step
from genjax.models.adversarial.dcgan import dcgan
from genjax.models.adversarial.gan import Optimizers
from genjax.models.adversarial.progressive_gan import progressive_gan
from genjax.networks.conv import LAYOUT, conv_general_dilated, conv_transpose
from genjax.training import init_seeds, iterate, seed
from genjax.types import Batch, Metrics

ADVERSARIAL_BATCH = 64
"""Number of images in a batch of an adversarial system."""

FILTERS = 32
"""Channels of the first convolution of DCGAN's discriminator."""

LAST = 10**9
"""Number of a step that is never reached: a phase that stops there runs in every step, but still compiles as a
branch."""


Layer = Callable[[Array, Array], Array]
"""Function of images and a kernel."""


def dcgan_of(side: int) -> Model:
    """Return DCGAN on grey images of `side` x `side` pixels, trained by Adam."""
    optimizers = Optimizers(*(optax.adam(2e-4, b1=0.5) for _ in range(2)))
    return dcgan((side, side, 1), optimizers=optimizers, filters=FILTERS)


def dcgan_step(side: int = 28) -> Call:
    """Return a step of both networks."""
    return adversarial_step(dcgan_of(side), side, (True, True))


def transposed_layer() -> tuple[Call, Call]:
    """Return the gradient of DCGAN's first transposed convolution, 4x4x256 to 8x8x128: ours, and by `jax.lax` alone."""
    ours = functools.partial(conv_transpose, stride=2)
    other = functools.partial(jax.lax.conv_transpose, strides=(2, 2), padding="SAME")
    return layer_gradients((4, 4, 256), (5, 5, 256, 128), ours, other)


def strided_layer() -> tuple[Call, Call]:
    """Return the gradient of DCGAN's last strided convolution, 8x8x128 to 4x4x256: ours, and by `jax.lax` alone."""
    arguments: dict[str, Any] = {"window_strides": (2, 2), "padding": "SAME", "dimension_numbers": LAYOUT}
    forms = (functools.partial(form, **arguments) for form in (conv_general_dilated, jax.lax.conv_general_dilated))
    return layer_gradients((8, 8, 128), (5, 5, 128, 256), *forms)


def layer_gradients(image_shape: tuple[int, ...], kernel_shape: tuple[int, ...], *layers: Layer) -> tuple[Call, Call]:
    """Return for each of two forms of a layer the gradients of a sum of squares by the images and by the kernel."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(ADVERSARIAL_BATCH, *image_shape)), jnp.float32)
    kernel = jnp.asarray(0.02 * rng.normal(size=kernel_shape), jnp.float32)

    def gradients(layer: Layer) -> Call:
        both = jax.jit(jax.grad(lambda x, kernel: (layer(x, kernel) ** 2).sum(), argnums=(0, 1)))
        return lambda: both(x, kernel)

    ours, other = layers
    return gradients(ours), gradients(other)


def branched_step(side: int = 28) -> Call:
    """Return DCGAN's step in a program that has each phase as a branch."""
    model = dcgan_of(side)
    phases = tuple(phase._replace(stop=LAST) for phase in model.phases)
    return adversarial_step(model._replace(phases=phases), side, None)


def level_step(level: int, *, side: int = 28) -> Call:
    """Return a step of Progressive GAN with the networks of its `small` preset, on images of a complete level."""
    sizes = sizes_of(PROGRESSIVE_GAN["small"])
    optimizers = Optimizers(*(optax.adam(1e-3, b1=0.0, b2=0.99) for _ in range(2)))
    model = progressive_gan((side, side, 1), optimizers=optimizers, sizes=sizes)
    images = random_images(sizes.start * 2**level)
    batch = {"image": images, "depth": jnp.full(ADVERSARIAL_BATCH, level, jnp.float32)}
    return batch_step(model, batch, (True, True))


def system_step(name: str) -> Call:
    """Return two steps of an experiment's `quick` preset with batches of `ADVERSARIAL_BATCH`, as after its last step.

    A call does two steps, since a network may be updated in every second step only. The data are those of the preset,
    the embedded digits.
    """
    module = importlib.import_module(f"experiments.{name}")
    quick = module.PRESETS["quick"]
    run = dataclasses.replace(quick.run, batch_size=ADVERSARIAL_BATCH)
    experiment = getattr(module, name)(dataclasses.replace(quick, run=run))
    feed = experiment.training_feed((0,), ADVERSARIAL_BATCH)
    state = seed(init_seeds(experiment.model, feed, (0,)), 0)._replace(step=jnp.asarray(run.steps, jnp.int32))
    training = iterate(experiment.model, feed, state, LAST)

    def call() -> Metrics:
        next(training)
        return next(training)[2]

    return call


def random_images(side: int) -> Float[Array, "batch side side 1"]:
    """Return a batch of square images of noise."""
    return jnp.asarray(np.random.default_rng(0).random((ADVERSARIAL_BATCH, side, side, 1)), jnp.float32)


def adversarial_step(model: Model, side: int, due: Due | None) -> Call:
    """Return a training step on images of noise, which returns the losses of both networks."""
    return batch_step(model, {"image": random_images(side)}, due)


def batch_step(model: Model, batch: Batch, due: Due | None) -> Call:
    """Return a training step that is repeated on one batch, and returns the losses of both networks."""
    step = jax.jit(make_step(model.phases, due), donate_argnums=0)
    state = [jax.jit(functools.partial(init_state, model))(jax.random.key(0), batch)]

    def call() -> tuple[Array, Array]:
        state[0], metrics = step(state[0], batch)
        return metrics["discriminator/loss"], metrics["generator/loss"]

    return call
