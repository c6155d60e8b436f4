"""Parts that experiments on images of several domains share: data, learning rate, figures in rows, a classifier."""

import functools
from collections.abc import Callable, Mapping

import numpy as np
import optax
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from genjax.data.dataset import Dataset, Source, shrunk
from genjax.data.load import source
from genjax.measures.extractor import train_extractor
from genjax.pictures.figures import captioned_grid
from genjax.runs.options import Data

CLASSIFIER_STEPS = 600
"""Number of training steps of a classifier of digits or other classes."""

Images = Float[np.ndarray, "N H W _"]


def linear_decay(learning_rate: float, steps: int) -> optax.Schedule:
    """Return a schedule: a constant learning rate for half of the steps, then linear decay to 0 (Zhu et al. 2017)."""
    constant = optax.constant_schedule(learning_rate)
    decay = optax.linear_schedule(learning_rate, 0.0, steps - steps // 2)
    return optax.join_schedules([constant, decay], [steps // 2])


def load_source(data: Data, name: str, *, shrink: int = 1) -> Source:
    """Load the grey or coloured images of a data set; each block of `shrink` x `shrink` pixels becomes one pixel."""
    return shrunk(source(name, data.data_dir), shrink)


def check_grey(data: Data) -> None:
    """Raise ValueError where images would be binarized."""
    if data.binarization != "none":
        raise ValueError(
            f"--binarization {data.binarization}: generated images have grey values; use --binarization none"
        )


def rows_of_images(rows: Mapping[str, Images], *, title: str) -> Figure:
    """Return a figure with a row of images for each name; grey and coloured images may be mixed."""
    channels = max(images.shape[-1] for images in rows.values())
    alike = [np.broadcast_to(images, (*images.shape[:-1], channels)) for images in rows.values()]
    return captioned_grid(np.stack(alike), list(rows), title=title)


Classify = Callable[[Images], Int[np.ndarray, " N"]]
"""Function that returns the most probable digit, or other class, of each image."""


def make_classify(data: Dataset) -> Classify:
    """Return a classifier (genjax/measures/extractor.py), trained on real images of `data` when it is first called."""
    classifier = functools.cache(lambda: train_extractor(data, steps=CLASSIFIER_STEPS))
    return lambda images: classifier().probabilities(images).argmax(axis=1)
