"""Benchmark of speed: python -m experiments.speed."""

from pathlib import Path
from typing import Literal

import tyro

from experiments.speed import benchmark
from experiments.speed.growth import growth as measure_growth
from experiments.speed.peer import peers
from genjax.runs.directory import RunError
from genjax.runs.session import configure, user_errors

RUNS = Path("runs")


def speed(
    *, out: Path | None = None, only: str = "", peer: Literal["torch"] | None = None, growth: bool = False
) -> None:
    """Measure, print and save tables of speed.

    Args:
        out: JSON file to write; by default runs/speed.json, runs/peers.json with --peer, runs/growth.json with
            --growth.
        only: Measure only rows whose description contains this text, such as PixelCNN; by default all. The ledger takes
            complete tables only.
        peer: Measure training steps and samplers beside the same networks in this library instead, which must be
            installed (pip install -e '.[peers]').
        growth: Measure instead how time and memory of training steps grow with batch, image side and width.
    """
    if peer and growth:
        raise RunError(f"--peer {peer} and --growth are two tables: give one of them", exit_code=2)
    if peer:
        peers(out=out or RUNS / "peers.json", only=only)
    elif growth:
        measure_growth(out=out or RUNS / "growth.json", only=only)
    else:
        benchmark.speed(out=out or RUNS / "speed.json", only=only)


def main() -> None:
    """Run `speed` with the options of the command line."""
    configure()
    with user_errors():
        tyro.cli(speed, prog="python -m experiments.speed", description=benchmark.__doc__)


if __name__ == "__main__":
    main()
