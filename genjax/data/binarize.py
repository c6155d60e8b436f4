"""From stored values to a data set: scaling to [0, 1], and binarization of grey pixels for models of 0 and 1."""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.data.dataset import Dataset, Examples, Source, Split, in_memory
from genjax.errors import ArgumentError
from genjax.shuffle import uniform
from genjax.types import Batch, Key

Binarization = Literal["static", "dynamic", "threshold", "none"]
"""Name of the rule by which grey pixels become 0 or 1; see `present`."""

BINARY_PROTOCOLS = ("static", "dynamic", "threshold")
"""Names of the protocols under which all pixels are 0 or 1."""


def present(source: Source, binarization: Binarization) -> Dataset:
    """Return the data set with pixels scaled to [0, 1] and binarized.

    "static" draws each pixel once from Bernoulli(value), "dynamic" draws it anew in every `load`, "threshold" is value
    > 0.5, and "none" keeps the values, which is the protocol "real". Images that hold only zeros and ones stay
    unchanged under the first three, and have the protocol "static". Data that stay on the disk are not read, and count
    as grey.

    Raises ValueError for any other binarization, for binarization of colour images, and for labels below 0.
    """
    check_labels(source)
    white = white_value(source)
    binary = is_binary(source, white)
    check_binarization(source, binarization)
    if binarization == "none":
        return dataset(source, "real", lambda image, _: image / white)
    if binary:
        return dataset(source, "static", lambda image, _: image / white)
    if binarization == "dynamic":
        return dataset(source, "dynamic", lambda image, key: jax.random.bernoulli(key, image / white))
    if binarization == "threshold":
        return dataset(source, "threshold", lambda image, _: image / white > 0.5)
    return dataset(sampled_once(source, white), "static", lambda image, _: image)


def dataset(source: Source, protocol: str, pixels: Callable[[Array, Key], Array]) -> Dataset:
    """Return the data set whose images are `pixels` of the stored values, as float32."""

    def load(raw: Mapping[str, Array], key: Key) -> Batch:
        return {**raw, "image": pixels(raw["image"].astype(jnp.float32), key).astype(jnp.float32)}

    return Dataset(source.name, protocol, source.train, source.validation, source.test, load, source.sha256)


def check_binarization(source: Source, binarization: str) -> None:
    """Raise ValueError if the images cannot be binarized in this way."""
    if binarization not in get_args(Binarization):
        raise ArgumentError("binarization", binarization, f": must be one of {', '.join(get_args(Binarization))}")
    channels = source.train.first()["image"].shape[-1]
    if binarization != "none" and channels != 1:
        raise ArgumentError(
            "binarization",
            binarization,
            f": only grey images become binary, and those of {source.name!r} have "
            f"{channels} channels; use binarization='none', and a model of real values or of levels",
        )


def check_labels(source: Source) -> None:
    """Raise ValueError if a label is below 0, as that of an example without a class, in a split in memory."""
    for name, split in (("training", source.train), ("validation", source.validation), ("test", source.test)):
        label = (split.arrays or {}).get("label")
        if label is not None and len(label) and label.min() < 0:
            raise ValueError(
                f"{source.name!r}: {int((label < 0).sum())} of {len(label)} {name} images have a label below 0; "
                "classes count from 0, so leave these images out, or leave out the labels"
            )


def white_value(source: Source) -> int:
    """Stored value of white: 255 for bytes, 1 for real numbers and for bytes that are all 0 or 1."""
    dtype = source.train.first()["image"].dtype
    greatest = max(images.max() for images in resident_images(source)) if source.train.arrays else 255
    return 1 if dtype != np.uint8 or greatest <= 1 else 255


def is_binary(source: Source, white: int) -> bool:
    """Return whether all images are in memory and hold only black and white."""
    in_memory = resident_images(source)
    return bool(in_memory) and all(((images == 0) | (images == white)).all() for images in in_memory)


def resident_images(source: Source) -> list[np.ndarray]:
    """Return the images of each split that is in memory."""
    splits = (source.train, source.validation, source.test)
    return [split.arrays["image"] for split in splits if split.arrays is not None]


def sampled_once(source: Source, white: int) -> Source:
    """Sample every pixel once from Bernoulli(value), by random numbers that depend on split and example index only."""
    train = sampled_split(source.train, white, stream=1)
    validation = sampled_split(source.validation, white, stream=2)
    return source._replace(train=train, validation=validation, test=sampled_split(source.test, white, stream=3))


def sampled_split(split: Split, white: int, *, stream: int) -> Split:
    """Sample every pixel of one split once; data on the disk are sampled when they are read, with the same result."""

    def read(indices: np.ndarray) -> Examples:
        examples = split.read(indices)
        shape = examples["image"].shape[1:]
        noise = np.stack([uniform(stream, int(index), shape) for index in indices])
        return {**examples, "image": (noise < examples["image"] / white).astype(np.uint8)}

    drawn = Split(split.size, read, None)
    return drawn if split.arrays is None else in_memory(drawn)
