import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import experiment_names, first_line
from genjax.runs.config import flat

ROOT = Path(__file__).parents[2]


def test_the_list_names_every_experiment_on_one_line():
    output = subprocess.run(
        [sys.executable, "-m", "experiments"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in ("char_rnn", "nade", "tabular", "time_series", "vae"):
        assert sum(line.split()[:1] == [name] for line in output.splitlines()) == 1


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_has_a_page_and_three_presets(name):
    module = __import__(f"experiments.{name}", fromlist=[name])
    assert set(module.PRESETS) >= {"quick", "small", "paper"}
    assert flat(module.PRESETS["quick"])["dataset"] in ("digits", "descriptions", "oscillation")  # embedded
    assert first_line(name)
    assert callable(getattr(module, name))
