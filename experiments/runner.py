"""Running an experiment: from its options to a run directory with checkpoints, pictures and a result."""

import contextlib
import datetime
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from rich.console import Console

from experiments.directory import CONFIG, RESULT, RunError, check_config, curves, is_full_disk, write_json
from experiments.experiment import Experiment, Run
from experiments.figures import learning_curves
from experiments.options import Presets, as_json, build, parse
from experiments.report import origin_of, result_of, table
from experiments.training import EVALUATION_BATCH, EVALUATION_SEED, Group, StopSignals, Trained, full_disk
from genjax.data.feed import make_feed
from genjax.evaluate import evaluate_split, make_evaluate_seeds, means
from genjax.types import Params, Stats

CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def main(function: Callable[..., Experiment], presets: Presets, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the experiment that the command line describes, and exit: 0 where it is done, else with a message."""
    arguments = sys.argv[1:] if arguments is None else arguments
    config = parse_or_exit(function, presets, arguments)
    with user_errors():
        run_experiment(function, config, arguments)
    sys.exit(0)


def parse_or_exit(function: Callable[..., Experiment], presets: Presets, arguments: Sequence[str]) -> dict[str, Any]:
    """The configuration, with an option's wrong value told in one line."""
    try:
        return parse(function, presets, arguments)
    except ValueError as error:  # from the checks of `Run`
        exit_with(error, 2)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Tell what a user can mend in one line, without a traceback."""
    try:
        yield
    except RunError as error:
        exit_with(error, getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        exit_with("interrupted; with --workdir the run goes on from its last checkpoint", 130)
    except OSError as error:
        exit_with(full_disk(Path(error.filename or ".")) if is_full_disk(error) else error, 1)


def exit_with(message: object, code: int) -> NoReturn:
    """Exit with an error message on the standard error stream."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def configure(*, deterministic: bool) -> None:
    """What must be set before JAX starts: determinism, the compilation cache, the loudness of libraries."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    if deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    if CACHE_VARIABLE not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def cache_folder() -> Path:
    """Where compiled programs are kept between runs: the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "genjax" / "compiled"


def run_experiment(function: Callable[..., Experiment], config: Mapping[str, Any], arguments: Sequence[str]) -> Path:
    """Train, evaluate and draw; the run directory. A run that is there already is continued."""
    run: Run = config["options"]["run"]
    configure(deterministic=run.deterministic)
    origin = origin_of(config["experiment"], arguments)
    directory = run.workdir or new_directory(config)
    check_config(directory, as_json(config))
    try:
        experiment = build(function, config)
        make_feed(experiment.data.train, experiment.data.load, run.seeds[:1], run.batch_size)
    except (ValueError, OSError) as error:
        raise RunError(error) from error
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / CONFIG, as_json(config))
    console = Console()
    console.print(f"run directory: {directory}", soft_wrap=True, highlight=False)
    groups = [Group(experiment, run, seeds, directory, console) for seeds in seed_groups(run, experiment)]
    trained = train(groups, directory)
    metrics = test_metrics(experiment, trained)
    figures = draw(experiment, trained[0], directory)
    result = result_of(config, origin, experiment, trained, metrics)
    write_json(directory / RESULT, result)
    console.print(table(result))
    console.print("pictures: " + " ".join(map(str, figures)), soft_wrap=True, highlight=False)
    return directory


def new_directory(config: Mapping[str, Any]) -> Path:
    """A folder under runs/ that is not there yet."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{config['experiment']}-{config['preset']}-{now}"
    candidates = (Path("runs") / (name + suffix) for suffix in ("", *(f"-{count}" for count in range(2, 100))))
    return next(path for path in candidates if not path.exists())


def seed_groups(run: Run, experiment: Experiment) -> list[tuple[int, ...]]:
    """The seeds that train together: all, or one at a time where the model does not gain from company on a CPU."""
    alone = jax.default_backend() == "cpu" and not experiment.seeds_together
    size = run.seeds_at_once or (1 if alone else len(run.seeds))
    return [run.seeds[start : start + size] for start in range(0, len(run.seeds), size)]


def train(groups: Sequence[Group], directory: Path) -> list[Trained]:
    """Train one group after another; a signal stops the run where it can be continued."""
    with StopSignals() as stop:
        try:
            return [group.train(stop) for group in groups]
        except RunError as error:
            if getattr(error, "exit_code", None):
                error.args = (f"{error}; continue with the same command and --workdir {directory}",)
            raise


def test_metrics(experiment: Experiment, trained: Sequence[Trained]) -> dict[str, np.ndarray]:
    """The test means of every seed, [seeds] each, of the parameters the run ends with."""
    evaluate_seeds = make_evaluate_seeds(experiment.model.evaluate, experiment.data.load)
    parts = []
    for group in trained:
        params, stats = group.memory.chosen()
        size = min(EVALUATION_BATCH, experiment.data.test.size)
        key = jax.random.key(EVALUATION_SEED)
        parts.append(means(evaluate_split(evaluate_seeds, params, stats, experiment.data.test, key=key, batch_size=size)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def first_seed(trained: Trained) -> tuple[Params, Stats]:
    """The chosen parameters of the group's first seed."""
    return jax.tree.map(lambda leaf: leaf[0], trained.memory.chosen())


def draw(experiment: Experiment, trained: Trained, directory: Path) -> list[Path]:
    """Save the pictures of the first seed and the learning curves of all; their paths."""
    pictures = dict(experiment.figures(*first_seed(trained), jax.random.key(EVALUATION_SEED)))
    pictures["learning_curves"] = learning_curves(curves(directory))
    folder = directory / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in pictures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    return [folder / f"{name}.png" for name in pictures]
