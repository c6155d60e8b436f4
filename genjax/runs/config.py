"""Configuration of a run: read from the command line, written to config.json, and read back from there.

config.json names the experiment as `module:function`, so that a run of any Python file can be sampled and evaluated.
"""

import argparse
import dataclasses
import importlib
import inspect
import json
import shlex
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from genjax.errors import NamedArgumentError
from genjax.precision import with_precision
from genjax.runs.directory import RunError
from genjax.runs.experiment import Experiment
from genjax.runs.options import Run, option

Function = Callable[[Any], Experiment]
"""Function of an experiment: takes an instance of its dataclass of options and returns its `Experiment`."""

Presets = Mapping[str, Any]
"""Instances of the experiment's dataclass of options by preset name; the first preset is the default."""

BESIDE = Path(__file__).resolve().parents[2] / "experiments"
"""Folder of the experiments of this repository, which Python can import by the names of their modules."""


class Config(NamedTuple):
    """Configuration in config.json: the experiment, the preset that its options started from, and all its options."""

    experiment: str
    """Name of the experiment, `module:function`."""
    preset: str
    options: Any
    """Instance of the experiment's dataclass of options."""
    file: str | None = None
    """File of the module, for an experiment outside this repository."""

    @property
    def name(self) -> str:
        """Short name of the experiment: the name of its function."""
        return self.experiment.partition(":")[2]

    @property
    def run(self) -> Run:
        """Options of the training."""
        return self.options.run


def parse(function: Function, presets: Presets, arguments: Sequence[str]) -> Config:
    """Return the configuration of a command line.

    Exits with status 2 and a message if an option is unknown or a value does not fit its type; RunError if a value is
    out of range.
    """
    chosen = presets[chosen_preset(presets, arguments)]
    kind = type(chosen)
    command = with_preset(kind, presets)
    try:
        parsed = tyro.cli(
            command,
            default=command(preset=chosen_preset(presets, arguments), **fields_of(chosen, kind)),
            prog=program(function),
            description=page(function),
            args=list(arguments),
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except ValueError as error:  # raised by the checks of `Run`
        raise RunError(error, exit_code=2) from error
    module, file = location(function)
    return Config(f"{module}:{function.__name__}", parsed.preset, kind(**fields_of(parsed, kind)), file)


def chosen_preset(presets: Presets, arguments: Sequence[str]) -> str:
    """Return the name after --preset, or the first preset's name; an unknown name is refused later."""
    first = next(iter(presets))
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chooser.add_argument("--preset", default=first)
    chosen = chooser.parse_known_args(arguments)[0].preset
    return chosen if chosen in presets else first


def with_preset(kind: Any, presets: Presets) -> Any:
    """Return a class with a field `preset`, followed by the fields of `kind`, a dataclass of options."""
    help_text = "A set of defaults for all other options."
    names = Annotated[Literal[tuple(presets)], tyro.conf.arg(help=help_text)]  # pyright: ignore
    preset = dataclasses.make_dataclass("Preset", [("preset", names)], frozen=True)
    return dataclasses.make_dataclass(kind.__name__, [], bases=(kind, preset), frozen=True)


def fields_of(options: Any, kind: Any) -> dict[str, Any]:
    """Return an object's values of the fields of a dataclass, by name."""
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(kind)}


def location(function: Function) -> tuple[str, str | None]:
    """Return the module of an experiment and its file; None for the file of an experiment of this repository."""
    file = Path(inspect.getfile(function)).resolve()
    return module_name(function), None if file.is_relative_to(BESIDE) else str(file)


def module_name(function: Function) -> str:
    """Return the name by which a function's module can be imported, also when it is run as a program.

    A file of this repository's experiments has one name, in whichever of the possible ways it is run.
    """
    file = Path(inspect.getfile(function)).resolve()
    if file.is_relative_to(BESIDE):
        return ".".join((BESIDE.name, *file.relative_to(BESIDE).with_suffix("").parts))
    if function.__module__ != "__main__":
        return function.__module__
    spec = sys.modules["__main__"].__spec__
    return file.stem if spec is None else spec.name  # python FILE.py, or python -m NAME


def program(function: Function) -> str:
    """Return the command that runs an experiment, without options."""
    script = function.__module__ == "__main__" and sys.modules["__main__"].__spec__ is None
    return f"python {shlex.quote(sys.argv[0])}" if script else f"python -m {module_name(function)}"


def page(function: Function) -> str:
    """Return the docstring of the experiment's file."""
    return inspect.getdoc(inspect.getmodule(function)) or ""


def build(function: Function, config: Config) -> Experiment:
    """Return the experiment of a configuration, with its model in the run's precision.

    RunError if its options or its data cannot be used.
    """
    try:
        experiment = function(config.options)
        return experiment._replace(model=with_precision(experiment.model, config.run.precision))
    except (ValueError, OSError) as error:
        raise option_error(error, config.options) from error


def option_error(error: Exception, options: Any) -> RunError:
    """Return the error for the command line: an argument that has the value of an option is named as the option is."""
    if isinstance(error, NamedArgumentError):
        own = flat(options).get(error.argument)
        if own is not None and Path(str(own)).expanduser() == Path(str(error.value)):
            return RunError(f"{option(error.argument)} {own}{error.message}", exit_code=2)
    return RunError(error, exit_code=2)


def as_json(config: Config) -> dict[str, Any]:
    """Return the configuration in plain values, with all options on one level."""
    options = plain(flat(config.options))
    file = {} if config.file is None else {"file": config.file}
    return {"experiment": config.experiment, "preset": config.preset, "options": options, **file}


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of options as JSON has them."""
    return json.loads(json.dumps(options, default=str))


def from_json(saved: Mapping[str, Any]) -> tuple[Function, Config]:
    """Return a saved experiment and its configuration, the inverse of `as_json`.

    An option that is newer than the saved ones has its default. RunError if the experiment cannot be imported, or if
    it lacks a saved option or cannot use its value.
    """
    function = imported(saved["experiment"], saved.get("file"))
    kind = options_class(function)
    values = {**defaults_of(kind), **saved["options"]}
    if unlike := sorted(set(values) ^ set(field_names(kind))):
        raise RunError(f"its options are of another version: {', '.join(unlike)}")
    try:
        options = decoded(kind, values)
    except ValueError as error:
        raise RunError(f"its options are of another version: {error}") from error
    return function, Config(saved["experiment"], saved["preset"], options, saved.get("file"))


def with_option(config: Config, name: str, value: Any, *, flag: str) -> Config:
    """Return the configuration with another value of an option; RunError, by the `flag` that needs it, if absent."""
    option_of(config, name, flag=f"{flag} {value}")
    return config._replace(options=decoded(type(config.options), {**flat(config.options), name: value}))


def option_of(config: Config, name: str, *, flag: str) -> Any:
    """Return the value of an option; RunError, by the `flag` that needs it, if the experiment has no such option."""
    values = flat(config.options)
    if name not in values:
        raise RunError(f"{flag}: {config.name} has no option {option(name)}", exit_code=2)
    return values[name]


def imported(experiment: str, file: str | None) -> Function:
    """Return the function named `module:function`, from `file` if one is given; RunError if it cannot be imported.

    The root folder of the file's module is put on Python's path, so that the module can import its neighbours.
    """
    name, _, function = experiment.partition(":")
    if file is not None and not Path(file).is_file():
        raise RunError(f"the experiment's file {file} is gone")
    if file is not None and (root := str(Path(file).parents[name.count(".")])) not in sys.path:
        sys.path.insert(0, root)
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a user's file may raise any error
        raise RunError(f"the experiment {experiment} cannot be imported: {type(error).__name__}: {error}") from error
    there = getattr(module, "__file__", None) or "built in"
    if file is not None and Path(there).resolve() != Path(file):
        raise RunError(f"the experiment's module {name} is {there} here, and was {file}")
    if not hasattr(module, function):
        raise RunError(f"the experiment {experiment} cannot be imported: {there} has no {function}")
    return getattr(module, function)


def options_class(function: Function) -> Any:
    """Return the dataclass of an experiment's options: the type of its only argument."""
    hint = next(iter(typing.get_type_hints(function).values()), None)
    if not dataclasses.is_dataclass(hint):
        raise RunError(f"{function.__name__} must have one argument, annotated with its dataclass of options")
    return hint


def flat(options: Any) -> dict[str, Any]:
    """Return the options by their names on the command line, with the fields of nested dataclasses on one level."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        found |= flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return found


def defaults_of(kind: Any) -> dict[str, Any]:
    """Return the defaults of a class of options, by the names that `flat` gives; an option may have none."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if value is not dataclasses.MISSING:
            found |= flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return found


def field_names(kind: Any) -> list[str]:
    """Return the names that `flat` gives to the options of this class."""
    names: list[str] = []
    for name, hint in typing.get_type_hints(kind).items():
        names += field_names(hint) if dataclasses.is_dataclass(hint) else [name]
    return names


def decoded(kind: Any, values: Mapping[str, Any]) -> Any:
    """Return an instance of a dataclass of options from plain values; ValueError if one does not fit its type."""

    def value(name: str, hint: Any) -> Any:
        if dataclasses.is_dataclass(hint):
            return decoded(hint, values)
        found = from_plain(values[name], hint)
        if not fits(found, hint):
            raise ValueError(f"{name}={values[name]!r}")
        return found

    return kind(**{name: value(name, hint) for name, hint in typing.get_type_hints(kind).items()})


def from_plain(plain: Any, hint: Any) -> Any:
    """Return a JSON value as the Python type of its field: a list becomes a tuple, a string a path, where required."""
    if isinstance(plain, list):
        return tuple(from_plain(item, hint) for item in plain)
    return Path(plain) if isinstance(plain, str) and Path in (hint, *typing.get_args(hint)) else plain


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value has the type `hint` of an option."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is tuple:
        kinds = [one for one in arguments if one is not ...]
        return isinstance(value, tuple) and all(any(fits(item, kind) for kind in kinds) for item in value)
    if hint is float:
        return isinstance(value, int | float)
    return isinstance(value, hint) if isinstance(hint, type) else True
