"""Runner of experiments: from options to a run directory with checkpoints, pictures and a result."""

import contextlib
import datetime
import fcntl
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import jax
from rich.console import Console

from genjax.evaluation import evaluation_key
from genjax.mesh import make_mesh, on_each_device
from genjax.pictures.figures import Movie, Picture, learning_curves
from genjax.runs.config import (
    Config,
    Function,
    Presets,
    as_json,
    build,
    defaults_of,
    option_error,
    parse,
    plain,
    program,
)
from genjax.runs.directory import CONFIG, RESULT, RunError, check_config, curves, read_config, write_json
from genjax.runs.experiment import Experiment
from genjax.runs.kept import DATA, check_data, keep_files
from genjax.runs.loop import Group, Trained, measures, noted_signals, stopped_at
from genjax.runs.memory import check_state_fits
from genjax.runs.options import Run
from genjax.runs.processes import check_same, ended_by_a_loss, is_first, meet, part
from genjax.runs.quality import with_quality
from genjax.runs.report import origin_of, result_of, result_table
from genjax.runs.session import check_devices, configure, plain_streams, user_errors
from genjax.training import check_generator, entry

LOCK = ".lock"

FRAMES_PER_SECOND = 8
"""Number of frames per second of a moving picture."""


def main(function: Function, presets: Presets, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the experiment that the command line describes, and exit: with status 0 on success, else with a message."""
    arguments = sys.argv[1:] if arguments is None else arguments
    plain_streams()
    with user_errors():
        run_experiment(function, parse(function, presets, arguments), arguments)
    sys.exit(0)


def run_experiment(function: Function, config: Config, arguments: Sequence[str]) -> Path:
    """Train, evaluate and draw, and return the run directory. A run that exists in it already is continued."""
    run = config.run
    configure(deterministic=run.deterministic)
    if run.distributed:
        meet(run)
    check_devices()
    origin = origin_of(program(function), arguments)
    if run.workdir:
        check_config(run.workdir, as_json(config), plain(defaults_of(type(config.options))))
    experiment = build(function, config)
    if run.workdir:
        check_data(run.workdir, experiment.data.sha256)
    if run.quality:
        experiment = with_quality(experiment)
    check_batch_size(experiment, config)
    with ended_by_a_loss():
        check_same(as_json(config), experiment.data.sha256)
    directory = run.workdir or new_directory(config)
    directory.mkdir(parents=True, exist_ok=True)
    console = Console(markup=False, highlight=False, emoji=False, quiet=not is_first())
    console.print(f"run directory: {directory}", soft_wrap=True)
    with only_process(directory) if is_first() else contextlib.nullcontext():
        with ended_by_a_loss():
            trained = train(experiment, config, directory, console)
            if run.distributed:
                part()
        if not is_first():
            return directory
        console.print("training is done and saved; measuring on the test split")
        started = time.monotonic()
        # Devices of a process speak by a service that has ended with the other processes (`part`): one device is left.
        used = 1 if run.distributed else run.devices
        trained = [one._replace(checkpoint=on_each_device(one.checkpoint, used)) for one in trained]
        metrics = measures(experiment, [group.checkpoint for group in trained], experiment.data.test)
        seconds = sum(group.seconds for group in trained) + time.monotonic() - started
        result = result_of(config, origin, experiment, trained, metrics, round(seconds, 1))
        write_json(directory / RESULT, result)
        console.print(result_table(result))
        console.print("pictures:", *draw(experiment, trained[0], directory), sep="\n  ", soft_wrap=True)
    return directory


def new_directory(config: Config) -> Path:
    """Create and return a new folder under runs/."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{config.name}-{config.preset}-{now}"
    for suffix in ("", *(f"-{count}" for count in range(2, 100))):
        directory = Path("runs") / (name + suffix)
        with contextlib.suppress(FileExistsError):
            directory.mkdir(parents=True)
            return directory
    raise RunError(f"runs/{name} and its 98 successors exist; give a folder with --workdir")


@contextlib.contextmanager
def only_process(directory: Path) -> Iterator[None]:
    """Inside `with`, lock the directory against other processes; RunError if another process uses it already."""
    with (directory / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"another process is working in {directory}") from error
        yield


def check_batch_size(experiment: Experiment, config: Config) -> None:
    """Raise RunError if the data cannot give batches of the run's size, or these do not divide over its devices."""
    run = config.run
    try:
        experiment.training_feed(run.seeds, run.batch_size)
        groups = seed_groups(run.workdir, experiment, run) if run.workdir else new_groups(experiment, run)
        for group in groups:
            check_generator(group)
            make_mesh(len(group), run.batch_size, run.devices)
        check_state_fits(experiment, groups[0], run.batch_size, make_mesh(len(groups[0]), run.batch_size, run.devices))
    except ValueError as error:
        raise option_error(error, config.options) from error


def train(experiment: Experiment, config: Config, directory: Path, console: Console) -> list[Trained]:
    """Train the groups of seeds one after another, each from its last checkpoint if there is one."""
    run = config.run
    groups = seed_groups(directory, experiment, run)
    if is_first():
        keep_files(config, directory)
        write_json(directory / CONFIG, {**as_json(config), "groups": groups, DATA: experiment.data.sha256})
    with noted_signals() as signals:
        trained = [Group(experiment, run, tuple(seeds), directory, console).train(signals) for seeds in groups]
    if signals and jax.process_count() == 1:  # a signal that arrived in the last step
        raise stopped_at(trained[-1].checkpoint.done, directory, signals[0])
    return trained


def seed_groups(directory: Path, experiment: Experiment, run: Run) -> list[list[int]]:
    """Return the groups of seeds that train together: those of an existing run, else new ones."""
    return read_config(directory)["groups"] if (directory / CONFIG).exists() else new_groups(experiment, run)


def new_groups(experiment: Experiment, run: Run) -> list[list[int]]:
    """Return the groups of seeds that train together as --seeds-at-once says."""
    alone = jax.default_backend() == "cpu" and not experiment.model.seeds_together
    size = run.seeds_at_once or (1 if alone else len(run.seeds))
    return [list(run.seeds[start : start + size]) for start in range(0, len(run.seeds), size)]


def draw(experiment: Experiment, trained: Trained, directory: Path) -> list[Path]:
    """Save the pictures of the first seed and the learning curves of all seeds, and return their paths."""
    params, stats = entry(trained.checkpoint.chosen(), 0)
    pictures = dict(experiment.figures(params, stats, evaluation_key()))
    pictures["learning_curves"] = learning_curves(curves(directory))
    folder = directory / "figures"
    folder.mkdir(exist_ok=True)
    return [save_picture(folder / name, picture) for name, picture in pictures.items()]


def save_picture(path: Path, picture: Picture) -> Path:
    """Save a picture as .png, a movie as .gif or a text as .txt, and return its path."""
    if isinstance(picture, str):
        path = path.with_suffix(".txt")
        path.write_text(picture, encoding="utf-8")
    elif isinstance(picture, Movie):
        from matplotlib.animation import PillowWriter  # slow to import

        path = path.with_suffix(".gif")
        writer = PillowWriter(fps=FRAMES_PER_SECOND)
        with writer.saving(picture.figure, str(path), dpi=80):
            for frame in range(picture.frames):
                picture.draw(frame)
                writer.grab_frame()
    else:
        path = path.with_suffix(".png")
        picture.savefig(path, dpi=150)
    return path
