"""Models small enough to follow by hand, for the tests of the machinery around models."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.core import Model, Phase
from genjax.data.dataset import resident
from genjax.data.feed import make_feed


@functools.cache
def two_players(*, every: int = 1, learning_rate: float = 0.1) -> Model:
    """Two scalars a and b: phase "first" moves a towards the batch's mean plus noise, phase "second" b towards a."""

    def init(key, batch):
        del batch
        return {"a": {"x": jax.random.normal(key)}, "b": {"x": jnp.zeros(())}}, {"seen": jnp.zeros((), jnp.int32)}

    def first(params, stats, batch, key):
        target = batch["image"].mean() + 0.1 * jax.random.normal(key)
        loss = (params["a"]["x"] - target) ** 2
        return loss, ({"target": target}, {"seen": stats["seen"] + len(batch["image"])})

    def second(params, stats, batch, key):
        del batch, key
        return (params["b"]["x"] - params["a"]["x"]) ** 2, ({}, stats)

    def evaluate(params, stats, batch, key):
        del stats, key
        return {"nll_nats": (batch["image"].mean((1, 2, 3)) - params["a"]["x"]) ** 2}

    def generate(params, stats, batch, key):
        del stats, key
        return jnp.full(batch["image"].shape, params["a"]["x"])

    optimizer = optax.sgd(learning_rate)
    phases = (Phase("first", first, ("a",), optimizer), Phase("second", second, ("b",), optimizer, every))
    return Model(init, phases, evaluate, generate)


def grey_split(size: int = 20, shape: tuple[int, int, int] = (2, 2, 1)):
    """Images of one grey each: image i is i / size everywhere."""
    greys = (np.arange(size, dtype=np.float32) / size).reshape(-1, 1, 1, 1)
    return resident({"image": np.broadcast_to(greys, (size, *shape)).copy()})


def load(raw, key):
    """The examples as they are."""
    del key
    return dict(raw)


def grey_feed(seeds=(0,), *, batch_size: int = 4, size: int = 20):
    """Batches of `grey_split`."""
    return make_feed(grey_split(size), load, seeds, batch_size)


@functools.cache
def descending() -> Model:
    """A number that is -k after k steps, and the score of which is its distance from -2: 1, 0, 1, 2, ..."""

    def init(key, batch):
        del key, batch
        return {"net": {"w": jnp.zeros(())}}, {}

    def loss(params, stats, batch, key):
        del batch, key
        return params["net"]["w"], ({}, stats)

    def evaluate(params, stats, batch, key):
        del stats, key
        return {"score": jnp.full(len(batch["image"]), jnp.abs(params["net"]["w"] + 2))}

    def generate(params, stats, batch, key):
        del params, stats, key
        return batch["image"]

    return Model(init, (Phase("only", loss, ("net",), optax.sgd(1.0)),), evaluate, generate)
