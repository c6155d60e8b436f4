"""What an experiment is: a typed function of its options that returns this value; training it is the runner's job."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import tyro
from jax.typing import DTypeLike
from jaxtyping import Array, Int
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.data.feed import Feed, make_feed
from genjax.types import Evaluate, Key, Params, Stats


class Movie(NamedTuple):
    """A picture that moves."""

    figure: Figure
    draw: Callable[[int], None]
    """Puts the frame of this number on the figure."""
    frames: int


Picture = Figure | Movie | str

Figures = Callable[[Params, Stats, Key], Mapping[str, Picture]]
"""Pictures of one trained seed, by file name: samples, completions, reconstructions, ...; a text is one too."""

Write = Callable[[Params, str, float, int, Key], str]
"""(params, prompt, temperature, characters, key) -> what one trained seed writes after the prompt."""


Caption = Callable[[str], Int[np.ndarray, " T"]]
"""A text to what stands for it in a batch's `caption`, or ValueError."""


class Translation(NamedTuple):
    """What makes images of one domain into images of another."""

    reads: Mapping[str, tuple[int, int, int]]
    """By the name of each domain that it can make images of: the shape of those that it makes them of."""
    translate: Callable[[Params, Stats, Array, str], Array]
    """(params, stats, images [B, H, W, C] in [0, 1], domain) -> images [B, H, W, channels] in [0, 1]."""


@dataclass(frozen=True)
class Run:
    """The options every experiment has."""

    dataset: str = "digits"
    """Data set: digits (embedded), the name of any TFDS image set, a folder of images, or an .npz file."""
    data_dir: Path | None = None
    """TFDS directory that holds the prepared data set; TFDS's own default where none is given."""
    binarization: Literal["static", "dynamic", "threshold", "none"] = "static"
    """How grey pixels become binary: sampled once, sampled anew at each use, x > 0.5, or not at all."""
    seeds: tuple[int, ...] = (0,)
    """One training run per seed: each has its own initialization and its own order of the data."""
    seeds_at_once: int | None = None
    """Seeds trained together in one program. By default all; convolutional models on a CPU: one."""
    steps: int = 1000
    """Training steps, at most: a model that is counted and not descended stops after one pass over the data."""
    batch_size: int = 100
    """Examples per step and seed."""
    evaluate_every: int = 500
    """Steps between evaluations on the validation split, and between checkpoints."""
    quality: bool = False
    """Compare generated images with real ones by all metrics of experiments/quality.py; the data need labels."""
    workdir: Path | None = None
    """Run directory; an unfinished run there is continued. By default a new one under runs/."""
    deterministic: bool = False
    """Ask XLA for deterministic operations on a GPU (slower). On a CPU runs repeat bit for bit without it."""

    def __post_init__(self) -> None:
        """Raise ValueError where an option is out of range."""
        for name in ("data_dir", "workdir"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, path.expanduser())  # --workdir=~/x reaches us as it is written
        for name in ("steps", "batch_size", "evaluate_every", "seeds_at_once"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{option(name)} {value} must be at least 1")
        if not self.seeds or min(self.seeds) < 0 or max(self.seeds) >= 2**32:
            raise ValueError(f"--seeds {list(self.seeds)}: give one or more from 0 to 4294967295")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"--seeds {list(self.seeds)}: each may stand once")


def option(name: str) -> str:
    """A field's name as it is written on the command line."""
    return "--" + name.replace("_", "-")


def check_positive(**options: float) -> None:
    """Raise ValueError where an option is not a finite number above 0."""
    for name, value in options.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{option(name)} {value} must be above 0 and finite")


Precision = Literal["float32", "bfloat16"]
"""Of a network's products; parameters, states and likelihoods are float32."""


def compute_dtype(precision: Precision) -> DTypeLike | None:
    """The `dtype` of a model that computes at this precision; None, that of its parameters, for float32."""
    return jnp.bfloat16 if precision == "bfloat16" else None


Common = Annotated[Run, tyro.conf.arg(name="")]
"""`Run` as options without a prefix."""


class Reference(NamedTuple):
    """A published or measured number that ours stands beside in the table of results."""

    metric: str
    dataset: str
    protocol: str
    value: float
    source: str
    """Who reports it, of which model."""
    options: Mapping[str, str | int | float] = {}
    """The options of the runs that it is meant for; all where there are none."""


class Select(NamedTuple):
    """Which parameters a run ends with: those with the best mean of a validation metric."""

    metric: str
    best: Literal["min", "max"]


Measure = Callable[[Params, Stats, Split, Key], Mapping[str, float]]
"""What is measured of one trained seed on a split as a whole, and is no mean over its examples."""


class Experiment(NamedTuple):
    """A model, its data, and what to measure and to draw."""

    model: Model
    data: Dataset
    kinds: Mapping[str, str]
    """The kind of each metric of `model.evaluate` and of `measure`: exact, elbo, iwae-K or estimate."""
    figures: Figures
    validate: Evaluate | None = None
    """Evaluated on the validation split during training; by default `model.evaluate`."""
    select: Select | None = None
    """By default the parameters of the last step."""
    seeds_together: bool = True
    """Whether training several seeds in one program pays on a CPU (it does not for convolutions and NADE)."""
    feed: Callable[[Sequence[int], int], Feed] | None = None
    """(seeds, batch size) -> the training batches, or ValueError; by default each seed's own order of the images
    (`make_feed`)."""
    max_steps: int | None = None
    """Training ends here even where more steps were asked for."""
    facts: Mapping[str, int | float | str] = {}
    """What else the result should say, such as the closed form of the number of parameters."""
    write: Write | None = None
    """Where the model is one of text."""
    draws: bool = True
    """Whether `model.generate` draws images, and does not make them of those in the batch."""
    measure: Measure | None = None
    """What else to measure on a split of `data`: active units, distances between distributions, probes."""
    caption: Caption | None = None
    """Where the model draws what a caption says."""
    shown: tuple[str, ...] = ()
    """Metrics of training that the progress bar has beside the losses, `phase/metric`."""
    translation: Translation | None = None
    """Where the model makes images of one domain into images of another."""

    def training_feed(self, seeds: Sequence[int], batch_size: int) -> Feed:
        """The batches of these seeds."""
        if self.feed is not None:
            return self.feed(seeds, batch_size)
        return make_feed(self.data.train, self.data.load, seeds, batch_size)
