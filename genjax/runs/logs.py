"""Logs of a training run: rows of metrics.jsonl, and TensorBoard events."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.summary import scalar

from genjax.runs.directory import METRICS
from genjax.runs.processes import is_first

WriteLog = Callable[[int, str, Mapping[str, np.ndarray]], None]
"""Function of (step, split, values [seeds] by metric) that writes one row and one event per seed."""


@contextlib.contextmanager
def open_logs(directory: Path, seeds: Sequence[int], step: int) -> Iterator[WriteLog]:
    """Open the logs of these seeds after `step`; TensorBoard then hides events after `step` of an earlier session.

    Of several processes of a run only the first writes.
    """
    if not is_first():
        yield lambda step, split, values: None
        return
    with (directory / METRICS).open("a") as rows, contextlib.ExitStack() as stack:
        writers = [open_events(directory / "tensorboard" / f"seed-{seed}", step, stack) for seed in seeds]

        def write(step: int, split: str, values: Mapping[str, np.ndarray]) -> None:
            for index, (seed, writer) in enumerate(zip(seeds, writers, strict=True)):
                numbers = {name: float(value[index]) for name, value in values.items()}
                rows.write(json.dumps({"step": step, "seed": seed, "split": split, **numbers}) + "\n")
                for name, number in numbers.items():
                    summary = scalar(f"{split}/{name}", number)
                    writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))
                writer.flush()
            rows.flush()

        yield write


def open_events(folder: Path, step: int, stack: contextlib.ExitStack) -> EventsWriter:
    """Open an event file that continues after `step`, and is closed with `stack`.

    Events are written in the calling thread: tensorboardX's own writer thread ends silently on a full disk, and then
    the training waits for it forever.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = EventsWriter(str(folder / "events"))
    stack.callback(writer.close)
    start = SessionLog(status=SessionLog.START)
    writer.write_event(Event(wall_time=time.time(), step=step + 1, session_log=start))
    return writer
