"""Captioned scenes of real digits: each scene shows one or two digits, each with a colour, a size and a position.

Captions come from a small grammar with synonyms (genjax/data/scene_grammar.py), so that an image can be checked against
its caption. Some pairs of a digit and a colour are held out: they are in no training caption, though each digit and
each colour is.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from genjax.data.captions import Vocabulary, vocabulary_of
from genjax.data.dataset import Source, Split, arrays_sha256, resident
from genjax.data.scene_grammar import (
    COLOUR,
    COLOURS,
    DIGIT,
    DIGITS,
    NOTHING,
    PLACE,
    PLACES,
    SIZE,
    describe,
    every_sentence,
)
from genjax.errors import ArgumentError

FRACTIONS = (3 / 8, 5 / 8)
"""Sides of a small and of a large digit, as fractions of the side of the scene."""
OPPOSITE = ((0, 1), (2, 3))
"""Pairs of positions for the two digits of a scene, as indices of `PLACES`."""
CHANGED = (1 / 2, 1 / 6, 1 / 6, 1 / 6)
"""Probabilities that a wrong caption changes the digit, the colour, the size or the position."""
SMALLEST = 6
"""Least side of a small digit in pixels."""
JITTER = 1 / 16
"""Largest shift of a single digit from its position, as a fraction of the side of the scene."""


class Scenes(NamedTuple):
    """Images [N, side, side, 3], right and wrong captions [N, captions, T] and objects [N, 2, 4], in four splits.

    A wrong caption describes a scene that differs in one attribute: in half of the wrong captions a digit, which takes
    longest to learn, else a colour, a size or a position. Only in the fourth split may it name a held-out pair.
    """

    source: Source
    held_out: Split
    """Scenes of one digit whose pair of digit and colour is in no other split; digit images come from the test
    split."""
    vocabulary: Vocabulary


def scenes(
    source: Source,
    *,
    side: int = 32,
    captions: int = 5,
    copies: int = 1,
    pairs: float = 0.25,
    digit_sizes: tuple[float, float] = FRACTIONS,
    hold_out: bool = True,
) -> Scenes:
    """Return scenes of the digits of `source`, which must be grey, square and labelled 0, ..., 9.

    Args:
        source: Images of digits; those of a split are used in scenes of that split only.
        side: Height and width of a scene in pixels.
        captions: Number of captions of each scene, drawn independently.
        copies: Number of scenes in which each digit image is the first digit.
        pairs: Fraction of the scenes that have two digits. If it is 0, captions have half as many words at most.
        digit_sizes: Sides of a small and of a large digit, as fractions of the side of the scene.
        hold_out: Whether pairs of a digit and a colour are held out; if not, all pairs are in all four splits.

    Raises:
        ValueError: for other images, or a number out of range.
    """
    check(source, side=side, captions=captions, copies=copies, pairs=pairs, digit_sizes=digit_sizes)
    vocabulary = vocabulary_of(every_sentence(two=pairs > 0))
    held = held_out_pairs()
    every = np.ones_like(held)
    seen, unseen = (~held, held) if hold_out else (every, every)
    parts = []
    for stream, split in enumerate((source.train, source.validation, source.test, source.test)):
        generator = np.random.Generator(np.random.Philox(key=stream))
        last = stream == 3
        drawn = draw_objects(split, copies, unseen if last else seen, 0.0 if last else pairs, generator)
        arrays = {
            "image": paint(split, drawn, side, digit_sizes, generator),
            "caption": describe(drawn.objects, captions, vocabulary, generator),
            "wrong_caption": wrong_captions(drawn.objects, captions, every if last else seen, vocabulary, generator),
            "objects": drawn.objects,
        }
        parts.append(resident(arrays))
    train, validation, test, held_out = parts
    name = f"scenes-of-{source.name}-{side}x{side}"
    digest = arrays_sha256(train.arrays or {}, validation.arrays or {}, test.arrays or {})
    return Scenes(Source(name, train, validation, test, digest), held_out, vocabulary)


def check(
    source: Source, *, side: int, captions: int, copies: int, pairs: float, digit_sizes: tuple[float, float]
) -> None:
    """Raise ValueError where the images do not suit scenes, or a number is out of range."""
    examples = source.train.first()
    height, width, channels = examples["image"].shape[1:]
    if "label" not in examples or height != width or channels != 1:
        shape = f"{height}x{width}x{channels}{'' if 'label' in examples else ', without labels'}"
        raise ValueError(f"scenes are made of grey, square digits with labels; {source.name!r} is {shape}")
    if captions < 1 or copies < 1 or not 0 <= pairs <= 1:
        wanted = f" and copies={copies} must be at least 1, and pairs={pairs} in [0, 1]"
        raise ArgumentError("captions", captions, wanted)
    small, large = digit_sizes
    if not 0 < small < large <= 1 or (pairs and small + large > 1):
        wanted = " must rise from above 0 to at most 1, and have a sum of at most 1 if pairs is above 0"
        raise ArgumentError("digit_sizes", digit_sizes, wanted)
    if round(small * side) < SMALLEST:
        needs = f" is too small: small digits must have at least {SMALLEST} pixels a side, so it must be at least "
        raise ArgumentError("side", side, f"{needs}{math.ceil((SMALLEST - 0.5) / small)}")


def held_out_pairs() -> Bool[np.ndarray, "digits colours"]:
    """Return which pairs are held out: one colour of each digit, two digits of each colour."""
    digit, colour = np.indices((len(DIGITS), len(COLOURS)))
    return digit % len(COLOURS) == colour


class Drawn(NamedTuple):
    """Attributes and images of the digits of each scene."""

    objects: Int[np.ndarray, "N 2 4"]
    """Digit, colour, size and position of both digits, as indices; -1 where there is no second digit."""
    rows: Int[np.ndarray, "N 2"]
    """Indices of the digits' images in their split."""


def draw_objects(
    split: Split, copies: int, allowed: Bool[np.ndarray, "digits colours"], pairs: float, generator: np.random.Generator
) -> Drawn:
    """Return random attributes of each digit; all colours that `allowed` permits for a digit are equally likely.

    Of two digits in a scene at most one is large, and their positions are opposite.
    """
    label = split.read(np.arange(split.size))["label"]
    first = np.tile(np.arange(split.size), copies)
    rows = np.stack([first, generator.integers(0, split.size, len(first))], axis=1)
    digit = label[rows]
    if digit.min() < 0 or digit.max() >= len(DIGITS):
        raise ValueError(f"labels from {digit.min()} to {digit.max()}: scenes are made of the digits 0 to 9")
    colour = np.where(allowed[digit], generator.random((*digit.shape, len(COLOURS))), -1).argmax(axis=-1)
    size = generator.integers(0, 2, digit.shape)
    place = np.stack([generator.integers(0, len(PLACES), len(first)), np.zeros(len(first), np.int64)], axis=1)
    two = generator.random(len(first)) < pairs
    size[two & (size.sum(axis=1) == 2), 1] = 0
    places = np.array([*OPPOSITE, *(pair[::-1] for pair in OPPOSITE)])
    place[two] = places[generator.integers(0, len(places), two.sum())]
    objects = np.stack([digit, colour, size, place], axis=-1).astype(np.int32)
    objects[~two, 1] = NOTHING
    return Drawn(objects, rows)


def paint(
    split: Split, drawn: Drawn, side: int, digit_sizes: tuple[float, float], generator: np.random.Generator
) -> UInt8[np.ndarray, "N side side 3"]:
    """Return the scenes: the digits in their colours on black."""
    sizes = [max(round(fraction * side), 1) for fraction in digit_sizes]
    jitter = generator.integers(0, int(JITTER * side) + 1, (*drawn.rows.shape, 2))
    jitter[drawn.objects[:, 1, DIGIT] != NOTHING] = 0
    resized = [resize(split, size) for size in sizes]
    canvas = np.zeros((len(drawn.rows), side, side, 3), np.float32)
    palette = np.array(list(COLOURS.values()), np.float32)
    for scene, (objects, rows, shifts) in enumerate(
        zip(drawn.objects.tolist(), drawn.rows.tolist(), jitter.tolist(), strict=True)
    ):
        for (_, colour, size, place), row, shift in zip(objects, rows, shifts, strict=True):
            if colour == NOTHING:
                continue
            top, left = corner(place, sizes[size], side, shift)
            window = canvas[scene, top : top + sizes[size], left : left + sizes[size]]
            np.maximum(window, resized[size][row][..., None] * palette[colour], out=window)
    return (255 * canvas).round().astype(np.uint8)


def corner(place: int, size: int, side: int, shift: Sequence[int]) -> tuple[int, int]:
    """Return first row and column of a digit; `shift` moves it inwards from an edge, down or right from the middle."""
    middle, far = (side - size) // 2, side - size
    down, right = shift
    return {
        "left": (middle + down, right),
        "right": (middle + down, far - right),
        "top": (down, middle + right),
        "bottom": (far - down, middle + right),
        "center": (middle + down, middle + right),
    }[tuple(PLACES)[place]]


def resize(split: Split, size: int) -> Float[np.ndarray, "N size size"]:
    """Return all images of a split resized to `size`, in [0, 1]."""
    import PIL.Image

    images = split.read(np.arange(split.size))["image"][..., 0]
    white = 255 if images.dtype == np.uint8 else 1
    scaled = [
        PIL.Image.fromarray(image.astype(np.float32) / white).resize((size, size), PIL.Image.Resampling.BILINEAR)
        for image in images
    ]
    return np.stack([np.asarray(image) for image in scaled]).clip(0, 1)


def wrong_captions(
    objects: Int[np.ndarray, "N 2 4"],
    captions: int,
    allowed: Bool[np.ndarray, "digits colours"],
    vocabulary: Vocabulary,
    generator: np.random.Generator,
) -> Int[np.ndarray, "N captions T"]:
    """Return random captions of scenes that differ from the given scenes in one attribute, chosen for each caption."""
    changes = (changed(objects, allowed, generator) for _ in range(captions))
    return np.concatenate([describe(other, 1, vocabulary, generator) for other in changes], axis=1)


def changed(
    objects: Int[np.ndarray, "N 2 4"], allowed: Bool[np.ndarray, "digits colours"], generator: np.random.Generator
) -> Int[np.ndarray, "N 2 4"]:
    """Return the objects of scenes with one attribute of one digit changed.

    If the scene has two digits, a change of size or position swaps their positions instead. A new digit or colour forms
    a pair that `allowed` permits.
    """
    rows, two = np.arange(len(objects)), objects[:, 1, DIGIT] != NOTHING
    which = np.where(two, generator.integers(0, 2, len(objects)), 0)
    digit, colour, size, place = objects[rows, which].T
    values = np.stack(
        [
            another(allowed.T[colour], digit, generator),
            another(allowed[digit], colour, generator),
            1 - size,
            another(np.ones((len(objects), len(PLACES)), bool), place, generator),
        ]
    )
    column = generator.choice(len(values), len(objects), p=CHANGED)
    swapped = two & (column >= SIZE)
    column[swapped & (objects[:, 0, :PLACE] == objects[:, 1, :PLACE]).all(axis=1)] = COLOUR  # a swap changes nothing
    swapped &= column >= SIZE
    result = objects.copy()
    result[rows, which, column] = np.where(swapped, result[rows, which, column], values[column, rows])
    result[swapped, :, PLACE] = objects[swapped, ::-1, PLACE]
    return result


def another(
    allowed: Bool[np.ndarray, "N values"], value: Int[np.ndarray, " N"], generator: np.random.Generator
) -> Int[np.ndarray, " N"]:
    """Return for each example a random allowed value other than its own, of which there must be one."""
    others = allowed & (np.arange(allowed.shape[1]) != value[:, None])
    return np.where(others, generator.random(others.shape), -1).argmax(axis=1)
