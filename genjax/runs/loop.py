"""The training loop of an experiment, with logging, validation and checkpoints as statements in its body."""

import contextlib
import functools
import itertools
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from genjax.checkpoint import Checkpoints
from genjax.core import Phase, is_due
from genjax.data.dataset import Split
from genjax.data.feed import Feed, with_mesh
from genjax.evaluation import (
    EVALUATION_BATCH,
    EvaluateSeeds,
    evaluate_split,
    evaluation_key,
    make_evaluate_seeds,
    means,
    select_better,
)
from genjax.mesh import fetched, gathered, make_mesh, mesh_of
from genjax.runs.checkpoint_state import DAMAGED, CheckpointState, checkpoint_folder, initial_checkpoint_state, latest
from genjax.runs.directory import RunError, forget_after, full_disk, is_full_disk
from genjax.runs.experiment import Experiment
from genjax.runs.logs import open_logs
from genjax.runs.options import Run
from genjax.runs.processes import is_first
from genjax.training import entry, first_failure, first_nonfinite, iterate, seed, with_seed_axis
from genjax.types import Metrics, Params, Stats

LOG_EVERY = 50
"""Number of steps between rows of metrics.jsonl; only at these steps does the loop wait for the device."""


Values = Mapping[str, np.ndarray]
"""Metrics fetched from the device."""


class Trained(NamedTuple):
    """A group of seeds at the end of its training."""

    checkpoint: CheckpointState
    seconds: float
    """Wall time in seconds over all sessions of the run."""


@dataclass(frozen=True)
class Group:
    """Seeds trained together in one program."""

    experiment: Experiment
    run: Run
    seeds: tuple[int, ...]
    directory: Path
    console: Console

    @property
    def steps(self) -> int:
        """Total number of training steps."""
        return min(self.run.steps, self.experiment.max_steps or self.run.steps)

    @functools.cached_property
    def mesh(self) -> Mesh | None:
        """Devices over which the seeds and their batches are spread; None for one device."""
        return make_mesh(len(self.seeds), self.run.batch_size, self.run.devices)

    @functools.cached_property
    def feed(self) -> Feed:
        """Training batches of the seeds."""
        return with_mesh(self.experiment.training_feed(self.seeds, self.run.batch_size), self.mesh)

    @functools.cached_property
    def evaluate_seeds(self) -> EvaluateSeeds:
        """Compiled function that evaluates the validation split."""
        evaluate = self.experiment.validate or self.experiment.model.evaluate
        return make_evaluate_seeds(evaluate, self.experiment.data.load, self.mesh)

    @functools.cached_property
    def checkpoints(self) -> Checkpoints:
        """Store of the seeds' checkpoints."""
        return Checkpoints(checkpoint_folder(self.directory, self.seeds))

    def train(self, signals: Sequence[int]) -> Trained:
        """Train from the last checkpoint, if there is one, to the last step or the step in which a signal arrives."""
        try:
            return self.train_on(signals)
        except OSError as error:
            raise full_disk(self.directory) if is_full_disk(error) else error from error
        finally:
            self.checkpoints.close()

    def train_on(self, signals: Sequence[int]) -> Trained:
        """Train, log, validate and save, one step after another."""
        checkpoint, seconds = self.restore()
        done = checkpoint.done
        clock = time.monotonic() - seconds  # start of a single session as long as all sessions together
        pending: list[Metrics] = []
        if self.mesh is not None:
            self.console.print(f"{describe(self.seeds)}: on {self.mesh.size} of {jax.device_count()} devices")
        with open_logs(self.directory, self.seeds, done) as log, self.progress(done) as show:
            start = checkpoint.state if len(self.seeds) > 1 else seed(checkpoint.state, 0)
            for step, state, metrics in iterate(self.experiment.model, self.feed, start, self.steps):
                pending.append(metrics)
                last, stopped = step == self.steps, asked_to_stop(signals)
                evaluate = last or step % self.run.evaluate_every == 0
                if step % LOG_EVERY == 0 or evaluate or stopped:
                    rows = jax.tree.map(np.atleast_1d, fetched(pending))
                    self.check_finite(rows, step)
                    pending = []
                    told = due_metrics(self.experiment.model.phases, rows[-1], step)
                    show(step, bar_text(told, self.experiment.shown))
                    if step % LOG_EVERY == 0 or last:
                        log(step, "train", told)
                if evaluate or stopped:
                    checkpoint = checkpoint._replace(state=with_seed_axis(state))
                if evaluate:
                    checkpoint, scores = self.validate(checkpoint)
                    log(step, "validation", scores)
                    self.console.print(f"step {step}: validation {spread(scores)}", soft_wrap=True)
                if evaluate or stopped:
                    self.save(checkpoint, time.monotonic() - clock)
                if stopped and (not last or jax.process_count() > 1):
                    raise stopped_at(step, self.directory, [*signals, signal.SIGTERM][0])
        return Trained(gathered(self.mesh, checkpoint), time.monotonic() - clock)

    def restore(self) -> tuple[CheckpointState, float]:
        """Return the last undamaged checkpoint and its training time in seconds; print the damaged checkpoints."""
        found = latest(self.checkpoints, self.experiment, self.feed, self.seeds)
        if is_first():
            forget_after(self.directory, self.seeds, 0 if found is None else found.step)
        if found is None:
            return initial_checkpoint_state(self.experiment, self.feed, self.seeds), 0.0
        for step, damaged in found.damaged.items():
            self.checkpoints.set_aside(step)
            self.console.print(f"{DAMAGED} {damaged}", style="yellow", soft_wrap=True)
        going = f"finished, at step {found.step}" if found.step >= self.steps else f"continuing at step {found.step}"
        self.console.print(f"{describe(self.seeds)}: {going}")
        return found.tree, found.facts["seconds"]

    @contextlib.contextmanager
    def progress(self, done: int) -> Iterator[Any]:
        """Show a progress bar; yield `show(step, loss)`, which advances it and shows the steps per second."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        fields = (TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[loss]}"))
        with Progress(*columns, *fields, console=self.console) as bar:
            task = bar.add_task(describe(self.seeds), total=self.steps, completed=done, loss="", rate="")
            last = [(done, time.monotonic())]

            def show(step: int, loss: str) -> None:
                now = time.monotonic()
                rate = (step - last[0][0]) / (now - last[0][1])
                bar.update(task, completed=step, loss=loss, rate=f"{rate:.1f} steps/s")
                last[0] = (step, now)

            yield show

    def validate(self, checkpoint: CheckpointState) -> tuple[CheckpointState, dict[str, np.ndarray]]:
        """Return the checkpoint with the best parameters so far, and the means of the validation metrics [seeds]."""
        select = self.experiment.select
        chosen = (checkpoint.state.params, checkpoint.state.stats)
        scores = split_means(self.evaluate_seeds, chosen, self.experiment.data.validation)
        if select is None or checkpoint.best is None:
            return checkpoint, scores
        score = np.asarray(scores[select.metric], np.float32)
        best = select_better(checkpoint.best, checkpoint.state, score, larger_is_better=select.best == "max")
        return checkpoint._replace(best=best), scores

    def save(self, checkpoint: CheckpointState, seconds: float) -> None:
        """Save a checkpoint; RunError, keeping earlier checkpoints, if the state is not finite or the disk is full."""
        step = checkpoint.done
        if first_nonfinite(checkpoint.state._asdict()):
            self.fail_nonfinite(step)
        try:
            self.checkpoints.save(step, checkpoint, {"seconds": seconds})
        except Exception as error:  # Orbax passes on what its storage layer raises, such as ValueError
            if is_full_disk(error):
                raise full_disk(self.directory) from error
            raise

    def check_finite(self, fetched: Sequence[Values], step: int) -> None:
        """Raise RunError if a metric is not finite in the steps up to `step`."""
        for before, metrics in enumerate(reversed(fetched)):
            values = due_metrics(self.experiment.model.phases, metrics, step - before)
            if not all(np.isfinite(value).all() for value in values.values()):
                self.fail_nonfinite(step)

    def fail_nonfinite(self, step: int) -> None:
        """Repeat the steps since the last checkpoint to find the first value that is not finite, and raise RunError."""
        self.console.print("a value is not finite; repeating the steps since the last checkpoint to find the first one")
        found = latest(self.checkpoints, self.experiment, self.feed, self.seeds)
        begun = initial_checkpoint_state(self.experiment, self.feed, self.seeds) if found is None else found.tree
        where = first_failure(self.experiment.model, self.feed, begun.state, step) or f"in the steps up to {step}"
        kept = "there is no checkpoint yet" if found is None else f"the checkpoint of step {found.step} stays"
        raise RunError(f"training stopped: {where}; {kept} in {self.directory}")


TAKEN = itertools.count(1)
"""Number of the steps of all groups; JAX tells all processes of a signal at the step after the latest one."""


def asked_to_stop(signals: Sequence[int]) -> bool:
    """Return whether a signal has arrived; several processes of a run are told of it in the same step."""
    return bool(signals) if jax.process_count() == 1 else multihost_utils.reached_preemption_sync_point(next(TAKEN))


@contextlib.contextmanager
def noted_signals() -> Iterator[Sequence[int]]:
    """Inside `with`, record SIGTERM and Ctrl-C in the yielded list; a signal that is repeated interrupts at once.

    Of several processes JAX's preemption service notes SIGTERM, and a Ctrl-C of one becomes a SIGTERM.
    """
    received: list[int] = []
    several = jax.process_count() > 1

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if number in received:
            raise RunError("interrupted before the step was done: what is saved stays", exit_code=128 + number)
        received.append(number)
        if several:
            os.kill(os.getpid(), signal.SIGTERM)

    noted = (signal.SIGINT,) if several else (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in noted}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_at(step: int, directory: Path, number: int) -> RunError:
    """Return the error that ends a run stopped by a signal."""
    again = f"continue with the same command and --workdir {directory}"
    return RunError(f"stopped at step {step}, which is saved; {again}", exit_code=128 + number)


def split_means(evaluate_seeds: EvaluateSeeds, chosen: tuple[Params, Stats], split: Split) -> dict[str, np.ndarray]:
    """Return the mean of each metric over a split, [seeds] each."""
    size = min(EVALUATION_BATCH, split.size)
    return means(evaluate_split(evaluate_seeds, *chosen, split, key=evaluation_key(), batch_size=size))


def measures(experiment: Experiment, checkpoints: Sequence[CheckpointState], split: Split) -> dict[str, np.ndarray]:
    """Return all metrics of a split, [seeds] each, with the groups of seeds joined in order."""
    return {**model_means(experiment, checkpoints, split), **whole_measures(experiment, checkpoints, split)}


def whole_measures(
    experiment: Experiment, checkpoints: Sequence[CheckpointState], split: Split
) -> dict[str, np.ndarray]:
    """Return the metrics of `experiment.measure`, [seeds] each."""
    if experiment.measure is None:
        return {}
    seeds = [entry(checkpoint.chosen(), n) for checkpoint in checkpoints for n in range(checkpoint.state.key.size)]
    parts = [experiment.measure(params, stats, split, evaluation_key()) for params, stats in seeds]
    return {name: np.array([part[name] for part in parts]) for name in parts[0]}


def model_means(experiment: Experiment, checkpoints: Sequence[CheckpointState], split: Split) -> dict[str, np.ndarray]:
    """Return the metrics of `model.evaluate`, means over examples, [seeds] each."""
    evaluate, load = experiment.model.evaluate, experiment.data.load
    chosen = [checkpoint.chosen() for checkpoint in checkpoints]
    parts = [split_means(make_evaluate_seeds(evaluate, load, mesh_of(one)), one, split) for one in chosen]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def due_metrics(phases: Sequence[Phase], metrics: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Return the metrics of the phases that were due in the last of `step` steps.

    Phases that update no network (moving average, sample history) are omitted, unless the model has no other phases.
    """
    telling = [phase for phase in phases if phase.wrt] or phases
    names = {phase.name for phase in telling if is_due(phase, step - 1)}
    return {name: value for name, value in metrics.items() if name.split("/")[0] in names}


def bar_text(metrics: Values, shown: Sequence[str] = ()) -> str:
    """Return the metrics in `shown` and the loss of every phase, means over seeds, as one line."""
    losses = {name.removesuffix("/loss"): value for name, value in metrics.items() if name.endswith("/loss")}
    others = {name.split("/")[-1]: metrics[name] for name in shown if name in metrics}
    return " ".join(f"{name} {np.mean(value):.4g}" for name, value in {**others, **losses}.items())


def spread(scores: Mapping[str, np.ndarray]) -> str:
    """Return each metric's mean over seeds as one line, with ± s.d. if there are several."""

    def deviation(values: np.ndarray) -> str:
        return f" ± {values.std(ddof=1):.4f}" if values.size > 1 else ""

    return ", ".join(f"{name} {values.mean():.4f}{deviation(values)}" for name, values in scores.items())


def describe(seeds: Sequence[int]) -> str:
    """Return the seeds as text, such as "seeds 0 1 2"."""
    return ("seed " if len(seeds) == 1 else "seeds ") + " ".join(map(str, seeds))
