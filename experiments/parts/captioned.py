"""Data of the text-to-image experiment: captioned scenes of digits or a captioned folder, one caption at a time."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Int

from genjax.data.binarize import present
from genjax.data.captions import Vocabulary, captioned_folder, decode, with_one_caption
from genjax.data.dataset import Dataset, Source, Split, resident
from genjax.data.load import source
from genjax.data.scenes import FRACTIONS, scenes
from genjax.runs.options import Data


@dataclass(frozen=True)
class Scenes:
    """Options that compose scenes from digits; without effect for a folder of captioned images."""

    side: int = 32
    """Height and width of a scene in pixels."""
    captions: int = 5
    """Number of captions of each scene."""
    copies: int = 1
    """Number of scenes for each digit image of the data set."""
    pairs: float = 0.25
    """Fraction of the scenes that have two digits."""
    digit_sizes: tuple[float, float] = FRACTIONS
    """Sides of a small and of a large digit, as fractions of the side of the scene; their sum may be above 1 only with
    --pairs 0."""


class Captioned(NamedTuple):
    """Images with captions."""

    data: Dataset
    """Images; a batch has one random caption of each image."""
    vocabulary: Vocabulary
    held_out: Split | None
    """Scenes whose pairs of digit and colour are in no other split; None for a folder of images."""
    all_pairs: Callable[[], Dataset] | None
    """Function that returns scenes of the same digits with all pairs of digit and colour, on which the scene classifier
    is trained; None for a folder."""


def load(data: Data, options: Scenes) -> Captioned:
    """Compose scenes of the digits of --dataset, or read the images and captions of a folder.

    Raises ValueError where the scenes cannot be composed, or the captions of a split are all the same.
    """
    path = Path(data.dataset).expanduser()
    if path.suffix != ".npz" and (path.is_absolute() or data.dataset.startswith(".")):
        found = captioned_folder(path)
        check_differ(data.dataset, found.source)
        return Captioned(one_caption(found.source), found.vocabulary, None, None)
    digits = source(data.dataset, data.data_dir)
    composed = {name: getattr(options, name) for name in ("side", "copies", "pairs", "digit_sizes")}
    make = functools.partial(scenes, digits, **composed)
    drawn = make(captions=options.captions)
    return Captioned(
        one_caption(drawn.source),
        drawn.vocabulary,
        drawn.held_out,
        lambda: one_caption(make(captions=1, hold_out=False).source),
    )


def check_differ(dataset: str, found: Source) -> None:
    """Raise ValueError where all images of a split have the same captions, so that no wrong caption exists."""
    for name, split in (("validation", found.validation), ("test", found.test)):
        if not with_other_captions(split)[1].any():
            raise ValueError(
                f"--dataset {dataset}: {name} has {split.size} images whose captions are the same; needs two"
            )


def one_caption(source: Source) -> Dataset:
    """Return the data whose batches have one caption of each image, drawn at random."""
    data = present(source, "none")
    return data._replace(load=with_one_caption(data.load))


def objects_of(split: Split) -> Int[np.ndarray, "N 2 4"]:
    """Return the objects of each scene of a split (genjax/data/scenes.py)."""
    return split.read(np.arange(split.size))["objects"]


def with_other_captions(split: Split) -> tuple[Split, np.ndarray]:
    """Return the split with the captions of the previous example as `other_caption`, and whether these are wrong [N].

    A caption is not wrong where both examples have the same objects or, in data without objects, the same captions.
    """
    examples = split.read(np.arange(split.size))
    rolled = {name: np.roll(array, 1, axis=0) for name, array in examples.items()}
    named = "objects" if "objects" in examples else "caption"
    differ = (examples[named] != rolled[named]).reshape(split.size, -1).any(axis=1)
    return resident({**examples, "other_caption": rolled["caption"]}), differ


def texts(captions: Int[Array, "B T"], found: Captioned) -> list[str]:
    """Return the captions, given as word numbers, as text."""
    return [decode(row, found.vocabulary) for row in np.asarray(captions)]
