"""A new system in a folder of its own: one file for the model, one for the experiment, and every command works."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.ledger import show
from genjax.__main__ import main
from genjax.runs.directory import check_config

ROOT = Path(__file__).parents[2]
PATIENCE = 600

MODEL = '''"""A linear autoencoder: x is rebuilt from W x, and samples are rebuilt from normal codes."""

import jax
import jax.numpy as jnp
import optax

from genjax.core import Model, Phase


def linear(image_shape, *, latents, learning_rate):
    """A linear autoencoder with tied weights."""
    pixels = image_shape[0] * image_shape[1] * image_shape[2]

    def init(key, batch):
        return {"linear": {"W": 0.1 * jax.random.normal(key, (pixels, latents))}}, {}

    def encode(params, image):
        return image.reshape(len(image), -1) @ params["linear"]["W"]

    def decode(params, code):
        return (code @ params["linear"]["W"].T).reshape(-1, *image_shape)

    def error(params, image):
        return ((decode(params, encode(params, image)) - image) ** 2).sum(axis=(1, 2, 3))

    def loss(params, stats, batch, key):
        return error(params, batch["image"]).mean(), ({}, stats)

    def evaluate(params, stats, batch, key):
        return {"squared_error": error(params, batch["image"])}

    def generate(params, stats, batch, key):
        return decode(params, jax.random.normal(key, (len(batch["image"]), latents))).clip(0, 1)

    return Model(
        init=init,
        phases=(Phase("rebuild", loss, ("linear",), optax.adam(learning_rate)),),
        evaluate=evaluate,
        generate=generate,
        embed=lambda params, stats, batch: encode(params, batch["image"]),
    )
'''

EXPERIMENT = '''"""Swirl: a linear autoencoder (Nobody 2001)."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from swirl_model import linear

from genjax.pictures.figures import image_grid
from genjax.runs.experiment import Baseline, Experiment, Reference, Select
from genjax.runs.options import Data, Run
from genjax.runs.runner import main


@dataclass(frozen=True)
class Options:
    """A linear autoencoder."""

    data: Data = Data(binarization="none")
    run: Run = Run(steps=60, evaluate_every=20)
    latents: int = 8
    """Number of latents."""
    learning_rate: float = 1e-2
    """Learning rate of Adam."""


PRESETS = {"mine": Options()}


def swirl(options: Options) -> Experiment:
    """A linear autoencoder of images."""
    data = options.data.load()
    model = linear(data.image_shape, latents=options.latents, learning_rate=options.learning_rate)

    def figures(params, stats, key):
        images = model.generate(params, stats, {"image": jnp.zeros((4, *data.image_shape))}, key)
        return {"samples": image_grid(np.asarray(images), columns=2)}

    def measure(params, stats, split, key):
        image = split.read(np.arange(split.size))["image"]
        return {"mean_image_error": float(((image - image.mean(axis=0)) ** 2).sum(axis=(1, 2, 3)).mean())}

    return Experiment(model, data, figures, measure=measure, select=Select("squared_error", "min"))


REFERENCES = (
    Reference("squared_error", "digits", "real", 3.5, "somebody's, 8 latents", {"latents": 8}),
    Reference("squared_error", "digits", "real", 2.5, "somebody's, 9 latents", {"latents": 9}),
)
BASELINES = (Baseline("squared_error", "mean_image_error", "the mean image"),)
HEADLINE = "squared_error"

if __name__ == "__main__":
    main(swirl, PRESETS)
'''


def start(folder, *words):
    """The command as a user gives it in the folder of the two files, without what makes tests compile faster."""
    quicker = ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in quicker}
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


def stopped(folder, *words):
    """A run that is stopped by SIGTERM when it has a checkpoint."""
    process = start(folder, *words)
    deadline = time.monotonic() + PATIENCE
    while not list(folder.glob("run/checkpoints/*/*/facts")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, output
    assert "which is saved; continue with the same command and --workdir run" in output


STEPS = ("--steps", "300")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the system with a run that was stopped and continued."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "swirl_model.py").write_text(MODEL)
    (folder / "swirl.py").write_text(EXPERIMENT)
    stopped(folder, "swirl.py", "--workdir", "run", *STEPS)
    assert "continuing at step" in finish(start(folder, "swirl.py", "--workdir", "run", *STEPS))
    return folder


@pytest.fixture(autouse=True)
def forgotten():
    """The modules of the system are forgotten after each test, as those of another process."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in ("swirl", "swirl_model"):
        sys.modules.pop(name, None)


def result_of(run):
    return json.loads((run / "result.json").read_text())


def test_the_configuration_names_module_function_and_file(folder):
    config = json.loads((folder / "run/config.json").read_text())
    assert (config["experiment"], config["file"]) == ("swirl:swirl", str(folder / "swirl.py"))
    assert result_of(folder / "run")["command"] == "python swirl.py --steps 300"


def test_it_runs_as_a_module_too_and_ends_with_the_same_numbers(folder):
    finish(start(folder, "-m", "swirl", "--workdir", "other", *STEPS))
    one, other = (result_of(folder / name) for name in ("run", "other"))
    assert other["command"] == "python -m swirl --steps 300"
    assert one["metrics"] == other["metrics"]
    configs = [json.loads((folder / name / "config.json").read_text()) for name in ("run", "other")]
    check_config(folder / "run", configs[1], {})  # either command continues the run of the other
    assert configs[0]["file"] == configs[1]["file"]


def test_a_command_from_another_folder_repeats_the_number(folder):
    output = finish(start(ROOT, "-m", "genjax", "evaluate", str(folder / "run")))
    assert f"{result_of(folder / 'run')['metrics']['squared_error']['mean']:.3f}" in output


def test_samples_and_features(folder, tmp_path):
    run = folder / "run"
    assert main(["sample", str(run), "--count", "4", "--out", str(tmp_path / "four.png")]) == 0
    assert np.load(tmp_path / "four.npy").shape == (4, 8, 8, 1)
    assert main(["embed", str(run), "--out", str(tmp_path / "codes.npz")]) == 0
    assert np.load(tmp_path / "codes.npz")["features"].shape[1] == 8


def test_the_ledger_shows_its_row_beside_what_the_file_declares(folder, capsys):
    run = folder / "run"
    show(run)
    header, _, *rows = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines())
    metrics = result_of(run)["metrics"]
    found = dict(zip(header, rows[0], strict=True))
    assert len(rows) == 1
    assert found["experiment"] == "swirl"
    assert found["ours"] == f"{metrics['squared_error']['mean']:.3f}"
    baseline = f"{metrics['mean_image_error']['mean']:.3f}: the mean image (this run)"
    assert found["to compare with"] == f"3.5: somebody's, 8 latents<br>{baseline}"
    assert found["command"] == "`python swirl.py --steps 300`"


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "swirl.py").unlink(), "swirl.py is gone"),
        (lambda folder: (folder / "swirl_model.py").unlink(), "ModuleNotFoundError: No module named 'swirl_model'"),
        (lambda folder: (folder / "swirl.py").write_text("syntax error"), "SyntaxError: invalid syntax"),
    ],
)
def test_a_system_that_is_gone_or_broken_is_told_in_one_line(folder, tmp_path, capsys, break_it, message):
    copy = shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    config = json.loads((copy / "run/config.json").read_text())
    (copy / "run/config.json").write_text(json.dumps({**config, "file": str(copy / "swirl.py")}))
    break_it(copy)
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", str(copy / "run")])
    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
