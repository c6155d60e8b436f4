"""Captioned images as an experiment reads them: scenes of digits, or a folder of one's own, one caption at a time."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from genjax.data.binarize import present
from genjax.data.captions import Vocabulary, captioned_folder, decode
from genjax.data.dataset import Dataset, Load, Source, Split, resident
from genjax.data.load import source
from genjax.data.scenes import scenes
from genjax.runs.experiment import Run
from genjax.types import Batch, Key


class Captioned(NamedTuple):
    """Images with captions."""

    data: Dataset
    vocabulary: Vocabulary
    held_out: Split | None
    """Scenes of pairs that no other split has; None where the images are a user's own."""
    all_pairs: Callable[[], Dataset] | None
    """Draws scenes of the same digits with all pairs, from which the reader learns."""


def load(run: Run, *, side: int, captions: int, copies: int, pairs: float) -> Captioned:
    """Scenes of the digits of --dataset, or the images of a folder with their captions."""
    path = Path(run.dataset).expanduser()
    if path.suffix != ".npz" and (path.is_absolute() or run.dataset.startswith(".")):
        found = captioned_folder(path)
        check_differ(run.dataset, found.source)
        return Captioned(one_caption(found.source), found.vocabulary, None, None)
    digits = source(run.dataset, run.data_dir)
    make = functools.partial(scenes, digits, side=side, copies=copies, pairs=pairs)
    drawn = make(captions=captions)
    return Captioned(
        one_caption(drawn.source),
        drawn.vocabulary,
        drawn.held_out,
        lambda: one_caption(make(captions=1, hold_out=False).source),
    )


def check_differ(dataset: str, found: Source) -> None:
    """Raise ValueError where all images that are measured have the same captions, so that none are another's."""
    for name, split in (("validation", found.validation), ("test", found.test)):
        if not with_other_captions(split)[1].any():
            raise ValueError(
                f"--dataset {dataset}: {name} has {split.size} images whose captions are the same; needs two"
            )


def one_caption(source: Source) -> Dataset:
    """The data whose batches have one of the captions of each image, drawn under the key."""
    data = present(source, "none")
    return data._replace(load=with_one_caption(data.load))


def with_one_caption(load: Load) -> Load:
    """`caption` [B, captions, T] becomes [B, T], and so do `wrong_caption` and `other_caption`."""

    def loaded(raw: Mapping[str, Array], key: Key) -> Batch:
        image_key, caption_key = jax.random.split(key)
        batch = dict(load(raw, image_key))
        for name in ("caption", "wrong_caption", "other_caption"):
            if name in batch:
                batch[name] = chosen(batch[name], caption_key)
        return batch

    return loaded


def chosen(captions: Int[Array, "B captions T"], key: Key) -> Int[Array, "B T"]:
    """One caption of each image, any of them."""
    index = jax.random.randint(key, (len(captions),), 0, captions.shape[1])
    return jnp.take_along_axis(captions, index[:, None, None], axis=1)[:, 0]


def objects_of(split: Split) -> Int[np.ndarray, "N 2 4"]:
    """What stands in each scene."""
    return split.read(np.arange(split.size))["objects"]


def with_other_captions(split: Split) -> tuple[Split, np.ndarray]:
    """The split with the captions of the next example as `other_caption`, and where these are of something else."""
    examples = split.read(np.arange(split.size))
    rolled = {name: np.roll(array, 1, axis=0) for name, array in examples.items()}
    named = "objects" if "objects" in examples else "caption"
    differ = (examples[named] != rolled[named]).reshape(split.size, -1).any(axis=1)
    return resident({**examples, "other_caption": rolled["caption"]}), differ


def texts(captions: Int[Array, "B T"], found: Captioned) -> list[str]:
    """The captions in words."""
    return [decode(row, found.vocabulary) for row in np.asarray(captions)]
