"""A generative model is a value, and training it is a sequence of phases."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from genjax.types import Batch, Embed, Evaluate, Generate, Key, Loss, Metrics, Params, PyTree, Stats

T = TypeVar("T")

INIT = 2**32 - 1
"""What the root key is folded with for the start; each step folds it with its number."""


class Phase(NamedTuple):
    """One player's move: a gradient step on the networks in `wrt`, all others held fixed."""

    name: str
    loss: Loss
    wrt: tuple[str, ...]
    optimizer: optax.GradientTransformation
    every: int = 1
    """The phase moves in every `every`-th step: k discriminator moves per generator move is the latter's `every=k`."""
    start: int = 0
    """The first step, counted from 0, in which it may move."""
    stop: int | None = None
    """The first in which it may not any more: a network that is trained first and then stays as it is."""

    @property
    def always(self) -> bool:
        """Whether it moves in every step."""
        return (self.every, self.start, self.stop) == (1, 0, None)


class Input(NamedTuple):
    """One array of a batch, as a model needs it."""

    shape: tuple[int, ...]
    """Of one example, without the batch axis."""
    values: str = "unit"
    """Range of its elements: "unit" for reals in [0, 1], "binary" for 0 and 1, "levels-K" for k / (K - 1),
    "classes-K" for integers 0, ..., K - 1, "real" for any finite number."""


Kind = str
"""How a reported number relates to the truth: exact, elbo, iwae-K (lower bounds of log p), or estimate."""


class Model(NamedTuple):
    """A generative model: pure functions of `(params, stats, batch, key)`."""

    init: Callable[[Key, Batch], tuple[Params, Stats]]
    phases: tuple[Phase, ...]
    """In order; a later phase sees the earlier phase's result."""
    evaluate: Evaluate
    generate: Generate
    embed: Embed | None = None
    kinds: Mapping[str, Kind] = {}
    """Kind of each metric of `evaluate`; those that are not named are estimates."""
    inputs: Mapping[str, Input] = {}
    """Arrays of a batch whose shape and range are fixed, by name."""
    draws: bool = True
    """Whether `generate` draws images of its own; False where it transforms the images of the batch."""
    capabilities: tuple[object, ...] = ()
    """Further abilities, found by their type (genjax/capabilities.py)."""

    def capability(self, kind: type[T]) -> T | None:
        """Return the capability of this type, or None."""
        return next((one for one in self.capabilities if isinstance(one, kind)), None)


def with_inputs(model: Model, **inputs: Input) -> Model:
    """The model with these `inputs`; its functions raise ValueError where an array of a batch has another shape.

    Shapes are checked while a program is traced, so the check costs nothing in a step. Arrays that a batch does not
    have are not missed.
    """

    def checked(batch: Batch) -> Batch:
        for name, expected in inputs.items():
            if name in batch and batch[name].shape[1:] != expected.shape:
                raise ValueError(f"batch[{name!r}]: shape {batch[name].shape[1:]}, the model is for {expected.shape}")
        return batch

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        return model.init(key, checked(batch))

    def phase(one: Phase) -> Phase:
        return one._replace(loss=lambda params, stats, batch, key: one.loss(params, stats, checked(batch), key))

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        return model.evaluate(params, stats, checked(batch), key)

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        return model.generate(params, stats, checked(batch), key)

    embed = model.embed
    return model._replace(
        init=init,
        phases=tuple(map(phase, model.phases)),
        evaluate=evaluate,
        generate=generate,
        embed=embed and (lambda params, stats, batch: embed(params, stats, checked(batch))),
        inputs={**model.inputs, **inputs},
    )


class TrainState(NamedTuple):
    """The only thing that changes, and everything a run needs to go on."""

    params: Params
    stats: Stats
    opt: Mapping[str, optax.OptState]
    """By phase name."""
    key: Key
    """This seed's root key: never split, only folded with `step`."""
    step: Int[Array, ""]


def init_state(model: Model, key: Key, batch: Batch) -> TrainState:
    """The state before the first step; `batch` gives the shapes.

    Raises ValueError where two phases share a name, a phase can never move, or `wrt` names a network that is not there.
    """
    params, stats = model.init(jax.random.fold_in(key, INIT), batch)
    check_phases(model.phases, tuple(params))
    opt = {phase.name: phase.optimizer.init(select(params, phase.wrt)) for phase in model.phases}
    return TrainState(params, stats, opt, key, jnp.zeros((), jnp.int32))


def check_phases(phases: Sequence[Phase], networks: Sequence[str]) -> None:
    """Raise ValueError where the phases cannot be run on these networks."""
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names) or any("/" in name for name in names):
        raise ValueError(f"phases: names must differ and hold no '/', got {names}")
    for phase in phases:
        if phase.every < 1:
            raise ValueError(f"phase {phase.name!r}: every={phase.every} must be at least 1")
        if phase.start < 0 or (phase.stop is not None and phase.stop <= phase.start):
            window = f"start={phase.start} must be at least 0 and stop={phase.stop} above it"
            raise ValueError(f"phase {phase.name!r}: {window}")
        if unknown := set(phase.wrt) - set(networks):
            raise ValueError(f"phase {phase.name!r}: wrt names {sorted(unknown)}; the networks are {sorted(networks)}")


def select(params: Params, names: Sequence[str]) -> dict[str, PyTree]:
    """The networks called `names`."""
    return {name: params[name] for name in names}


def moves(phase: Phase, step: int | Int[Array, ""]) -> bool | Array:
    """Whether `phase` moves in step `step` (counted from 0)."""
    begun = ((step + 1) % phase.every == 0) & (step >= phase.start)
    return begun if phase.stop is None else begun & (step < phase.stop)


Due = tuple[bool, ...]
"""Which phases move in a step."""


def due_phases(phases: Sequence[Phase], step: int) -> Due:
    """Which of them move in step `step` (counted from 0)."""
    return tuple(bool(moves(phase, step)) for phase in phases)


def make_step(
    phases: Sequence[Phase], due: Due | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The pure step that runs `phases` in order on one batch.

    The key of a phase is the root key folded with the step, then with the phase's index. A metric is named
    `phase/metric`, the loss among them; those of a phase that did not move are NaN. Where `due` says which phases move,
    the step is good for those steps only; else each phase that does not always move is a branch in it, and convolutions
    in branches are slow on a CPU.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        metrics: dict[str, Array] = {}
        for index, phase in enumerate(phases):
            moving = None if due is None else due[index]
            state, phase_metrics = move_if_due(phase, state, batch, key_of(state, index), due=moving)
            metrics |= {f"{phase.name}/{name}": value for name, value in phase_metrics.items()}
        return state._replace(step=state.step + 1), metrics

    return step


def key_of(state: TrainState, index: int) -> Key:
    """The key of this step's phase number `index`."""
    return jax.random.fold_in(jax.random.fold_in(state.key, state.step), index)


def move_if_due(
    phase: Phase, state: TrainState, batch: Batch, key: Key, *, due: bool | None = None
) -> tuple[TrainState, Metrics]:
    """`move`, or the state as it is in a step where the phase does not move; `due` says which, else the step does."""
    if due or phase.always:
        return move(phase, state, batch, key)
    _, shapes = jax.eval_shape(lambda state: move(phase, state, batch, key), state)
    rest = jax.tree.map(lambda metric: jnp.full(metric.shape, jnp.nan, metric.dtype), shapes)
    if due is not None:
        return state, rest
    return jax.lax.cond(
        moves(phase, state.step),
        lambda state: move(phase, state, batch, key),
        lambda state: (state, rest),
        state,
    )


def move(phase: Phase, state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, Metrics]:
    """One gradient step of `phase`: only the networks in `phase.wrt` change, and what its loss returns as stats."""

    def loss(moving: Params) -> tuple[Array, tuple[Metrics, Stats]]:
        return phase.loss({**state.params, **moving}, state.stats, batch, key)

    moving = select(state.params, phase.wrt)
    (value, (metrics, stats)), gradients = jax.value_and_grad(loss, has_aux=True)(moving)
    updates, opt = phase.optimizer.update(gradients, state.opt[phase.name], moving)
    moved = dict(optax.apply_updates(moving, updates))  # pyright: ignore[reportArgumentType, reportCallIssue]
    state = state._replace(params={**state.params, **moved}, stats=stats, opt={**state.opt, phase.name: opt})
    floats = {name: jnp.asarray(metric, value.dtype) for name, metric in metrics.items()}  # a phase at rest has NaN
    return state, {**floats, "loss": value}
