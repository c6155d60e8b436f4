"""Say what memory a training needs, before it is started: python -m genjax plan EXPERIMENT --preset paper --devices 8.

    python -m genjax plan vae --preset paper                    an experiment of this repository
    python -m genjax plan mine:experiment --devices 8 --seeds 8 a function of your own, as `module:function`

Nothing is trained: the step is compiled, for several devices on a CPU that is divided into them, and the numbers are
what the compiler plans. A process takes some tens of MiB more. On a CPU the measured peaks of the paper presets of
MADE, PixelCNN (with batches of 16) and the adversarial autoencoder were 4, 6 and 15 % above the plan, and that of
DCGAN 57 %. A GPU or TPU has other kernels.

The data must be there, since they decide shapes and start values; they lie on each device as a whole if they fit into
memory, and in batches otherwise.
"""

import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import tyro
from jax.sharding import NamedSharding, PartitionSpec
from rich.console import Console
from rich.table import Table

from genjax.capabilities import Feeder
from genjax.core import TrainState
from genjax.data.feed import Feed, read_items, with_mesh
from genjax.mesh import SEED, make_mesh
from genjax.runs.config import Function, imported, option_error
from genjax.runs.directory import RunError
from genjax.runs.experiment import Experiment
from genjax.runs.memory import size_of
from genjax.runs.options import Data, Run
from genjax.training import init_call, make_train_step, map_seeds
from genjax.types import PyTree

MEBIBYTE = 2**20


class Plan(NamedTuple):
    """Memory of a training on each device, in bytes, and its lengths."""

    parameters: int
    """Number of parameters of one seed."""
    params: int
    """Parameters of the seeds of a device."""
    best: int
    """Second copy of parameters and statistics, those with the best validation score; 0 if none is kept."""
    opt: int
    """State of the optimizers."""
    stats: int
    """Variables that are not trained by gradient: running statistics, averages, pools, carried states."""
    data: int
    """Training examples on a device, all of them or those of a step."""
    activations: int
    """Intermediate values of a step: activations, gradients, updates."""
    seeds: int
    """Seeds on a device."""
    batch: int
    """Examples of each seed's batch on a device."""
    pass_steps: int | None
    """Steps in one pass over the training examples; None where a step's examples are no batch of a fixed size."""
    steps: int
    """Steps of the training."""

    @property
    def total(self) -> int:
        """Bytes on each device."""
        return self.params + self.best + self.opt + self.stats + self.data + self.activations


def plan(
    experiment: Annotated[str, tyro.conf.Positional],
    *,
    preset: str = "paper",
    devices: int = 1,
    seeds: int = 1,
    batch_size: int | None = None,
    data_dir: Path | None = None,
) -> None:
    """Print the memory on each device that a training needs, and its numbers of steps.

    Args:
        experiment: Name of an experiment, such as vae, or `module:function`.
        preset: Set of options.
        devices: Number of devices over which seeds and batches are spread.
        seeds: Number of seeds that are trained together.
        batch_size: Number of examples per step and seed; by default that of the preset.
        data_dir: TFDS directory that holds the prepared data set.
    """
    if devices < 1 or seeds < 1:
        raise RunError(f"--devices {devices} and --seeds {seeds} must be at least 1", exit_code=2)
    if devices > 1:  # before JAX starts
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", devices)
    function = experiment_function(experiment)
    changes: dict[str, Any] = {"seeds": tuple(range(seeds)), "devices": devices}
    if batch_size is not None:
        changes["batch_size"] = batch_size
    options = with_changes(preset_of(function, preset), changes, data_dir)
    try:
        found = plan_of(function(options), run_of(options))
    except (ValueError, OSError) as error:
        raise option_error(error, options) from error
    name = function.__name__
    Console().print(table(found, f"{name} ({preset}): {seeds} seed(s) on {devices} device(s)"))


def experiment_function(name: str) -> Function:
    """Return the function of an experiment by its name or as `module:function`; RunError if there is none."""
    return imported(name if ":" in name else f"experiments.{name}:{name}", None)


def preset_of(function: Function, name: str) -> Any:
    """Return the options of a preset; RunError if the experiment's module has none of this name."""
    presets = getattr(sys.modules[function.__module__], "PRESETS", {})
    if name not in presets:
        raise RunError(f"--preset {name}: {function.__name__} has {', '.join(presets) or 'no presets'}", exit_code=2)
    return presets[name]


def run_of(options: Any) -> Run:
    """Return the options of the training among those of an experiment."""
    return next(value for value in vars(options).values() if isinstance(value, Run))


def with_changes(options: Any, run: dict[str, Any], data_dir: Path | None) -> Any:
    """Return options with changes to their training and to the folder of their data."""
    changed = {}
    for name, value in vars(options).items():
        if isinstance(value, Run):
            changed[name] = dataclasses.replace(value, **run)
        elif isinstance(value, Data) and data_dir is not None:
            changed[name] = dataclasses.replace(value, data_dir=data_dir)
    return dataclasses.replace(options, **changed)


def plan_of(experiment: Experiment, run: Run) -> Plan:
    """Return the plan of an experiment whose seeds train together; the step is compiled, nothing is computed."""
    steps = min(run.steps, experiment.max_steps or run.steps)
    mesh = make_mesh(len(run.seeds), run.batch_size, run.devices)
    feed = with_mesh(experiment.training_feed(run.seeds, run.batch_size), mesh)
    state = first_shapes(experiment, feed, run.seeds)
    groups, members = (1, 1) if mesh is None else (mesh.shape[SEED], mesh.size // mesh.shape[SEED])
    item = next(read_items(feed, steps - 1))  # images are largest at the end
    own_feed = experiment.feed is not None or experiment.capability(Feeder) is not None
    due = tuple(True if phase.wrt else None for phase in experiment.model.phases)
    step = make_train_step(experiment.model, feed, due)
    memory = step.lower(state, shapes_of(feed.arrays), item).compile().memory_analysis()  # pyright: ignore[reportFunctionMemberAccess]
    params, stats = (size_of(part) // groups for part in (state.params, state.stats))
    return Plan(
        parameters=sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params)) // len(run.seeds),
        params=params,
        best=0 if experiment.select is None else params + stats,
        opt=size_of(state.opt) // groups,
        stats=stats,
        data=size_of(feed.arrays) + size_of(item),
        activations=memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes,
        seeds=len(run.seeds) // groups,
        batch=run.batch_size // members,
        pass_steps=None if own_feed else -(-experiment.data.train.size // run.batch_size),
        steps=steps,
    )


def first_shapes(experiment: Experiment, feed: Feed, seeds: Sequence[int]) -> TrainState:
    """Return shapes, types and places of the state that the training's steps take."""
    program, arguments = init_call(experiment.model, feed, seeds)
    state = program.eval_shape(*arguments)
    if len(seeds) == 1:
        state = jax.eval_shape(lambda state: map_seeds(lambda leaf: leaf[0], state), state)
    if feed.mesh is None:
        return state
    places = [NamedSharding(feed.mesh, PartitionSpec(*axes)) for axes in ((SEED,) if len(seeds) > 1 else (), ())]
    spread, whole = (lambda leaf, place=place: leaf.update(sharding=place) for place in places)
    return map_seeds(spread, state)._replace(step=whole(state.step))


def shapes_of(tree: PyTree) -> PyTree:
    """Return shapes, types and places of arrays."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), tree)


def table(found: Plan, title: str) -> Table:
    """Return the plan as a table."""
    shown = Table(
        "on each device", "", "MiB", title=title, caption=f"planned by the compiler for {jax.default_backend()}"
    )
    rows = (
        (f"parameters ({found.parameters:,} of a seed)", found.params),
        ("best parameters so far", found.best),
        ("optimizer state", found.opt),
        ("statistics, averages, pools", found.stats),
        ("training examples", found.data),
        ("activations, gradients, updates", found.activations),
        ("in all", found.total),
    )
    for name, size in rows:
        shown.add_row(name, "", f"{size / MEBIBYTE:,.1f}")
    shown.add_section()
    shown.add_row("seeds", f"{found.seeds}", "")
    shown.add_row("examples of each seed's batch", f"{found.batch}", "")
    shown.add_row("steps", f"{found.steps:,}", "")
    if found.pass_steps is not None:
        shown.add_row("steps per pass over the data", f"{found.pass_steps:,}", "")
        shown.add_row("passes", f"{found.steps / found.pass_steps:,.1f}", "")
    return shown
