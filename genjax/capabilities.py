"""Optional capabilities of a model, each of which a single command needs.

A command finds the one it needs by its type: `experiment.capability(Translator)`, among those that the experiment
lists (`Experiment.capabilities`) and those of its model (`Model.capabilities`), as the models of genjax/factories have.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Int

from genjax.data.dataset import Dataset
from genjax.data.feed import Feed
from genjax.types import Key, Params, Stats


class Writer(NamedTuple):
    """Capability of a character model to write text."""

    write: Callable[[Params, str, float, int, Key], str]
    """(params, prompt, temperature, number of characters, key) -> the text that follows the prompt."""
    vocabulary: str | None = None
    """Characters that the model knows, sorted; None if they are not listed."""


class Captioner(NamedTuple):
    """Capability of a text-to-image model to read captions."""

    tokens: Callable[[str], Int[np.ndarray, " T"]]
    """Function from a text to its word numbers [T], a row of a batch's `caption`; ValueError if no word is known."""


class Translator(NamedTuple):
    """Capability of a model to translate images of one domain into images of another."""

    shapes: Mapping[str, tuple[int, int, int]]
    """Target domain -> shape (H, W, C) of the images that can be translated to it."""
    translate: Callable[[Params, Stats, Array, str], Array]
    """(params, stats, images [B, H, W, C] in [0, 1], target domain) -> images [B, H, W, channels] in [0, 1]."""


class Encoder(NamedTuple):
    """An encoder whose trained weights can start a classifier: params["encoder"] holds its variables."""

    module: Any
    """Linen module from images [B, H, W, C] to features [B, features]."""
    features: int
    """Number of features."""


class Feeder(NamedTuple):
    """Capability of a model to make its own training batches, such as images whose size grows during training."""

    feed: Callable[[Dataset, Sequence[int], int | None], Feed]
    """(data, seeds, batch size or None for the model's own) -> training batches; ValueError for a wrong batch size."""
    steps: int = 1
    """Number of training steps until the batches have their final form, such as images of full size."""
