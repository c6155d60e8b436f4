"""Restoring a run from its directory, whether its training has ended or not."""

import sys
from pathlib import Path
from typing import NamedTuple

from genjax.checkpoint import Checkpoints
from genjax.mesh import on_each_device
from genjax.runs.checkpoint_state import DAMAGED, CheckpointState, checkpoint_folder, latest
from genjax.runs.config import Config, Function, build, from_json, with_option
from genjax.runs.directory import CONFIG, RunError, read_config
from genjax.runs.experiment import Experiment
from genjax.runs.kept import check_data, with_kept_files
from genjax.runs.options import Run
from genjax.training import entry
from genjax.types import Params, Stats


class Restored(NamedTuple):
    """Experiment of a run, and the last checkpoint of each group of seeds."""

    function: Function
    config: Config
    experiment: Experiment
    groups: tuple[tuple[int, ...], ...]
    """Groups of seeds that were trained together."""
    checkpoints: tuple[CheckpointState, ...]
    """Last undamaged checkpoint of each group."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds of the run."""
        return tuple(seed for group in self.groups for seed in group)

    @property
    def done(self) -> int:
        """Number of training steps done: the smallest number of all groups."""
        return min(checkpoint.done for checkpoint in self.checkpoints)

    def seed(self, given: int | None) -> int:
        """Return the seed that a command is given, or the first of the run; RunError if the run has no such seed."""
        if given is None:
            return self.seeds[0]
        if given not in self.seeds:
            raise RunError(f"--seed {given} must be one of the run's seeds: {list(self.seeds)}", exit_code=2)
        return given

    def chosen(self, seed: int) -> tuple[Params, Stats]:
        """Return the parameters and statistics of one seed."""
        group, checkpoint = next(pair for pair in zip(self.groups, self.checkpoints, strict=True) if seed in pair[0])
        return entry(checkpoint.chosen(), group.index(seed))


def restore_run(directory: Path, *, data_dir: Path | None = None) -> Restored:
    """Return the run in `directory`; RunError if there is no run, no checkpoint yet, or the run cannot be used.

    `data_dir`, if given, replaces the TFDS directory of the training.
    """
    stored = read_config(directory)
    groups = tuple(tuple(seeds) for seeds in stored.get("groups", ()))
    try:
        function, config = from_json(stored)
    except RunError as error:
        raise RunError(f"{directory / CONFIG} cannot be used: {error}") from error
    if data_dir is not None:
        config = with_option(config, "data_dir", data_dir, flag="--data-dir")
    experiment = build(function, with_kept_files(config, directory))
    check_data(directory, experiment.data.sha256)
    checkpoints = tuple(restore_group(experiment, config.run, seeds, directory) for seeds in groups)
    return Restored(function, config, experiment, groups, checkpoints)


def restore_group(experiment: Experiment, run: Run, seeds: tuple[int, ...], directory: Path) -> CheckpointState:
    """Return the last undamaged checkpoint of these seeds, on each device, without changing the directory."""
    folder = checkpoint_folder(directory, seeds)
    if not folder.is_dir():
        raise RunError(f"{directory} holds no checkpoint of seeds {list(seeds)} yet")
    feed = experiment.training_feed(seeds, run.batch_size)
    checkpoints = Checkpoints(folder, read_only=True)
    found = latest(checkpoints, experiment, feed, seeds)
    checkpoints.close()
    if found is None:
        raise RunError(f"{directory} holds no checkpoint of seeds {list(seeds)} yet")
    for damaged in found.damaged.values():
        print(f"{DAMAGED} {damaged}", file=sys.stderr)
    return on_each_device(found.tree)
