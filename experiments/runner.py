"""Running an experiment: from its options to a run directory with checkpoints, pictures and a result."""

import datetime
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from rich.console import Console

from experiments.directory import CONFIG, RESULT, RunError, check_config, curves, read_json, write_json
from experiments.experiment import Experiment, Run
from experiments.figures import learning_curves
from experiments.options import Presets, as_json, build, parse
from experiments.report import origin_of, result_of, result_table
from experiments.session import configure, user_errors
from experiments.training import EVALUATION_SEED, Group, Trained, noted_signals, split_means
from genjax.data.feed import make_feed
from genjax.evaluate import make_evaluate_seeds


def main(function: Callable[..., Experiment], presets: Presets, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the experiment that the command line describes, and exit: 0 where it is done, else with a message."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with user_errors():
        run_experiment(function, parse(function, presets, arguments), arguments)
    sys.exit(0)


def run_experiment(function: Callable[..., Experiment], config: Mapping[str, Any], arguments: Sequence[str]) -> Path:
    """Train, evaluate and draw; the run directory. A run that is there already is continued."""
    run: Run = config["options"]["run"]
    configure(deterministic=run.deterministic)
    origin = origin_of(config["experiment"], arguments)
    directory = run.workdir or new_directory(config)
    check_config(directory, as_json(config))
    experiment = build(function, config)
    check_batch_size(experiment, run)
    console = Console()
    groups = open_groups(experiment, config, directory, console)
    with noted_signals() as signals:
        trained = [group.train(signals) for group in groups]
    console.print("training is done and saved; measuring on the test split")
    metrics = test_metrics(experiment, trained)
    figures = draw(experiment, trained[0], directory)
    result = result_of(config, origin, experiment, trained, metrics)
    write_json(directory / RESULT, result)
    console.print(result_table(result))
    console.print(*("pictures:", *figures), sep="\n  ", soft_wrap=True, highlight=False)
    return directory


def new_directory(config: Mapping[str, Any]) -> Path:
    """A folder under runs/ that is not there yet."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{config['experiment']}-{config['preset']}-{now}"
    candidates = (Path("runs") / (name + suffix) for suffix in ("", *(f"-{count}" for count in range(2, 100))))
    return next(path for path in candidates if not path.exists())


def check_batch_size(experiment: Experiment, run: Run) -> None:
    """Raise RunError where no batch of this size can be made."""
    try:
        make_feed(experiment.data.train, experiment.data.load, run.seeds, run.batch_size)
    except ValueError as error:
        raise RunError(error, exit_code=2) from error


def open_groups(experiment: Experiment, config: Mapping[str, Any], directory: Path, console: Console) -> list[Group]:
    """Make the run directory, or go on in it; the groups of seeds that are trained one after another."""
    run: Run = config["options"]["run"]
    directory.mkdir(parents=True, exist_ok=True)
    console.print(f"run directory: {directory}", soft_wrap=True, highlight=False)
    groups = seed_groups(directory, experiment, run)
    write_json(directory / CONFIG, {**as_json(config), "groups": groups})
    return [Group(experiment, run, tuple(seeds), directory, console) for seeds in groups]


def seed_groups(directory: Path, experiment: Experiment, run: Run) -> list[list[int]]:
    """The seeds that train together, as the run began: all, or one at a time where a CPU does not gain from more."""
    if (directory / CONFIG).exists():
        return read_json(directory / CONFIG)["groups"]
    alone = jax.default_backend() == "cpu" and not experiment.seeds_together
    size = run.seeds_at_once or (1 if alone else len(run.seeds))
    return [list(run.seeds[start : start + size]) for start in range(0, len(run.seeds), size)]


def test_metrics(experiment: Experiment, trained: Sequence[Trained]) -> dict[str, np.ndarray]:
    """The test means of every seed, [seeds] each, of the parameters the run ends with."""
    evaluate_seeds = make_evaluate_seeds(experiment.model.evaluate, experiment.data.load)
    parts = [split_means(evaluate_seeds, group.memory.chosen(), experiment.data.test) for group in trained]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def draw(experiment: Experiment, trained: Trained, directory: Path) -> list[Path]:
    """Save the pictures of the first seed and the learning curves of all; their paths."""
    params, stats = jax.tree.map(lambda leaf: leaf[0], trained.memory.chosen())
    pictures = dict(experiment.figures(params, stats, jax.random.key(EVALUATION_SEED)))
    pictures["learning_curves"] = learning_curves(curves(directory))
    folder = directory / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in pictures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    return [folder / f"{name}.png" for name in pictures]
