"""Two domains of images without pairs: of two sets, of two classes of a set, or a set and what becomes of it.

Where the second domain is made of the first the truth is known: no training image of one has its partner among those of
the other, but in validation and test image i of the one is image i of the other.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Num

from genjax.data.binarize import present, white_value
from genjax.data.dataset import Dataset, Examples, Source, Split, arrays_sha256, in_memory, part
from genjax.data.feed import Feed, make_feed
from genjax.data.files import chosen
from genjax.data.labels import labels_of
from genjax.types import Batch, Key, PyTree

Images = Num[np.ndarray, "N H W C"]

Transform = Callable[[Images, int], Num[np.ndarray, "N height width channels"]]
"""(images, the value of white) -> images of the same type."""

RED = (1.0, 0.2, 0.2)
"""What `coloured` makes of white."""

OTHER = "other_"
"""Begins the names of what is of the second domain."""

LEAST = 2
"""Training images of a domain."""


def inverted(images: Images, white: int) -> Images:
    """Black for white."""
    return (white - images).astype(images.dtype)


def rotated(images: Images, white: int) -> Num[np.ndarray, "N W H C"]:
    """A quarter turn to the left."""
    return np.rot90(images, axes=(1, 2)).copy()


def coloured(images: Images, white: int) -> Num[np.ndarray, "N H W 3"]:
    """Red for white. Raises ValueError where the images are no grey ones."""
    if images.shape[-1] != 1:
        raise ValueError(f"images of {images.shape[-1]} channels cannot be coloured, they must be grey")
    red = images * np.asarray(RED, np.float32)
    return (red.round() if images.dtype == np.uint8 else red).astype(images.dtype)


TRANSFORMS: Mapping[str, Transform] = {"inverted": inverted, "rotated": rotated, "coloured": coloured}


class Domains(NamedTuple):
    """Images of two domains, in [0, 1]."""

    first: Dataset
    second: Dataset
    both: Dataset
    """`image` of the first and `other_image` of the second, as many as the smaller of the two has; `label` and
    `other_label` where they have labels."""
    paired: bool
    """Whether in validation and test `other_image` is what `image` is to become."""

    @property
    def shapes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Height, width and channels of the images of each."""
        return self.first.image_shape, self.second.image_shape

    @property
    def names(self) -> tuple[str, str]:
        """What they are called; they differ."""
        first, second = self.first.name, self.second.name
        return first, second if second != first else f"{second}-2"

    def feed(self, seeds: Sequence[int], batch_size: int) -> Feed:
        """Batches of `image` and `other_image`, each in an order of its own."""
        return unpaired_feed(self.first, self.second, seeds, batch_size)


def made_domains(source: Source, name: str) -> Domains:
    """A set and what `TRANSFORMS[name]` makes of it; the first half of the training images, and the second half made.

    Raises ValueError for an unknown name, or images that it does not allow.
    """
    if name not in TRANSFORMS:
        raise ValueError(f"domains={name!r}: must be one of {', '.join(TRANSFORMS)}")
    made = transformed(source, TRANSFORMS[name], name)
    half = source.train.size // 2
    return set_domains(
        source._replace(train=part(source.train, 0, half)),
        made._replace(train=part(made.train, half, made.train.size)),
        paired=True,
    )


def class_domains(source: Source, classes: tuple[int, int]) -> Domains:
    """Two classes of a set. Raises ValueError where they are one, or a split has no image of one of them."""
    if classes[0] == classes[1]:
        raise ValueError(f"classes={classes}: must be two")
    first, second = (of_class(source, label) for label in classes)
    return set_domains(first, second)


def set_domains(first: Source, second: Source, *, paired: bool = False) -> Domains:
    """Two sets. Raises ValueError where height and width differ, or one has fewer than two training images."""
    sets = present(first, "none"), present(second, "none")
    for one in sets:
        if one.train.size < LEAST:
            raise ValueError(f"domain {one.name!r}: {one.train.size} training images, must have at least {LEAST}")
    shapes = [one.image_shape for one in sets]
    if shapes[0][:2] != shapes[1][:2]:
        raise ValueError(
            f"domains {sets[0].name!r} and {sets[1].name!r}: images of shapes {shapes[0]} and {shapes[1]}, must be of "
            "one height and width"
        )
    return Domains(*sets, beside(*sets), paired)


def transformed(source: Source, transform: Transform, name: str) -> Source:
    """The set with `transform` of all images, called `name`."""
    white = white_value(source)

    def made(split: Split) -> Split:
        def read(indices: np.ndarray) -> Examples:
            examples = split.read(indices)
            return {**examples, "image": transform(examples["image"], white)}

        lazy = Split(split.size, read, None)
        return lazy if split.arrays is None else in_memory(lazy)

    return with_splits(source, name, made)


def of_class(source: Source, label: int) -> Source:
    """The images with a label, called by the set's name and the label. Raises ValueError where a split has none."""

    def kept(split: Split) -> Split:
        labels = labels_of(split)
        rows: Int[np.ndarray, " count"] = np.flatnonzero(labels == label)
        if not len(rows):
            known = ", ".join(map(str, np.unique(labels)))
            raise ValueError(f"classes: {source.name!r} has no image of class {label} in a split with {known}")
        members = chosen(split, rows)
        return members if split.arrays is None else in_memory(members)

    return with_splits(source, f"{source.name}-{label}", kept)


def with_splits(source: Source, name: str, change: Callable[[Split], Split]) -> Source:
    """The set of this name whose splits are those of another, changed."""
    train, validation, test = map(change, (source.train, source.validation, source.test))
    held = [split.arrays for split in (train, validation, test) if split.arrays is not None]
    digest = arrays_sha256(*held) if len(held) == 3 else digest_of(source.sha256, name)
    return Source(name, train, validation, test, digest)


def beside(first: Dataset, second: Dataset) -> Dataset:
    """The `both` of `Domains`."""

    def joined(one: Split, other: Split) -> Split:
        def read(indices: np.ndarray) -> Examples:
            return {**one.read(indices), **as_other(other.read(indices))}

        lazy = Split(min(one.size, other.size), read, None)
        return lazy if one.arrays is None or other.arrays is None else in_memory(lazy)

    def load(raw: Mapping[str, jax.Array], key: Key) -> Batch:
        own_key, other_key = jax.random.split(key)
        others = {name.removeprefix(OTHER): array for name, array in raw.items() if name.startswith(OTHER)}
        own = {name: array for name, array in raw.items() if not name.startswith(OTHER)}
        return {**first.load(own, own_key), **as_other(second.load(others, other_key))}

    return Dataset(
        f"{first.name}-{second.name}",
        first.protocol,
        *(joined(getattr(first, name), getattr(second, name)) for name in ("train", "validation", "test")),
        load=load,
        sha256=digest_of(first.sha256, second.sha256),
    )


def unpaired_feed(first: Dataset, second: Dataset, seeds: Sequence[int], batch_size: int) -> Feed:
    """Batches of both, each of its own number of images and in an order of its own.

    Raises ValueError as `make_feed`.
    """
    own = make_feed(first.train, first.load, seeds, batch_size)
    other = make_feed(second.train, second.load, [2**32 - 1 - seed for seed in seeds], batch_size)

    def items(start: int) -> Iterator[PyTree]:
        yield from zip(own.items(start), other.items(start), strict=False)

    def load(arrays: PyTree, item: PyTree, key: Key) -> Batch:
        own_key, other_key = jax.random.split(key)
        return {
            **own.load(arrays[0], item[0], own_key),
            **as_other(other.load(arrays[1], item[1], other_key)),
        }

    return Feed((own.arrays, other.arrays), items, load)


def as_other(examples: Mapping[str, Any]) -> dict[str, Any]:
    """The same arrays as those of the second domain."""
    return {f"{OTHER}{name}": array for name, array in examples.items()}


def digest_of(*parts: str) -> str:
    """SHA-256 of words, a line each."""
    return hashlib.sha256("".join(f"{one}\n" for one in parts).encode()).hexdigest()
