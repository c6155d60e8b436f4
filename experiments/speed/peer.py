"""Training steps and samplers of genjax beside the same networks in plain PyTorch: --peer torch.

Both sides of a pair run in turn, round after round, on the same cores, and the ratio of their times is that of a round,
so that a slow phase of the machine affects both. The networks, losses, updates and optimizers are the same; numbers of
parameters are compared before anything is timed.
"""

import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.speed.plain_forms import Call
from experiments.speed.sides import Side
from genjax.runs.directory import RunError, write_json
from genjax.runs.report import origin_of, surroundings
from genjax.runs.session import configure

Library = Literal["ours", "torch"]

MEBIBYTE = 2**20

STEPS = "step"
"""Value of `--only` for all training steps without the samplers, which the ledger takes like the whole table."""


class Pair(NamedTuple):
    """Training step or sampler in both libraries."""

    name: str
    ours: Callable[[], Side]
    """Function that makes genjax's side."""
    torch: Callable[[], Side]
    """Function that makes PyTorch's side."""
    target: float | None
    """Largest acceptable ratio of times, genjax / PyTorch; None if there is no target."""
    calls: tuple[int, int] = (3, 3)
    """Numbers of calls per round of genjax's and of PyTorch's side."""
    rounds: int = 7

    def make(self, library: Library) -> Side:
        """Return the side of one library."""
        return self.ours() if library == "ours" else self.torch()


class Ratio(NamedTuple):
    """Times of both sides over the rounds of a pair."""

    ours: float
    """Seconds per call of genjax, median over rounds."""
    torch: float
    """Seconds per call of PyTorch, median over rounds."""
    median: float
    """Ratio of the times of a round, genjax / PyTorch, median over rounds."""
    low: float
    """Lower quartile of the ratio."""
    high: float
    """Upper quartile of the ratio."""


def check_parameters(name: str, ours: Side, theirs: Side) -> None:
    """Raise RunError if the two sides have different numbers of parameters."""
    if ours.parameters != theirs.parameters:
        raise RunError(
            f"{name}: the networks differ: {ours.parameters} parameters here and {theirs.parameters} in PyTorch"
        )


def measure(ours: Side, theirs: Side, calls: tuple[int, int], rounds: int) -> Ratio:
    """Return the times of both sides, run in turn after one call of each that compiles it."""
    for side in (ours, theirs):
        side.wait(side.call())
    seconds = np.array(
        [
            [seconds_per_call(side, count) for side, count in zip((ours, theirs), calls, strict=True)]
            for _ in range(rounds)
        ]
    )
    ours_median, torch_median = np.median(seconds, axis=0).tolist()
    low, median, high = np.quantile(seconds[:, 0] / seconds[:, 1], [0.25, 0.5, 0.75]).tolist()
    return Ratio(ours_median, torch_median, median, low, high)


def seconds_per_call(side: Side, count: int) -> float:
    """Return the mean time of `count` calls, in seconds."""
    start = time.perf_counter()
    for _ in range(count - 1):
        side.call()
    side.wait(side.call())
    return (time.perf_counter() - start) / count


def ceiling(product: Call, wait: Callable[[Any], object], size: int, rounds: int = 7) -> float:
    """Return the operations per second of a product of two square matrices, the best of the rounds."""
    side = Side(product, 0, wait)
    wait(product())
    return 2 * size**3 / min(seconds_per_call(side, 1) for _ in range(rounds))


def ceilings() -> dict[Library, float]:
    """Return the operations per second that each library reaches with a large product in float32."""
    import torch  # pyright: ignore[reportMissingImports]

    from experiments.speed.torch_parts import DEVICE, wait

    size = 2048 if jax.default_backend() == "cpu" else 8192
    ours, theirs = jnp.ones((size, size)), torch.ones(size, size, device=DEVICE)
    product = jax.jit(jnp.matmul)
    return {
        "ours": ceiling(lambda: product(ours, ours), jax.block_until_ready, size),
        "torch": ceiling(lambda: theirs @ theirs, wait, size),
    }


def share(flops: float | None, seconds: float, ceiling: float) -> float | None:
    """Return the part of the ceiling that a call reaches; None if its operations are unknown."""
    return None if flops is None else flops / seconds / ceiling


CROWDED = 0.5
"""Speed-up of PyTorch by all threads below which the cores are taken to be in use by other processes."""


def speed_up(side: Side, rounds: int = 3) -> float:
    """Return the time of a call of PyTorch with one thread divided by that with all.

    Threads of PyTorch wait for each other without giving up their core, and are slower by a factor of up to a hundred
    where another process runs on one of the cores; a comparison then says nothing.
    """
    import torch  # pyright: ignore[reportMissingImports]

    threads, fastest = torch.get_num_threads(), []
    for count in (1, threads):
        torch.set_num_threads(count)
        side.wait(side.call())
        fastest.append(min(seconds_per_call(side, 1) for _ in range(rounds)))
    return fastest[0] / fastest[1]


def row(pair: Pair, limits: dict[Library, float]) -> dict[str, Any]:
    """Measure one pair and return it as a row of the table."""
    ours, theirs = pair.ours(), pair.torch()
    check_parameters(pair.name, ours, theirs)
    ratio = measure(ours, theirs, pair.calls, pair.rounds)
    flops = ours.flops()
    seconds: dict[Library, float] = {"ours": ratio.ours, "torch": ratio.torch}
    times = {} if jax.default_backend() == "cpu" else {name: 1e3 * value for name, value in seconds.items()}
    return {
        "name": pair.name,
        "ratio": ratio.median,
        "quartiles": [ratio.low, ratio.high],
        "target": pair.target,
        "parameters": ours.parameters,
        "speed_up": None if pair.target is None else speed_up(theirs),
        "flops": flops,
        "shares": {name: share(flops, value, limits[name]) for name, value in seconds.items()},
        "bytes": {library: peak_of(pair.name, library) for library in get_args(Library)},
        **({"milliseconds": times} if times else {}),
    }


PEAK = "from experiments.speed.peer import print_peak; print_peak({name!r}, {library!r})"


def peak_of(name: str, library: Library) -> int:
    """Return the peak memory in bytes of one call, measured in a new process."""
    command = [sys.executable, "-c", PEAK.format(name=name, library=library)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RunError(f"{name}: the process that measures the memory of {library} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def print_peak(name: str, library: Library) -> None:
    """Print by how many bytes one call, the making of its side included, raises the peak memory of this process.

    On an accelerator it is the peak of the device's memory. The compilation, or a program that is read from the cache
    of compiled programs, is a part of it.
    """
    configure()
    pairs = prepared()
    (pair,) = [one for one in pairs if one.name == name]
    before = peak_memory(library)
    side = pair.make(library)
    side.wait(side.call())
    print(peak_memory(library) - before, flush=True)


def peak_memory(library: Library) -> int:
    """Return the peak memory of this process, or of the library on an accelerator, in bytes."""
    if jax.default_backend() == "cpu":
        return resident_peak()
    if library == "ours":
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
    import torch  # pyright: ignore[reportMissingImports]

    return torch.cuda.max_memory_allocated()


def resident_peak(status: Path = Path("/proc/self/status")) -> int:
    """Return the largest resident set of this process so far, in bytes.

    On Linux it is read from /proc, since `getrusage` gives a new process the peak of the process that started it.
    """
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def prepared() -> Sequence[Pair]:
    """Return the pairs, after PyTorch has been given the cores that this process may use.

    Raises RunError if PyTorch is missing or has not the device that JAX has.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise RunError("--peer torch needs PyTorch: pip install -e '.[peers]'", exit_code=2) from None
    backend = jax.default_backend()
    if backend != "cpu" and not (backend == "gpu" and torch.cuda.is_available()):
        raise RunError(f"--peer torch: JAX runs on a {backend}, which PyTorch does not see here", exit_code=2)
    affinity = getattr(os, "sched_getaffinity", None)
    torch.set_num_threads(len(affinity(0)) if affinity else os.cpu_count() or 1)
    if backend == "gpu":
        torch.set_float32_matmul_precision("high")  # as XLA multiplies float32 there
    from experiments.speed.pairs import PAIRS

    return PAIRS


HEADER = ("step or sampler", "ours / PyTorch", "quartiles", "at most", "peak, ours", "PyTorch", "MiB, ours", "PyTorch")
"""Columns of the table: ratio of times, part of the ceiling of a matrix product, and memory."""


def cells(one: dict[str, Any]) -> tuple[str, ...]:
    """Return a row as text, in the order of `HEADER`."""
    low, high = one["quartiles"]
    target = "" if one["target"] is None else f"≤ {one['target']:.2f}"
    shares = ("" if value is None else f"{value:.0%}" for value in one["shares"].values())
    sizes = (f"{value / MEBIBYTE:.0f}" for value in one["bytes"].values())
    return (one["name"], shown(one["ratio"]), f"{shown(low)} to {shown(high)}", target, *shares, *sizes)


def shown(ratio: float) -> str:
    """Return a ratio with two digits that are not 0, and at least two after the point."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def as_text(measured: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the header and the rows of the table as text, with the times where they were kept."""
    timed = ("ms, ours", "PyTorch") if any("milliseconds" in one for one in measured) else ()
    return [(*HEADER, *timed), *((*cells(one), *milliseconds(one)) for one in measured)]


def milliseconds(one: dict[str, Any]) -> tuple[str, ...]:
    """Return the times of a row as text; none on a CPU."""
    return tuple(f"{value:.2f}" for value in one.get("milliseconds", {}).values())


def peers(*, out: Path, only: str = "") -> None:
    """Measure, print and save the pairs whose name contains `only`."""
    chosen = [pair for pair in prepared() if only in pair.name]
    if not chosen:
        raise RunError(f"--only {only}: no training step or sampler has this in its name", exit_code=2)
    origin = origin_of("python -m experiments.speed --peer torch", [])
    limits, measured = ceilings(), []
    table = {"peers": measured, "torch": importlib.metadata.version("torch"), "only": only, **origin}
    for pair in chosen:
        one = row(pair, limits)
        measured.append(one)
        save(out, table)  # after each pair, so that an interrupted table keeps what it measured
        print(*(cell for cell in cells(one) if cell), sep="  ", flush=True)
        if one["speed_up"] is not None and one["speed_up"] < CROWDED:
            print(f"warning: {pair.name}: PyTorch is slower with all threads, as where other processes use the cores")
    header, *body = as_text(measured)
    shown = Table(*header, title=f"ours / PyTorch on {surroundings()['device']}", caption="measured side by side")
    for line in body:
        shown.add_row(*line)
    Console().print(shown)
    print(f"saved: {out}")


def save(out: Path, measured: dict[str, Any]) -> None:
    """Write what was measured, and the machine, to a JSON file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, {**measured, **surroundings()})
