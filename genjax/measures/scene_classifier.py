"""Classifier of scenes (genjax/data/scenes.py), which predicts the digit at each position, its colour and its size."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from genjax.core import Input, Model, Phase, with_inputs
from genjax.data.scene_grammar import COLOUR, COLOURS, DIGIT, DIGITS, NOTHING, PLACE, PLACES, SIZE, SIZES
from genjax.networks.bound import bind, init_networks
from genjax.networks.conv_stacks import ConvEncoder
from genjax.types import Batch, Key, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Objects = Int[Array, "batch 2 4"]
Logits = dict[int, Float[Array, "batch positions _"]]
"""Logits of the digit (or none), the colour and the size at each position, by column of `objects`."""

EMPTY = len(DIGITS)
"""Number of the class of positions without a digit."""

WIDTHS = {DIGIT: EMPTY + 1, COLOUR: len(COLOURS), SIZE: len(SIZES)}
"""Number of classes for each column of `objects`."""


class SceneClassifier(nn.Module):
    """Convolutional classifier that predicts the objects at all positions of a scene."""

    channels: Sequence[int]
    """Channels of each convolution, all of stride 2."""
    features: int
    """Width of the dense layer after the convolutions."""

    @nn.compact
    def __call__(self, images: Images) -> Logits:
        """Return the logits of the objects at all positions of the images."""
        features = ConvEncoder(tuple(self.channels), self.features, name="body")(images)
        return {
            column: nn.Dense(len(PLACES) * width, name=f"column_{column}")(features).reshape(-1, len(PLACES), width)
            for column, width in WIDTHS.items()
        }


class Networks(NamedTuple):
    """Network of the model; the name of the field is also the name of its parameters."""

    reader: nn.Module


def scene_model(
    *, optimizer: optax.GradientTransformation, channels: Sequence[int] = (32, 64), features: int = 256
) -> Model:
    """Return a classifier of scenes, trained on `image` and `objects` [B, 2, 4] of the batch by its cross-entropy.

    `evaluate` returns cross_entropy_nats, summed over positions; `generate` returns the most likely objects [B, 2, 4],
    in the layout of `Scenes`. The sides of the images must be multiples of 2 to the power of the number of `channels`.
    """
    networks = Networks(SceneClassifier(tuple(channels), features))

    def losses(params: Params, batch: Batch) -> Float[Array, " batch"]:
        return cross_entropy(bind(networks, params, {}).reader(batch["image"]), batch["objects"])

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        return losses(params, batch).mean(), ({}, stats)

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Objects:
        return most_likely(bind(networks, params, {}).reader(batch["image"]))

    model = Model(
        init=lambda key, batch: (init_networks(networks, key, reader=(batch["image"],))[0], {}),
        phases=(Phase("reading", loss, ("reader",), optimizer),),
        evaluate=lambda params, stats, batch, key: {"cross_entropy_nats": losses(params, batch)},
        generate=generate,
    )
    return with_inputs(model, objects=Input((2, 4), "real"))


def at_positions(objects: Objects) -> Int[Array, "batch positions 4"]:
    """Return the object at each position: digit, colour, size and position; `EMPTY` and zeros at an empty position."""
    here = (objects[:, None, :, PLACE] == jnp.arange(len(PLACES))[:, None]) & (objects[:, None, :, DIGIT] != NOTHING)
    found = jnp.where(here[..., None], objects[:, None], 0).sum(axis=2)
    return found.at[..., DIGIT].set(jnp.where(here.any(axis=2), found[..., DIGIT], EMPTY))


def cross_entropy(logits: Logits, objects: Objects) -> Float[Array, " batch"]:
    """Return the summed cross-entropy of the digit (or none) at each position, and of colour and size at each digit."""
    truth = at_positions(objects)
    there = truth[..., DIGIT] != EMPTY
    parts = [
        optax.softmax_cross_entropy_with_integer_labels(logits[column], truth[..., column])
        * (1 if column == DIGIT else there)
        for column in WIDTHS
    ]
    return sum(parts[1:], start=parts[0]).sum(axis=1)


def most_likely(logits: Logits) -> Objects:
    """Return the most likely objects of each scene, each with its most probable digit, colour and size.

    The first object is at the position where an object is most probable, the second at the next most probable position,
    if its probability there is above 1/2.
    """
    presence = 1 - jax.nn.softmax(logits[DIGIT])[..., EMPTY]
    positions = jnp.argsort(-presence, axis=1)[:, :2]
    digit_logits = logits[DIGIT][..., :EMPTY]
    columns = {DIGIT: digit_logits, COLOUR: logits[COLOUR], SIZE: logits[SIZE]}
    best = {column: jnp.take_along_axis(values.argmax(-1), positions, axis=1) for column, values in columns.items()}
    objects = jnp.stack([best[DIGIT], best[COLOUR], best[SIZE], positions], axis=-1)
    there = jnp.take_along_axis(presence, positions, axis=1) > 0.5
    return jnp.where(there.at[:, 0].set(True)[..., None], objects, NOTHING).astype(jnp.int32)
