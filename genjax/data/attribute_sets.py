"""Sets of images with domains: made of grey digits, the classes of a set, or its features of yes and no.

Only of domains that are made it is known how an image would look in another one.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Num

from genjax.data.attributes import Attribute, Images, Labelled, Said, Scheme, Values, in_one_set, labelled
from genjax.data.binarize import white_value
from genjax.data.dataset import Source, Split
from genjax.data.domains import RED
from genjax.data.labels import CHUNK, labels_of
from genjax.shuffle import permutation

COLOURS = {"red": RED, "green": (0.2, 1.0, 0.2), "blue": (0.2, 0.2, 1.0)}
"""What becomes of white."""

MADE = {
    "colour": tuple(COLOURS),
    "ground": ("black", "grey"),
    "polarity": ("dark", "light"),
    "size": ("large", "small"),
}
"""What `painted` knows: the colour of what is bright; whether black becomes grey, half as bright as white; whether the
ground is dark or the digit; the digit's size."""


def painted(images: Images, values: Values, names: Sequence[str], white: int) -> Num[np.ndarray, "N height width D"]:
    """Images with the values of the attributes `names`, of those in `MADE`: of the type that they had.

    With a size they have twice the height and width: large images fill them, small ones stand in the middle on black.
    """
    given = {name: values[:, place, None, None, None] for place, name in enumerate(names)}
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
    """Of the stored type; bytes are rounded."""
    return (images.round() if dtype == np.uint8 else images).astype(dtype)


def framed(images: Images) -> Num[np.ndarray, "N height width C"]:
    """On black, in the middle of twice the height and width."""
    height, width = images.shape[1:3]
    vertical, horizontal = ((side // 2, side - side // 2) for side in (height, width))
    return np.pad(images, ((0, 0), vertical, horizontal, (0, 0)))


def made_attributes(source: Source, names: Sequence[str], *, halves: bool = False) -> Labelled:
    """The set with each image in one of the domains that the attributes of these names, of `MADE`, span.

    With `halves` there are two label sets: the labels of the first half of the training images, and of every other
    image in validation and test, say the first attribute, those of the others the rest. Raises ValueError where a name
    is none of `MADE` or stands twice, halves have less than two, or a value fewer than two images.
    """
    check_names(names, source, halves=halves)
    first = tuple(place == 0 for place in range(len(names)))
    known = (first, tuple(not known for known in first)) if halves else ((True,) * len(names),)
    scheme = Scheme(tuple(Attribute(name, MADE[name]) for name in names), known)
    combinations = np.array(list(itertools.product(*(range(size) for size in scheme.sizes))))
    white = white_value(source)

    def said(split: Split) -> Said:
        index = np.arange(split.size)
        second = index >= split.size // 2 if split is source.train else index % 2 == 1
        return Said(combinations[permutation(split.size) % len(combinations)], (second & halves).astype(np.int32))

    name = "-".join([source.name, *names, *(["halves"] if halves else [])])
    return labelled(source, name, scheme, said, lambda images, values: painted(images, values, names, white))


def check_names(names: Sequence[str], source: Source, *, halves: bool) -> None:
    """Raise ValueError where images cannot be made with attributes of these names."""
    if not names or len(set(names)) < len(names) or set(names) - set(MADE):
        raise ValueError(f"attributes={tuple(names)}: must be one or more of {', '.join(MADE)}, each once")
    if halves and len(names) < 2:
        raise ValueError(f"halves=True: attributes={tuple(names)} must be two or more, one for the first half")
    channels = source.train.read(np.zeros(1, np.int64))["image"].shape[-1]
    if channels != 1:
        raise ValueError(
            f"attributes={tuple(names)}: made of grey images only, those of {source.name!r} have {channels} channels"
        )


def class_attributes(source: Source) -> Labelled:
    """The set with its classes as domains.

    Raises ValueError where it has no labels, a class has fewer than two training images, or there is but one.
    """
    classes = np.unique(labels_of(source.train))
    if len(classes) < 2:
        raise ValueError(f"data {source.name!r}: class {classes[0]} is the only one, domains must be two or more")

    def said(split: Split) -> Said:
        labels = labels_of(split)
        if len(unknown := np.setdiff1d(labels, classes)):
            raise ValueError(f"data {source.name!r}: class {unknown[0]} has no training image")
        return in_one_set(np.searchsorted(classes, labels)[:, None])

    scheme = Scheme((Attribute("class", tuple(map(str, classes))),), ((True,),))
    return labelled(source, f"{source.name}-classes", scheme, said)


def feature_attributes(source: Source, names: Sequence[str]) -> Labelled:
    """The set with features of yes and no as attributes: its examples have 1 or 0 by each of these names.

    Raises ValueError where fewer than two training images have one, or do not have it.
    """

    def said(split: Split) -> Said:
        parts = (split.read(np.arange(i, min(i + CHUNK, split.size))) for i in range(0, split.size, CHUNK))
        return in_one_set(np.concatenate([np.stack([part[name] for name in names], axis=1) for part in parts]))

    scheme = Scheme(tuple(Attribute(name, (name,)) for name in names), ((True,) * len(names),))
    return labelled(source, "-".join([source.name, *names]), scheme, said)
