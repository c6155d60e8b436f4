"""Evaluate a trained run: python -m genjax evaluate RUN."""

from pathlib import Path
from typing import Annotated, Literal

import jax
import tyro
from rich.console import Console

from genjax.runs.loop import measures
from genjax.runs.quality import with_quality
from genjax.runs.report import metrics_table, summary
from genjax.runs.restore import restore_run


def evaluate(
    directory: Annotated[Path, tyro.conf.Positional],
    *,
    split: Literal["train", "validation", "test"] = "test",
    quality: bool = False,
    data_dir: Path | None = None,
) -> None:
    """Measure a trained run, mean ± s.d. over its seeds.

    Args:
        directory: Run directory; the last checkpoint if the training has not ended.
        split: Split of the data to measure on.
        quality: Compare generated images with real ones, as the training's --quality does.
        data_dir: TFDS directory, if it is not that of the training.
    """
    run = restore_run(directory, data_dir=data_dir)
    asked = quality or run.config.run.quality
    experiment = with_quality(run.experiment) if asked else run.experiment
    data = experiment.data
    values = measures(experiment, run.checkpoints, getattr(data, split))
    metrics = {name: summary(array, experiment.kind(name)) for name, array in values.items()}
    title = f"{run.config.name} on {data.name} ({data.protocol}), {split}, after {run.done} steps"
    Console().print(metrics_table(metrics, title=title, caption=f"{len(run.seeds)} seed(s), {jax.default_backend()}"))
