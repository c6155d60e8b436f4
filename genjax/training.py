"""Training loop of one seed, or of several along a leading axis: one jitted step, whose state is yielded every time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Int

from genjax.core import (
    Due,
    Init,
    Model,
    Phase,
    TrainState,
    due_phases,
    is_due,
    key_of,
    make_step,
    state_of_phases,
    update_if_due,
)
from genjax.data.feed import BatchLoad, Feed, read_items
from genjax.errors import ArgumentError
from genjax.keys import DATA
from genjax.mesh import BATCH, SEED, constrained, fetched, placed
from genjax.programs import shared
from genjax.types import Batch, Metrics, PyTree

AXES = TrainState(params=0, stats=0, opt=0, key=0, step=None)  # pyright: ignore[reportArgumentType]
"""Seed axis of each part of the state: every leaf but the step has it. All seeds have the same step, so their phases
are due together."""

Step = Callable[[TrainState, PyTree, PyTree], tuple[TrainState, Metrics]]
"""`(state, feed.arrays, item)` -> the next state, and metrics [seeds], or scalars for a state without seed axis."""


def init_seeds(model: Model, feed: Feed, seeds: Sequence[int]) -> TrainState:
    """Return the states of all `seeds` before the first step, with a leading seed axis."""
    program, arguments = init_call(model, feed, seeds)
    return program(*arguments)


def init_call(model: Model, feed: Feed, seeds: Sequence[int]) -> tuple[Any, tuple[PyTree, ...]]:
    """Return the jitted function that gives the first states of `seeds`, and its arguments."""
    check_generator(seeds)
    program = init_program(model.init, tuple(model.phases), feed.load, feed.mesh)
    return program, (np.asarray(seeds, np.uint32), next(read_items(feed, 0)), feed.arrays)


def check_generator(seeds: Sequence[int]) -> None:
    """Raise ValueError if JAX's generator gives a seed other random numbers among others than alone, as rbg does."""
    kind = jax.config.jax_default_prng_impl  # pyright: ignore[reportAttributeAccessIssue]
    if len(seeds) > 1 and "rbg" in kind:
        told = f": JAX_DEFAULT_PRNG_IMPL={kind} draws other numbers for several seeds than for one; train one at a time"
        raise ArgumentError("seeds", tuple(seeds), told)


def empty_seeds(model: Model, feed: Feed, seeds: Sequence[int]) -> TrainState:
    """Return a state like that of `init_seeds`, but of zeros: to restore another one into, without compiling `init`."""

    def empty(leaf: jax.ShapeDtypeStruct) -> Array | np.ndarray:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jnp.broadcast_to(jax.random.key(0), leaf.shape)
        return np.zeros(leaf.shape, leaf.dtype)

    program, arguments = init_call(model, feed, seeds)
    # Not `jax.eval_shape` of a call: a program inside another one cannot have compiler options.
    return placed_state(feed, jax.tree.map(empty, program.eval_shape(*arguments)))


def placed_state(feed: Feed, state: TrainState) -> TrainState:
    """Put a state with a seed axis on the devices of the feed: its seeds over their groups, the step on all."""
    seeds, step = placed(feed.mesh, state._replace(step=None), SEED), placed(feed.mesh, state.step)
    return seeds._replace(step=step)


def spread_state(mesh: Mesh | None, state: TrainState) -> TrainState:
    """Inside a program: let the state lie as `placed_state` puts it, or without a seed axis on each device."""
    axes = (SEED,) if state.key.ndim else ()
    return constrained(mesh, state._replace(step=None), *axes)._replace(step=constrained(mesh, state.step))


@shared
def init_program(
    init: Init, phases: tuple[Phase, ...], load: BatchLoad, mesh: Mesh | None
) -> Callable[..., TrainState]:
    """Return the jitted function of (seeds, item, `feed.arrays`) that gives the states before the first step."""

    def init_one(number: Int[Array, ""], item: PyTree, arrays: PyTree) -> TrainState:
        key = jax.random.key(number)
        return state_of_phases(init, phases, key, load(arrays, item, jax.random.fold_in(key, DATA)))

    init_all = jax.vmap(init_one, in_axes=(0, 0, None), out_axes=AXES)
    return jax.jit(lambda *given: spread_state(mesh, init_all(*given)), compiler_options=once_options())


def once_options() -> dict[str, int]:
    """Return the compiler options of a program that runs once.

    On a CPU the random draws of initial weights take several times as long to compile at XLA's level 3 as at level 1.
    """
    quick = jax.default_backend() == "cpu" and not jax.config.read("jax_disable_most_optimizations")
    return {"xla_backend_optimization_level": 1} if quick else {}


def load_batch(feed: Feed, state: TrainState, arrays: PyTree, item: PyTree) -> Batch:
    """Return the batch of one seed's next step."""
    return constrained(feed.mesh, feed.load(arrays, item, key_of(state, DATA)), BATCH)


def make_train_step(model: Model, feed: Feed, due: Due | None = None) -> Step:
    """Return the jitted step of all seeds, or of a single seed whose state has no seed axis.

    The state passed in is donated and must not be used afterwards: use the returned one. `make_step` explains `due`.
    The same phases, `feed.load` and mesh give the same step, which is compiled once.
    """
    return step_program(tuple(model.phases), feed.load, due, feed.mesh, model.seeds_together)


@shared
def step_program(
    phases: tuple[Phase, ...], load: BatchLoad, due: Due | None, mesh: Mesh | None, seeds_together: bool
) -> Step:
    """Return the jitted step of these phases on batches loaded by `load`."""
    step = make_step(phases, due)

    def load_and_step(state: TrainState, arrays: PyTree, item: PyTree) -> tuple[TrainState, Metrics]:
        return step(state, constrained(mesh, load(arrays, item, key_of(state, DATA)), BATCH))

    def advance(state: TrainState, arrays: PyTree, item: PyTree) -> tuple[TrainState, Metrics]:
        if state.key.ndim == 0:
            state, metrics = load_and_step(state, arrays, jax.tree.map(lambda leaf: leaf[0], item))
        else:
            state, metrics = over_seeds(load_and_step, mesh, seeds_together)(state, arrays, item)
        return spread_state(mesh, state), metrics

    return jax.jit(advance, donate_argnums=0)


def over_seeds(one: Step, mesh: Mesh | None, together: bool) -> Step:
    """Return the step of all seeds from that of one; each group of devices of a mesh takes the step of its own seeds.

    Several seeds of a group are vectorized if they are to be `together`. On a mesh they are else computed side by side:
    the examples of vectorized convolutions would be gathered from all devices.
    """

    def vectorized(state: TrainState, arrays: PyTree, item: PyTree) -> tuple[TrainState, Metrics]:
        return jax.vmap(one, in_axes=(AXES, None, 0), out_axes=(AXES, 0))(state, arrays, item)

    def side_by_side(state: TrainState, arrays: PyTree, item: PyTree) -> tuple[TrainState, Metrics]:
        indices = range(len(state.key))
        taken = [one(seed(state, index), arrays, entry(item, jnp.asarray(index))) for index in indices]
        states, metrics = zip(*taken, strict=True)
        seeds, each = stacked([state._replace(step=None) for state in states]), stacked(metrics)
        return seeds._replace(step=states[0].step), each

    if mesh is None:
        return vectorized
    own_seeds, shared_by_all = PartitionSpec(SEED), PartitionSpec()
    states = TrainState(*(shared_by_all if axis is None else own_seeds for axis in AXES))  # pyright: ignore[reportArgumentType]
    return jax.shard_map(
        lambda state, *rest: (vectorized if together and len(state.key) > 1 else side_by_side)(state, *rest),
        mesh=mesh,
        in_specs=(states, shared_by_all, own_seeds),
        out_specs=(states, own_seeds),
        axis_names={SEED},
        check_vma=False,
    )


def stacked(trees: Sequence[PyTree]) -> PyTree:
    """Return the arrays of the trees along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def iterate(model: Model, feed: Feed, state: TrainState, steps: int) -> Iterator[tuple[int, TrainState, Metrics]]:
    """Train until `steps` steps are done in total, and yield (steps done, state, metrics [seeds]) after each step.

    The next step reuses the memory of a yielded state: copy what must outlive that step. Metrics are fetched from the
    device only when they are read. If the feed is of one seed, a state without seed axis (`seed(state, 0)`) can be
    trained as well; its metrics are scalars. This is faster on a CPU, which copies arrays to add and drop an axis of
    length one. One program is compiled for each set of phases that train together.
    """
    done = int(state.step)
    if done >= steps:
        return
    for item in read_items(feed, done):
        step = make_train_step(model, feed, due_phases(model.phases, done))
        state, metrics = step(state, feed.arrays, item)
        done += 1
        yield done, state, metrics
        if done >= steps:
            return


def seed(state: TrainState, index: int) -> TrainState:
    """Return the state of one seed, without the seed axis."""
    return one_seed(state, np.int32(index))


@jax.jit
def one_seed(state: TrainState, index: Int[Array, ""]) -> TrainState:
    """Return the state of the seed at `index`: one program for all leaves compiles faster than one for each shape."""
    return map_seeds(lambda leaf: leaf[index], state)


@jax.jit
def entry(tree: PyTree, index: Int[Array, "..."]) -> PyTree:
    """Return the entry, or entries, at `index` of the first axis of every array, such as one seed of parameters."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def with_seed_axis(state: TrainState) -> TrainState:
    """Return a copy of one seed's state with a seed axis of length one; a state with a seed axis stays unchanged."""
    return state if state.key.ndim else single_seed_axis(state)


@jax.jit
def single_seed_axis(state: TrainState) -> TrainState:
    """Return a copy of one seed's state with a seed axis of length one."""
    return map_seeds(lambda leaf: leaf[None], state)


def map_seeds(function: Callable[[Array], Array], state: TrainState) -> TrainState:
    """Apply `function` to every leaf that has a seed axis, or gets one: all but the step."""
    return jax.tree.map(function, state._replace(step=None))._replace(step=state.step)


@jax.jit
def copied(tree: PyTree) -> PyTree:
    """Return a copy of all arrays that outlives the next step, which reuses the arrays of the state it is given."""
    return jax.tree.map(jnp.copy, tree)


def first_nonfinite(tree: PyTree) -> str | None:
    """Return the path of the first array in `tree` that holds NaN or infinity, or None."""
    found = jax.tree_util.tree_leaves_with_path(tree)
    finite = jax.device_get(all_finite([leaf for _, leaf in found]))
    return next((jax.tree_util.keystr(path) for (path, _), good in zip(found, finite, strict=True) if not good), None)


@jax.jit
def all_finite(leaves: Sequence[Array]) -> list[Bool[Array, ""]]:
    """Return for each array whether all of its elements are finite; those that are no floats are."""
    floats = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]
    return [jnp.isfinite(leaf).all() if real else jnp.array(True) for leaf, real in zip(leaves, floats, strict=True)]


def first_failure(model: Model, feed: Feed, state: TrainState, steps: int) -> str | None:
    """Repeat the training from `state` up to `steps` steps, phase by phase; name the first array that is not finite.

    Call it with the last good state after a metric was not finite. Returns None if all arrays stay finite.
    """
    load = jax.jit(jax.vmap(lambda state, arrays, item: load_batch(feed, state, arrays, item), in_axes=(AXES, None, 0)))
    phase_steps = [make_phase_step(phase, index) for index, phase in enumerate(model.phases)]
    for step, item in zip(range(int(state.step), steps), read_items(feed, int(state.step)), strict=False):
        batch = load(state, feed.arrays, item)
        if bad := first_nonfinite(batch):
            return f"step {step + 1}: the first array that is not finite is batch{bad}"
        for phase, phase_step in zip(model.phases, phase_steps, strict=True):
            state, metrics = phase_step(state, batch)
            found = {"metrics": metrics if is_due(phase, step) else {}, "state": state._asdict()}
            if bad := first_nonfinite(found["state"]) or first_nonfinite(found["metrics"]):
                loss = fetched(metrics["loss"]).tolist()
                return (
                    f"step {step + 1}, phase {phase.name!r} (loss {loss}): the first array that is not finite is {bad}"
                )
        state = state._replace(step=state.step + 1)
    return None


def make_phase_step(phase: Phase, index: int) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Return the jitted update of one phase alone, for all seeds; the state passed in stays valid."""

    def phase_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        return update_if_due(phase, state, batch, key_of(state, index))

    return jax.jit(jax.vmap(phase_step, in_axes=(AXES, 0), out_axes=(AXES, 0)))
