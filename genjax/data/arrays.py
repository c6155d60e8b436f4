"""Data sets from a user's own arrays, checked, split and ready to train on.

data = dataset(images)                          uint8 [N, H, W(, C)], or floats in [0, 1]
data = dataset(images, labels)                  class numbers 0, 1, 2, ...
data = dataset(images, captions=texts)          a sentence for each image, or several
data = domains(photographs, paintings)          two sets without pairs
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from genjax.data.array_checks import checked_images, checked_labels
from genjax.data.binarize import Binarization, present
from genjax.data.captions import Vocabulary, encode, vocabulary_of, with_one_caption, words
from genjax.data.dataset import (
    Dataset,
    Examples,
    Load,
    Source,
    Split,
    in_memory,
    make_source,
    part,
    read_batch,
    resident,
)
from genjax.data.domains import set_domains
from genjax.data.feed import Feed
from genjax.data.files import all_images
from genjax.data.labels import class_count
from genjax.data.levels import with_levels
from genjax.data.load import mean_image, source
from genjax.errors import ArgumentError
from genjax.shuffle import permutation
from genjax.types import Batch

HeldOut = Any
"""Held-out examples, given as a fraction of all examples, as separate images or a tuple of separate (images, labels),
or as the path of a folder of images or of an .npz file."""

FRACTION = 0.1
"""Fraction of the examples that is held out by default."""


class ArraySplit(NamedTuple):
    """Split of a data set, with the function that turns its examples into a batch."""

    split: Split
    load: Load
    vocabulary: str = ""
    """Sorted characters of the text; empty for other data."""

    @property
    def size(self) -> int:
        """Number of examples."""
        return self.split.size

    @property
    def arrays(self) -> Examples | None:
        """All stored examples by name, such as image and label, before scaling; None where they are not in memory."""
        return self.split.arrays

    def batch(self, count: int) -> Batch:
        """Return the first `count` examples (or all, if fewer) as a batch for a model, with images in [0, 1]."""
        return read_batch(self.split, np.arange(min(count, self.size)), self.load)


@dataclass(frozen=True)
class ArrayDataset:
    """Examples in three splits, ready for `genjax.train`, `genjax.evaluate` and `genjax.restore`."""

    dataset: Dataset
    """The same data as a `Dataset`, for code that writes its own training loop."""
    feed: Callable[[Sequence[int], int], Feed] | None = None
    """Function of (seeds, batch size) that returns the training batches; None for each seed's own order of the
    examples."""
    words: Vocabulary | None = None
    """Vocabulary of the captions; None for data without captions."""
    vocabulary: str = ""
    """Sorted characters of a text; empty for other data."""
    other_shape: tuple[int, int, int] | None = None
    """Height, width and channels of the images of the second domain; None without a second domain."""
    largest_batch: int | None = None
    """Size of the largest training batch; by default the number of training examples."""

    @property
    def train(self) -> ArraySplit:
        """Examples to train on."""
        return ArraySplit(self.dataset.train, self.dataset.load, self.vocabulary)

    @property
    def validation(self) -> ArraySplit:
        """Held-out examples, by which parameters and options are chosen."""
        return ArraySplit(self.dataset.validation, self.dataset.load, self.vocabulary)

    @property
    def test(self) -> ArraySplit:
        """Held-out examples, by which a trained model is measured."""
        return ArraySplit(self.dataset.test, self.dataset.load, self.vocabulary)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        return self.dataset.image_shape

    @property
    def classes(self) -> int:
        """Number of classes: the greatest training label plus one; 0 without labels."""
        return class_count(self.dataset)

    @functools.cached_property
    def mean(self) -> Float[np.ndarray, "H W C"]:
        """Mean of the training images, in [0, 1]: the argument `mean` of many models."""
        return mean_image(self.dataset)


def dataset(
    images: Any,
    labels: Any = None,
    *,
    captions: Sequence[str] | Sequence[Sequence[str]] | None = None,
    binarization: Binarization = "none",
    levels: int | None = None,
    validation: HeldOut = None,
    test: HeldOut = None,
    data_dir: str | Path | None = None,
) -> ArrayDataset:
    """Return images, with their labels or captions if given, as a data set in three splits.

    Args:
        images: Array [N, H, W] or [N, H, W, C], one or three channels; uint8 or bool, or floats in [0, 1]. A string is
            the name of a known data set instead, such as "digits" or "mnist", and a `Path` a folder of images or an
            .npz file (genjax/data/load.py); these have splits and labels of their own.
        labels: Class number of each image, integers 0, 1, 2, ... [N].
        captions: A text for each image, or several texts for each.
        binarization: How pixels become 0 or 1: "static" samples each pixel once with its grey value as probability,
            "dynamic" samples anew in every batch, "threshold" sets values above 0.5 to 1, "none" keeps grey values.
        levels: Number of values to which each pixel is rounded, k / (levels - 1); None keeps the stored values.
        validation: Fraction of the images that is held out for validation (0.1 by default), or separate images, or a
            tuple (images, labels), or the path of a folder or an .npz file.
        test: The same for the test.
        data_dir: Directory of prepared TFDS sets, where `images` is the name of one.

    Fractions are taken from a fixed permutation of the images, so that the same arrays always give the same splits.
    Raises ValueError, with advice, where an array cannot be used.
    """
    vocabulary = None
    own = {"labels": labels, "captions": captions, "validation": validation, "test": test}
    if isinstance(images, str | Path):
        if given := [name for name, value in own.items() if value is not None]:
            raise ValueError(
                f"images={str(images)!r} is a data set with labels and splits of its own; leave out {', '.join(given)}"
            )
        found = source(str(images.expanduser().absolute()) if isinstance(images, Path) else images, data_dir)
    else:
        if data_dir is not None:
            raise ArgumentError("data_dir", str(data_dir), " is for data sets by name; leave it out for arrays")
        vocabulary = None if captions is None else vocabulary_of(text for texts in captions for text in several(texts))
        found = array_source(examples_of("images", images, labels, captions, vocabulary), validation, test)
    data = present(found, binarization)
    data = data if levels is None else with_levels(data, check_levels(levels, data))
    if vocabulary is not None:
        data = data._replace(load=with_one_caption(data.load))
    return ArrayDataset(data, words=vocabulary)


def check_levels(levels: int, data: Dataset) -> int:
    """Return the number of levels; ValueError where the pixels cannot have so many."""
    if levels < 2:
        raise ArgumentError("levels", levels, " must be at least 2")
    if (levels == 2) == (data.protocol == "real"):
        advice = "for two levels choose a binarization, such as 'static'" if levels == 2 else "leave out binarization"
        raise ArgumentError("levels", levels, f" of {data.protocol} pixels; {advice}")
    return levels


def domains(first: Any, second: Any, *, validation: float = 0.1, test: float = 0.1) -> ArrayDataset:
    """Return two sets of images without pairs, such as photographs and paintings, as one data set.

    A batch has `image` of the first set and `other_image` of the second, each in an order of its own. Both sets must
    have the same height and width; their channels may differ. Raises ValueError as `dataset` does.
    """
    sources = [
        array_source(examples_of(name, images), validation, test)._replace(name=name)
        for name, images in (("first", first), ("second", second))
    ]
    found = set_domains(*sources)
    most = min(found.first.train.size, found.second.train.size)
    return ArrayDataset(found.both, feed=found.feed, other_shape=found.shapes[1], largest_batch=most)


def examples_of(
    name: str, images: Any, labels: Any = None, captions: Sequence[Any] | None = None, words: Vocabulary | None = None
) -> Examples:
    """Return the checked arrays of images, labels and captions."""
    image = checked_images(name, images)
    found: dict[str, np.ndarray] = {"image": image}
    if labels is not None:
        found["label"] = checked_labels("labels", labels, len(image))
    if captions is not None and words is not None:
        found["caption"] = caption_rows(captions, words, len(image))
    return found


def array_source(every: Examples, validation: HeldOut, test: HeldOut) -> Source:
    """Return the examples in three splits; fractions are taken from a fixed permutation."""
    count = len(every["image"])
    fractions = {"validation": validation, "test": test}
    fractions = {name: FRACTION if given is None else given for name, given in fractions.items()}
    sizes = [held_out_size(name, given, count) for name, given in fractions.items()]
    if sum(sizes) >= count:
        raise ValueError(
            f"images: {count} are too few, {sum(sizes)} of them would be held out and none left to train on; pass at "
            "least 3 images, or smaller fractions as validation and test"
        )
    shuffled = resident(every)
    if any(sizes):
        shuffled = resident(shuffled.read(permutation(count)))
    train = part(shuffled, 0, count - sum(sizes))
    rest = part(shuffled, train.size, count)
    held = [
        part(rest, start, start + size) if size else own_split(name, given, every)
        for (name, given), size, start in zip(fractions.items(), sizes, (0, sizes[0]), strict=True)
    ]
    return make_source("arrays", train, *held, files={})


def held_out_size(name: str, held_out: HeldOut, count: int) -> int:
    """Return how many of `count` images are held out; 0 where the held-out images are given separately."""
    if not isinstance(held_out, float | int | np.floating):
        return 0
    if not 0 < held_out < 1:
        raise ValueError(
            f"{name}={held_out} must be a fraction above 0 and below 1, such as 0.1, or an array of images"
        )
    return max(1, int(count * held_out + 1e-9))


def own_split(name: str, held_out: Any, every: Examples) -> Split:
    """Return the split of held-out images that are given separately; ValueError if they differ in kind from `every`."""
    if "caption" in every:
        raise ValueError(
            f"{name}: images that are given separately have no captions; pass all images with their captions, and a "
            "fraction, such as 0.1, as validation and test"
        )
    found = given_examples(name, held_out)
    kinds = [{name: (str(array.dtype), array.shape[1:]) for name, array in one.items()} for one in (every, found)]
    if kinds[0] != kinds[1]:
        raise ValueError(f"{name} has {kinds[1]} and the images to train on have {kinds[0]}; make them alike")
    return resident(found)


def given_examples(name: str, held_out: Any) -> Examples:
    """Return held-out examples that are given separately: images, a tuple (images, labels), or a path."""
    if isinstance(held_out, str | Path):
        return in_memory(all_images(Path(held_out).expanduser(), name).split).arrays or {}
    if not isinstance(held_out, tuple):
        return examples_of(name, held_out)
    if len(held_out) != 2:
        raise ValueError(f"{name} is a tuple of {len(held_out)}; pass images, or a tuple of two, (images, labels)")
    return examples_of(name, *held_out)


def several(texts: Any) -> Sequence[str]:
    """Return the captions of one image as a sequence."""
    return [texts] if isinstance(texts, str) else texts


def caption_rows(captions: Sequence[Any], vocabulary: Vocabulary, count: int) -> Int[np.ndarray, "N captions T"]:
    """Return the captions of each image as word numbers; captions of an image with fewer than others are repeated."""
    if len(captions) != count:
        raise ValueError(
            f"captions: {len(captions)} for {count} images; pass a text for each image, or a list of texts"
        )
    for index, texts in enumerate(captions):
        if not several(texts) or not all(words(text) for text in several(texts)):
            raise ValueError(f"captions[{index}] has a text without words; pass at least one word for each image")
    most = max(len(several(texts)) for texts in captions)
    return np.stack([np.resize(encode(several(texts), vocabulary), (most, vocabulary.length)) for texts in captions])
