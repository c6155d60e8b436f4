"""A network that reads scenes (genjax/data/scenes.py): for each place which digit stands there, its colour and size."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from genjax.core import Model, Phase
from genjax.data.scenes import COLOUR, COLOURS, DIGIT, DIGITS, NOTHING, PLACE, PLACES, SIZE, SIZES
from genjax.networks.conv import ConvEncoder
from genjax.types import Batch, Key, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Objects = Int[Array, "batch 2 4"]

EMPTY = len(DIGITS)
"""The class of a place where no digit stands."""

WIDTHS = {DIGIT: EMPTY + 1, COLOUR: len(COLOURS), SIZE: len(SIZES)}
"""Classes of what is read at each place."""


class Reader(nn.Module):
    """Logits of what stands at each place."""

    channels: Sequence[int]
    features: int

    @nn.compact
    def __call__(self, images: Images) -> dict[int, Float[Array, "batch places _"]]:
        """By column of `objects`: of the digit (or none), its colour and its size."""
        features = ConvEncoder(tuple(self.channels), self.features, name="body")(images)
        return {
            column: nn.Dense(len(PLACES) * width, name=f"column_{column}")(features).reshape(-1, len(PLACES), width)
            for column, width in WIDTHS.items()
        }


def scene_reader(
    *, optimizer: optax.GradientTransformation, channels: Sequence[int] = (32, 64), features: int = 256
) -> Model:
    """A classifier of scenes, trained on `image` and `objects` [B, 2, 4] of the batch by its cross-entropy.

    `evaluate` gives cross_entropy_nats, summed over places; `generate` the objects that it reads, [B, 2, 4] as they
    stand in scenes. The sides of the images must be multiples of 2 to the power of the number of `channels`.
    """
    network = Reader(tuple(channels), features)

    def losses(params: Params, batch: Batch) -> Float[Array, " batch"]:
        logits: Any = network.apply(params["reader"], batch["image"])
        return cross_entropy(logits, batch["objects"])

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        return losses(params, batch).mean(), ({}, stats)

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Objects:
        logits: Any = network.apply(params["reader"], batch["image"])
        return read(logits)

    return Model(
        init=lambda key, batch: ({"reader": network.init(key, batch["image"])}, {}),
        phases=(Phase("reading", loss, ("reader",), optimizer),),
        evaluate=lambda params, stats, batch, key: {"cross_entropy_nats": losses(params, batch)},
        generate=generate,
    )


def at_places(objects: Objects) -> Int[Array, "batch places 4"]:
    """What stands at each place: digit (`EMPTY` where none does), colour, size and place; 0 in the rest of it."""
    here = (objects[:, None, :, PLACE] == jnp.arange(len(PLACES))[:, None]) & (objects[:, None, :, DIGIT] != NOTHING)
    found = jnp.where(here[..., None], objects[:, None], 0).sum(axis=2)
    return found.at[..., DIGIT].set(jnp.where(here.any(axis=2), found[..., DIGIT], EMPTY))


def cross_entropy(logits: dict[int, Float[Array, "batch places _"]], objects: Objects) -> Float[Array, " batch"]:
    """Of the digit or its absence at every place, and of colour and size where one stands; summed."""
    truth = at_places(objects)
    there = truth[..., DIGIT] != EMPTY
    parts = [
        optax.softmax_cross_entropy_with_integer_labels(logits[column], truth[..., column])
        * (1 if column == DIGIT else there)
        for column in WIDTHS
    ]
    return sum(parts[1:], start=parts[0]).sum(axis=1)


def read(logits: dict[int, Float[Array, "batch places _"]]) -> Objects:
    """The objects of each scene: the place that is surest to have one, and the next one if it is more likely than not.

    Each with its most probable digit, colour and size.
    """
    presence = 1 - jax.nn.softmax(logits[DIGIT])[..., EMPTY]
    places = jnp.argsort(-presence, axis=1)[:, :2]
    digit_logits = logits[DIGIT][..., :EMPTY]
    columns = {DIGIT: digit_logits, COLOUR: logits[COLOUR], SIZE: logits[SIZE]}
    best = {column: jnp.take_along_axis(values.argmax(-1), places, axis=1) for column, values in columns.items()}
    objects = jnp.stack([best[DIGIT], best[COLOUR], best[SIZE], places], axis=-1)
    there = jnp.take_along_axis(presence, places, axis=1) > 0.5
    return jnp.where(there.at[:, 0].set(True)[..., None], objects, NOTHING).astype(jnp.int32)
