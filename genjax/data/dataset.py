"""A data set as a value: three splits, how raw examples become a batch, and what names the data exactly."""

import hashlib
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


class Source(NamedTuple):
    """A data set as it is stored: grey or colour values, before any binarization."""

    name: str
    train: Split
    validation: Split
    test: Split
    sha256: str


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
    """Of the decoded data, before binarization: `arrays_sha256`. Of the stored files, and then it starts with
    `files:`, where the data stay on the disk."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        image = self.train.read(np.zeros(1, np.int64))["image"]
        height, width, channels = image.shape[1:]
        return height, width, channels


def resident(arrays: Examples) -> Split:
    """A split whose examples all lie in memory."""
    return Split(len(arrays["image"]), lambda indices: {name: array[indices] for name, array in arrays.items()}, arrays)


def part(split: Split, start: int, stop: int) -> Split:
    """The examples `start` to `stop` (not included) of a split."""
    if split.arrays is not None:
        return resident({name: array[start:stop] for name, array in split.arrays.items()})
    return Split(stop - start, lambda indices: split.read(indices + start), None)


def in_memory(split: Split, *, chunk: int = 1000) -> Split:
    """The split with all its examples read, `chunk` at a time."""
    first = split.read(np.zeros(1, np.int64))
    arrays = {name: np.empty((split.size, *array.shape[1:]), array.dtype) for name, array in first.items()}
    for start in range(0, split.size, chunk):
        indices = np.arange(start, min(start + chunk, split.size))
        for name, array in split.read(indices).items():
            arrays[name][indices] = array
    return resident(arrays)


def arrays_sha256(train: Examples, validation: Examples, test: Examples) -> str:
    """SHA-256 of all arrays, splits in this order and names sorted.

    Before an array's bytes (row-major) stands the line `split/name dtype shape`, such as `train/label <i4 (1297,)`.
    """
    digest = hashlib.sha256()
    for split, arrays in (("train", train), ("validation", validation), ("test", test)):
        for name, array in sorted(arrays.items()):
            digest.update(f"{split}/{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def resident_source(name: str, train: Split, validation: Split, test: Split) -> Source:
    """The source of three splits that lie in memory."""
    train, validation, test = (split if split.arrays is not None else in_memory(split) for split in (train, validation, test))
    arrays = [split.arrays or {} for split in (train, validation, test)]
    return Source(name, train, validation, test, arrays_sha256(*arrays))
