"""Programs of a trained model, written once for CPUs, GPUs and TPUs."""

import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export as jax_export

from genjax.core import Model, TrainState, make_step
from genjax.data.arrays import ArrayDataset
from genjax.data.dataset import Dataset
from genjax.data.feed import read_items
from genjax.front.check import arrays_of, check_examples, naming_what_is_missing
from genjax.front.train import Training
from genjax.types import PyTree

PLATFORMS = ("cpu", "cuda", "tpu")
"""Platforms for which programs are written by default."""

TYPES = "types.json"
"""File with the names of the types of tuples in the arguments and results of the programs."""

REGISTERED: set[type] = set()
"""Types of tuples that JAX can write by now."""


class Exported(NamedTuple):
    """Programs that `load_exported` has read, for batches of the number of examples for which they were exported."""

    step: Callable[..., Any]
    """`(state, batch)` -> the next state, of one seed, and the metrics of all phases; those not due are NaN."""
    evaluate: Callable[..., Any]
    """`(params, stats, batch, key)` -> metrics, one value per example."""
    generate: Callable[..., Any]
    """`(params, stats, batch, key)` -> one output per example of the batch."""
    embed: Callable[..., Any] | None
    """`(params, stats, batch)` -> features, or None if the model has none."""


def export(
    path: str | Path,
    model: Model,
    state: TrainState,
    data: ArrayDataset | Dataset,
    *,
    batch_size: int | None = None,
    platforms: Sequence[str] = PLATFORMS,
) -> None:
    """Write the model's programs `step`, `evaluate`, `generate` and, if it has features, `embed` to a new folder.

    `genjax.load_exported` reads them on any of the platforms, and imports no code but that of the named tuples in the
    state. Parameters are arguments of the programs: save them with `genjax.save`. The programs are in StableHLO.

    Args:
        path: Folder to write; it must not exist.
        model: Model to export.
        state: State of one seed, whose shapes and types the programs take.
        data: Data set that gives the shapes of the batches.
        batch_size: Number of examples in a batch; by default that of `genjax.train`.
        platforms: Names of platforms: cpu, cuda, rocm, tpu.

    Raises ValueError if the path exists, the state is of several seeds, or the data do not suit the model.
    """
    folder = Path(path).expanduser().absolute()
    if folder.exists():
        raise ValueError(f"path={str(path)!r} exists; choose another path")
    if state.key.ndim:
        raise ValueError("state: is of several seeds; export one of them, genjax.training.seed(state, index)")
    found = arrays_of(data)
    with naming_what_is_missing(check_examples(model, found.train)):
        lowered = programs(model, state, *batches(model, found, batch_size), platforms=platforms)
    written = {name: program.serialize() for name, program in lowered.items()}
    folder.mkdir(parents=True)
    for name, content in written.items():
        (folder / f"{name}.bin").write_bytes(content)
    names = sorted({name_of(kind) for kind in tuples_of(state)})
    (folder / TYPES).write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")


def load_exported(path: str | Path) -> Exported:
    """Read the programs that `genjax.export` has written.

    Raises FileNotFoundError if the folder holds none.
    """
    folder = Path(path).expanduser().absolute()
    if not (folder / TYPES).exists():
        raise FileNotFoundError(f"path={str(path)!r}: there are no programs; write some with genjax.export")
    for name in json.loads((folder / TYPES).read_text(encoding="utf-8")):
        module, _, qualified = name.partition(":")
        register([getattr(importlib.import_module(module), qualified)])
    files = {file.stem: file for file in folder.glob("*.bin")}
    calls = {name: jax_export.deserialize(bytearray(file.read_bytes())).call for name, file in files.items()}
    return Exported(**{name: calls.get(name) for name in Exported._fields})  # pyright: ignore[reportArgumentType]


def batches(model: Model, data: ArrayDataset, batch_size: int | None) -> tuple[PyTree, PyTree]:
    """Return the shapes and types of a batch of the training, and of one of an evaluation with as many examples."""
    training = Training(model, data, batch_size, 1, None)
    feed, key, test = training.plain_feed((0,)), jax.random.key(0), data.dataset.test
    item = jax.tree.map(lambda leaf: leaf[0], next(read_items(feed, 0)))
    raw = dict(test.read(np.arange(training.size) % test.size))
    return jax.eval_shape(feed.load, feed.arrays, item, key), jax.eval_shape(data.dataset.load, raw, key)


def programs(
    model: Model, state: TrainState, batch: PyTree, seen: PyTree, *, platforms: Sequence[str]
) -> Mapping[str, jax_export.Exported]:
    """Return the programs that train on `batch`, and that evaluate, generate from and embed the examples `seen`."""
    variables, key = (state.params, state.stats), jax.random.key(0)
    calls: dict[str, tuple[Callable[..., Any], tuple[PyTree, ...]]] = {
        "step": (make_step(model.phases), (state, batch)),
        "evaluate": (model.evaluate, (*variables, seen, key)),
        "generate": (model.generate, (*variables, seen, key)),
    }
    if model.embed is not None:
        calls["embed"] = (model.embed, (*variables, seen))
    register(tuples_of(state))
    return {
        name: jax_export.export(jax.jit(function), platforms=tuple(platforms))(*arguments)
        for name, (function, arguments) in calls.items()
    }


def register(types: Iterable[type]) -> None:
    """Let JAX write and read these types of tuples, by the names of their modules."""
    for kind in types:
        if kind not in REGISTERED:
            jax_export.register_namedtuple_serialization(kind, serialized_name=name_of(kind))
            REGISTERED.add(kind)


def name_of(kind: type) -> str:
    """Return the name under which a type is written: its module and its own name."""
    return f"{kind.__module__}:{kind.__qualname__}"


def tuples_of(tree: PyTree) -> Iterator[type]:
    """Yield the types of all named tuples in a tree."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        yield type(tree)
    if isinstance(tree, Mapping):
        yield from (kind for value in tree.values() for kind in tuples_of(value))
    elif isinstance(tree, (tuple, list)):
        yield from (kind for value in tree for kind in tuples_of(value))
