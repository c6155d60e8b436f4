"""A generative model as a value, and its training as a sequence of phases."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Int

from genjax.keys import INIT
from genjax.products import with_products
from genjax.types import Batch, Embed, Evaluate, Generate, Key, Loss, Metrics, Params, PyTree, Stats

T = TypeVar("T")


class Phase(NamedTuple):
    """Gradient update of the networks in `wrt`, with all other networks held fixed."""

    name: str
    """Name of the phase, by which its metrics and its optimizer state are stored."""
    loss: Loss
    """Objective that the phase minimizes."""
    wrt: tuple[str, ...]
    """Names of the networks that the phase updates."""
    optimizer: optax.GradientTransformation
    """Optimizer of these networks."""
    every: int = 1
    """Period of the phase: it is due in every `every`-th step. For k discriminator updates per generator update, give
    the generator's phase `every=k`."""
    start: int = 0
    """First step, counted from 0, in which the phase is due."""
    stop: int | None = None
    """First step in which the phase is no longer due; None for no end. Set it for a network that is trained first and
    fixed afterwards."""
    products: DTypeLike | None = None
    """Type of the products of the loss and its gradient, such as bfloat16; None for that of their operands
    (genjax/products.py)."""

    @property
    def always(self) -> bool:
        """Whether the phase is due in every step."""
        return (self.every, self.start, self.stop) == (1, 0, None)


class Input(NamedTuple):
    """Shape and value range of one array of a batch, as the model needs it."""

    shape: tuple[int, ...]
    """Shape of one example, without the batch axis."""
    values: str = "unit"
    """Range of the elements: "unit" for reals in [0, 1], "binary" for 0 and 1, "levels-K" for k / (K - 1), "classes-K"
    for integers 0, ..., K - 1, "real" for any finite number."""


Kind = str
"""Relation of a reported number to the true value: exact, elbo or iwae-K (lower bounds of log p), or estimate."""


Init = Callable[[Key, Batch], tuple[Params, Stats]]


class Model(NamedTuple):
    """Generative model: pure functions of `(params, stats, batch, key)`."""

    init: Init
    """`(key, batch)` -> initial parameters and stats; the batch gives the shapes."""
    phases: tuple[Phase, ...]
    """Training phases in order: a later phase of a step sees the result of the earlier ones."""
    evaluate: Evaluate
    """Held-out metrics, one value per example."""
    generate: Generate
    """Sampler of one output per example of a batch."""
    embed: Embed | None = None
    """Features of a batch for representation learning, or None if the model has none."""
    kinds: Mapping[str, Kind] = {}
    """Kind of each metric of `evaluate`; a metric that is not named here is an estimate."""
    inputs: Mapping[str, Input] = {}
    """Required shape and range of the arrays of a batch, by name."""
    conditions: Mapping[str, Input] = {}
    """Required shape and range of further arrays that only `generate` reads, by name, such as a category to draw."""
    draws: bool = True
    """Whether `generate` draws new images; False if it transforms the images of the batch."""
    seeds_together: bool = True
    """Whether training several seeds in one program is faster on a CPU; it is not for convolutions, nor for NADE."""
    capabilities: tuple[object, ...] = ()
    """Optional capabilities (genjax/capabilities.py), which `capability` finds by their type."""

    def capability(self, kind: type[T]) -> T | None:
        """Return the model's capability of this type, or None if it has none."""
        return next((one for one in self.capabilities if isinstance(one, kind)), None)


Change = Callable[[Batch, Key], Batch]
"""Function from a batch of the data, and a key, to the batch that a model needs."""


def has_convolutions(params: PyTree) -> bool:
    """Return whether an array of one seed's parameters has four axes, as a kernel of a convolution of images has."""
    return any(leaf.ndim == 4 for leaf in jax.tree.leaves(params))


def with_batches(model: Model, change: Change, *, generating: Change | None = None) -> Model:
    """Return the model whose functions see batches after `change`, or for `generate` after `generating` if it is given.

    `change` is a function of the batch and the key of the call; features have no key, so `embed` gives it a fixed one.
    """

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        return model.init(key, change(batch, key))

    def phase(one: Phase) -> Phase:
        return one._replace(loss=lambda params, stats, batch, key: one.loss(params, stats, change(batch, key), key))

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        return model.evaluate(params, stats, change(batch, key), key)

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        return model.generate(params, stats, (generating or change)(batch, key), key)

    embed = model.embed
    return model._replace(
        init=init,
        phases=tuple(map(phase, model.phases)),
        evaluate=evaluate,
        generate=generate,
        embed=embed and (lambda params, stats, batch: embed(params, stats, change(batch, jax.random.key(0)))),
    )


def with_inputs(model: Model, **inputs: Input) -> Model:
    """Return the model with these `inputs`; its functions raise ValueError if an array of a batch has another shape.

    Shapes are checked while a program is traced, so the check costs nothing in a step. An array that is absent from the
    batch is not an error.
    """

    def checked(batch: Batch, key: Key) -> Batch:
        del key
        for name, expected in inputs.items():
            if name in batch and batch[name].shape[1:] != expected.shape:
                raise ValueError(f"batch[{name!r}]: shape {batch[name].shape[1:]}, the model is for {expected.shape}")
        return batch

    return with_batches(model, checked)._replace(inputs={**model.inputs, **inputs})


class TrainState(NamedTuple):
    """Everything that changes during training, and all that a run needs in order to continue."""

    params: Params
    """Parameters by network name."""
    stats: Stats
    """Variables that are not trained by gradient, by network name."""
    opt: Mapping[str, optax.OptState]
    """Optimizer state by phase name."""
    key: Key
    """Root key of the seed: never split, only folded with the step number."""
    step: Int[Array, ""]
    """Number of steps done."""


def init_state(model: Model, key: Key, batch: Batch) -> TrainState:
    """Return the state before the first step; `batch` gives the shapes.

    Raises ValueError if two phases share a name, a phase can never be due, or `wrt` names an unknown network.
    """
    return state_of_phases(model.init, model.phases, key, batch)


def state_of_phases(init: Init, phases: Sequence[Phase], key: Key, batch: Batch) -> TrainState:
    """Return the state of `init_state` for a model with this `init` and these phases."""
    params, stats = init(jax.random.fold_in(key, INIT), batch)
    check_phases(phases, tuple(params))
    opt = {phase.name: phase.optimizer.init(select(params, phase.wrt)) for phase in phases}
    return TrainState(params, stats, opt, key, jnp.zeros((), jnp.int32))


def check_phases(phases: Sequence[Phase], networks: Sequence[str]) -> None:
    """Raise ValueError if the phases cannot be run on these networks."""
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
    """Return the parameters of the networks called `names`."""
    return {name: params[name] for name in names}


def is_due(phase: Phase, step: int | Int[Array, ""]) -> bool | Array:
    """Whether `phase` updates its networks in step `step`, counted from 0."""
    begun = ((step + 1) % phase.every == 0) & (step >= phase.start)
    return begun if phase.stop is None else begun & (step < phase.stop)


Due = tuple[bool | None, ...]
"""For each phase, whether it is due in a step, or None if the program decides by the number of the step."""


def due_phases(phases: Sequence[Phase], step: int) -> Due:
    """Return which phases are due in step `step`, counted from 0.

    Of phases that train no network, such as those that keep samples, the program decides: a program of its own for the
    few steps with one would take longer to compile than all of these steps.
    """
    return tuple(bool(is_due(phase, step)) if phase.wrt else None for phase in phases)


def make_step(
    phases: Sequence[Phase], due: Due | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Return the pure training step that runs `phases` in order on one batch.

    The key of a phase is the root key folded with the step number and then with the phase's index. Metrics,
    including the loss, are named `phase/metric`; all metrics of a phase that is not due are NaN (`absent`).

    With `due`, the step is valid only for steps in which exactly these phases are due. Without it, or where it holds
    None, each phase that is not due in every step becomes a branch inside the program, and convolutions in branches are
    slow on a CPU.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        metrics: dict[str, Array] = {}
        for index, phase in enumerate(phases):
            due_now = None if due is None else due[index]
            state, phase_metrics = update_if_due(phase, state, batch, key_of(state, index), due=due_now)
            metrics |= {f"{phase.name}/{name}": value for name, value in phase_metrics.items()}
        return state._replace(step=state.step + 1), metrics

    return step


def absent() -> float:
    """Return what stands for a number that does not exist: NaN, or infinity under JAX_DEBUG_NANS=1, as NaN would stop
    the program there.
    """
    stopping = jax.config.jax_debug_nans  # pyright: ignore[reportAttributeAccessIssue]
    return math.inf if stopping else math.nan


def key_of(state: TrainState, index: int) -> Key:
    """Return the key of phase number `index` in the current step."""
    return jax.random.fold_in(jax.random.fold_in(state.key, state.step), index)


def update_if_due(
    phase: Phase, state: TrainState, batch: Batch, key: Key, *, due: bool | None = None
) -> tuple[TrainState, Metrics]:
    """Run `update`, or return the state unchanged with metrics of NaN if the phase is not due.

    `due` says whether the phase is due; with None, the program decides by the step number.
    """
    if due or phase.always:
        return update(phase, state, batch, key)
    _, shapes = jax.eval_shape(lambda state: update(phase, state, batch, key), state)
    skipped = jax.tree.map(lambda metric: jnp.full(metric.shape, absent(), metric.dtype), shapes)
    if due is not None:
        return state, skipped

    # What the phase leaves alone stays outside: a branch copies all that it returns.
    def changed(state: TrainState) -> tuple[PyTree, Stats, optax.OptState]:
        return select(state.params, phase.wrt), state.stats, state.opt[phase.name]

    def taken() -> tuple[tuple[PyTree, Stats, optax.OptState], Metrics]:
        after, metrics = update(phase, state, batch, key)
        return changed(after), metrics

    (trained, stats, opt), metrics = jax.lax.cond(is_due(phase, state.step), taken, lambda: (changed(state), skipped))
    params, opts = {**state.params, **trained}, {**state.opt, phase.name: opt}
    return state._replace(params=params, stats=stats, opt=opts), metrics


def update(phase: Phase, state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, Metrics]:
    """Take one gradient step of `phase`, which changes the networks in `phase.wrt` and the stats that its loss
    returns.
    """

    def loss(trained: Params) -> tuple[Array, tuple[Metrics, Stats]]:
        return phase.loss({**state.params, **trained}, state.stats, batch, key)

    gradient = with_products(jax.value_and_grad(loss, has_aux=True), phase.products)
    trained = select(state.params, phase.wrt)
    (value, (metrics, stats)), gradients = gradient(trained)
    # Examples in float64, where JAX has it, would make statistics of float64 too.
    stats = jax.tree.map(lambda new, old: new if new.dtype == old.dtype else new.astype(old.dtype), stats, state.stats)
    updates, opt = phase.optimizer.update(gradients, state.opt[phase.name], trained)
    new = dict(optax.apply_updates(trained, updates))  # pyright: ignore[reportArgumentType, reportCallIssue]
    state = state._replace(params={**state.params, **new}, stats=stats, opt={**state.opt, phase.name: opt})
    # Floats, since the metrics are NaN in a step in which the phase is not due.
    floats = {name: jnp.asarray(metric, value.dtype) for name, metric in metrics.items()}
    return state, {**floats, "loss": value}
