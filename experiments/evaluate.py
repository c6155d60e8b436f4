"""Evaluate a trained run: python -m experiments.evaluate RUN."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import jax
import tyro
from rich.console import Console

from experiments.quality import with_quality
from experiments.report import metrics_table, summary
from experiments.restore import restore_run
from experiments.session import configure, user_errors
from experiments.training import measures


def evaluate(
    directory: Annotated[Path, tyro.conf.Positional],
    *,
    split: Literal["train", "validation", "test"] = "test",
    quality: bool = False,
    data_dir: Path | None = None,
) -> None:
    """Measure a trained run, mean ± s.d. over its seeds.

    Args:
        directory: Run directory; where the training goes on, its last checkpoint is taken.
        split: Split of the data to measure on.
        quality: Compare generated images with real ones, as the training's --quality does.
        data_dir: TFDS directory, where it is another one than that of the training.
    """
    run = restore_run(directory, data_dir=data_dir)
    asked = quality or run.config["options"]["run"].quality
    experiment = with_quality(run.experiment) if asked else run.experiment
    data = experiment.data
    values = measures(experiment, run.memories, getattr(data, split))
    metrics = {name: summary(array, experiment.kinds[name]) for name, array in values.items()}
    title = f"{run.config['experiment']} on {data.name} ({data.protocol}), {split}, after {run.done} steps"
    Console().print(metrics_table(metrics, title=title, caption=f"{len(run.seeds)} seed(s), {jax.default_backend()}"))


if __name__ == "__main__":
    configure()
    with user_errors():
        tyro.cli(evaluate, prog="python -m experiments.evaluate", description=__doc__)
    sys.exit(0)
