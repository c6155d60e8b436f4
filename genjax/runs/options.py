"""Options of an experiment: a frozen dataclass from which the command line is made, and config.json written and read.

An experiment's own options are a frozen dataclass whose fields are `Data`, `Run` and hyperparameters, each with its
help under it; the presets are instances of it:

    @dataclass(frozen=True)
    class Options:
        data: Data = Data()
        run: Run = Run(steps=2000)
        hidden: int = 500
        \"""Hidden units H.\"""

    PRESETS = {"quick": Options(), "small": Options(data=Data(dataset="mnist"), hidden=200)}

On the command line the fields of `Data` and `Run` stand beside the others, without a prefix.
"""

import argparse
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import json
import math
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax.numpy as jnp
import tyro
from jax.typing import DTypeLike

from genjax.data.binarize import Binarization
from genjax.data.dataset import Dataset
from genjax.data.load import load_dataset
from genjax.runs.directory import RunError
from genjax.runs.experiment import Experiment

DEFAULT_PRESET = "quick"

Presets = Mapping[str, Any]
"""Preset name -> the options as an instance of the experiment's dataclass."""


@dataclass(frozen=True)
class Data:
    """Images to train on."""

    dataset: str = "digits"
    """Data set: digits (embedded), the name of any TFDS image set, a folder of images, or an .npz file."""
    data_dir: Path | None = None
    """TFDS directory that holds the prepared data set; TFDS's own default where none is given."""
    binarization: Binarization = "static"
    """How grey pixels become binary: sampled once, sampled anew at each use, x > 0.5, or not at all."""

    def __post_init__(self) -> None:
        """Expand ~ in paths."""
        expand(self, "data_dir")

    def load(self, *, shrink: int = 1) -> Dataset:
        """The images in three splits (`genjax.data.load.load_dataset`)."""
        return load_dataset(self.dataset, data_dir=self.data_dir, binarization=self.binarization, shrink=shrink)


@dataclass(frozen=True)
class Run:
    """Training of one or several seeds, whatever the model."""

    seeds: tuple[int, ...] = (0,)
    """One training run per seed: each has its own initialization and its own order of the data."""
    seeds_at_once: int | None = None
    """Seeds trained together in one program. By default all; convolutional models on a CPU: one."""
    steps: int = 1000
    """Training steps, at most: models that are counted (tables) stop after one pass over the data."""
    batch_size: int = 100
    """Examples per step and seed."""
    evaluate_every: int = 500
    """Steps between evaluations on the validation split, and between checkpoints."""
    quality: bool = False
    """Compare generated images with real ones: Frechet distance, precision, recall and more; the data need labels."""
    workdir: Path | None = None
    """Run directory; an unfinished run there is continued. By default a new one under runs/."""
    deterministic: bool = False
    """Ask XLA for deterministic operations on a GPU (slower). On a CPU runs repeat bit for bit without it."""

    def __post_init__(self) -> None:
        """Raise ValueError where an option is out of range."""
        expand(self, "workdir")
        for name in ("steps", "batch_size", "evaluate_every", "seeds_at_once"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{option(name)} {value} must be at least 1")
        if not self.seeds or min(self.seeds) < 0 or max(self.seeds) >= 2**32:
            raise ValueError(f"--seeds {list(self.seeds)}: give one or more from 0 to 4294967295")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"--seeds {list(self.seeds)}: each may stand once")


def expand(options: Any, name: str) -> None:
    """Expand ~ in a path of a frozen dataclass: --workdir=~/x arrives as it is written."""
    if (path := getattr(options, name)) is not None:
        object.__setattr__(options, name, path.expanduser())


def option(name: str) -> str:
    """A field's name as it is written on the command line."""
    return "--" + name.replace("_", "-")


def check_positive(**options: float | int) -> None:
    """Raise ValueError where an option is not a finite number above 0."""
    for name, value in options.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{option(name)} {value} must be above 0 and finite")


Precision = Literal["float32", "bfloat16"]
"""Of a network's products; parameters, states and likelihoods are float32."""


def compute_dtype(precision: Precision) -> DTypeLike | None:
    """The `dtype` of a model that computes at this precision; None, that of its parameters, for float32."""
    return jnp.bfloat16 if precision == "bfloat16" else None


Function = Callable[[Any], Experiment]
"""An experiment: its options, as an instance of its dataclass, to a value."""


class Config(NamedTuple):
    """What config.json says: which experiment, which preset its defaults came from, and its options."""

    experiment: str
    """`module:function`."""
    preset: str
    options: Any
    file: str | None = None
    """The file of a module that is outside of Python's path, such as a script of one's own."""

    @property
    def name(self) -> str:
        """The experiment's short name: that of its function."""
        return self.experiment.partition(":")[2]

    @property
    def run(self) -> Run:
        """The options of the training."""
        return self.options.run


def parse(function: Function, presets: Presets, arguments: Sequence[str]) -> Config:
    """The configuration of a command line.

    Exits with status 2 and a message where an option is unknown or a value does not fit its type; RunError where a
    value is out of range.
    """
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chooser.add_argument("--preset", default=DEFAULT_PRESET)
    chosen = chooser.parse_known_args(arguments)[0].preset
    default = presets.get(chosen, presets[DEFAULT_PRESET])
    helped = Annotated[Literal[tuple(presets)], tyro.conf.arg(help="A set of defaults for all other options.")]  # pyright: ignore
    fields = [("preset", helped, DEFAULT_PRESET), ("options", type(default), dataclasses.field(default=default))]
    command = dataclasses.make_dataclass(function.__name__, fields, frozen=True)
    module, file = location(function)
    try:
        parsed = tyro.cli(
            command,
            prog=program(function),
            description=page(function),
            args=list(arguments),
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except ValueError as error:  # from the checks of `Run`
        raise RunError(error, exit_code=2) from error
    return Config(f"{module}:{function.__name__}", parsed.preset, parsed.options, file)


def location(function: Function) -> tuple[str, str | None]:
    """The module of an experiment, and its file where Python would not find the module by its name elsewhere."""
    module = inspect.getmodule(function)
    spec = getattr(module, "__spec__", None)
    file = str(Path(inspect.getfile(function)).resolve())
    if function.__module__ != "__main__":
        name = function.__module__
    elif spec is not None:  # python -m package.name
        name = spec.name
    else:  # python name.py
        return Path(file).stem, file
    return name, None if name.split(".")[0] == "experiments" else file


def program(function: Function) -> str:
    """The command that runs an experiment, without options."""
    module, file = location(function)
    script = file is not None and "." not in module
    return f"python {Path(typing.cast(str, file)).name}" if script else f"python -m {module}"


def page(function: Function) -> str:
    """The docstring of the experiment's file."""
    return inspect.getdoc(inspect.getmodule(function)) or ""


def build(function: Function, config: Config) -> Experiment:
    """The experiment of a configuration; RunError where its options or its data cannot be used."""
    try:
        return function(config.options)
    except (ValueError, OSError) as error:
        raise RunError(error, exit_code=2) from error


def as_json(config: Config) -> dict[str, Any]:
    """The configuration in plain values."""

    def plain(value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    options = {name: plain(value) for name, value in flat(config.options).items()}
    place = {} if config.file is None else {"file": config.file}
    return {
        "experiment": config.experiment,
        "preset": config.preset,
        "options": json.loads(json.dumps(options)),
        **place,
    }


def from_json(saved: Mapping[str, Any], *, data_dir: Path | None = None) -> tuple[Function, Config]:
    """The experiment of a saved configuration and the configuration itself, the inverse of `as_json`.

    `data_dir`, where given, takes the place of the one that was saved. Raises RunError where the configuration is of
    another version, or the experiment's file is gone.
    """
    if ":" not in saved.get("experiment", ""):
        raise RunError(f"experiment={saved.get('experiment')!r}: saved by an earlier version; train it anew")
    function = imported(saved["experiment"], saved.get("file"))
    values = dict(saved["options"]) | ({} if data_dir is None else {"data_dir": str(data_dir)})
    kind = options_class(function)
    if (have := set(values)) != (need := set(field_names(kind))):
        raise RunError(f"its options are of another version: {', '.join(sorted(have ^ need))}")
    return function, Config(saved["experiment"], saved["preset"], decoded(kind, values), saved.get("file"))


def imported(experiment: str, file: str | None) -> Function:
    """The function `module:function`, from `file` where one is given; RunError where it is not there."""
    module, _, function = experiment.partition(":")
    try:
        return getattr(importlib.import_module(module) if file is None else module_of_file(module, file), function)
    except (ImportError, AttributeError, OSError) as error:
        raise RunError(f"experiment={experiment!r} cannot be imported: {error}") from error


@functools.cache
def module_of_file(name: str, file: str) -> Any:
    """The module in a file, imported as `name`."""
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == file:
        return loaded
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise ImportError(f"no Python file at {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def options_class(function: Function) -> Any:
    """The dataclass of an experiment's options: the type of its only argument."""
    return next(iter(typing.get_type_hints(function).values()))


def flat(options: Any) -> dict[str, Any]:
    """The options by their names on the command line, with the fields of nested dataclasses among them."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        found |= flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return found


def field_names(kind: Any) -> list[str]:
    """The names that `flat` gives the options of this class."""
    hints = typing.get_type_hints(kind)
    nested = {name: dataclasses.is_dataclass(hint) for name, hint in hints.items()}
    return [leaf for name in hints for leaf in (field_names(hints[name]) if nested[name] else [name])]


def decoded(kind: Any, values: Mapping[str, Any]) -> Any:
    """An instance of a dataclass of options from the plain values of `as_json`."""

    def value(name: str, hint: Any) -> Any:
        if dataclasses.is_dataclass(hint):
            return decoded(hint, values)
        plain = values[name]
        if isinstance(plain, list):
            return tuple(plain)
        return Path(plain) if Path in (hint, *typing.get_args(hint)) and plain is not None else plain

    return kind(**{name: value(name, hint) for name, hint in typing.get_type_hints(kind).items()})
