"""Capabilities beyond those of every model, each needed by a single command.

An experiment lists the capabilities of its model (`Experiment.capabilities`), and a command finds the one it needs by
its type: `experiment.capability(Translator)`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Int

from genjax.types import Key, Params, Stats


class Writer(NamedTuple):
    """Writing text with a model of characters."""

    write: Callable[[Params, str, float, int, Key], str]
    """(params, prompt, temperature, number of characters, key) -> the text that follows the prompt."""


class Captioner(NamedTuple):
    """Drawing images for a text."""

    tokens: Callable[[str], Int[np.ndarray, " T"]]
    """Text -> word numbers, one row of a batch's `caption`; ValueError if no word is known."""


class Translator(NamedTuple):
    """Translating images of one domain into images of another."""

    shapes: Mapping[str, tuple[int, int, int]]
    """Target domain -> shape (H, W, C) of the images that can be translated to it."""
    translate: Callable[[Params, Stats, Array, str], Array]
    """(params, stats, images [B, H, W, C] in [0, 1], target domain) -> images [B, H, W, channels] in [0, 1]."""


class Encoder(NamedTuple):
    """An encoder whose trained weights can start a classifier: params["encoder"] holds its variables."""

    module: Any
    """Linen module, images [B, H, W, C] to features [B, features]."""
    features: int
