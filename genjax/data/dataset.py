"""Data set as a value: three splits, the function from raw examples to a batch, and a hash that identifies the data."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from einops import reduce
from jax import Array

from genjax.errors import ArgumentError
from genjax.types import Batch, Key

Examples = Mapping[str, np.ndarray]
"""Raw examples with a leading axis: image [N, H, W, C] (uint8, or float in [0, 1]), and label [N] (int32) if known."""

Load = Callable[[Mapping[str, Array], Key], Batch]
"""Function of (raw examples, key) that returns a batch on the device: scaled to [0, 1], then binarized under the
key."""

IN_MEMORY_BYTES = 2**30
"""Largest decoded data set, in bytes, that is held in memory; larger data sets stay on the disk and are read by
index."""

CHUNK_BYTES = 2**23
"""Number of bytes that are read at a time when a data set is loaded into memory."""


class DataError(ValueError):
    """Error for stored data that prove to be damaged when they are read."""


class Split(NamedTuple):
    """Part of a data set."""

    size: int
    """Number of examples."""
    read: Callable[[np.ndarray], Examples]
    """Function that returns the examples at the given indices."""
    arrays: Examples | None
    """All examples, if they are held in memory, else None."""

    def first(self) -> Examples:
        """Return the first example, with its leading axis of length one."""
        return self.read(np.zeros(1, np.int64))


def read_batch(split: Split, indices: np.ndarray, load: Load) -> Batch:
    """Return the examples at the indices as a batch, under the key of seed 0."""
    return jax.jit(load)(dict(split.read(indices)), jax.random.key(0))


class Source(NamedTuple):
    """Data set as it is stored: grey or colour values, before any binarization."""

    name: str
    train: Split
    validation: Split
    test: Split
    sha256: str
    """Hash of the stored data; see `Dataset.sha256`."""


class Dataset(NamedTuple):
    """Images in three splits."""

    name: str
    protocol: str
    """How pixels are computed from the stored values: static, dynamic, threshold, levels-M or real."""
    train: Split
    validation: Split
    test: Split
    load: Load
    sha256: str
    """Hash of the decoded data before binarization (`arrays_sha256`). For data that stay on the disk it begins with
    `files:` and is a hash of the stored files (`files_sha256`)."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        image = self.train.first()["image"]
        height, width, channels = image.shape[1:]
        return height, width, channels


def resident(arrays: Examples) -> Split:
    """Return a split whose examples are all in memory."""
    return Split(len(arrays["image"]), lambda indices: {name: array[indices] for name, array in arrays.items()}, arrays)


def part(split: Split, start: int, stop: int) -> Split:
    """Return the examples from `start` to `stop` (exclusive) of a split."""
    if split.arrays is not None:
        return resident({name: array[start:stop] for name, array in split.arrays.items()})
    return Split(stop - start, lambda indices: split.read(indices + start), None)


def in_memory(split: Split) -> Split:
    """Return the split with all examples read into memory, some megabytes at a time."""
    first = split.first()
    arrays = {name: np.empty((split.size, *array.shape[1:]), array.dtype) for name, array in first.items()}
    chunk = max(1, CHUNK_BYTES // first["image"].nbytes)
    for start in range(0, split.size, chunk):
        indices = np.arange(start, min(start + chunk, split.size))
        for name, array in split.read(indices).items():
            arrays[name][indices] = array
    return resident(arrays)


def shrunk(source: Source, factor: int) -> Source:
    """Replace each block of `factor` x `factor` pixels by its mean; bytes are rounded.

    Raises ValueError if the factor is below 1 or does not divide height and width.
    """
    if factor == 1:
        return source
    height, width = source.train.first()["image"].shape[1:3]
    if factor < 1 or height % factor or width % factor:
        raise ArgumentError(
            "shrink", factor, f" must divide the height and width of {source.name!r}, {height} x {width}"
        )

    def smaller(examples: Examples) -> Examples:
        image = examples["image"]
        means = reduce(image.astype(np.float32), "n (h f) (w g) c -> n h w c", "mean", f=factor, g=factor)
        return {**examples, "image": means.round().astype(np.uint8) if image.dtype == np.uint8 else means}

    def shrink(split: Split) -> Split:
        lazy = Split(split.size, lambda indices: smaller(split.read(indices)), None)
        return lazy if split.arrays is None else in_memory(lazy)

    train, validation, test = map(shrink, (source.train, source.validation, source.test))
    name = f"{source.name}-{height // factor}x{width // factor}"
    held = [split.arrays for split in (train, validation, test) if split.arrays is not None]
    return Source(name, train, validation, test, arrays_sha256(*held) if len(held) == 3 else source.sha256)


def make_source(name: str, train: Split, validation: Split, test: Split, *, files: Mapping[str, Path]) -> Source:
    """Return the source of three splits: in memory if they fit, else on the disk and hashed by their `files`."""
    splits = (train, validation, test)
    image_bytes = train.first()["image"].nbytes
    if image_bytes * sum(split.size for split in splits) > IN_MEMORY_BYTES:
        return Source(name, *splits, files_sha256(files))
    splits = [split if split.arrays is not None else in_memory(split) for split in splits]
    return Source(name, *splits, arrays_sha256(*(split.arrays or {} for split in splits)))


def arrays_sha256(train: Examples, validation: Examples, test: Examples) -> str:
    """Return the SHA-256 of all arrays: the splits in this order, and the arrays of a split sorted by name.

    Each array's bytes (row-major) follow a line `split/name dtype shape`, such as `train/label <i4 (1297,)`.
    """
    digest = hashlib.sha256()
    for split, arrays in (("train", train), ("validation", validation), ("test", test)):
        for name, array in sorted(arrays.items()):
            digest.update(f"{split}/{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def files_sha256(files: Mapping[str, Path]) -> str:
    """Return `files:` and the SHA-256 of all files' names and digests, a fast hash for data too large to be decoded."""
    digest = hashlib.sha256()
    for name, path in files.items():
        with path.open("rb") as file:
            digest.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"files:{digest.hexdigest()}"
