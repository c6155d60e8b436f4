"""Labels of a data set, and data with few known labels."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from genjax.data.dataset import Dataset, Split, resident
from genjax.data.feed import Feed
from genjax.errors import ArgumentError
from genjax.shuffle import permutation
from genjax.types import Batch, Key, PyTree

CHUNK = 1000
"""Number of examples that are read at a time."""


def labels_of(split: Split, name: str = "label") -> Int[np.ndarray, " N"]:
    """Return the labels of all examples, or the array called `name`. Raises ValueError if there is none."""
    if name not in split.first():
        raise ValueError(f"{name}: the data have no {name if name != 'label' else 'labels'}")
    if split.arrays is not None:
        return split.arrays[name]
    starts = range(0, split.size, CHUNK)
    return np.concatenate([split.read(np.arange(i, min(i + CHUNK, split.size)))[name] for i in starts])


def has_labels(data: Dataset) -> bool:
    """Return whether the examples have labels."""
    return "label" in data.train.first()


def class_count(data: Dataset) -> int:
    """Return the number of classes: the greatest label of the training split plus one, or 0 without labels.

    Raises ValueError if a label is below 0, or if images in memory are of a class beyond those of the training.
    """
    if not has_labels(data):
        return 0
    labels = labels_of(data.train)
    check_classes(labels)
    count = 1 + int(labels.max())
    for name, split in (("validation", data.validation), ("test", data.test)):
        if split.arrays is not None and (greatest := split.arrays["label"].max()) >= count:
            raise ValueError(
                f"{data.name!r}: a {name} image is of class {greatest}, training images of 0 to {count - 1}"
            )
    return count


def check_classes(labels: Int[np.ndarray, " N"]) -> None:
    """Raise ValueError if a label is below 0, as that of an example without a class."""
    if labels.min() < 0:
        raise ValueError(f"label: {int((labels < 0).sum())} of {len(labels)} are below 0; classes count from 0")


def choose_labelled(labels: Int[np.ndarray, " N"], count: int, *, seed: int = 0) -> Int[np.ndarray, " count"]:
    """Choose `count` examples, equally many of each class as far as they last; returns their sorted indices.

    The seed also decides which classes have one example more than others. With the same seed, a smaller choice is a
    subset of a larger one. Raises ValueError if `count` is below 0 or above the number of labels, or a label below 0.
    """
    if not 0 <= count <= len(labels):
        raise ArgumentError(
            "labels", count, f" must be from 0 to {len(labels)}, the number of labelled training examples"
        )
    check_classes(labels)
    order = permutation(len(labels), seed=seed)
    shuffled = labels[order]
    rank = np.empty(len(labels), np.int64)  # number of earlier examples of the same class
    for label in np.unique(labels):
        members = np.flatnonzero(shuffled == label)
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank, kind="stable")[:count]])


def mark_labelled(data: Dataset, indices: Int[np.ndarray, " count"]) -> Dataset:
    """Add an array `labelled` [B] to the training examples: True for the examples with these indices."""
    train, mask = data.train, np.isin(np.arange(data.train.size), indices)
    if train.arrays is not None:
        return data._replace(train=resident({**train.arrays, "labelled": mask}))
    marked = Split(train.size, lambda chosen: {**train.read(chosen), "labelled": mask[chosen]}, None)
    return data._replace(train=marked)


def with_labelled_batches(feed: Feed, data: Dataset, indices: Int[np.ndarray, " count"], size: int) -> Feed:
    """Add `labelled_image` [size, H, W, C] and `labelled_label` [size] to every batch of the feed.

    These examples are drawn with replacement, under the step's key, from the training examples with the given indices,
    which stay on the device.
    """
    examples = data.train.read(indices)
    labelled = {name: jnp.asarray(examples[name]) for name in ("image", "label")}

    def load(arrays: Mapping[str, PyTree], item: PyTree, key: Key) -> Batch:
        feed_key, draw_key, load_key = jax.random.split(key, 3)
        drawn: Int[Array, " size"] = jax.random.randint(draw_key, (size,), 0, len(indices))
        extra = data.load({name: array[drawn] for name, array in arrays["labelled"].items()}, load_key)
        batch = feed.load(arrays["feed"], item, feed_key)
        return {**batch, "labelled_image": extra["image"], "labelled_label": extra["label"]}

    return Feed({"feed": feed.arrays, "labelled": labelled}, feed.items, load, read=feed.read)
