"""A run read back from its directory, finished or not."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.directory import CONFIG, RunError, read_json
from experiments.experiment import Experiment, Run
from experiments.memory import DAMAGED, Memory, checkpoint_folder, initial_memory, latest
from experiments.options import build, experiment_function, from_json
from genjax.checkpoint import Checkpoints
from genjax.data.feed import make_feed
from genjax.types import Params, Stats


class Restored(NamedTuple):
    """A run's experiment, and the parameters it has so far."""

    config: Mapping[str, Any]
    experiment: Experiment
    seeds: tuple[int, ...]
    params: Params
    """With a leading seed axis, as `stats`."""
    stats: Stats
    step: int
    """Steps done, the fewest of all seeds."""


def restore_run(directory: Path, *, data_dir: Path | None = None) -> Restored:
    """The run in `directory`; RunError where it holds none, or no checkpoint yet.

    `data_dir` replaces the TFDS directory the run was trained from.
    """
    if not (directory / CONFIG).exists():
        raise RunError(f"{directory} holds no run: {directory / CONFIG} is missing")
    stored = read_json(directory / CONFIG)
    try:
        groups = [tuple(seeds) for seeds in stored["groups"]]
        config = from_json(stored, data_dir=data_dir)
        experiment = build(experiment_function(config["experiment"]), config)
    except (TypeError, KeyError, ImportError, AttributeError) as error:
        raise RunError(f"{directory / CONFIG} is of another version of the experiment: {error}") from error
    restored = [restore_group(experiment, config["options"]["run"], seeds, directory) for seeds in groups]
    chosen = [memory.chosen() for memory in restored]
    params, stats = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *chosen)
    seeds = tuple(seed for group in groups for seed in group)
    return Restored(config, experiment, seeds, params, stats, min(int(memory.state.step) for memory in restored))


def restore_group(experiment: Experiment, run: Run, seeds: tuple[int, ...], directory: Path) -> Memory:
    """What the last whole checkpoint of these seeds holds; nothing in the directory is changed."""
    folder = checkpoint_folder(directory, seeds)
    if not folder.is_dir():
        raise RunError(f"{directory} holds no checkpoint of seeds {list(seeds)} yet")
    feed = make_feed(experiment.data.train, experiment.data.load, seeds, run.batch_size)
    checkpoints = Checkpoints(folder, read_only=True)
    found = latest(checkpoints, initial_memory(experiment, feed, seeds))
    checkpoints.close()
    if found is None:
        raise RunError(f"{directory} holds no checkpoint of seeds {list(seeds)} yet")
    for damaged in found.damaged.values():
        print(f"{DAMAGED} {damaged}", file=sys.stderr)
    return found.tree
