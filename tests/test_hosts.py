"""Several processes: two of four devices each train together as one device does."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from genjax.checkpoint import Checkpoints
from genjax.training import empty_seeds, init_seeds
from tests.mesh_case import difference
from tests.test_all_models import feed, float64_model_of

ROOT = Path(__file__).parents[1]
SEEDS = (3, 5)


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def seeds_of(name, make):
    """The states of both seeds, by a function of model, batches and seeds."""
    with jax.enable_x64(True):
        return make(float64_model_of(name), feed(name, SEEDS), SEEDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Checkpoints: "one" is of this process, "two" of both processes of `found`."""
    folder = tmp_path_factory.mktemp("hosts")
    checkpoints = Checkpoints(folder / "one")
    checkpoints.save(0, seeds_of("nade", init_seeds), {})
    checkpoints.close()
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What tests/hosts_case.py prints in each process."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    port = str(free_port())
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.hosts_case", str(index), port, str(folder)],
            cwd=ROOT,
            # Four devices, of both processes, wait for each other in threads, of which XLA makes one for each core.
            env={**os.environ, "XLA_FLAGS": flags, "NPROC": "8"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        said = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    return [json.loads(next(line for line in out.splitlines() if line.startswith("{"))) for out in said]


@pytest.mark.parametrize("name", ["nade", "groups"])
def test_steps_of_two_processes_equal_those_of_one_device(found, name):
    """Eight devices share a batch, or ("groups") each process has a seed of its own."""
    assert all(one[name] < 1e-12 for one in found)


def test_each_process_reads_the_examples_of_its_own_devices(found):
    (first, second), whole = (one["streamed"] for one in found), found[0]["streamed"]["whole"][0]
    assert len(first["read"]) == len(second["read"]) == len(whole) // 2
    assert sorted(first["read"] + second["read"]) == whole
    for index, one in enumerate(found):
        assert one["seeds"]["read"] == one["seeds"]["whole"][index]
        assert one["streamed"]["equal"]
        assert one["seeds"]["equal"]


def test_checkpoints_pass_between_one_process_and_two(found, folder):
    assert all(one["checkpoints"] == {"one to two": True, "two to two": True, "spread": True} for one in found)
    checkpoints = Checkpoints(folder / "two", read_only=True)
    with jax.enable_x64(True):
        read = checkpoints.restore_latest(seeds_of("nade", empty_seeds)).tree
    checkpoints.close()
    assert difference(read, seeds_of("nade", init_seeds)) == 0


def test_a_process_with_other_options_is_refused_by_all(found):
    for one in found:
        assert re.match(r"process 1 of --distributed has other options or other data than process 0", one["refused"])


def test_a_batch_that_does_not_divide_over_all_devices_is_refused(found):
    share = "devices=8: with 1 seed(s), 8 devices share a batch; its 12 examples must divide by 8"
    fewer = "devices=4 must be 8: the 2 processes of a run use all of their devices"
    assert all(one["unfit"] == [share, fewer] for one in found)


ALONE = """
import sys
from pathlib import Path
from genjax.runs import processes
from genjax.runs.options import Run
processes.MEET_SECONDS = 1
address = f"localhost:{sys.argv[1]}"
processes.meet(Run(workdir=Path("unused"), distributed=True, coordinator=address, processes=2, process_id=1))
"""


def test_a_process_that_nobody_answers_ends_with_a_line():
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(free_port())], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: --distributed: not all .* at localhost:\d+ within 1 seconds\n", done.stderr)
