"""Speed as time ratios of two implementations of the same computation: python -m experiments.speed.

Each comparison runs its two implementations in turn, round after round, and reports the median ratio of the rounds, so
that a slow phase of the machine affects both. Sizes are those of the papers. NADE and the VAE have 784 pixels, 500
hidden units and batches of 100. The samplers of PixelCNN (15 blocks of 32 features) and PixelRNN (2 layers of 16) draw
16 images of 28x28. DCGAN and Progressive GAN are trained on batches of 64 grey images of up to 28x28, DCGAN with 32
filters. The other adversarial systems run their quick presets with batches of 64. Milliseconds are shown on an
accelerator only, since those of a shared CPU mean little.

A second table (growth) has the time of a training step for images of side 16 and 28, divided by the time for side 8.
These images have 4 and 12.25 times as many pixels, and a pass takes 1 (PixelCNN), n (Row LSTM) or 2 n - 1 (Diagonal
BiLSTM) steps in sequence.
"""

import functools
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
from rich.console import Console
from rich.table import Table

from experiments.speed.plain_adversarial import (
    ADVERSARIAL_BATCH,
    branched_step,
    dcgan_step,
    level_step,
    strided_layer,
    system_step,
    transposed_layer,
)
from experiments.speed.plain_forms import (
    SEEDS,
    Call,
    checkpointed_logits,
    cumulative_logits,
    eonade_step,
    framework_step,
    handwritten_step,
    make_step_alone,
    one_after_another,
    samplers,
    scanned_logits,
    sorted_sets,
    training_step,
)
from experiments.speed.plain_samplers import GROWING, IMAGES, SIDES, growth_step, pixel_cnn_samplers, pixel_rnn_samplers
from genjax.models.autoregressive import eonade, nade
from genjax.runs.directory import write_json
from genjax.runs.report import origin_of, surroundings
from genjax.runs.session import CACHE_VARIABLE, configure


class Comparison(NamedTuple):
    """Two implementations of the same computation: that of genjax, and another."""

    ours: str
    """Description of genjax's implementation."""
    other: str
    """Description of the other implementation."""
    make: Callable[[], tuple[Call, Call]]
    """Function that returns the two calls to time, genjax's first."""
    target: float | None
    """Smallest acceptable ratio of times, other / ours; None if there is no target."""
    calls: tuple[int, int] = (6, 2)
    """Numbers of calls per round of genjax's and of the other implementation."""
    rounds: int = 5
    images: int = 0
    """Number of images that one call of genjax draws or trains on; 0 if images per second are not reported."""


class Timing(NamedTuple):
    """Seconds per call of both implementations, and the ratio other / ours: medians over rounds."""

    ours: float
    other: float
    ratio: float


def measure(comparison: Comparison) -> Timing:
    """Return the times of both implementations, run in turn after one call of each that compiles it."""
    ours, other = comparison.make()
    jax.block_until_ready((ours(), other()))
    rounds = []
    for _ in range(comparison.rounds):
        seconds = [seconds_per_call(call, count) for call, count in zip((ours, other), comparison.calls, strict=True)]
        rounds.append((*seconds, seconds[1] / seconds[0]))
    return Timing(*np.median(rounds, axis=0).tolist())


def seconds_per_call(call: Call, count: int) -> float:
    """Return the mean time of `count` calls, in seconds."""
    start = time.perf_counter()
    jax.block_until_ready([call() for _ in range(count)][-1])  # buffers of earlier results may be donated
    return (time.perf_counter() - start) / count


ANEW = "all conditionals anew at each pixel"
ROW_LSTM = "Row LSTM sampler: one state per pixel and layer"
DIAGONAL = "Diagonal BiLSTM sampler: one state per pixel and layer"

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
    Comparison(
        "EoNADE training step: sets of pixels drawn without sorting",
        "drawn by sorting",
        lambda: (eonade_step(eonade.draw_observed), eonade_step(sorted_sets)),
        4,
        (6, 3),
        9,
    ),
    Comparison("NADE sampler: one row added per pixel", ANEW, samplers, 50, (3, 1), 1, 100),
    Comparison("PixelCNN sampler: each value of each layer once", ANEW, pixel_cnn_samplers, 20, (3, 1), 1, IMAGES),
    Comparison(ROW_LSTM, ANEW, functools.partial(pixel_rnn_samplers, "row"), 20, (3, 1), 1, IMAGES),
    Comparison(DIAGONAL, ANEW, functools.partial(pixel_rnn_samplers, "diagonal"), 20, (3, 1), 1, IMAGES),
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
    Comparison(
        "DCGAN, transposed convolution 4x4x256 to 8x8x128 with gradients",
        "jax.lax alone",
        transposed_layer,
        None,
        (6, 2),
    ),
    Comparison(
        "DCGAN, strided convolution 8x8x128 to 4x4x256 with gradients",
        "jax.lax alone",
        strided_layer,
        None,
        (6, 2),
    ),
    Comparison(
        "DCGAN training step: a program for the phases that are due",
        "the phases as branches of one program",
        lambda: (dcgan_step(), branched_step()),
        None,
        (3, 3),
        images=ADVERSARIAL_BATCH,
    ),
    *(
        Comparison(
            f"{name}, two training steps of its quick preset, {ADVERSARIAL_BATCH} images each",
            "those of dcgan",
            functools.partial(lambda name: (system_step(name), system_step("dcgan")), name),
            None,
            (3, 3),
            images=2 * ADVERSARIAL_BATCH,
        )
        for name in ("infogan", "text_to_image", "puzzle_gan", "cyclegan", "stargan", "progressive_gan")
    ),
    *(
        Comparison(
            f"Progressive GAN training step at level {level}, {side}x{side}",
            f"at level {other}",
            functools.partial(lambda level, other: (level_step(level), level_step(other)), level, other),
            None,
            (3, 3),
            images=ADVERSARIAL_BATCH,
        )
        for level, side, other in ((0, 7, 1), (1, 14, 2), (2, 28, 0))
    ),
)

FIRST_STEP = "from experiments.speed.benchmark import first_step; first_step()"


def first_step() -> None:
    """Do one training step; `time_to_first_step` runs this function in a new process."""
    configure()
    jax.block_until_ready(framework_step((0,))())
    print("done", flush=True)


def time_to_first_step(cache: Path) -> float:
    """Return the seconds from the start of a process to the end of its first training step."""
    start = time.perf_counter()
    environment = {**os.environ, CACHE_VARIABLE: str(cache)}
    subprocess.run([sys.executable, "-c", FIRST_STEP], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def start_up(rounds: int = 3) -> Timing:
    """Return the times to a process's first step with a filled compilation cache (ours) and an empty one (other)."""
    timings = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = (time_to_first_step(Path(cache)) for _ in range(2))
        timings.append((warm, cold, cold / warm))
    return Timing(*np.median(timings, axis=0).tolist())


def rows(only: str) -> Iterator[dict[str, Any]]:
    """Run the comparisons whose description contains `only`, and yield each as a row of the table."""
    for comparison in COMPARISONS:
        if only in comparison.ours:
            timing = measure(comparison)
            drawn = {"images_per_second": comparison.images / timing.ours} if comparison.images else {}
            yield {**row(comparison.ours, comparison.other, timing, comparison.target), **drawn}
    if only not in START_UP:
        return
    timing = start_up()
    ours = f"{START_UP} ({timing.ours:.1f} s)"
    yield row(ours, f"with an empty cache ({timing.other:.1f} s)", timing, None)


START_UP = "process start to first step, compilation cache filled"


def growth(rounds: int = 5) -> Iterator[dict[str, Any]]:
    """Yield each model's training step times at each image side divided by the time at the first: medians of rounds."""
    for name, make in GROWING.items():
        calls = [growth_step(make(side), side) for side in SIDES]
        jax.block_until_ready([call() for call in calls])
        seconds = np.array([[seconds_per_call(call, 3) for call in calls] for _ in range(rounds)])
        yield {"model": name, "sides": list(SIDES), "ratios": np.median(seconds / seconds[:, :1], axis=0).tolist()}


def row(ours: str, other: str, timing: Timing, target: float | None) -> dict[str, Any]:
    """Return one row of the table: the ratio and, on an accelerator, both times in milliseconds."""
    times = {} if jax.default_backend() == "cpu" else {"ours_ms": 1e3 * timing.ours, "other_ms": 1e3 * timing.other}
    return {"ours": ours, "other": other, "ratio": timing.ratio, "target": target, **times}


def numbers(one: dict[str, Any]) -> tuple[str, str, str]:
    """Return the ratio, the target ratio and the images per second of a row, as text."""
    target = "" if one["target"] is None else f"≥ {one['target']:.2f}"
    drawn = f"{one['images_per_second']:.1f}" if "images_per_second" in one else ""
    return f"{one['ratio']:.2f}", target, drawn


def speed(*, out: Path, only: str = "") -> None:
    """Measure, print and save the tables, with rows whose description contains `only`."""
    table = Table(title=f"speed on {surroundings()['device']}: other / ours", caption="medians, measured side by side")
    for column in ("ours", "other", "ratio", "target", "images/s"):
        table.add_column(column)
    measured = []
    for one in rows(only):
        measured.append(one)
        table.add_row(one["ours"], one["other"], *numbers(one))
    Console().print(table)
    grown = [] if only else list(growth())
    for one in grown:
        print(f"training step of {one['model']} at sides {one['sides']}:", *(f"{ratio:.2f}" for ratio in one["ratios"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    saved = {
        "rows": measured,
        "growth": grown,
        "only": only,
        **surroundings(),
        **origin_of("python -m experiments.speed", []),
    }
    write_json(out, saved)
    print(f"saved: {out}")
