"""The configuration of a run: how its experiment is named."""

import runpy
from pathlib import Path

from genjax.runs import config

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_an_experiment_run_as_a_file_has_the_name_of_its_module():
    function = runpy.run_path(str(EXPERIMENTS / "tabular.py"), run_name="tabular")["tabular"]
    assert function.__module__ == "tabular"
    assert config.location(function) == ("experiments.tabular", None)
    assert config.imported("experiments.tabular:tabular", None).__name__ == "tabular"
