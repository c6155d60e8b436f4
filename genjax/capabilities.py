"""Capabilities beyond those of every model: what a single command asks for, found by its type in an experiment.

An experiment lists what its model can do (`Experiment.capabilities`), and a command asks for the type it needs:
`experiment.capability(Translator)`. A model of genjax/factories lists its own (`Model.capabilities`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Int

from genjax.data.dataset import Dataset
from genjax.data.feed import Feed
from genjax.types import Key, Params, Stats


class Writer(NamedTuple):
    """Text from a model of characters."""

    write: Callable[[Params, str, float, int, Key], str]
    """(params, prompt, temperature, characters, key) -> the text that follows the prompt."""
    vocabulary: str | None = None
    """Characters that the model knows, sorted; None where that is not said."""


class Captioner(NamedTuple):
    """Images for a text."""

    tokens: Callable[[str], Int[np.ndarray, " T"]]
    """A text as the row of word numbers of a batch's `caption`; ValueError where no word is known."""


class Translator(NamedTuple):
    """Images of one domain from images of another."""

    shapes: Mapping[str, tuple[int, int, int]]
    """Target domain -> shape of the images that are translated to it."""
    translate: Callable[[Params, Stats, Array, str], Array]
    """(params, stats, images [B, H, W, C] in [0, 1], target domain) -> images [B, H, W, channels] in [0, 1]."""


class Encoder(NamedTuple):
    """An encoder whose trained weights can start a classifier: params["encoder"] holds its variables."""

    module: Any
    """Linen module, images [B, H, W, C] to features [B, features]."""
    features: int


class Feeder(NamedTuple):
    """Training batches that a model needs in a form of its own, such as images that grow."""

    feed: Callable[[Dataset, Sequence[int], int | None], Feed]
    """(data, seeds, batch size or None for the model's own) -> the training batches; ValueError for a wrong size."""
