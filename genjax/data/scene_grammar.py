"""Grammar of captions of scenes: one or two clauses, each about a digit with its colour, size and position."""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int

from genjax.data.captions import Vocabulary, encode

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS: Mapping[str, tuple[float, float, float]] = {
    "red": (1, 0.2, 0.2),
    "green": (0.2, 1, 0.2),
    "blue": (0.3, 0.4, 1),
    "yellow": (1, 1, 0.2),
    "white": (1, 1, 1),
}
"""Colour of a white pixel, as factors of red, green and blue."""
SIZES: Mapping[str, tuple[str, ...]] = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
PLACES: Mapping[str, tuple[str, ...]] = {
    "left": ("on the left", "at the left side"),
    "right": ("on the right", "at the right side"),
    "top": ("at the top", "in the upper part"),
    "bottom": ("at the bottom", "in the lower part"),
    "center": ("in the middle", "in the center"),
}
TEMPLATES = (
    "a {size} {colour} {digit} {place}",
    "{place} a {size} {colour} {digit}",
    "a {colour} {digit}, {size}, {place}",
    "the {digit} {place} is {size} and {colour}",
)

DIGIT, COLOUR, SIZE, PLACE = range(4)
"""Columns of `objects`: digit, colour, size and position."""
NOTHING = -1
"""Value of all four columns of the second digit where a scene has only one."""

SYNONYMS = (2, 3, 2)
"""Numbers of ways to name a digit, a size and a position."""


def describe(
    objects: Int[np.ndarray, "N 2 4"], captions: int, vocabulary: Vocabulary, generator: np.random.Generator
) -> Int[np.ndarray, "N captions T"]:
    """Return random captions of each scene, as word numbers; two digits are named in random order."""
    limits = (len(TEMPLATES), *SYNONYMS)
    choices = generator.integers(0, limits, (len(objects), captions, 2, len(limits)))
    turned = generator.random((len(objects), captions)) < 0.5
    numbers = functools.cache(lambda one, choice: tuple(encode([clause(one, choice)], vocabulary)[0].tolist()))
    joint = tuple(encode(["and"], vocabulary)[0, :1].tolist())
    rows = np.zeros((len(objects), captions, vocabulary.length), np.int32)
    for scene, caption in np.ndindex(rows.shape[:2]):
        parts = [
            tuple(filter(None, numbers(tuple(one), tuple(choice))))
            for one, choice in zip(objects[scene].tolist(), choices[scene, caption].tolist(), strict=True)
            if one[DIGIT] != NOTHING
        ]
        ordered = parts[::-1] if turned[scene, caption] else parts
        words = ordered[0] if len(parts) == 1 else ordered[0] + joint + ordered[1]
        rows[scene, caption, : len(words)] = words
    return rows


def clause(one: Sequence[int], choice: Sequence[int]) -> str:
    """Return a clause about one digit with attributes `one`; `choice` picks the template and the synonyms."""
    return TEMPLATES[choice[0]].format(**phrases(one, choice[1:]))


def phrases(one: Sequence[int], choice: Sequence[int]) -> dict[str, str]:
    """Return the words for one digit; `choice` picks its name or numeral, and the synonyms for size and position."""
    digit, colour, size, place = one
    return {
        "digit": (DIGITS[digit], str(digit))[choice[0]],
        "colour": tuple(COLOURS)[colour],
        "size": tuple(SIZES.values())[size][choice[1]],
        "place": tuple(PLACES.values())[place][choice[2]],
    }


def every_sentence(two: bool) -> Iterator[str]:
    """Yield captions with all words of the grammar and a longest one, of `two` digits or one, to build a vocabulary."""
    clauses = [
        clause((digit, digit % len(COLOURS), size, place), choice)
        for digit, size, place in itertools.product(range(len(DIGITS)), range(len(SIZES)), range(len(PLACES)))
        for choice in itertools.product(range(len(TEMPLATES)), *map(range, SYNONYMS))
    ]
    yield from clauses
    if two:
        longest = max(clauses, key=lambda text: len(text.split()))
        yield f"{longest} and {longest}"
