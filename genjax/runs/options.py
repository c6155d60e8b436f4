"""Options that every experiment has: one frozen dataclass for its images, and one for its training.

The options of an experiment are a frozen dataclass whose fields are `Data`, `Run` and hyperparameters, each followed
by its help text; the presets are instances of this dataclass:

    @dataclass(frozen=True)
    class Options:
        data: Data = Data()
        run: Run = Run(steps=2000)
        hidden: int = 500
        '''Hidden units H.'''

    PRESETS = {"quick": Options(), "small": Options(data=Data(dataset="mnist"), hidden=200)}

On the command line the fields of `Data` and `Run` have no prefix, like all other options (genjax/runs/config.py).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genjax.data.binarize import Binarization
from genjax.data.dataset import Dataset
from genjax.data.load import load_dataset
from genjax.precision import Precision


@dataclass(frozen=True)
class Data:
    """Images to train on."""

    dataset: str = "digits"
    """Data set: digits (embedded), the name of any TFDS image set, a folder of images, or an .npz file."""
    data_dir: Path | None = None
    """TFDS directory that holds the prepared data set; by default TFDS's own directory."""
    binarization: Binarization = "static"
    """Binarization of grey pixels: sampled once (static), sampled anew at each use (dynamic), x > 0.5 (threshold), or
    none."""

    def __post_init__(self) -> None:
        """Expand ~ in paths."""
        expand(self, "data_dir")

    def load(self, *, shrink: int = 1) -> Dataset:
        """Return the images in three splits (`genjax.data.load.load_dataset`)."""
        return load_dataset(self.dataset, data_dir=self.data_dir, binarization=self.binarization, shrink=shrink)


@dataclass(frozen=True)
class Run:
    """Training options that all models share."""

    seeds: tuple[int, ...] = (0,)
    """Seeds, each of which is trained with its own initialization and its own order of the data."""
    seeds_at_once: int | None = None
    """Number of seeds trained together in one program; by default all, but one for convolutional models on a CPU."""
    steps: int = 1000
    """Number of training steps, at most; models fitted by counting (tables) stop after one pass over the data."""
    batch_size: int = 100
    """Number of examples per step and seed."""
    evaluate_every: int = 500
    """Number of steps between evaluations on the validation split, and between checkpoints."""
    quality: bool = False
    """Compare generated images with real images: Frechet distance, precision, recall and more; the data need labels."""
    precision: Precision = "float32"
    """Precision of the model: with bfloat16 its matrix products and convolutions are of numbers rounded to it, while
    parameters, sums and losses stay in float32; float64 needs JAX_ENABLE_X64=1 in the environment."""
    devices: int | None = None
    """Number of devices over which seeds, and then the examples of a batch, are spread; by default as many as divide
    them evenly. A run may go on with another number, which rounds differently."""
    distributed: bool = False
    """This is one of several processes of a run, each started with this command and the same --workdir, which all of
    them see. SLURM and Open MPI (one task for each GPU), Kubernetes and TPU slices say by themselves how many there
    are; elsewhere the three options below do."""
    coordinator: str | None = None
    """Address HOST:PORT at which the first process waits for the others of --distributed."""
    processes: int | None = None
    """Number of processes of --distributed."""
    process_id: int | None = None
    """Number of this process of --distributed, from 0."""
    workdir: Path | None = None
    """Run directory; an unfinished run in it is continued. By default a new directory under runs/."""
    deterministic: bool = False
    """Ask XLA for deterministic operations on a GPU (slower). Runs on a CPU repeat bit for bit without this option."""

    def __post_init__(self) -> None:
        """Raise ValueError if an option is out of range."""
        expand(self, "workdir")
        for name in ("steps", "batch_size", "evaluate_every", "seeds_at_once", "devices", "processes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{option(name)} {value} must be at least 1")
        if not self.seeds or min(self.seeds) < 0 or max(self.seeds) >= 2**32:
            raise ValueError(f"--seeds {list(self.seeds)}: give one or more from 0 to 4294967295")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"--seeds {list(self.seeds)}: each may stand once")
        self.check_distributed()

    def check_distributed(self) -> None:
        """Raise ValueError if options of several processes stand alone, are incomplete or do not go together."""
        by_hand = {name: getattr(self, name) for name in ("coordinator", "processes", "process_id")}
        given = [option(name) for name, value in by_hand.items() if value is not None]
        if not self.distributed:
            if given:
                raise ValueError(f"{given[0]} is for one of several processes: give --distributed too")
            return
        if self.workdir is None:
            raise ValueError("--distributed: give --workdir, a folder that all processes see")
        if given and len(given) < len(by_hand):
            raise ValueError(f"{given[0]}: give --coordinator, --processes and --process-id together, or none of them")
        if self.coordinator is not None and not self.coordinator.rpartition(":")[2].isdigit():
            raise ValueError(f"--coordinator {self.coordinator}: give an address with a port, such as 10.0.0.1:1234")
        if given and not 0 <= self.process_id < self.processes:  # pyright: ignore[reportOperatorIssue]
            raise ValueError(f"--process-id {self.process_id} must be from 0 to --processes {self.processes} less 1")


def expand(options: Any, name: str) -> None:
    """Expand ~ in a path of a frozen dataclass, in place: `--workdir=~/x` is not expanded by the shell."""
    if (path := getattr(options, name)) is not None:
        object.__setattr__(options, name, path.expanduser())


def option(name: str) -> str:
    """Return a field's name as it is written on the command line."""
    return "--" + name.replace("_", "-")


def check_positive(**options: float | int) -> None:
    """Raise ValueError if an option is not a finite number above 0."""
    for name, value in options.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{option(name)} {value} must be above 0 and finite")
