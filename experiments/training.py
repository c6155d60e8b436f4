"""The training loop of an experiment, with logging, validation and checkpoints as statements in its body."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.directory import RunError, forget_after, full_disk, is_full_disk
from experiments.experiment import Experiment, Run
from experiments.logs import Logs
from genjax.checkpoint import Checkpoints
from genjax.core import Phase, TrainState, moves
from genjax.data.dataset import Split
from genjax.data.feed import Feed, make_feed
from genjax.evaluate import (
    EvaluateSeeds,
    Selected,
    evaluate_split,
    make_evaluate_seeds,
    means,
    select_better,
    select_none,
)
from genjax.train import first_failure, first_nonfinite, init_seeds, iterate
from genjax.types import Metrics, Params, Stats

LOG_EVERY = 50
"""Steps between rows of metrics.jsonl; only then does the loop wait for the device."""

EVALUATION_SEED = 0
"""Of the key under which every evaluation draws: what differs between two of them is the model."""

EVALUATION_BATCH = 500
"""Examples per program call of an evaluation."""


class Memory(NamedTuple):
    """Everything a run needs to go on, and what a checkpoint holds."""

    state: TrainState
    best: Selected | None
    """Where the experiment selects on the validation split."""

    def chosen(self) -> tuple[Params, Stats]:
        """The parameters the run ends with, with a leading seed axis."""
        return (self.state.params, self.state.stats) if self.best is None else (self.best.params, self.best.stats)


class StopSignals:
    """Inside `with`: SIGTERM and Ctrl-C are noted for the loop to see; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.number: int | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle one signal."""
        del frame
        if self.number == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number

    def __enter__(self) -> Self:
        self.before = {number: signal.signal(number, self.note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Trained(NamedTuple):
    """The end of one group's training."""

    memory: Memory
    seconds: float
    """Wall time over all sessions of the run."""


class Group:
    """The seeds trained together, and where what they leave behind goes."""

    def __init__(
        self, experiment: Experiment, run: Run, seeds: Sequence[int], directory: Path, console: Console
    ) -> None:
        self.experiment, self.run, self.seeds, self.directory, self.console = (
            experiment,
            run,
            tuple(seeds),
            directory,
            console,
        )
        self.steps = min(run.steps, experiment.max_steps or run.steps)
        self.feed: Feed = make_feed(experiment.data.train, experiment.data.load, self.seeds, run.batch_size)
        self.evaluate_seeds = make_evaluate_seeds(
            experiment.validate or experiment.model.evaluate, experiment.data.load
        )
        self.checkpoints = Checkpoints(checkpoint_folder(directory, self.seeds))

    def restore(self) -> tuple[Memory, float]:
        """The last good memory and the seconds spent until then; damaged checkpoints are named on the console."""
        start = initial_memory(self.experiment, self.feed, self.seeds)
        found = self.checkpoints.restore_latest(start)
        if found is None:
            forget_after(self.directory, self.seeds, 0)
            return start, 0.0
        for step, damaged in found.damaged.items():
            self.checkpoints.discard(step)
            self.console.print(f"[yellow]damaged checkpoint, using the one before it:[/] {damaged}", soft_wrap=True)
        forget_after(self.directory, self.seeds, found.step)
        self.console.print(f"continuing at step {found.step}")
        return found.tree, found.facts["seconds"]

    def train(self, stop: StopSignals) -> Trained:
        """Train to the last step, from the last checkpoint if there is one."""
        memory, before = self.restore()
        started = time.monotonic()
        pending: list[Metrics] = []
        with Logs(self.directory, self.seeds, int(memory.state.step)) as logs, progress_bar(self.console) as progress:
            task = progress.add_task(
                describe(self.seeds), total=self.steps, completed=int(memory.state.step), loss="", rate=""
            )
            since = (time.monotonic(), int(memory.state.step))
            for step, state, metrics in iterate(self.experiment.model, self.feed, memory.state, self.steps):
                memory = memory._replace(state=state)
                pending.append(metrics)
                last, stopped = step == self.steps, stop.number is not None
                if step % LOG_EVERY == 0 or last or stopped:
                    fetched = jax.device_get(pending)
                    self.check_finite(fetched, step)
                    pending = []
                    if step % LOG_EVERY == 0 or last:
                        logs.write(step, "train", moved(self.experiment.model.phases, fetched[-1], step))
                    rate = (step - since[1]) / (time.monotonic() - since[0])
                    progress.update(task, completed=step, loss=loss_text(fetched[-1]), rate=f"{rate:.1f} steps/s")
                if step % self.run.evaluate_every == 0 or last:
                    memory, scores = self.validate(memory)
                    logs.write(step, "validation", scores)
                    progress.print(
                        f"step {step}: validation " + ", ".join(f"{n} {spread(v)}" for n, v in scores.items())
                    )
                if step % self.run.evaluate_every == 0 or last or stopped:
                    self.save(memory, before + time.monotonic() - started)
                if not pending:
                    since = (time.monotonic(), step)  # validation and checkpoints are not counted as steps
                if stopped and not last:
                    again = f"continue with the same command and --workdir {self.directory}"
                    raise RunError(
                        f"stopped at step {step}, which is saved; {again}", exit_code=128 + (stop.number or 0)
                    )
        return Trained(memory, before + time.monotonic() - started)

    def validate(self, memory: Memory) -> tuple[Memory, dict[str, np.ndarray]]:
        """The validation means [seeds], and the memory with the better parameters kept."""
        data, select = self.experiment.data, self.experiment.select
        scores = split_means(self.evaluate_seeds, (memory.state.params, memory.state.stats), data.validation)
        if select is None or memory.best is None:
            return memory, scores
        score = jax.numpy.asarray(scores[select.metric], jax.numpy.float32)
        best = select_better(memory.best, memory.state, score, larger_is_better=select.best == "max")
        return memory._replace(best=best), scores

    def save(self, memory: Memory, seconds: float) -> None:
        """Save a checkpoint, unless the state is not finite or the disk is full: then the earlier ones stay."""
        if first_nonfinite((memory.state.params, memory.state.stats)):
            self.fail_nonfinite(int(memory.state.step))
        try:
            self.checkpoints.save(int(memory.state.step), memory, {"seconds": seconds})
        except Exception as error:
            if is_full_disk(error):
                raise full_disk(self.directory) from error
            raise

    def check_finite(self, fetched: Sequence[Metrics], step: int) -> None:
        """Raise RunError where a metric of a phase that moved is not finite in the steps up to `step`."""
        for index, metrics in enumerate(fetched):
            values = moved(self.experiment.model.phases, metrics, step - len(fetched) + 1 + index)
            if not all(np.isfinite(value).all() for value in values.values()):
                self.fail_nonfinite(step)

    def fail_nonfinite(self, step: int) -> None:
        """Find where it began by repeating the steps since the last good checkpoint, and raise RunError."""
        self.console.print("a value is not finite; repeating the steps since the last checkpoint to find the first one")
        found = self.checkpoints.restore_latest(initial_memory(self.experiment, self.feed, self.seeds))
        state = initial_memory(self.experiment, self.feed, self.seeds).state if found is None else found.tree.state
        where = first_failure(self.experiment.model, self.feed, state, step) or f"in the steps up to {step}"
        kept = (
            "there is no checkpoint yet"
            if found is None
            else f"the checkpoint of step {found.step} stays in {self.directory}"
        )
        raise RunError(f"training stopped: {where}; {kept}")


def initial_memory(experiment: Experiment, feed: Feed, seeds: Sequence[int]) -> Memory:
    """The memory before the first step."""
    state = init_seeds(experiment.model, feed, seeds)
    return Memory(state, None if experiment.select is None else select_none(state))


def checkpoint_folder(directory: Path, seeds: Sequence[int]) -> Path:
    """Where the checkpoints of these seeds lie."""
    return directory.resolve() / "checkpoints" / ("seeds-" + "-".join(map(str, seeds)))


def split_means(evaluate_seeds: EvaluateSeeds, chosen: tuple[Params, Stats], split: Split) -> dict[str, np.ndarray]:
    """The means over a split, [seeds] each."""
    key = jax.random.key(EVALUATION_SEED)
    size = min(EVALUATION_BATCH, split.size)
    return means(evaluate_split(evaluate_seeds, *chosen, split, key=key, batch_size=size))


def moved(phases: Sequence[Phase], metrics: Metrics, step: int) -> dict[str, Any]:
    """The metrics of the phases that moved in the step that made it `step` steps."""
    names = {phase.name for phase in phases if moves(phase, step - 1)}
    return {name: value for name, value in metrics.items() if name.split("/")[0] in names}


def loss_text(metrics: Metrics) -> str:
    """Every phase's loss, mean over seeds."""
    return " ".join(f"{name} {np.mean(value):.4g}" for name, value in metrics.items() if name.endswith("/loss"))


def spread(values: np.ndarray) -> str:
    """Mean ± s.d. over seeds."""
    return f"{values.mean():.4f}" + (f" ± {values.std(ddof=1):.4f}" if values.size > 1 else "")


def describe(seeds: Sequence[int]) -> str:
    """The seeds as the progress bar names them."""
    return ("seed " if len(seeds) == 1 else "seeds ") + " ".join(map(str, seeds))


def progress_bar(console: Console) -> Progress:
    """A bar with the steps done, the loss and the steps per second."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"))
    return Progress(*columns, TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=console)
