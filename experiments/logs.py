"""What a training run writes while it goes on: rows of metrics.jsonl, and TensorBoard events."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from tensorboardX import SummaryWriter

from experiments.directory import METRICS


class Logs:
    """Inside `with`: rows and events of these seeds, from `step` on; later events of an earlier session are purged."""

    def __init__(self, directory: Path, seeds: Sequence[int], step: int) -> None:
        self.directory, self.seeds, self.step = directory, seeds, step

    def __enter__(self) -> Self:
        self.rows = (self.directory / METRICS).open("a")
        folders = [str(self.directory / "tensorboard" / f"seed-{seed}") for seed in self.seeds]
        self.writers = [SummaryWriter(folder, purge_step=self.step + 1) for folder in folders]
        return self

    def write(self, step: int, split: str, values: Mapping[str, np.ndarray]) -> None:
        """One row and one event per seed; each value is [seeds]."""
        for index, (seed, writer) in enumerate(zip(self.seeds, self.writers, strict=True)):
            numbers = {name: float(value[index]) for name, value in values.items()}
            self.rows.write(json.dumps({"step": step, "seed": seed, "split": split, **numbers}) + "\n")
            for name, number in numbers.items():
                writer.add_scalar(f"{split}/{name}", number, step)
        self.rows.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rows.close()
        for writer in self.writers:
            writer.close()
