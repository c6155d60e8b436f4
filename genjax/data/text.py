"""Texts as characters: embedded descriptions, a text of TensorFlow Datasets, or a file."""

import hashlib
import importlib.resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from genjax.data.dataset import DataError
from genjax.data.tfds import check_records, first_line, one_line, prepared_builder
from genjax.errors import ArgumentError, MissingPathError

DESCRIPTIONS = (
    "breast_cancer",
    "iris",
    "wine_data",
    "digits",
    "diabetes",
    "linnerud",
    "twenty_newsgroups",
    "kddcup99",
    "covtype",
    "lfw",
    "species_distributions",
    "california_housing",
    "rcv1",
    "olivetti_faces",
)
"""Names of the data sets whose descriptions scikit-learn contains, in the order in which the texts are joined."""

PARTS = 20
"""Inverse of the fraction of an unsplit text used for validation, and of that used for the test: one part in twenty
each."""


class Text(NamedTuple):
    """Text in three parts: training, validation and test."""

    name: str
    train: str
    validation: str
    test: str

    @property
    def vocabulary(self) -> str:
        """Sorted characters of all three parts, so that each held-out character has a probability."""
        return "".join(sorted({*self.train, *self.validation, *self.test}))

    @property
    def sha256(self) -> str:
        """SHA-256 of the three parts joined, in UTF-8: the hash of the file if one file was cut into three parts."""
        return hashlib.sha256((self.train + self.validation + self.test).encode()).hexdigest()


def load_text(name: str, *, data_dir: str | Path | None = None, file: str | Path | None = None) -> Text:
    """Load the text called `name`, or the text of `file` if one is given.

    Args:
        name: "descriptions" (embedded; scikit-learn's descriptions of its data sets), or the name of a TFDS set with
            the feature `text` and splits train, validation and test, such as tiny_shakespeare.
        data_dir: TFDS directory that holds the prepared set; nothing is downloaded then.
        file: A text in UTF-8, cut into its first 90, next 5 and last 5 %, as "descriptions" is.

    Raises:
        FileNotFoundError: The file, or the prepared set, does not exist.
        ValueError: The name is unknown, the set has no text, or the file is too short or not in UTF-8.
    """
    if file is not None:
        return file_text(Path(file).expanduser())
    return descriptions() if name == "descriptions" else tfds_text(name, data_dir)


def descriptions() -> Text:
    """Return scikit-learn's descriptions of its data sets, some 43 000 characters of English."""
    folder = importlib.resources.files("sklearn.datasets.descr")
    return cut("descriptions", "".join((folder / f"{name}.rst").read_text("utf-8") for name in DESCRIPTIONS))


def file_text(path: Path) -> Text:
    """Read the text in a file."""
    if not path.is_file():
        raise MissingPathError("text", str(path), ": no such file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArgumentError("text", str(path), f" must be UTF-8: byte {error.start} is not ({error.reason})") from None
    if len(text) < PARTS:
        raise ArgumentError("text", str(path), f" holds {len(text)} characters, needs at least {PARTS}")
    return cut(path.stem, text)


def cut(name: str, text: str) -> Text:
    """Split a text into its first 90, the next 5 and the last 5 %."""
    held_out = len(text) // PARTS
    train, validation = len(text) - 2 * held_out, len(text) - held_out
    return Text(name, text[:train], text[train:validation], text[validation:])


def tfds_text(name: str, data_dir: str | Path | None) -> Text:
    """Load the text of a TFDS set in the set's own splits; line breaks join several records of a split."""
    import tensorflow_datasets as tfds

    try:
        builder = prepared_builder(name, data_dir)
    except ArgumentError as error:
        advice = "texts are descriptions, tiny_shakespeare, or a file of your own"
        raise ArgumentError(error.argument, error.value, f"{error.message}; {advice}") from error
    features, splits = builder.info.features, builder.info.splits
    if "text" not in features or not isinstance(features["text"], tfds.features.Text):
        raise ArgumentError("dataset", name, f": has no text in its features: {one_line(features)}")
    if missing := {"train", "validation", "test"} - set(splits):
        raise ArgumentError("dataset", name, f": needs splits {', '.join(sorted(missing))}; it has {', '.join(splits)}")
    check_records(name, builder)

    def read(split: str) -> str:
        records = builder.as_data_source(split=split)
        try:
            return "\n".join(records[index]["text"].decode("utf-8") for index in range(len(records)))
        except Exception as error:  # each layer raises its own type: records, protocol buffers, UTF-8
            where = f"dataset={name!r}: split {split} in {builder.data_path}"
            raise DataError(f"{where} is damaged ({first_line(error)}); prepare it anew") from error

    return Text(name, read("train"), read("validation"), read("test"))


def code_points(text: str) -> Int[np.ndarray, " N"]:
    """Return the Unicode code point of each character."""
    return np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)


def encode(text: str, vocabulary: str) -> Int[np.ndarray, " N"]:
    """Return the index of each character in the sorted vocabulary; ValueError for a character not in the vocabulary."""
    if unknown := sorted(set(text) - set(vocabulary)):
        raise ValueError(f"characters outside the vocabulary: {', '.join(map(repr, unknown))}; it is {vocabulary!r}")
    return np.searchsorted(code_points(vocabulary), code_points(text)).astype(np.int32)


def decode(indices: Int[np.ndarray, " N"], vocabulary: str) -> str:
    """Return the text with these character indices, the inverse of `encode`."""
    return "".join(vocabulary[index] for index in indices)
