"""A run read back from its directory, finished or not."""

import sys
from pathlib import Path
from typing import NamedTuple

import jax

from genjax.checkpoint import Checkpoints
from genjax.runs.checkpoint_state import DAMAGED, CheckpointState, checkpoint_folder, initial_checkpoint_state, latest
from genjax.runs.directory import CONFIG, RunError, read_json
from genjax.runs.experiment import Experiment
from genjax.runs.options import Config, Function, Run, build, from_json
from genjax.types import Params, Stats


class Restored(NamedTuple):
    """A run's experiment, and what its groups of seeds have learnt so far."""

    function: Function
    config: Config
    experiment: Experiment
    groups: tuple[tuple[int, ...], ...]
    """The seeds that were trained together."""
    memories: tuple[CheckpointState, ...]
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
        function, config = from_json(stored, data_dir=data_dir)
    except (TypeError, KeyError, ValueError, RunError) as error:
        raise RunError(f"{directory / CONFIG} cannot be used: {error}") from error
    experiment = build(function, config)
    memories = tuple(restore_group(experiment, config.run, seeds, directory) for seeds in groups)
    return Restored(function, config, experiment, groups, memories)


def restore_group(experiment: Experiment, run: Run, seeds: tuple[int, ...], directory: Path) -> CheckpointState:
    """What the last whole checkpoint of these seeds holds; nothing in the directory is changed."""
    folder = checkpoint_folder(directory, seeds)
    if not folder.is_dir():
        raise RunError(f"{directory} holds no checkpoint of seeds {list(seeds)} yet")
    feed = experiment.training_feed(seeds, run.batch_size)
    checkpoints = Checkpoints(folder, read_only=True)
    found = latest(checkpoints, initial_checkpoint_state(experiment, feed, seeds))
    checkpoints.close()
    if found is None:
        raise RunError(f"{directory} holds no checkpoint of seeds {list(seeds)} yet")
    for damaged in found.damaged.values():
        print(f"{DAMAGED} {damaged}", file=sys.stderr)
    return found.tree
