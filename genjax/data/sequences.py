"""Data sets from a user's own long sequence: a text, or a series of real values."""

import functools
from typing import Any

import numpy as np

from genjax.data.arrays import ArrayDataset
from genjax.data.series import cut as cut_series
from genjax.data.stream import stream_dataset, stream_feed
from genjax.data.text import PARTS, Text, encode
from genjax.data.text import cut as cut_text
from genjax.errors import ArgumentError

LENGTH = 50
"""Default number of elements of a row that a step reads, through which gradients flow back."""


def text_dataset(text: str, *, sequence_length: int = LENGTH) -> ArrayDataset:
    """Return a text as a data set of characters, for `genjax.char_rnn(data.vocabulary)`.

    The first 90 % of the text are trained on, the next 5 % and the last 5 % are validation and test. A step reads
    `sequence_length` characters in each row of the batch.

    Raises ValueError where the text has fewer than 20 characters, only one distinct character, or fewer characters than
    a step reads.
    """
    if len(text) < PARTS or len(set(text)) < 2:
        raise ValueError(
            f"text: holds {len(text)} characters, {len(set(text))} of them different; pass the text itself (not the "
            f"path of a file), at least {PARTS} characters, two of them different"
        )
    return text_arrays(cut_text("text", text), sequence_length)


def text_arrays(text: Text, sequence_length: int) -> ArrayDataset:
    """Return the parts of a text as a data set of characters."""
    check_length(sequence_length, len(text.train))
    train, validation, test = (encode(part, text.vocabulary) for part in (text.train, text.validation, text.test))
    return ArrayDataset(
        stream_dataset(text.name, "characters", train, validation, test, text.sha256),
        feed=functools.partial(stream_feed, train, length=sequence_length),
        vocabulary=text.vocabulary,
        largest_batch=len(train) // sequence_length,
    )


def series_dataset(values: Any, *, sequence_length: int = LENGTH) -> ArrayDataset:
    """Return a series of real values [N] as a data set, for `genjax.series_rnn`.

    Splits and steps are as in `text_dataset`. Raises ValueError where the values are fewer than 20, not finite or all
    the same.
    """
    series = np.asarray(values)
    if series.ndim != 1 or len(series) < PARTS or series.dtype.kind not in "iuf":
        raise ValueError(
            f"values is {series.dtype} of shape {series.shape}; pass one axis of at least {PARTS} real numbers"
        )
    if not np.isfinite(series).all() or series.min() == series.max():
        raise ValueError("values: must be finite and not all the same; replace or drop those that are not finite")
    found = cut_series("series", series.astype(np.float64))
    check_length(sequence_length, len(found.train))
    return ArrayDataset(
        stream_dataset(found.name, "values", found.train, found.validation, found.test, found.sha256),
        feed=functools.partial(stream_feed, found.train, length=sequence_length),
        largest_batch=len(found.train) // sequence_length,
    )


def check_length(sequence_length: int, size: int) -> None:
    """Raise ValueError where `sequence_length` is below 1 or above `size`, the number of training elements."""
    if not 1 <= sequence_length <= size:
        raise ArgumentError(
            "sequence_length", sequence_length, f" must be from 1 to {size}, the length of the training part"
        )
