"""The configuration of a run: how its experiment is named, and how errors name its options."""

import runpy
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from genjax.errors import ArgumentError, MissingPathError
from genjax.runs import config
from genjax.runs.directory import RunError
from genjax.runs.options import Data, Run
from tests.experiments.toy import PRESETS, Options, toy

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_an_experiment_run_as_a_file_has_the_name_of_its_module():
    function = runpy.run_path(str(EXPERIMENTS / "tabular.py"), run_name="tabular")["tabular"]
    assert function.__module__ == "tabular"
    assert config.location(function) == ("experiments.tabular", None)
    assert config.imported("experiments.tabular:tabular", None).__name__ == "tabular"


def experiment_that_fails(error):
    def experiment(options: Options):
        raise error

    return experiment


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ArgumentError("hidden", 4, " must be odd"), "--hidden 4 must be odd"),
        (ArgumentError("hidden", 5, " must be even"), "hidden=5 must be even"),  # not the option's value
        (ArgumentError("units", 4, " must be odd"), "units=4 must be odd"),
        (ArgumentError("dataset", "x.npz", ": is empty"), "--dataset ./x.npz: is empty"),
        (MissingPathError("data_dir", "/nowhere", ": no such directory"), "--data-dir /nowhere: no such directory"),
        (ValueError("the images are too dark"), "the images are too dark"),
    ],
)
def test_an_error_of_an_argument_names_the_option_that_has_its_value(error, text):
    options = replace(PRESETS["quick"], data=Data(dataset="./x.npz", data_dir=Path("/nowhere")))
    with pytest.raises(RunError) as raised:
        config.build(experiment_that_fails(error), config.Config("m:f", "quick", options))
    assert (str(raised.value), raised.value.exit_code) == (text, 2)


def test_errors_of_arguments_are_the_usual_ones_with_the_value_in_front():
    assert isinstance(ArgumentError("levels", 1, " must be at least 2"), ValueError)
    assert str(ArgumentError("levels", 1, " must be at least 2")) == "levels=1 must be at least 2"
    missing = MissingPathError("dataset", "x", ": no such folder")
    assert isinstance(missing, FileNotFoundError)
    assert not isinstance(missing, ValueError)
    assert str(missing) == "dataset='x': no such folder"


def saved_without(*names):
    saved = config.as_json(config.Config("tests.experiments.toy:toy", "quick", PRESETS["quick"]))
    return {**saved, "options": {name: value for name, value in saved["options"].items() if name not in names}}


def test_an_option_that_is_newer_than_the_run_has_its_default():
    function, restored = config.from_json(saved_without("hidden", "binarization", "batch_size"))
    assert function is toy
    assert (restored.options.hidden, restored.options.data.binarization) == (Options().hidden, "static")
    assert restored.run == PRESETS["quick"].run


def test_an_option_that_the_experiment_has_no_longer_is_refused():
    saved = saved_without()
    with pytest.raises(RunError, match="its options are of another version: depth"):
        config.from_json({**saved, "options": {**saved["options"], "depth": 3}})


@dataclass(frozen=True)
class Bare:
    """Options without a directory of data."""

    run: Run = Run()


def test_another_data_dir_is_taken_where_there_is_one_and_refused_by_name_elsewhere(tmp_path):
    _, saved = config.from_json(saved_without())
    assert config.with_option(saved, "data_dir", tmp_path, flag="--data-dir").options.data.data_dir == tmp_path
    bare = config.Config("m:bare", "quick", Bare())
    with pytest.raises(RunError, match=f"--data-dir {tmp_path}: bare has no option --data-dir"):
        config.with_option(bare, "data_dir", tmp_path, flag="--data-dir")
    with pytest.raises(RunError, match=r"--images: bare has no option --binarization"):
        config.option_of(bare, "binarization", flag="--images")
