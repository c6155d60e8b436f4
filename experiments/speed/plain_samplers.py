"""Samplers of pixel models, plain samplers that recompute all conditionals per pixel, and training steps by size."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.speed.plain_forms import Call
from genjax.core import Model, init_state, make_step
from genjax.models.autoregressive import pixel_cnn, pixel_rnn
from genjax.models.autoregressive.pixels import bernoulli, fill_by_passes

SIDES = (8, 16, 28)
"""Sides in pixels of the images of the growth table."""

IMAGES = 16
"""Number of images that one call of a sampler draws, and in a batch of the growth table."""

OUTPUT = bernoulli()
PIXEL_CNN: Any = {"features": 32, "blocks": 15}
PIXEL_RNN: Any = {"features": 16, "layers": 2}


def pixel_cnn_of(side: int) -> Model:
    """Return PixelCNN without gates on square binary images."""
    return pixel_cnn.pixel_cnn((side, side, 1), output=OUTPUT, **PIXEL_CNN)


def pixel_rnn_of(side: int, layer: pixel_rnn.Layer) -> Model:
    """Return PixelRNN on square binary images."""
    return pixel_rnn.pixel_rnn((side, side, 1), layer=layer, output=OUTPUT, **PIXEL_RNN)


GROWING: dict[str, Callable[[int], Model]] = {
    "PixelCNN": pixel_cnn_of,
    "Row LSTM": lambda side: pixel_rnn_of(side, "row"),
    "Diagonal BiLSTM": lambda side: pixel_rnn_of(side, "diagonal"),
}
"""Functions that return the models of the growth table for a side n; a pass takes 1, n and 2 n - 1 sequential steps."""


def samplers_of(model: Model, conditionals: Callable[[Any, Array], Array], side: int) -> tuple[Call, Call]:
    """Return the sampler of the model, and a plain sampler that computes all `conditionals` for each pixel."""
    images, key = jnp.zeros((IMAGES, side, side, 1)), jax.random.key(0)
    params, stats = jax.jit(model.init)(key, {"image": images})
    generate = jax.jit(lambda params: model.generate(params, stats, {"image": images}, key))
    plain = jax.jit(lambda params: fill_by_passes(lambda x: conditionals(params, x), OUTPUT, key, images))
    return lambda: generate(params), lambda: plain(params)


def pixel_cnn_samplers(side: int = SIDES[-1]) -> tuple[Call, Call]:
    """Return both samplers, genjax's and the plain one, of PixelCNN without gates, with 15 blocks of 32 features."""
    networks = pixel_cnn.make_networks(1, OUTPUT, gated=False, **PIXEL_CNN)
    return samplers_of(pixel_cnn_of(side), lambda params, x: pixel_cnn.conditionals(networks, params, x, None), side)


def pixel_rnn_samplers(layer: pixel_rnn.Layer, side: int = SIDES[-1]) -> tuple[Call, Call]:
    """Return both samplers, genjax's and the plain one, of PixelRNN with two layers of 16 features."""
    network = pixel_rnn.make_network(1, OUTPUT, layer=layer, **PIXEL_RNN)
    center = np.zeros((side, side, 1), np.float32)
    return samplers_of(
        pixel_rnn_of(side, layer), lambda params, x: pixel_rnn.conditionals(network, params, center, x), side
    )


def growth_step(model: Model, side: int) -> Call:
    """Return a training step on images of `side` pixels."""
    batch = {"image": jnp.asarray(np.random.default_rng(0).random((IMAGES, side, side, 1)) < 0.13, jnp.float32)}
    step = jax.jit(make_step(model.phases), donate_argnums=0)
    state = [jax.jit(functools.partial(init_state, model))(jax.random.key(0), batch)]

    def call() -> Array:
        state[0], metrics = step(state[0], batch)
        return metrics["likelihood/loss"]

    return call
