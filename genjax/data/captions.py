"""Captions as rows of word numbers, and folders of images with captions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from genjax.data.dataset import Load, Source
from genjax.data.files import check_folder, folder, image_names
from genjax.types import Batch, Key

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
"""Pattern of a word: letters and digits, with apostrophes between them."""

PADDING, UNKNOWN = 0, 1
"""Numbers of the padding after a caption and of a word that is not in the vocabulary."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return WORD.findall(text.lower())


class Vocabulary(NamedTuple):
    """Words of captions: number 0 is padding, 1 an unknown word, and from 2 on the known words in sorted order."""

    known: tuple[str, ...]
    length: int
    """Number of words of the longest caption."""

    @property
    def size(self) -> int:
        """Number of different word numbers, including padding and the unknown word."""
        return len(self.known) + 2


def vocabulary_of(captions: Iterable[str]) -> Vocabulary:
    """Return the vocabulary of all words of these captions. Raises ValueError where they have no word."""
    split = [words(caption) for caption in captions]
    known = {word for caption in split for word in caption}
    if not known:
        raise ValueError("captions: hold no word")
    return Vocabulary(tuple(sorted(known)), max(map(len, split)))


def encode(captions: Sequence[str], vocabulary: Vocabulary) -> Int[np.ndarray, "N T"]:
    """Return word numbers [N, T], with 0 after the last word and 1 for an unknown word; T is `vocabulary.length`.

    Raises ValueError for a caption without a known word, or of more words than T.
    """
    numbers = {word: number for number, word in enumerate(vocabulary.known, start=UNKNOWN + 1)}
    rows = np.full((len(captions), vocabulary.length), PADDING, np.int32)
    for row, caption in zip(rows, captions, strict=True):
        found = [numbers.get(word, UNKNOWN) for word in words(caption)]
        if all(number == UNKNOWN for number in found):
            raise ValueError(f"caption {caption!r}: none of its words is known; known are {', '.join(numbers)}")
        if len(found) > len(row):
            raise ValueError(f"caption {caption!r} has {len(found)} words, must have at most {len(row)}")
        row[: len(found)] = found
    return rows


def decode(row: Int[np.ndarray, " T"], vocabulary: Vocabulary) -> str:
    """Return the words of one row, with ? for an unknown word."""
    names = {UNKNOWN: "?", **dict(enumerate(vocabulary.known, start=UNKNOWN + 1))}
    return " ".join(names[int(number)] for number in row if number != PADDING)


class Captioned(NamedTuple):
    """Images, each with several captions: `caption` [captions, T] in word numbers."""

    source: Source
    vocabulary: Vocabulary


def captioned_folder(path: Path) -> Captioned:
    """Return the images of a folder (`files.folder`) with the captions in text files, one a line: a.txt for a.png.

    Captions of an image with fewer captions than others are repeated. The vocabulary has the words of all captions.
    Raises the errors of `files.folder`, and FileNotFoundError or ValueError with the path where captions are missing or
    not in UTF-8.
    """
    check_folder(path)
    texts = [caption_lines(path / name) for name in image_names(path)]
    vocabulary = vocabulary_of(caption for lines in texts for caption in lines)
    count = max(map(len, texts))
    captions = np.stack([np.resize(encode(lines, vocabulary), (count, vocabulary.length)) for lines in texts])
    return Captioned(folder(path, more={"caption": captions}), vocabulary)


def caption_lines(image: Path) -> list[str]:
    """Return the lines with words in the text file of an image."""
    file = image.with_suffix(".txt")
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; it must hold the captions of {image.name}, a line each")
    try:
        lines = [line for line in file.read_text("utf-8").splitlines() if words(line)]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} must be UTF-8: {error.reason}") from None
    if not lines:
        raise ValueError(f"{file} holds no caption")
    return lines


def with_one_caption(load: Load) -> Load:
    """Return `load` with one random caption of each image: caption arrays [B, captions, T] become [B, T].

    `wrong_caption` and `other_caption`, captions of other images, become [B, T] likewise.
    """

    def loaded(raw: Mapping[str, Array], key: Key) -> Batch:
        image_key, caption_key = jax.random.split(key)
        batch = dict(load(raw, image_key))
        for name in ("caption", "wrong_caption", "other_caption"):
            if name in batch:
                batch[name] = one_of_each(batch[name], caption_key)
        return batch

    return loaded


def one_of_each(captions: Int[Array, "B captions T"], key: Key) -> Int[Array, "B T"]:
    """Choose one caption of each image at random."""
    index = jax.random.randint(key, (len(captions),), 0, captions.shape[1])
    return jnp.take_along_axis(captions, index[:, None, None], axis=1)[:, 0]
