"""Checks before training that a data set has what a model needs; errors name the remedy."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from genjax.capabilities import Feeder, Writer
from genjax.core import Input, Model
from genjax.data.arrays import ArrayDataset, ArraySplit
from genjax.data.dataset import Dataset
from genjax.errors import ArgumentError

LOOKED_AT = 100
"""Number of examples whose shapes and values are compared with the inputs of the model."""

REMEDIES = {
    "label": "pass class numbers: genjax.dataset(images, labels)",
    "caption": "pass texts: genjax.dataset(images, captions=texts)",
    "other_image": "pass two sets of images: genjax.domains(first, second)",
    "sequence": "pass a text or a series: genjax.text_dataset(text), genjax.series_dataset(values)",
    "image": "pass images: genjax.dataset(images)",
}
"""Array name -> advice for the user on how to make a data set that has this array."""


def arrays_of(data: ArrayDataset | Dataset) -> ArrayDataset:
    """Return the data set as an `ArrayDataset`, wrapped if it is a `Dataset` of the long form."""
    return data if isinstance(data, ArrayDataset) else ArrayDataset(data)


def check_examples(model: Model, split: ArraySplit) -> Sequence[str]:
    """Compare the first examples of a split with the model's inputs, and return the names of a batch's arrays.

    Raises ValueError if their shapes or values, or the characters of a text, do not suit the model.
    """
    writer = model.capability(Writer)
    if writer is not None and writer.vocabulary and split.vocabulary != writer.vocabulary:
        raise ValueError(
            f"data: its {len(split.vocabulary)} characters are not the {len(writer.vocabulary)} of the model; make the "
            "model with genjax.char_rnn(data.vocabulary)"
        )
    batch = {name: np.asarray(array) for name, array in split.batch(LOOKED_AT).items()}
    for name, expected in model.inputs.items():
        if name in batch:
            check_array(name, batch[name], expected)
    return tuple(batch)


def check_array(name: str, array: np.ndarray, expected: Input) -> None:
    """Raise ValueError if examples [N, ...] do not have the shape and the values that a model needs."""
    if array.shape[1:] != tuple(expected.shape):
        raise ValueError(
            f"{name}: the examples have shape {array.shape[1:]} and the model is for {tuple(expected.shape)}; make the "
            "model with data.image_shape, or resize the images"
        )
    word, _, number = expected.values.partition("-")
    if word == "binary" and not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"{name}: the model needs pixels of 0 and 1, and these have values between; make the data with "
            'genjax.dataset(images, binarization="static") (or "dynamic", "threshold"), or take a model of grey values'
        )
    if word == "levels":
        scaled = array * (int(number) - 1)
        if not np.allclose(scaled, np.round(scaled), atol=1e-3):
            raise ValueError(
                f"{name}: the model needs pixels of {number} levels, and these have values between; make the data with "
                f"genjax.dataset(images, levels={number})"
            )
    if word == "classes" and not ((array >= 0) & (array < int(number))).all():
        raise ValueError(
            f"{name}: has values from {array.min()} to {array.max()} and the model knows 0 to {int(number) - 1}; make "
            "the model with classes=data.classes, or with data.words for captions"
        )
    if word == "unit" and not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name}: has values from {array.min()} to {array.max()}; the model needs values in [0, 1]")


@contextlib.contextmanager
def naming_what_is_missing(names: Collection[str], remedies: Mapping[str, str] = REMEDIES) -> Iterator[None]:
    """Turn an error about an array that is not among the batch's `names` into a ValueError with the remedy for it."""
    try:
        yield
    except (KeyError, ValueError) as error:
        for name, remedy in remedies.items():
            if name not in names and repr(name) in str(error):
                raise ValueError(f"{name}: the model needs it; {remedy}") from error
        raise


def check_steps(model: Model, steps: int) -> None:
    """Raise ValueError if `steps` is below 1, or so small that a network is never updated or images never full-size."""
    if steps < 1:
        raise ArgumentError("steps", steps, " must be at least 1")
    for phase in model.phases:
        first = -(-(phase.start + 1) // phase.every) * phase.every
        if phase.wrt and first > steps:
            raise ArgumentError(
                "steps",
                steps,
                f": the phase {phase.name!r} first updates its networks in step {first}; take at least that many",
            )
    feeder = model.capability(Feeder)
    if feeder is not None and steps < feeder.steps:
        raise ArgumentError(
            "steps",
            steps,
            f": the training images have grown to their full size after {feeder.steps}; take at least that many, or "
            "let them grow faster by growth=genjax.Growth(...)",
        )
