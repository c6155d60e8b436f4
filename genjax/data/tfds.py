"""Image sets of TensorFlow Datasets, read without TensorFlow."""

import difflib
import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genjax.data.dataset import Examples, Source, Split, in_memory, part, resident_source

IN_MEMORY_BYTES = 2**30
"""Sets that are larger decoded stay on the disk, and are read by index."""


def tfds_images(name: str, data_dir: Path | None) -> Source:
    """The TFDS set `name` (TFDS's words: "mnist", "mnist:3.0.1", "set/config"), labels too where it has them.

    Without a validation split the last sixth of the training split is held out; without a test split, before that, too.
    Where the data stay on the disk, `sha256` is of the prepared record files: "files:" and the digest of their bytes.
    """
    builder = prepared_builder(name, data_dir)
    features = image_features(name, builder)
    splits = three_splits(name, {split: records(name, builder, split, features) for split in builder.info.splits})
    if decoded_bytes(builder) <= IN_MEMORY_BYTES:
        return resident_source(name, *splits)
    return Source(name, *splits, files_sha256(builder))


def prepared_builder(name: str, data_dir: Path | None) -> Any:
    import tensorflow_datasets as tfds  # slow to import

    return tfds.builder(name, data_dir=data_dir)


def image_features(name, builder):
    return tuple(f for f in ("image", "label") if f in builder.info.features)


def decoded_bytes(builder: Any) -> int:
    """Bytes of all images in memory."""
    image = builder.info.features["image"]
    size = sum(split.num_examples for split in builder.info.splits.values())
    return size * int(np.prod(image.shape)) * np.dtype(image.np_dtype).itemsize


def records(name: str, builder: Any, split: str, features: tuple[str, ...]) -> Split:
    """One split, read and decoded by index."""
    source = builder.as_data_source(split=split)

    def read(indices: np.ndarray) -> Examples:
        rows = source.__getitems__(indices.tolist())
        image = np.stack([row["image"] for row in rows])
        if "label" not in features:
            return {"image": image}
        return {"image": image, "label": np.asarray([row["label"] for row in rows], np.int32)}

    return Split(len(source), read, None)


def three_splits(name: str, splits: Mapping[str, Split]) -> tuple[Split, Split, Split]:
    """Train, validation and test; what is missing is the last sixth of the training split."""
    if "train" not in splits:
        raise ValueError(f"dataset={name!r}: needs a split named train, has {', '.join(splits)}")
    train, test = (splits["train"], splits["test"]) if "test" in splits else last_sixth(splits["train"])
    if "validation" in splits:
        return train, splits["validation"], test
    return *last_sixth(train), test


def last_sixth(split: Split) -> tuple[Split, Split]:
    """A split without its last sixth, and that."""
    start = split.size - split.size // 6
    return part(split, 0, start), part(split, start, split.size)
