"""From the command line to a configuration, and from a configuration back to an experiment."""

import argparse
import dataclasses
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.directory import RunError
from experiments.experiment import Experiment, Run, option

Presets = Mapping[str, Mapping[str, Any]]
"""Preset name -> the options in which it differs from the function's own defaults."""

DEFAULT_PRESET = "quick"


def parse(function: Callable[..., Experiment], presets: Presets, arguments: Sequence[str]) -> dict[str, Any]:
    """The configuration {experiment, preset, options} of a command line.

    The options are the parameters of `function`, with the defaults of the preset. Exits with status 2 and a message
    where an option is unknown or a value does not fit its type; RunError where a value is out of range.
    """
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chooser.add_argument("--preset", default=DEFAULT_PRESET)
    chosen = chooser.parse_known_args(arguments)[0].preset
    defaults = presets.get(chosen, presets[DEFAULT_PRESET])

    def collect(**options: Any) -> dict[str, Any]:
        return {"experiment": function.__name__, "preset": options.pop("preset"), "options": options}

    name = f"python -m experiments.{function.__name__}"
    described = with_preset(function, collect, presets)
    command = functools.partial(described, **defaults)
    try:
        return tyro.cli(command, prog=name, description=page(function), args=list(arguments))
    except ValueError as error:  # from the checks of `Run`
        raise RunError(error, exit_code=2) from error


def with_preset(
    function: Callable[..., Experiment], collect: Callable[..., dict[str, Any]], presets: Presets
) -> Callable[..., dict[str, Any]]:
    """`collect` with the signature of `function`, `--preset` before its options."""
    functools.update_wrapper(collect, function)
    del collect.__wrapped__  # pyright: ignore[reportFunctionMemberAccess]
    helped = Annotated[Literal[tuple(presets)], tyro.conf.arg(help="A set of defaults for all other options.")]  # pyright: ignore
    preset = inspect.Parameter("preset", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT_PRESET, annotation=helped)
    own = inspect.signature(function).parameters.values()
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    collect.__signature__ = inspect.Signature([preset, *keyword_only])  # pyright: ignore[reportFunctionMemberAccess]
    collect.__annotations__ = {"preset": helped, **function.__annotations__, "return": dict[str, Any]}
    return collect


def page(function: Callable[..., Experiment]) -> str:
    """The docstring of the experiment's file."""
    return inspect.getdoc(inspect.getmodule(function)) or ""


def build(function: Callable[..., Experiment], config: Mapping[str, Any]) -> Experiment:
    """The experiment of a configuration; RunError where its options or its data cannot be used."""
    try:
        return function(**config["options"])
    except (ValueError, OSError) as error:
        raise RunError(with_options(str(error), config["options"]), exit_code=2) from error


def with_options(message: str, own: Iterable[str] = ()) -> str:
    """The message with `name=value` as on the command line, `--name value`, where an option has this name."""
    known = "|".join([*own, *(field.name for field in dataclasses.fields(Run))])
    return re.sub(rf"(?<![-\w])({known})=", lambda found: f"{option(found[1])} ", message)


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in plain values."""
    options = dict(config["options"])
    run = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(options["run"]).items()
    }
    return {**config, "options": {**options, "run": run}}


def from_json(config: Mapping[str, Any], *, data_dir: Path | None = None) -> dict[str, Any]:
    """The inverse of `as_json`; `data_dir`, where given, takes the place of the one that was saved."""
    run, own = dict(config["options"]["run"]), {k: v for k, v in config["options"].items() if k != "run"}
    places = {name: None if run[name] is None else Path(run[name]) for name in ("data_dir", "workdir")}
    if data_dir is not None:
        places["data_dir"] = data_dir
    return {**config, "options": {"run": Run(**{**with_tuples(run), **places}), **with_tuples(own)}}


def with_tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with tuples where JSON has lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def experiment_function(name: str) -> Callable[..., Experiment]:
    """The function of the experiment called `name`."""
    return getattr(importlib.import_module(f"experiments.{name}"), name)
