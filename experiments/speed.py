"""Speed, as ratios measured side by side in one run: python -m experiments.speed.

Each comparison runs its two sides in turn, round after round, and reports the median of the rounds' ratios: a machine
that is slow for a while slows both. Sizes are those of the papers: D = 784, H = 500, batches of 100. Milliseconds are
shown on an accelerator only; on a shared CPU they would say nothing.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from experiments.directory import write_json
from experiments.plain_forms import (
    SEEDS,
    Call,
    checkpointed_logits,
    cumulative_logits,
    framework_step,
    handwritten_step,
    make_step_alone,
    one_after_another,
    samplers,
    scanned_logits,
    training_step,
)
from experiments.report import origin_of, surroundings
from experiments.session import CACHE_VARIABLE, configure, user_errors
from genjax.models.autoregressive import nade


class Comparison(NamedTuple):
    """Two ways to do the same thing."""

    ours: str
    other: str
    make: Callable[[], tuple[Call, Call]]
    target: float | None
    """The least ratio we promise."""
    calls: tuple[int, int] = (6, 2)
    """Per round: of ours, of the other."""
    rounds: int = 5


class Timing(NamedTuple):
    """Seconds per call of ours and of the other, and their ratio other / ours: medians over rounds."""

    ours: float
    other: float
    ratio: float


def measure(comparison: Comparison) -> Timing:
    """Time both sides in turn, after one call of each that compiles."""
    ours, other = comparison.make()
    jax.block_until_ready((ours(), other()))
    rounds = []
    for _ in range(comparison.rounds):
        seconds = [seconds_per_call(call, count) for call, count in zip((ours, other), comparison.calls, strict=True)]
        rounds.append((*seconds, seconds[1] / seconds[0]))
    return Timing(*np.median(rounds, axis=0).tolist())


def seconds_per_call(call: Call, count: int) -> float:
    """The mean of `count` calls."""
    start = time.perf_counter()
    jax.block_until_ready([call() for _ in range(count)][-1])  # what earlier calls gave may be donated by now
    return (time.perf_counter() - start) / count


COMPARISONS = (
    Comparison(
        "NADE training step: scan over chunks, derivative by hand",
        "cumulative sum over all pixels",
        lambda: (training_step(nade.logits), training_step(cumulative_logits)),
        8,
        (6, 1),
    ),
    Comparison(
        "NADE training step: scan over chunks, derivative by hand",
        "scan over single pixels",
        lambda: (training_step(nade.logits), training_step(scanned_logits)),
        1.5,
        (6, 3),
        9,
    ),
    Comparison(
        "NADE training step: scan over chunks, derivative by hand",
        "the same scan, automatic derivative (jax.checkpoint)",
        lambda: (training_step(nade.logits), training_step(checkpointed_logits)),
        None,
        (6, 6),
        9,
    ),
    Comparison("NADE sampler: one row added per pixel", "all conditionals anew at each pixel", samplers, 50, (3, 1), 1),
    Comparison(
        "VAE training step through make_step",
        "the same step written by hand",
        lambda: (make_step_alone(), handwritten_step()),
        1 / 1.05,
        (40, 40),
        15,
    ),
    Comparison(
        "VAE training step as experiments run it, feed included",
        "the same step written by hand",
        lambda: (framework_step((0,)), handwritten_step()),
        1 / 1.05,
        (40, 40),
        15,
    ),
    Comparison(
        "VAE training step of three seeds in one program",
        "the three seeds one after another",
        lambda: (framework_step(SEEDS), one_after_another()),
        None,
        (20, 20),
        9,
    ),
)

FIRST_STEP = "from experiments.speed import first_step; first_step()"


def first_step() -> None:
    """What `time_to_first_step` runs in a process of its own."""
    configure()
    jax.block_until_ready(framework_step((0,))())
    print("done", flush=True)


def time_to_first_step(cache: Path) -> float:
    """Seconds from the start of a process to the end of its first training step."""
    start = time.perf_counter()
    environment = {**os.environ, CACHE_VARIABLE: str(cache)}
    subprocess.run([sys.executable, "-c", FIRST_STEP], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def start_up(rounds: int = 3) -> Timing:
    """Process start to first step with the compilation cache filled, and with an empty one."""
    timings = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = (time_to_first_step(Path(cache)) for _ in range(2))
        timings.append((warm, cold, cold / warm))
    return Timing(*np.median(timings, axis=0).tolist())


def rows() -> Iterator[dict[str, Any]]:
    """Every comparison as it is done, as a row of the table."""
    for comparison in COMPARISONS:
        yield row(comparison.ours, comparison.other, measure(comparison), comparison.target)
    timing = start_up()
    ours = f"process start to first step, compilation cache filled ({timing.ours:.1f} s)"
    yield row(ours, f"with an empty cache ({timing.other:.1f} s)", timing, None)


def row(ours: str, other: str, timing: Timing, target: float | None) -> dict[str, Any]:
    """One row: the ratio, and on an accelerator the times it is made of."""
    times = {} if jax.default_backend() == "cpu" else {"ours_ms": 1e3 * timing.ours, "other_ms": 1e3 * timing.other}
    return {"ours": ours, "other": other, "ratio": timing.ratio, "target": target, **times}


def speed(*, out: Path = Path("runs/speed.json")) -> None:
    """Measure, print and save the table.

    Args:
        out: JSON file to write.
    """
    table = Table(title=f"speed on {surroundings()['device']}: other / ours", caption="medians, measured side by side")
    for column in ("ours", "other", "ratio", "promised"):
        table.add_column(column)
    measured = []
    for one in rows():
        measured.append(one)
        table.add_row(
            one["ours"], one["other"], f"{one['ratio']:.2f}", "" if one["target"] is None else f"≥ {one['target']:.2f}"
        )
    Console().print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, {"rows": measured, **surroundings(), **origin_of("speed", [])})
    print(f"saved: {out}")


if __name__ == "__main__":
    configure()
    with user_errors():
        tyro.cli(speed, prog="python -m experiments.speed", description=__doc__)
