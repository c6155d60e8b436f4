"""Image data with domains: painted from grey digits, the classes of a data set, or its yes-or-no features.

The true translation of an image to another domain is known for painted domains only.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Num

from genjax.data.attributes import Attribute, AttributeLabels, Images, Labelled, Schema, Values, in_one_set, labelled
from genjax.data.binarize import white_value
from genjax.data.dataset import Source, Split
from genjax.data.domains import RED
from genjax.data.labels import CHUNK, labels_of
from genjax.errors import ArgumentError
from genjax.shuffle import permutation

COLOURS = {"red": RED, "green": (0.2, 1.0, 0.2), "blue": (0.2, 0.2, 1.0)}
"""Colour of a white pixel, as factors of red, green and blue."""

MADE = {
    "colour": tuple(COLOURS),
    "ground": ("black", "grey"),
    "polarity": ("dark", "light"),
    "size": ("large", "small"),
}
"""Attributes of `painted` and their values: the colour of bright pixels; the ground, black or a grey half as bright as
white; the polarity, whether the background is dark or light; and the size of the digit."""


def painted(images: Images, values: Values, names: Sequence[str], white: int) -> Num[np.ndarray, "N height width D"]:
    """Return the images painted by the values [N, names] of the attributes `names`, keys of `MADE`, in the same dtype.

    With the attribute size, images double in height and width: a large digit fills the image, a small digit is centred
    on black.
    """
    given = {name: values[:, position, None, None, None] for position, name in enumerate(names)}
    if "size" in given:
        images = np.where(given["size"] == 0, images.repeat(2, axis=1).repeat(2, axis=2), framed(images))
    if "ground" in given:
        lifted = white - (white - images) / 2
        images = np.where(given["ground"] == 0, images, rounded(lifted, images.dtype))
    if "polarity" in given:
        images = np.where(given["polarity"] == 0, images, white - images).astype(images.dtype)
    if "colour" in given:
        palette = np.array(list(COLOURS.values()), np.float32)
        images = rounded(images * palette[given["colour"][:, 0, 0, 0]][:, None, None], images.dtype)
    return images


def rounded(images: Images, dtype: np.dtype) -> Images:
    """Return images of type `dtype`; bytes are rounded."""
    return (images.round() if dtype == np.uint8 else images).astype(dtype)


def framed(images: Images) -> Num[np.ndarray, "N height width C"]:
    """Return the images centred on black, with twice the height and width."""
    height, width = images.shape[1:3]
    vertical, horizontal = ((side // 2, side - side // 2) for side in (height, width))
    return np.pad(images, ((0, 0), vertical, horizontal, (0, 0)))


def made_attributes(source: Source, names: Sequence[str], *, halves: bool = False) -> Labelled:
    """Return the data painted by the attributes `names`, keys of `MADE`, with all combinations equally frequent.

    With `halves` there are two label sets: the labels of the first half of the training images, and of every other
    image in validation and test, know the first attribute only, and the labels of the other images know the rest.
    Raises ValueError where a name is unknown or given twice, where `halves` has fewer than two names, or where a value
    has fewer than two images.
    """
    check_names(names, source, halves=halves)
    first = tuple(position == 0 for position in range(len(names)))
    known = (first, tuple(not known for known in first)) if halves else ((True,) * len(names),)
    schema = Schema(tuple(Attribute(name, MADE[name]) for name in names), known)
    combinations = np.array(list(itertools.product(*(range(size) for size in schema.sizes))))
    white = white_value(source)

    def labels_for(split: Split) -> AttributeLabels:
        index = np.arange(split.size)
        second = index >= split.size // 2 if split is source.train else index % 2 == 1
        return AttributeLabels(
            combinations[permutation(split.size) % len(combinations)], (second & halves).astype(np.int32)
        )

    name = "-".join([source.name, *names, *(["halves"] if halves else [])])
    return labelled(source, name, schema, labels_for, lambda images, values: painted(images, values, names, white))


def check_names(names: Sequence[str], source: Source, *, halves: bool) -> None:
    """Raise ValueError where the images cannot be painted with attributes of these names."""
    if not names or len(set(names)) < len(names) or set(names) - set(MADE):
        raise ArgumentError("attributes", tuple(names), f": must be one or more of {', '.join(MADE)}, each once")
    if halves and len(names) < 2:
        raise ValueError(f"halves=True: attributes={tuple(names)} must be two or more, one for the first half")
    channels = source.train.first()["image"].shape[-1]
    if channels != 1:
        raise ArgumentError(
            "attributes", tuple(names), f": made of grey images only, those of {source.name!r} have {channels} channels"
        )


def class_attributes(source: Source) -> Labelled:
    """Return the data with their classes as domains.

    Raises ValueError where they have no labels, a class has fewer than two training images, or there is only one class.
    """
    classes = np.unique(labels_of(source.train))
    if len(classes) < 2:
        raise ValueError(f"data {source.name!r}: class {classes[0]} is the only one, domains must be two or more")

    def labels_for(split: Split) -> AttributeLabels:
        labels = labels_of(split)
        if len(unknown := np.setdiff1d(labels, classes)):
            raise ValueError(f"data {source.name!r}: class {unknown[0]} has no training image")
        return in_one_set(np.searchsorted(classes, labels)[:, None])

    schema = Schema((Attribute("class", tuple(map(str, classes))),), ((True,),))
    return labelled(source, f"{source.name}-classes", schema, labels_for)


def feature_attributes(source: Source, names: Sequence[str]) -> Labelled:
    """Return the data with yes-or-no features as attributes: each name in `names` is an array of 1 and 0 in the source.

    Raises ValueError where a feature is 1, or 0, in fewer than two training images.
    """

    def labels_for(split: Split) -> AttributeLabels:
        parts = (split.read(np.arange(i, min(i + CHUNK, split.size))) for i in range(0, split.size, CHUNK))
        return in_one_set(np.concatenate([np.stack([part[name] for name in names], axis=1) for part in parts]))

    schema = Schema(tuple(Attribute(name, (name,)) for name in names), ((True,) * len(names),))
    return labelled(source, "-".join([source.name, *names]), schema, labels_for)
