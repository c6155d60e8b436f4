"""A progress bar for training."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Show = Callable[[int, Mapping[str, np.ndarray]], None]
"""Function that advances the bar: (steps since the last call, losses by phase) -> None."""


@contextlib.contextmanager
def progress_bar(steps: int, *, shown: bool) -> Iterator[Show]:
    """Yield a function that advances a bar of `steps` steps, or that does nothing if the bar is not `shown`."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, disable=not shown) as bar:
        task = bar.add_task("", total=steps)

        def show(done: int, losses: Mapping[str, np.ndarray]) -> None:
            text = "  ".join(f"{name} {np.mean(loss):.4g}" for name, loss in losses.items())
            bar.update(task, advance=done, description=text)

        yield show
