"""Report of a finished run: result.json, and the table printed for the user."""

import importlib.metadata
import math
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.table import Table

from genjax.runs.config import Config
from genjax.runs.directory import PLACES
from genjax.runs.experiment import Experiment
from genjax.runs.loop import Trained
from genjax.runs.options import option

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy")


FLAGS = ("--distributed", "--no-distributed")
"""Options among `PLACES` that have no value."""


def result_of(
    config: Config,
    origin: Mapping[str, Any],
    experiment: Experiment,
    trained: Sequence[Trained],
    metrics: Mapping[str, np.ndarray],
    wall_seconds: float,
) -> dict[str, Any]:
    """Return the content of result.json.

    `origin` is the value of `origin_of` before the training, `metrics` are the metrics of the test split, [seeds] each,
    and `wall_seconds` is the time of training, validation and evaluation over all sessions.
    """
    data = experiment.data
    return {
        "experiment": config.name,
        "preset": config.preset,
        "dataset": {"name": data.name, "split": "test", "protocol": data.protocol, "sha256": data.sha256},
        "seeds": list(config.run.seeds),
        "steps": trained[0].checkpoint.done,
        "metrics": {name: summary(values, experiment.kind(name)) for name, values in metrics.items()},
        "parameters": parameter_count(trained[0]),
        **experiment.facts,
        "wall_seconds": wall_seconds,
        **surroundings(),
        **origin,
    }


def surroundings() -> dict[str, Any]:
    """Return the device and the versions of the packages that affect the numbers."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"device": device(), "versions": {"python": platform.python_version(), **versions}}


def origin_of(program: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the command that repeats the run and the commit of the code; call it before the run, not after it."""
    return {"command": command_line(program, arguments), "commit": commit()}


def summary(values: np.ndarray, kind: str) -> dict[str, Any]:
    """Return the mean and standard deviation of values [seeds]; no standard deviation for a single seed."""
    deviation = float(values.std(ddof=1)) if values.size > 1 else None
    return {"mean": float(values.mean()), "sd": deviation, "per_seed": values.tolist(), "kind": kind}


def parameter_count(trained: Trained) -> int:
    """Return the number of trained parameters of one seed."""
    state = trained.checkpoint.state
    return sum(leaf.size for leaf in jax.tree.leaves(state.params)) // state.key.size


def command_line(program: str, arguments: Sequence[str]) -> str:
    """Return the command that repeats the run, without the options in `PLACES`."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, _ = word.replace("_", "-").partition("=")
        if name in FLAGS:
            continue
        if name not in map(option, PLACES):
            kept.append(word)
        elif not equals:
            next(words, None)
    return shlex.join([*shlex.split(program), *kept])


def device() -> str:
    """Return the kind and number of accelerators, or the CPU and its cores."""
    devices = jax.devices()
    if devices[0].platform == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return "CPU, 1 core" if cores == 1 else f"CPU, {cores} cores"
    return f"{len(devices)} x {devices[0].device_kind}"


def commit() -> str | None:
    """Return the commit of this library, with "+changes" if tracked files differ from it; None outside a repository."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def result_table(result: Mapping[str, Any]) -> Table:
    """Return the table of the metrics of a result."""
    dataset = result["dataset"]
    title = f"{result['experiment']} ({result['preset']}) on {dataset['name']} ({dataset['protocol']}), test"
    caption = f"{len(result['seeds'])} seed(s), {result['wall_seconds']} s, {result['device']}"
    return metrics_table(result["metrics"], title=title, caption=caption)


def metrics_table(metrics: Mapping[str, Mapping[str, Any]], *, title: str, caption: str) -> Table:
    """Return a table with one row per metric: mean ± s.d. over seeds, and the kind of the metric."""
    rows = Table(title=title, caption=caption, min_width=len(title))
    for column in ("metric", "mean ± s.d.", "kind"):
        rows.add_column(column)
    for name, values in metrics.items():
        rows.add_row(name, mean_and_deviation(values), values["kind"])
    return rows


def mean_and_deviation(values: Mapping[str, Any]) -> str:
    """Return the mean, with a suitable number of digits, and ± s.d. if there are several seeds."""
    if values["sd"] is None:
        return f"{values['mean']:.4g}" if abs(values["mean"]) < 1 else f"{values['mean']:.3f}"
    digits = 2
    if abs(values["mean"]) < 1:  # small numbers show two digits of the deviation, unless it is only rounding error
        varies = values["sd"] > 1e-9 * abs(values["mean"])
        digits = max(4, 1 - math.floor(math.log10(values["sd"]))) if varies else 4
    return f"{values['mean']:.{digits}f} ± {values['sd']:.{digits}f}"
