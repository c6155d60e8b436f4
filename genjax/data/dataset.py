"""A data set as a value: three splits, how raw examples become a batch, and what names the data exactly."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jax import Array

from genjax.types import Batch, Key

Examples = Mapping[str, np.ndarray]
"""Raw examples with a leading axis: image [N, H, W, C] (uint8, or float in [0, 1]), label [N] (int32) where known."""

Load = Callable[[Mapping[str, Array], Key], Batch]
"""Raw examples to a batch, on the device: scaling to [0, 1], then binarization under the key."""


class Split(NamedTuple):
    """Part of a data set. `read` gives the examples at the given indices; `arrays` holds all of them if they fit."""

    size: int
    read: Callable[[np.ndarray], Examples]
    arrays: Examples | None


class Dataset(NamedTuple):
    """Images in three splits."""

    name: str
    protocol: str
    """How pixels are made of the stored values: static, dynamic, threshold, levels-M or real."""
    train: Split
    validation: Split
    test: Split
    load: Load
    sha256: str
    """Of the decoded data: every split's arrays in order, before binarization."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        image = self.train.read(np.zeros(1, np.int64))["image"]
        height, width, channels = image.shape[1:]
        return height, width, channels


def resident(arrays: Examples) -> Split:
    """A split whose examples all lie in memory."""
    return Split(len(arrays["image"]), lambda indices: {name: array[indices] for name, array in arrays.items()}, arrays)
