"""What stands in tables: digits that mean something, and beside a number what its run measured of other things."""

import pytest

from experiments.ledger import anchors
from genjax.runs.report import mean_and_deviation


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


def test_a_run_names_its_own_anchors():
    of = lambda mean: {"mean": mean, "sd": None}  # noqa: E731
    metrics = {"probe_error": of(0.02), "pixel_probe_error": of(0.0866), "random_probe_error": of(0.5)}
    assert anchors(metrics, "probe_error") == [
        "0.5: features of weights that are not trained (this run)",
        "0.0866: pixels (this run)",
    ]
    assert anchors(metrics, "pixel_probe_error") == []
