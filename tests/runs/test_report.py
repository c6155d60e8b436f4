"""Numbers in tables have digits that mean something."""

import pytest

from genjax.runs.report import command_line, mean_and_deviation


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (93.3412, 0.0123, "93.34 ± 0.01"),
        (0.0404, 0.0012, "0.0404 ± 0.0012"),
        (0.000122, 0.0000346, "0.000122 ± 0.000035"),
        (0.5, 0.0, "0.5000 ± 0.0000"),
        (0.1, 1.7e-17, "0.1000 ± 0.0000"),
        (322.5578, None, "322.558"),
        (0.0773, None, "0.0773"),
    ],
)
def test_small_numbers_have_two_digits_of_their_deviation(mean, deviation, text):
    assert mean_and_deviation({"mean": mean, "sd": deviation}) == text


def test_a_command_is_kept_without_places_and_processes():
    several = ["--distributed", "--coordinator", "10.0.0.1:1", "--processes", "2", "--process-id=0"]
    arguments = [*several, "--steps", "5", "--workdir", "w"]
    assert command_line("python -m experiments.vae", arguments) == "python -m experiments.vae --steps 5"
