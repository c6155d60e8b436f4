"""Commands where data, terminals, homes, devices and memory are not as they might be."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genjax.runs.directory import RunError
from genjax.runs.restore import restore_run
from genjax.runs.session import cache_folder
from tests.commands.toy_runs import run

ROOT = Path(__file__).parents[2]


def test_a_run_whose_data_have_changed_is_refused(tmp_path, capsys):
    """By the run itself and by what reads it; the data as they were are taken again."""
    path, first = tmp_path / "own.npz", np.random.default_rng(0).integers(0, 2, (40, 4, 4), dtype=np.uint8) * 255
    arguments = [
        "--dataset",
        path,
        "--steps",
        4,
        "--evaluate-every",
        2,
        "--batch-size",
        5,
        "--workdir",
        tmp_path / "run",
    ]
    np.savez(path, image=first)
    assert run(capsys, *arguments)[0] == 0
    np.savez(path, image=255 - first)
    code, _, error = run(capsys, *arguments)
    assert code == 1
    assert re.search(r"run holds a run on other data: their SHA-256 is \w{16} now and was \w{16}", error)
    with pytest.raises(RunError, match="holds a run on other data"):
        restore_run(tmp_path / "run")
    np.savez(path, image=first)
    assert restore_run(tmp_path / "run").done == 4
    assert run(capsys, *arguments)[0] == 0


def test_output_without_the_signs_that_its_encoding_lacks(tmp_path):
    """As in the C locale, whose encoding is ASCII."""
    command = "from tests.experiments.toy import PRESETS, toy; from genjax.runs.runner import main; main(toy, PRESETS)"
    arguments = ["--seeds", "0", "1", "--steps", "2", "--evaluate-every", "2", "--workdir", str(tmp_path / "a:dog:b")]
    done = subprocess.run(
        [sys.executable, "-c", command, *arguments],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "TERM": "dumb", "NO_COLOR": "1"},
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    said = done.stdout.decode("ascii")
    assert "mean +- s.d." in said
    assert f"run directory: {tmp_path / 'a:dog:b'}" in said


def test_a_platform_that_is_not_there_is_named(monkeypatch, capsys, tmp_path):
    def devices():
        raise RuntimeError("Unable to initialize backend 'foo': it is not known\nmore")

    monkeypatch.setenv("JAX_PLATFORMS", "foo")
    monkeypatch.setattr("jax.devices", devices)
    code, _, error = run(capsys, "--workdir", tmp_path / "run")
    assert code == 1
    assert (
        error == "error: JAX_PLATFORMS=foo: no such device here (Unable to initialize backend 'foo': it is not known)\n"
    )


def test_without_a_home_there_is_no_cache_of_programs(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() is None


def test_a_model_that_no_memory_holds_is_refused_before_it_is_made(capsys, tmp_path):
    """Parameters, their gradient and two moments of Adam of a NADE with 2 H D + D + H parameters, in float32."""
    hidden = 10**9
    count = 2 * hidden * 64 + 64 + hidden
    code, _, error = run(capsys, "--hidden", hidden, "--workdir", tmp_path / "run")
    assert code == 2
    assert f"1 seed(s) need {4 * 4 * count / 2**30:.1f} GiB, and a device has" in error
    assert not (tmp_path / "run").exists()
