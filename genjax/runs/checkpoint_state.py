"""Checkpoint state: everything a run needs to continue, and its folder on the disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from genjax.checkpoint import Checkpoints, Restored
from genjax.core import TrainState
from genjax.data.feed import Feed
from genjax.evaluation import Selected, select_none
from genjax.runs.directory import RunError
from genjax.runs.experiment import Experiment
from genjax.training import empty_seeds, init_seeds
from genjax.types import Params, Stats

DAMAGED = "damaged checkpoint, using the one before it:"


class CheckpointState(NamedTuple):
    """Contents of a checkpoint."""

    state: TrainState
    best: Selected | None
    """Parameters with the best validation score so far; None if the experiment keeps the last parameters."""

    @property
    def done(self) -> int:
        """Number of training steps done."""
        return int(self.state.step)

    def chosen(self) -> tuple[Params, Stats]:
        """Return the parameters and statistics to keep, the best or the last, with a leading seed axis."""
        return (self.state.params, self.state.stats) if self.best is None else (self.best.params, self.best.stats)


def initial_checkpoint_state(experiment: Experiment, feed: Feed, seeds: Sequence[int]) -> CheckpointState:
    """Return the checkpoint state before the first step."""
    return checkpoint_state(experiment, init_seeds(experiment.model, feed, seeds))


def checkpoint_state(experiment: Experiment, state: TrainState) -> CheckpointState:
    """Return the checkpoint of this state, where nothing has been validated."""
    return CheckpointState(state, None if experiment.select is None else select_none(state))


def latest(checkpoints: Checkpoints, experiment: Experiment, feed: Feed, seeds: Sequence[int]) -> Restored | None:
    """Return the newest undamaged checkpoint, or None if there is no checkpoint; RunError if all are damaged."""
    if not checkpoints.manager.all_steps():
        return None
    try:
        return checkpoints.restore_latest(checkpoint_state(experiment, empty_seeds(experiment.model, feed, seeds)))
    except ValueError as error:
        raise RunError(f"{error}; to begin anew, delete {checkpoints.folder}") from error


def checkpoint_folder(directory: Path, seeds: Sequence[int]) -> Path:
    """Return the folder of the checkpoints of these seeds."""
    return directory.resolve() / "checkpoints" / ("seeds-" + "-".join(map(str, seeds)))
