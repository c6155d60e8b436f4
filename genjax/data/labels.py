"""Data of which only some examples have a label that may be used."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from genjax.data.dataset import Dataset, Split, resident
from genjax.data.feed import Feed
from genjax.shuffle import permutation
from genjax.types import Batch, Key, PyTree

CHUNK = 1000
"""Examples read at a time."""


def labels_of(split: Split, name: str = "label") -> Int[np.ndarray, " N"]:
    """The labels of all examples, or what else they have by this name. Raises ValueError where there are none."""
    if name not in split.read(np.zeros(1, np.int64)):
        raise ValueError(f"{name}: the data have no {name if name != 'label' else 'labels'}")
    if split.arrays is not None:
        return split.arrays[name]
    starts = range(0, split.size, CHUNK)
    return np.concatenate([split.read(np.arange(i, min(i + CHUNK, split.size)))[name] for i in starts])


def has_labels(data: Dataset) -> bool:
    """Whether the examples have labels."""
    return "label" in data.train.read(np.zeros(1, np.int64))


def class_count(data: Dataset) -> int:
    """The greatest label of the training split, plus one; 0 where there are no labels."""
    return 1 + int(labels_of(data.train).max()) if has_labels(data) else 0


def choose_labelled(labels: Int[np.ndarray, " N"], count: int, *, seed: int = 0) -> Int[np.ndarray, " count"]:
    """The indices, sorted, of `count` examples, as many of each class as of the others as far as they reach.

    Each seed chooses for itself, also which classes have one example more than others; of one seed, the choice of fewer
    examples is a part of that of more. Raises ValueError where `count` is below 0 or above the number of labels.
    """
    if not 0 <= count <= len(labels):
        raise ValueError(f"labels={count} must be from 0 to {len(labels)}, the number of labelled training examples")
    order = permutation(len(labels), seed=seed)
    shuffled = labels[order]
    rank = np.empty(len(labels), np.int64)  # how many of its class come before an example
    for label in np.unique(labels):
        members = np.flatnonzero(shuffled == label)
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank, kind="stable")[:count]])


def mark_labelled(data: Dataset, indices: Int[np.ndarray, " count"]) -> Dataset:
    """The data whose training examples say in `labelled` [B] whether they are among these."""
    train, mask = data.train, np.isin(np.arange(data.train.size), indices)
    if train.arrays is not None:
        return data._replace(train=resident({**train.arrays, "labelled": mask}))
    marked = Split(train.size, lambda chosen: {**train.read(chosen), "labelled": mask[chosen]}, None)
    return data._replace(train=marked)


def with_labelled_batches(feed: Feed, data: Dataset, indices: Int[np.ndarray, " count"], size: int) -> Feed:
    """The feed with `labelled_image` [size, H, W, C] and `labelled_label` [size] in every batch.

    They are drawn with replacement, under the step's key, from the training examples with these indices, which lie on
    the device.
    """
    examples = data.train.read(indices)
    labelled = {name: jnp.asarray(examples[name]) for name in ("image", "label")}

    def load(arrays: Mapping[str, PyTree], item: PyTree, key: Key) -> Batch:
        feed_key, draw_key, load_key = jax.random.split(key, 3)
        drawn: Int[Array, " size"] = jax.random.randint(draw_key, (size,), 0, len(indices))
        extra = data.load({name: array[drawn] for name, array in arrays["labelled"].items()}, load_key)
        batch = feed.load(arrays["feed"], item, feed_key)
        return {**batch, "labelled_image": extra["image"], "labelled_label": extra["label"]}

    return Feed({"feed": feed.arrays, "labelled": labelled}, feed.items, load)
