"""Two domains of images without pairs: two data sets, two classes of a data set, or a data set and a transform of it.

Where the second domain is a transform of the first, the true translation is known. No training image of one domain has
its translation among the training images of the other. In validation and test, image i of the second domain is image i
of the first domain, transformed.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Num

from genjax.data.binarize import present, white_value
from genjax.data.dataset import Dataset, Examples, Source, Split, arrays_sha256, in_memory, part
from genjax.data.feed import BatchLoad, Feed, make_feed
from genjax.data.files import chosen
from genjax.data.labels import labels_of
from genjax.errors import ArgumentError
from genjax.programs import shared
from genjax.types import Batch, Key, PyTree

Images = Num[np.ndarray, "N H W C"]

Transform = Callable[[Images, int], Num[np.ndarray, "N height width channels"]]
"""Function of (images, value of white) that returns images of the same dtype."""

RED = (1.0, 0.2, 0.2)
"""Colour that `coloured` gives a white pixel, as factors of red, green and blue."""

OTHER = "other_"
"""Prefix of the names of arrays of the second domain."""

LEAST = 2
"""Smallest number of training images of a domain."""


def inverted(images: Images, white: int) -> Images:
    """Return the images with black and white exchanged."""
    return (white - images).astype(images.dtype)


def rotated(images: Images, white: int) -> Num[np.ndarray, "N W H C"]:
    """Return the images turned by 90 degrees to the left."""
    return np.rot90(images, axes=(1, 2)).copy()


def coloured(images: Images, white: int) -> Num[np.ndarray, "N H W 3"]:
    """Return the images with red in place of white. Raises ValueError where the images are not grey."""
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
    """Data with `image` of the first domain and `other_image` of the second, as many as the smaller domain has, and
    `label` and `other_label` if the domains have labels."""
    paired: bool
    """Whether in validation and test `other_image` is the true translation of `image`."""

    @property
    def shapes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Height, width and channels of the images of each domain."""
        return self.first.image_shape, self.second.image_shape

    @property
    def names(self) -> tuple[str, str]:
        """Names of the two domains, which differ."""
        first, second = self.first.name, self.second.name
        return first, second if second != first else f"{second}-2"

    def feed(self, seeds: Sequence[int], batch_size: int) -> Feed:
        """Return training batches of `image` and `other_image`, each in an order of its own."""
        return unpaired_feed(self.first, self.second, seeds, batch_size)


def made_domains(source: Source, name: str) -> Domains:
    """Return the domains of a data set and of its images transformed by `TRANSFORMS[name]`.

    The first half of the training images is for the first domain, the second half, transformed, for the second. Raises
    ValueError for an unknown name, or images that the transform does not allow.
    """
    if name not in TRANSFORMS:
        raise ArgumentError("domains", name, f": must be one of {', '.join(TRANSFORMS)}")
    made = transformed(source, TRANSFORMS[name], name)
    half = source.train.size // 2
    return set_domains(
        source._replace(train=part(source.train, 0, half)),
        made._replace(train=part(made.train, half, made.train.size)),
        paired=True,
    )


def class_domains(source: Source, classes: tuple[int, int]) -> Domains:
    """Return the domains of two classes of a data set.

    Raises ValueError where both are the same class, or a split has no image of one of them.
    """
    if classes[0] == classes[1]:
        raise ArgumentError("classes", classes, ": must be two")
    first, second = (of_class(source, label) for label in classes)
    return set_domains(first, second)


def set_domains(first: Source, second: Source, *, paired: bool = False) -> Domains:
    """Return the domains of two data sets.

    Raises ValueError where height and width differ, or one has fewer than two training images.
    """
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
    """Return the data with all images transformed, called `name`."""
    white = white_value(source)

    def made(split: Split) -> Split:
        def read(indices: np.ndarray) -> Examples:
            examples = split.read(indices)
            return {**examples, "image": transform(examples["image"], white)}

        lazy = Split(split.size, read, None)
        return lazy if split.arrays is None else in_memory(lazy)

    return with_splits(source, name, made)


def of_class(source: Source, label: int) -> Source:
    """Return the images with the label `label`, as data named by the data's name and the label.

    Raises ValueError where a split has no such image.
    """

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
    """Return the data called `name` whose splits are `change` applied to each split."""
    train, validation, test = map(change, (source.train, source.validation, source.test))
    held = [split.arrays for split in (train, validation, test) if split.arrays is not None]
    digest = arrays_sha256(*held) if len(held) == 3 else digest_of(source.sha256, name)
    return Source(name, train, validation, test, digest)


def beside(first: Dataset, second: Dataset) -> Dataset:
    """Return the images of both data sets, paired by their index, in the format of `Domains.both`."""

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
    """Return training batches of both domains, which may differ in size, each domain in an order of its own.

    Raises the ValueErrors of `make_feed`.
    """
    own = make_feed(first.train, first.load, seeds, batch_size)
    other = make_feed(second.train, second.load, [2**32 - 1 - seed for seed in seeds], batch_size)

    def items(start: int) -> Iterator[PyTree]:
        yield from zip(own.items(start), other.items(start), strict=False)

    def read(item: PyTree) -> PyTree:
        return tuple(
            part if feed.read is None else feed.read(part) for feed, part in zip((own, other), item, strict=True)
        )

    streamed = own.read is not None or other.read is not None
    return Feed((own.arrays, other.arrays), items, unpaired_load(own.load, other.load), read=read if streamed else None)


@shared
def unpaired_load(own: BatchLoad, other: BatchLoad) -> BatchLoad:
    """Return the function that loads a batch of both domains."""

    def load(arrays: PyTree, item: PyTree, key: Key) -> Batch:
        own_key, other_key = jax.random.split(key)
        return {**own(arrays[0], item[0], own_key), **as_other(other(arrays[1], item[1], other_key))}

    return load


def as_other(examples: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays with the prefix `OTHER`, as those of the second domain."""
    return {f"{OTHER}{name}": array for name, array in examples.items()}


def digest_of(*parts: str) -> str:
    """Return the SHA-256 of strings, one per line."""
    return hashlib.sha256("".join(f"{one}\n" for one in parts).encode()).hexdigest()
