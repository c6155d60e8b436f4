"""Several devices: a process of its own has eight, and shows that they compute what one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genjax.mesh import group_size, make_mesh

ROOT = Path(__file__).parents[1]
MODELS = ("nade", "char rnn", "dcgan")
"""Weights alone, a state carried between steps, and statistics of a batch; `python -m tests.mesh_case` takes all."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What tests/mesh_case.py prints of these models."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    folder = str(tmp_path_factory.mktemp("mesh"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.mesh_case", "--folder", folder, *MODELS],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flags},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", MODELS)
def test_steps_on_two_groups_of_four_devices_equal_those_of_one_device(found, name):
    assert found[name]["difference"] < 1e-12


@pytest.mark.parametrize("name", MODELS)
def test_a_step_takes_the_state_that_it_gave_without_being_compiled_again(found, name):
    assert found[name]["again"] == 0


@pytest.mark.parametrize("name", MODELS)
def test_devices_speak_within_their_group_alone(found, name):
    assert found[name]["across"] == 0
    assert found[name]["within"] > 0


@pytest.mark.parametrize("name", MODELS)
def test_a_trained_model_is_evaluated_and_sampled_on_all_devices_as_on_one(found, name):
    """Six examples on eight devices: each draws one of them."""
    assert found[name]["used"]["difference"] < 1e-12
    assert found[name]["used"]["work"] < 0.25


def test_training_in_one_call_uses_the_devices_that_divide_a_batch_and_gives_the_state_of_one_device(found):
    assert found["front door"]["devices"] == {"default": 5, "4": 4, "1": 1}
    assert found["front door"]["difference"] < 1e-5
    assert found["front door"]["where"] == 1


@pytest.mark.parametrize("way", ["together", "side by side", "streamed", "uneven"])
def test_seeds_of_one_group_equal_those_of_one_device(found, way):
    """Vectorized or one by one, from batches that are read step by step, and from batches that do not divide."""
    assert found["three seeds"][way] < 1e-12


def test_examples_that_do_not_divide_over_the_devices_are_evaluated(found):
    assert found["uneven evaluation"] < 1e-12


def test_a_checkpoint_is_read_on_other_devices_than_it_was_written_on(found):
    assert found["checkpoint"] == {"8 to 1": True, "8 to 4": True, "1 to 8": True}


def test_a_plan_divides_seeds_and_batches_over_the_devices(found):
    """Two seeds on four devices: each has one of them, and half of its batch."""
    spread, alone = found["planned"]
    assert spread == [1, alone[1] // 2, *alone[2:]]


def test_what_does_not_divide_is_refused_with_what_would(found):
    assert found["refused"]["9"] == "devices=9 must be from 1 to 8, the number of devices here"
    assert found["refused"]["3"] == "devices=3: 1 seed(s) with batches of 20 examples divide over 1, 2, 4, 5 devices"


@pytest.mark.parametrize(
    ("seeds", "devices", "size"), [(1, 8, 8), (2, 8, 4), (3, 8, 8), (6, 8, 4), (8, 8, 1), (16, 8, 1), (4, 6, 3)]
)
def test_as_many_groups_as_share_the_seeds_evenly(seeds, devices, size):
    assert group_size(seeds, devices) == size
    assert devices % size == 0
    assert seeds % (devices // size) == 0


def test_one_device_needs_no_mesh():
    assert make_mesh(3, 7, 1) is None
