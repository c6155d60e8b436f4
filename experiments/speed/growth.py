"""Growth of the time and the memory of a training step with its sizes: --growth.

Along each axis one size doubles and all others stay. The exponent is the slope of a line that is fitted by least
squares to the logarithms: 1 where twice the size takes twice the time or memory, 2 where it takes four times as much.
Small sizes take time that does not depend on them, so that exponents of times are below those of the operations.
Memory is what the compiler plans for arguments, results and intermediate values.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.speed import ours
from experiments.speed.peer import save, seconds_per_call
from experiments.speed.sides import Side, Sizes
from genjax.core import Model
from genjax.runs.directory import RunError
from genjax.runs.report import origin_of, surroundings


class Growing(NamedTuple):
    """Model whose training step is measured at several sizes."""

    name: str
    make: Callable[[Sizes], Model]
    batch: Callable[[Sizes], ours.Batch]
    sizes: Sizes
    """Sizes where they do not grow."""
    axes: dict[str, tuple[int, ...]]
    """Values of each size that grows, by the name of the size."""


BATCHES = (16, 32, 64, 128, 256)
SIDES = (8, 16, 32, 64)

MODELS = (
    Growing(
        "VAE",
        ours.vae_of,
        ours.binary,
        Sizes(64, features=128, layers=2, latents=50),
        {"batch": BATCHES, "features": (64, 128, 256, 512, 1024)},
    ),
    Growing(
        "DCGAN",
        ours.dcgan_of,
        lambda sizes: {"image": ours.grey(sizes)},
        Sizes(16, 16, 1, features=16, latents=100),
        {"batch": BATCHES, "side": SIDES, "features": (8, 16, 32, 64)},
    ),
    Growing(
        "PixelCNN",
        ours.pixel_cnn_of,
        ours.binary,
        Sizes(16, 16, 1, features=16, layers=5),
        {"batch": BATCHES, "side": SIDES, "features": (8, 16, 32, 64)},
    ),
    Growing(
        "char-RNN",
        ours.char_rnn_of,
        ours.characters,
        Sizes(32, features=128, layers=2, length=50, words=65),
        {"batch": BATCHES, "features": (32, 64, 128, 256, 512)},
    ),
)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent p of the power law c size^p that fits `values` best in logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def rows(models: Sequence[Growing], rounds: int = 5) -> Iterator[dict[str, Any]]:
    """Measure each axis of each model, and yield it as a row of the table."""
    for model in models:
        for axis, values in model.axes.items():
            steps = [step(model, model.sizes._replace(**{axis: value})) for value in values]
            times, memory = measured(steps, rounds), [one.memory() for one in steps]
            yield {
                "model": model.name,
                "axis": axis,
                "sizes": list(values),
                "times": [time / times[0] for time in times],
                "bytes": memory,
                "time_exponent": exponent(values, times),
                "memory_exponent": exponent(values, [size or 1 for size in memory]),
            }


def step(model: Growing, sizes: Sizes) -> Side:
    """Return the training step of the model at these sizes."""
    return ours.training(model.make(sizes), model.batch(sizes))


def measured(steps: Sequence[Side], rounds: int) -> list[float]:
    """Return the seconds of each step, run in turn after one call of each: medians over rounds."""
    for one in steps:
        one.wait(one.call())
    return np.median([[seconds_per_call(one, 2) for one in steps] for _ in range(rounds)], axis=0).tolist()


HEADER = ("training step", "size", "values", "exponent of time", "of memory")
"""Columns of the table."""


def cells(one: dict[str, Any]) -> tuple[str, ...]:
    """Return a row as text, in the order of `HEADER`."""
    exponents = (f"{one[name]:.2f}" for name in ("time_exponent", "memory_exponent"))
    return (one["model"], one["axis"], ", ".join(map(str, one["sizes"])), *exponents)


def as_text(measured: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the header and the rows of the table as text."""
    return [HEADER, *map(cells, measured)]


def growth(*, out: Path, only: str = "") -> None:
    """Measure, print and save the exponents of the models whose name contains `only`."""
    chosen = [model for model in MODELS if only in model.name]
    if not chosen:
        raise RunError(f"--only {only}: no growing model has this in its name", exit_code=2)
    table = Table(*HEADER, title=f"exponents of a training step on {surroundings()['device']}")
    origin, found = origin_of("python -m experiments.speed --growth", []), []
    for one in rows(chosen):
        found.append(one)
        table.add_row(*cells(one))
    Console().print(table)
    save(out, {"exponents": found, "only": only, **origin})
    print(f"saved: {out}")
