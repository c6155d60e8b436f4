"""Training in one call: one seed, or several at once."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.capabilities import Feeder
from genjax.core import Model, TrainState, is_due
from genjax.data.arrays import ArrayDataset
from genjax.data.dataset import Dataset
from genjax.data.feed import Feed, check_seeds, make_feed
from genjax.evaluation import (
    EVALUATION_BATCH,
    EvaluateSeeds,
    Selected,
    evaluate_split,
    evaluation_key,
    make_evaluate_seeds,
    means,
    select_better,
    select_none,
)
from genjax.front.check import arrays_of, check_data, check_steps, naming_what_is_missing
from genjax.front.progress import Show, progress_bar
from genjax.training import first_failure, init_seeds, iterate, with_seed_axis
from genjax.training import seed as seed_of
from genjax.types import Metrics

BATCH_SIZE = 100
"""Examples of a training batch, or as many as there are, where the caller does not say."""

CHECK_EVERY = 100
"""Steps after which the losses are fetched: then the bar is updated, and it is checked that all are finite."""


class Best(NamedTuple):
    """Which parameters a training ends with: those that did best on the validation split."""

    metric: str
    """Metric of the model's `evaluate`, such as nll_nats."""
    better: Literal["min", "max"]
    """Whether less or more of it is better."""
    every: int = 500
    """Steps between evaluations; there is one after the last step as well."""


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
    progress: bool = False,
) -> TrainState:
    """Return the state of the model after training.

    The same arguments on the same machine give the same state bit for bit.

    Args:
        model: From a factory such as `genjax.vae`, or a `Model` of one's own.
        data: From `genjax.dataset`, or a `Dataset` of the long form.
        steps: Steps to train; with `state`, so many more.
        seed: Seed of the initial weights, the order of the examples and all noise; 0 by default.
        seeds: Several seeds, trained at once: every array of the state then has a leading axis of seeds, but `step`.
        batch_size: Examples of a batch; by default 100, or all where there are fewer, or what the model says.
        state: State of an earlier training to go on with, which stays valid; its seeds are used again.
        best: Keep the parameters that did best on the validation split, in place of the last ones.
        progress: Whether a bar shows steps and losses.

    Raises ValueError where an argument or the data do not suit the model, and FloatingPointError, with the first step
    and array, where a loss is not finite.
    """
    found = arrays_of(data)
    chosen = chosen_seeds(seed, seeds, state)
    total = steps + (0 if state is None else int(state.step))
    check_steps(model.phases, total if steps > 0 else steps)
    names = check_data(model, found)
    run = Training(model, found, batch_size, total, best)
    with naming_what_is_missing(names), progress_bar(steps, shown=progress) as show:
        start = init_seeds(model, run.feed(chosen), chosen) if state is None else with_seed_axis(state)
        trained = joined([run.advance(*group, show) for group in groups_of(start, chosen)])
    several = seeds is not None if state is None else state.key.ndim > 0
    return trained if several else seed_of(trained, 0)


def chosen_seeds(seed: int | None, seeds: Sequence[int] | None, state: TrainState | None) -> tuple[int, ...]:
    """Return the seeds to train; ValueError where they are said twice, or cannot be used."""
    if (seed is not None and seeds is not None) or (state is not None and not (seed is None and seeds is None)):
        raise ValueError("pass one of seed, seeds and state: a state has the seeds that it was trained with")
    found = seeds_of(state) if state is not None else tuple(seeds) if seeds is not None else (seed or 0,)
    check_seeds(found)
    return found


def seeds_of(state: TrainState) -> tuple[int, ...]:
    """Return the seeds of a state's root keys. Raises ValueError where a key was not made by `jax.random.key(seed)`."""
    seeds = tuple(int(data) for data in np.atleast_2d(jax.random.key_data(state.key))[:, -1])
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    if not np.array_equal(jax.random.key_data(keys), np.atleast_2d(jax.random.key_data(state.key))):
        raise ValueError("state: its keys belong to no seed; go on with genjax.training.iterate")
    return seeds


def groups_of(state: TrainState, seeds: tuple[int, ...]) -> list[tuple[tuple[int, ...], TrainState]]:
    """Return the seeds that are trained in one program, with their state.

    One at a time where there are convolutions and the device is a CPU, which is slow at batches of kernels; else all.
    """
    convolutions = any(leaf.ndim == 5 for leaf in jax.tree.leaves(state.params))
    if len(seeds) == 1 or not convolutions or jax.default_backend() != "cpu":
        return [(seeds, state)]
    return [((one,), with_seed_axis(seed_of(state, index))) for index, one in enumerate(seeds)]


def joined(states: Sequence[TrainState]) -> TrainState:
    """Return the states of groups of seeds as one."""
    first, *others = states
    if not others:
        return first
    everything = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(one._replace(step=None) for one in states))
    return everything._replace(step=first.step)


def copied(state: TrainState) -> TrainState:
    """Return a copy that outlives the next step, which takes over the arrays of the state it is given."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)


class Training(NamedTuple):
    """What a training consists of, whatever the seeds."""

    model: Model
    data: ArrayDataset
    batch_size: int | None
    total: int
    """Number of the last step."""
    best: Best | None

    @property
    def size(self) -> int:
        """Examples of a batch, where the model does not say."""
        if self.batch_size is not None:
            return self.batch_size
        most = self.data.dataset.train.size if self.data.largest_batch is None else self.data.largest_batch
        return min(BATCH_SIZE, most)

    def feed(self, seeds: tuple[int, ...]) -> Feed:
        """Return the training batches of these seeds."""
        feeder, dataset = self.model.capability(Feeder), self.data.dataset
        if feeder is not None:
            return feeder.feed(dataset, seeds, self.batch_size)
        if self.data.feed is not None:
            return self.data.feed(seeds, self.size)
        return make_feed(dataset.train, dataset.load, seeds, self.size)

    def advance(self, seeds: tuple[int, ...], state: TrainState, show: Show) -> TrainState:
        """Return the state of some seeds, with a seed axis, after the last step."""
        feed, good, pending = self.feed(seeds), copied(state), []
        validation = None if self.best is None else Validation(self.best, self.model, self.data.dataset)
        for step, state, metrics in iterate(self.model, feed, started(good), self.total):
            pending.append(metrics)
            evaluated = self.best is not None and step % self.best.every == 0
            if step % CHECK_EVERY and step < self.total and not evaluated:
                continue
            losses = losses_of(self.model, pending, step)
            if not all(np.isfinite(loss).all() for one in losses for loss in one.values()):
                raise FloatingPointError(f"training stopped: {first_failure(self.model, feed, good, step)}")
            show(len(pending), losses[-1])
            good, pending = copied(with_seed_axis(state)), []
            if validation is not None and (evaluated or step == self.total):
                validation = validation.after(good)
        return good if validation is None else validation.chosen(good)


def started(state: TrainState) -> TrainState:
    """Return a copy to train on: without a seed axis where there is one seed, which is faster on a CPU."""
    return copied(seed_of(state, 0) if len(state.key) == 1 else state)


def losses_of(model: Model, pending: Sequence[Metrics], last: int) -> list[dict[str, np.ndarray]]:
    """Return the losses of the phases that were updated, of each of the steps up to number `last`."""
    fetched = jax.device_get(list(pending))
    first = last - len(fetched)
    return [
        {phase.name: metrics[f"{phase.name}/loss"] for phase in model.phases if is_due(phase, first + index)}
        for index, metrics in enumerate(fetched)
    ]


class Validation(NamedTuple):
    """The parameters that have done best so far on the validation split."""

    best: Best
    model: Model
    data: Dataset
    evaluate_seeds: EvaluateSeeds | None = None
    selected: Selected | None = None

    def after(self, state: TrainState) -> "Validation":
        """Return the validation after the state of one more step was measured."""
        evaluate_seeds = self.evaluate_seeds or make_evaluate_seeds(self.model.evaluate, self.data.load)
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
        if self.best.metric not in scores:
            raise ValueError(f"best: there is no metric {self.best.metric!r}; the model has {', '.join(scores)}")
        score = jnp.asarray(scores[self.best.metric], jnp.float32)
        before = self.selected or select_none(state)
        selected = select_better(before, state, score, larger_is_better=self.best.better == "max")
        return self._replace(evaluate_seeds=evaluate_seeds, selected=selected)

    def chosen(self, state: TrainState) -> TrainState:
        """Return the state with the best parameters in place of the last ones."""
        if self.selected is None:
            return state
        return state._replace(params=self.selected.params, stats=self.selected.stats)
