"""What a training run writes while it goes on: rows of metrics.jsonl, and TensorBoard events."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter

from experiments.directory import METRICS

UNBOUNDED = 0
"""A bounded queue would wait for ever for a writer that a full disk has stopped."""

WriteLog = Callable[[int, str, Mapping[str, np.ndarray]], None]
"""`(step, split, values [seeds])`: one row and one event per seed."""


@contextlib.contextmanager
def open_logs(directory: Path, seeds: Sequence[int], step: int) -> Iterator[WriteLog]:
    """The logs of these seeds from `step` on; events that an earlier session wrote after it are purged."""
    folders = [str(directory / "tensorboard" / f"seed-{seed}") for seed in seeds]
    with (directory / METRICS).open("a") as rows, contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(SummaryWriter(folder, purge_step=step + 1, max_queue=UNBOUNDED)) for folder in folders
        ]

        def write(step: int, split: str, values: Mapping[str, np.ndarray]) -> None:
            for index, (seed, writer) in enumerate(zip(seeds, writers, strict=True)):
                numbers = {name: float(value[index]) for name, value in values.items()}
                rows.write(json.dumps({"step": step, "seed": seed, "split": split, **numbers}) + "\n")
                for name, number in numbers.items():
                    writer.add_scalar(f"{split}/{name}", number, step)
            rows.flush()

        yield write
