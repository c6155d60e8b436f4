"""Captions as rows of word numbers, and a folder of images with captions of one's own."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from genjax.data.dataset import Source
from genjax.data.files import check_folder, folder, image_names

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
"""Letters and digits, apostrophes between them."""

PADDING, UNKNOWN = 0, 1


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return WORD.findall(text.lower())


class Vocabulary(NamedTuple):
    """What captions are made of: word number 0 is no word, 1 one that is not known, the others are sorted."""

    known: tuple[str, ...]
    length: int
    """Words of the longest caption."""

    @property
    def size(self) -> int:
        """Of a table with a row for each word number."""
        return len(self.known) + 2


def vocabulary_of(captions: Iterable[str]) -> Vocabulary:
    """All words of these captions. Raises ValueError where there is none."""
    split = [words(caption) for caption in captions]
    known = {word for caption in split for word in caption}
    if not known:
        raise ValueError("captions: hold no word")
    return Vocabulary(tuple(sorted(known)), max(map(len, split)))


def encode(captions: Sequence[str], vocabulary: Vocabulary) -> Int[np.ndarray, "N T"]:
    """Word numbers, with 0 behind the last word and 1 for a word that is not known, T = `vocabulary.length`.

    Raises ValueError for a caption without a word that is known, or of more words than T.
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
    """The words of one row, with ? for one that is not known."""
    names = {UNKNOWN: "?", **dict(enumerate(vocabulary.known, start=UNKNOWN + 1))}
    return " ".join(names[int(number)] for number in row if number != PADDING)


class Captioned(NamedTuple):
    """Images, and `caption` [captions, T] of each in word numbers."""

    source: Source
    vocabulary: Vocabulary


def captioned_folder(path: Path) -> Captioned:
    """The images of a folder (`files.folder`) whose captions stand, a line each, beside them: a.txt beside a.png.

    An image with fewer captions than another has some of them again. The vocabulary is that of all captions. Raises as
    `files.folder` does, and FileNotFoundError or ValueError with the path where captions are missing or not in UTF-8.
    """
    check_folder(path)
    texts = [caption_lines(path / name) for name in image_names(path)]
    vocabulary = vocabulary_of(caption for lines in texts for caption in lines)
    count = max(map(len, texts))
    captions = np.stack([np.resize(encode(lines, vocabulary), (count, vocabulary.length)) for lines in texts])
    return Captioned(folder(path, more={"caption": captions}), vocabulary)


def caption_lines(image: Path) -> list[str]:
    """The lines with words in the text file of an image."""
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
