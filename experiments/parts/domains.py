"""What experiments on translation between domains share: the schedule, pictures in rows, and a reader of digits."""

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
from genjax.runs.experiment import Run

READER_STEPS = 600
"""Of a reader's training: on the digits it is wrong in 3 % of the images by then."""

Images = Float[np.ndarray, "N H W _"]


def linear_decay(learning_rate: float, steps: int) -> optax.Schedule:
    """The step size for the first half of the steps, then in a straight line to 0 at the last (Zhu et al. 2017)."""
    constant = optax.constant_schedule(learning_rate)
    decay = optax.linear_schedule(learning_rate, 0.0, steps - steps // 2)
    return optax.join_schedules([constant, decay], [steps // 2])


def load_source(run: Run, name: str, *, shrink: int = 1) -> Source:
    """The grey or coloured values of the data set of this name, each block of `shrink` x `shrink` pixels as one."""
    return shrunk(source(name, run.data_dir), shrink)


def rows_of_images(rows: Mapping[str, Images], *, title: str) -> Figure:
    """A row of images by each name, grey ones beside coloured ones."""
    channels = max(images.shape[-1] for images in rows.values())
    alike = [np.broadcast_to(images, (*images.shape[:-1], channels)) for images in rows.values()]
    return captioned_grid(np.stack(alike), list(rows), title=title)


Read = Callable[[Images], Int[np.ndarray, " N"]]
"""Images to the digits, or other classes, that are in them."""


def make_reader(domain: Dataset) -> Read:
    """A classifier of a domain (genjax/measures/extractor.py), trained on its real images when it is first asked."""
    reader = functools.cache(lambda: train_extractor(domain, steps=READER_STEPS))
    return lambda images: reader().probabilities(images).argmax(axis=1)
