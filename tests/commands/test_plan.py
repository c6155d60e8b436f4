"""The plan of a training's memory."""

import dataclasses

import jax
import pytest

from experiments import nade
from genjax.__main__ import main
from genjax.commands.plan import plan_of, run_of, size_of

PIXELS, HIDDEN, FLOAT = 64, 100, 4


@pytest.fixture(scope="module")
def found():
    options = nade.PRESETS["quick"]
    options = dataclasses.replace(options, hidden=HIDDEN)
    return plan_of(nade.nade(options), run_of(options))


def test_parameters_and_adams_state_are_those_of_the_equations(found):
    """NADE has W and V [D, H], c [H] and b [D]; Adam keeps two averages of each, and the number of its steps."""
    parameters = 2 * PIXELS * HIDDEN + HIDDEN + PIXELS
    assert found.parameters == parameters
    assert found.params == found.best == FLOAT * parameters
    assert 2 * FLOAT * parameters <= found.opt <= 2 * FLOAT * parameters + 3 * FLOAT


def test_a_step_has_the_gradients_and_the_activations_of_a_chunk_at_least(found):
    assert found.activations > found.params + FLOAT * found.batch * HIDDEN
    assert found.total == found.params + found.best + found.opt + found.stats + found.data + found.activations


def test_a_pass_has_all_examples(found):
    assert (found.pass_steps - 1) * found.batch < 1297 <= found.pass_steps * found.batch


def test_a_key_has_eight_bytes():
    assert size_of({"key": jax.random.key(0), "x": jax.numpy.zeros((3, 2))}) == 8 + 24


def test_the_command_prints_a_table(capsys):
    assert main(["plan", "nade", "--preset", "quick"]) == 0
    printed = capsys.readouterr().out
    assert "nade (quick): 1 seed(s) on 1 device(s)" in printed
    assert "optimizer state" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nadee"], 1, "experiments.nadee:nadee cannot be imported"),
        (["nade", "--preset", "large"], 2, "--preset large: nade has quick, small, paper"),
        (["nade", "--devices", "0"], 2, "--devices 0 and --seeds 1 must be at least 1"),
        (["nade", "--preset", "quick", "--batch-size", "5000"], 2, "--batch-size 5000 must be from 1 to 1297"),
    ],
)
def test_what_cannot_be_planned_is_told_in_a_line(capsys, arguments, code, message):
    with pytest.raises(SystemExit) as stopped:
        main(["plan", *arguments])
    assert stopped.value.code == code
    assert message in capsys.readouterr().err
