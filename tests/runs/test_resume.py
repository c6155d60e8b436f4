"""A run that is stopped and continued ends bit for bit where an uninterrupted one does."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEPS = 60
COMMAND = [
    sys.executable,
    "-m",
    "tests.experiments.toy",
    "--seeds",
    "0",
    "1",
    "--steps",
    str(STEPS),
    "--evaluate-every",
    "5",
]
PATIENCE = 600


def start(directory):
    return subprocess.Popen(
        [*COMMAND, "--workdir", str(directory)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(directory):
    process = start(directory)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


def ends(directory):
    """What must be equal: the digest of the last checkpoint's arrays, every logged number, the result's metrics."""
    facts = json.loads((directory / f"checkpoints/seeds-0-1/{STEPS}/facts/metadata").read_text())
    result = json.loads((directory / "result.json").read_text())
    return facts["sha256"], (directory / "metrics.jsonl").read_text(), result["metrics"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("straight") / "run"
    finish(directory)
    return ends(directory)


def wait_until(condition, process):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return found


def logged(directory):
    """Lines of metrics that the run has written."""
    metrics = directory / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0


def unfinished(directory):
    """Folders of checkpoints that are being written."""
    return (directory / "checkpoints/seeds-0-1").glob("*tmp*")


def test_the_same_command_twice_gives_the_same_numbers(uninterrupted, tmp_path):
    finish(tmp_path / "run")
    assert ends(tmp_path / "run") == uninterrupted


def stopped_by(number, directory):
    """Continue the run, and stop it some steps later by the signal of this number."""
    process, before = start(directory), logged(directory)
    wait_until(lambda: logged(directory) > before + 2, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE)
    assert "continuing at step" in output
    assert f"which is saved; continue with the same command and --workdir {directory}" in output
    assert not (directory / "result.json").exists()
    return process.returncode


def killed_while_saving(directory):
    """Begin the run and kill it; return what it leaves of an unfinished save, if it hit one."""
    process = start(directory)
    wait_until(lambda: logged(directory) > 2 and list(unfinished(directory)), process)
    process.kill()
    process.communicate()
    return list(unfinished(directory))


def test_killed_in_a_save_and_stopped_by_two_signals(uninterrupted, tmp_path):
    attempts = (tmp_path / f"run-{number}" for number in range(20))
    directory = next(filter(killed_while_saving, attempts), None)
    assert directory is not None, "no kill hit an unfinished save"
    assert stopped_by(signal.SIGTERM, directory) == 143
    assert stopped_by(signal.SIGINT, directory) == 130
    assert "continuing at step" in finish(directory)
    assert ends(directory) == uninterrupted
    assert not list(unfinished(directory))
