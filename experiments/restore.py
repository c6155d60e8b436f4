"""A run read back from its directory, finished or not."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from experiments.directory import CONFIG, RunError, read_json
from experiments.experiment import Experiment, Run
from experiments.memory import DAMAGED, Memory, checkpoint_folder, initial_memory, latest
from experiments.options import build, experiment_function, from_json
from genjax.checkpoint import Checkpoints
from genjax.types import Params, Stats


class Restored(NamedTuple):
    """A run's experiment, and what its groups of seeds have learnt so far."""

    config: Mapping[str, Any]
    experiment: Experiment
    groups: tuple[tuple[int, ...], ...]
    """The seeds that were trained together."""
    memories: tuple[Memory, ...]
    """Of each group."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds."""
        return tuple(seed for group in self.groups for seed in group)

    @property
    def done(self) -> int:
        """Steps done, the fewest of all seeds."""
        return min(memory.done for memory in self.memories)

    def chosen(self, seed: int) -> tuple[Params, Stats]:
        """The parameters of one seed."""
        group, memory = next(pair for pair in zip(self.groups, self.memories, strict=True) if seed in pair[0])
        return jax.tree.map(lambda leaf: leaf[group.index(seed)], memory.chosen())


def restore_run(directory: Path, *, data_dir: Path | None = None) -> Restored:
    """The run in `directory`; RunError where it holds none, or no checkpoint yet.

    `data_dir` replaces the TFDS directory the run was trained from.
    """
    if not (directory / CONFIG).exists():
        raise RunError(f"{directory} holds no run: {directory / CONFIG} is missing")
    stored = read_json(directory / CONFIG)
    try:
        groups = tuple(tuple(seeds) for seeds in stored["groups"])
        config = from_json(stored, data_dir=data_dir)
        experiment = build(experiment_function(config["experiment"]), config)
    except (TypeError, KeyError, ImportError, AttributeError) as error:
        raise RunError(f"{directory / CONFIG} is of another version of the experiment: {error}") from error
    memories = tuple(restore_group(experiment, config["options"]["run"], seeds, directory) for seeds in groups)
    return Restored(config, experiment, groups, memories)


def restore_group(experiment: Experiment, run: Run, seeds: tuple[int, ...], directory: Path) -> Memory:
    """What the last whole checkpoint of these seeds holds; nothing in the directory is changed."""
    folder = checkpoint_folder(directory, seeds)
    if not folder.is_dir():
        raise RunError(f"{directory} holds no checkpoint of seeds {list(seeds)} yet")
    feed = experiment.training_feed(seeds, run.batch_size)
    checkpoints = Checkpoints(folder, read_only=True)
    found = latest(checkpoints, initial_memory(experiment, feed, seeds))
    checkpoints.close()
    if found is None:
        raise RunError(f"{directory} holds no checkpoint of seeds {list(seeds)} yet")
    for damaged in found.damaged.values():
        print(f"{DAMAGED} {damaged}", file=sys.stderr)
    return found.tree
