"""Training in one call: one seed, or several at once."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from genjax.capabilities import Feeder
from genjax.core import Model, TrainState, is_due
from genjax.data.arrays import ArrayDataset
from genjax.data.dataset import Dataset
from genjax.data.feed import Feed, check_seeds, make_feed, with_mesh
from genjax.evaluation import (
    EVALUATION_BATCH,
    Selected,
    evaluate_split,
    evaluation_key,
    make_evaluate_seeds,
    means,
    select_better,
    select_none,
)
from genjax.front.check import arrays_of, check_examples, check_steps, naming_what_is_missing
from genjax.front.progress import Show, progress_bar
from genjax.mesh import fetched, gathered, make_mesh
from genjax.training import (
    copied,
    first_failure,
    first_nonfinite,
    init_seeds,
    iterate,
    placed_state,
    with_seed_axis,
)
from genjax.training import seed as seed_of
from genjax.types import Metrics, PyTree

BATCH_SIZE = 100
"""Default number of examples per training batch; all examples if there are fewer."""

CHECK_EVERY = 100
"""Number of steps between two fetches of the losses, which update the bar and check that all losses and the state
are finite."""


class Best(NamedTuple):
    """Rule that training returns the parameters with the best score on the validation split."""

    metric: str
    """Metric of the model's `evaluate`, such as nll_nats."""
    better: Literal["min", "max"]
    """Direction of the metric: "min" if lower values are better, "max" if higher values are better."""
    every: int = 500
    """Number of steps between evaluations; the last step is always evaluated."""


def train(
    model: Model,
    data: ArrayDataset | Dataset,
    *,
    steps: int,
    seed: int | None = None,
    seeds: Sequence[int] | None = None,
    batch_size: int | None = None,
    state: TrainState | None = None,
    best: Best | None = None,
    devices: int | None = None,
    progress: bool = False,
) -> TrainState:
    """Return the state of the model after training.

    The same arguments on the same machine give the same state bit for bit.

    Args:
        model: Model from a factory such as `genjax.vae`, or your own `Model`.
        data: Data set from `genjax.dataset`, or a `Dataset` of the long form.
        steps: Number of steps to train, after those of `state` if it is given.
        seed: Seed of the initial weights, the order of the examples and all noise; 0 by default.
        seeds: Several seeds, trained together: every array of the state but `step` then has a leading seed axis.
        batch_size: Examples per batch; by default the model's own number, else 100, or all examples if there are fewer.
        state: State of an earlier training to continue, which stays valid; its seeds are used again.
        best: Rule to return the parameters with the best validation score instead of the last ones. Such a state is for
            use, not for continuing: its optimizer state and its step number are those of the last step.
        devices: Devices over which seeds, and then the examples of a batch, are spread; by default as many as divide
            them evenly. Another number of devices rounds differently. The state returned lies on the first device.
        progress: Whether to show a bar with steps and losses.

    Raises ValueError if an argument or the data do not suit the model, and FloatingPointError, which names the first
    step and array, if a loss or an array of the state is not finite.
    """
    found = arrays_of(data)
    chosen = chosen_seeds(seed, seeds, state)
    total = steps + (0 if state is None else int(state.step))
    check_steps(model, total if steps > 0 else steps)
    if best is not None:
        check_rule(best)
    names = check_examples(model, found.train)
    run = Training(model, found, batch_size, total, best, devices)
    with naming_what_is_missing(names):
        start = init_seeds(model, run.feed(chosen), chosen) if state is None else with_seed_axis(state)
        groups = groups_of(model, start, chosen)
        if best is not None:
            check_metric(best, model, found.dataset, start)
        with progress_bar(steps * len(groups), shown=progress) as show:
            trained = joined([run.advance(*group, show) for group in groups])
    several = seeds is not None if state is None else state.key.ndim > 0
    return trained if several else seed_of(trained, 0)


def chosen_seeds(seed: int | None, seeds: Sequence[int] | None, state: TrainState | None) -> tuple[int, ...]:
    """Return the seeds to train; raise ValueError if two arguments give seeds, or a seed is invalid."""
    if (seed is not None and seeds is not None) or (state is not None and not (seed is None and seeds is None)):
        raise ValueError("pass one of seed, seeds and state: a state has the seeds that it was trained with")
    found = seeds_of(state) if state is not None else tuple(seeds) if seeds is not None else (seed or 0,)
    check_seeds(found)
    return found


def seeds_of(state: TrainState) -> tuple[int, ...]:
    """Return the seeds of a state's root keys; raise ValueError if a key did not come from `jax.random.key(seed)`."""
    seeds = tuple(int(data) for data in np.atleast_2d(jax.random.key_data(state.key))[:, -1])
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    if not np.array_equal(jax.random.key_data(keys), np.atleast_2d(jax.random.key_data(state.key))):
        raise ValueError("state: its keys belong to no seed; go on with genjax.training.iterate")
    return seeds


def groups_of(model: Model, state: TrainState, seeds: tuple[int, ...]) -> list[tuple[tuple[int, ...], TrainState]]:
    """Return groups of seeds, each trained by one program, with the state of each group.

    All seeds form one group, but on a CPU each forms its own if the model trains faster so.
    """
    if len(seeds) == 1 or model.seeds_together or jax.default_backend() != "cpu":
        return [(seeds, state)]
    return [((one,), with_seed_axis(seed_of(state, index))) for index, one in enumerate(seeds)]


def joined(states: Sequence[TrainState]) -> TrainState:
    """Concatenate the states of groups of seeds along the seed axis."""
    first, *others = states
    if not others:
        return first
    return concatenated([one._replace(step=None) for one in states])._replace(step=first.step)


@jax.jit
def concatenated(trees: Sequence[PyTree]) -> PyTree:
    """Concatenate the arrays of trees along their first axis."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *trees)


class Training(NamedTuple):
    """Settings of a training, without its seeds."""

    model: Model
    data: ArrayDataset
    batch_size: int | None
    total: int
    """Number of steps done when the training ends."""
    best: Best | None
    devices: int | None = None
    """Number of devices; None for as many as divide seeds and batches evenly."""

    @property
    def size(self) -> int:
        """Number of examples per batch, for a model that does not set its own."""
        if self.batch_size is not None:
            return self.batch_size
        most = self.data.dataset.train.size if self.data.largest_batch is None else self.data.largest_batch
        return min(BATCH_SIZE, most)

    def feed(self, seeds: tuple[int, ...]) -> Feed:
        """Return the training batches of these seeds, for the devices that train them."""
        return with_mesh(self.plain_feed(seeds), make_mesh(len(seeds), self.size, self.devices))

    def plain_feed(self, seeds: tuple[int, ...]) -> Feed:
        """Return the training batches of these seeds, for one device."""
        feeder, dataset = self.model.capability(Feeder), self.data.dataset
        if feeder is not None:
            return feeder.feed(dataset, seeds, self.batch_size)
        if self.data.feed is not None:
            return self.data.feed(seeds, self.size)
        return make_feed(dataset.train, dataset.load, seeds, self.size)

    def advance(self, seeds: tuple[int, ...], state: TrainState, show: Show) -> TrainState:
        """Train a group of seeds from `state` to the last step; return their state with a seed axis."""
        feed, pending = self.feed(seeds), []
        good = placed_state(feed, copied(state))
        validation = None if self.best is None else Validation(self.best, self.model, self.data.dataset, feed.mesh)
        for step, state, metrics in iterate(self.model, feed, started(good), self.total):
            pending.append(metrics)
            evaluated = self.best is not None and step % self.best.every == 0
            if step % CHECK_EVERY and step < self.total and not evaluated:
                continue
            losses = losses_of(self.model, pending, step)
            finite = all(np.isfinite(loss).all() for one in losses for loss in one.values())
            if not finite or first_nonfinite(state._asdict()):
                where = first_failure(self.model, feed, good, step) or f"a value of step {step} is not finite"
                raise FloatingPointError(f"training stopped: {where}")
            show(len(pending), losses[-1])
            good, pending = copied(with_seed_axis(state)), []
            if validation is not None and (evaluated or step == self.total):
                validation = validation.after(good)
        return gathered(feed.mesh, good if validation is None else validation.chosen(good))


def started(state: TrainState) -> TrainState:
    """Return a copy of the state to train on, without a seed axis for a single seed, which is faster on a CPU."""
    return copied(seed_of(state, 0) if len(state.key) == 1 else state)


def losses_of(model: Model, pending: Sequence[Metrics], last: int) -> list[dict[str, np.ndarray]]:
    """Return the losses of the phases that were due in each pending step; the last step has the number `last`."""
    rows = fetched(list(pending))
    first = last - len(rows)
    return [
        {phase.name: metrics[f"{phase.name}/loss"] for phase in model.phases if is_due(phase, first + index)}
        for index, metrics in enumerate(rows)
    ]


def check_rule(best: Best) -> None:
    """Raise ValueError if the rule has no such direction, or no step between its evaluations."""
    if best.better not in ("min", "max"):
        raise ValueError(f"best: better={best.better!r} must be 'min' or 'max'")
    if best.every < 1:
        raise ValueError(f"best: every={best.every} must be at least 1")


def check_metric(best: Best, model: Model, data: Dataset, state: TrainState) -> None:
    """Raise ValueError if the model's evaluation of the validation split has no such metric; nothing is computed."""
    raw = data.validation.read(np.arange(min(EVALUATION_BATCH, data.validation.size)))
    evaluate_seeds = make_evaluate_seeds(model.evaluate, data.load)
    metrics = jax.eval_shape(evaluate_seeds, state.params, state.stats, dict(raw), evaluation_key())
    if best.metric not in metrics:
        raise ValueError(f"best: there is no metric {best.metric!r}; the model has {', '.join(metrics)}")


class Validation(NamedTuple):
    """Parameters with the best score so far on the validation split."""

    best: Best
    model: Model
    data: Dataset
    mesh: Mesh | None
    selected: Selected | None = None
    """Best parameters so far; None before the first evaluation."""

    def after(self, state: TrainState) -> "Validation":
        """Evaluate a state on the validation split; return the validation with the better parameters of each seed."""
        evaluate_seeds = make_evaluate_seeds(self.model.evaluate, self.data.load, self.mesh)
        split = self.data.validation
        scores = means(
            evaluate_split(
                evaluate_seeds,
                state.params,
                state.stats,
                split,
                key=evaluation_key(),
                batch_size=min(EVALUATION_BATCH, split.size),
            )
        )
        score = np.asarray(scores[self.best.metric], np.float32)
        before = self.selected or select_none(state)
        selected = select_better(before, state, score, larger_is_better=self.best.better == "max")
        return self._replace(selected=selected)

    def chosen(self, state: TrainState) -> TrainState:
        """Return the state with the best parameters instead of the last ones."""
        if self.selected is None:
            return state
        return state._replace(params=self.selected.params, stats=self.selected.stats)
