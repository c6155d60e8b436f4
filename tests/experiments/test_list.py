import ast
import importlib
import inspect
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import experiment_names, first_line
from genjax.runs.config import as_json, field_names, flat, from_json, options_class, parse

ROOT = Path(__file__).parents[2]


def module_of(name):
    return importlib.import_module(f"experiments.{name}")


def test_the_list_names_every_experiment_on_one_line():
    output = subprocess.run(
        [sys.executable, "-m", "experiments"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in ("char_rnn", "nade", "tabular", "time_series", "vae"):
        assert sum(line.split()[:1] == [name] for line in output.splitlines()) == 1


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_has_a_page_and_three_presets(name):
    module = module_of(name)
    assert set(module.PRESETS) >= {"quick", "small", "paper"}
    assert flat(module.PRESETS["quick"])["dataset"] in ("digits", "descriptions", "oscillation")  # embedded
    assert first_line(name)
    assert callable(getattr(module, name))


@pytest.mark.parametrize("name", experiment_names())
def test_a_preset_is_what_the_command_line_gives_and_config_json_keeps(name):
    module = module_of(name)
    for preset, options in module.PRESETS.items():
        config = parse(getattr(module, name), module.PRESETS, ["--preset", preset])
        assert config.options == options
        assert from_json(json.loads(json.dumps(as_json(config)))) == (getattr(module, name), config)


@pytest.mark.parametrize("name", experiment_names())
def test_every_option_has_a_name_of_its_own_and_help(name):
    """Help is a text right under the field; `data` and `run` are groups of options and have none."""
    module = module_of(name)
    kind = options_class(getattr(module, name))
    assert len(set(field_names(kind))) == len(field_names(kind))
    body = ast.parse(inspect.getsource(kind)).body[0].body
    bare = [
        one.target.id
        for one, after in itertools.pairwise([*body, None])
        if isinstance(one, ast.AnnAssign) and not isinstance(after, ast.Expr)
    ]
    assert set(bare) <= {"data", "run"}
