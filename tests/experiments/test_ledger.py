"""The ledger: its commands can be given today, and beside each number stands what its experiment declares."""

import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from experiments import ledger
from experiments.__main__ import experiment_names
from experiments.ledger import Entry, comparisons, file_name, plainest, rows, shown
from genjax.runs.config import parse
from genjax.runs.directory import RunError, write_json
from genjax.runs.experiment import Baseline, Reference
from genjax.runs.quality import quality_baselines
from genjax.runs.session import user_errors

FILES = sorted(path for path in ledger.RESULTS.glob("*.json") if path.name not in ledger.TABLES.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_command_of_every_kept_result_can_be_given_today(path):
    result = json.loads(path.read_text())
    start, module, name = shlex.split(result["command"])[:3]
    assert (start, module, name) == ("python", "-m", f"experiments.{result['experiment']}")
    experiment = import_module(name)
    arguments = shlex.split(result["command"])[3:]
    config = parse(getattr(experiment, result["experiment"]), experiment.PRESETS, arguments)
    assert (config.preset, list(config.run.seeds)) == (result["preset"], result["seeds"])
    assert file_name(result) == path.name


@pytest.mark.parametrize("name", experiment_names())
def test_what_an_experiment_declares_is_of_its_options_and_its_metrics(name):
    experiment = import_module(f"experiments.{name}")
    one = parse(getattr(experiment, name), experiment.PRESETS, [])
    for reference in getattr(experiment, "REFERENCES", ()):
        assert set(reference.options) <= set(ledger.as_json(one)["options"]), reference
    kept = [ledger.entry(result, {}, experiment) for result in ledger.results() if result["experiment"] == name]
    if kept:
        assert any(experiment.HEADLINE in entry.metrics for entry in kept)
    for baseline in getattr(experiment, "BASELINES", ()):
        assert all(baseline.measured_as in entry.metrics or baseline.metric not in entry.metrics for entry in kept) or (
            any(baseline.measured_as in entry.metrics for entry in kept)
        ), baseline


def metric(mean, kind="estimate"):
    return {"mean": mean, "sd": None, "per_seed": [mean], "kind": kind}


def entry(metrics, *, command="python -m experiments.toy", preset="small", options=None, **declared):
    result = {
        "experiment": "toy",
        "preset": preset,
        "dataset": {"name": "digits", "protocol": "real"},
        "seeds": [0],
        "device": "CPU, 1 core",
        "wall_seconds": 130.0,
        "command": command,
        "metrics": metrics,
    }
    declared = {"references": (), "baselines": (), "headline": None, **declared}
    return Entry(result=result, options=options or {}, **declared)


PROBES = (Baseline("probe_error", "random_probe_error", "weights that are not trained"), Baseline("x", "y", "absent"))


def test_baselines_of_the_same_run_stand_beside_their_metric():
    one = entry({"probe_error": metric(0.02), "random_probe_error": metric(0.5)}, baselines=PROBES)
    assert comparisons(one, "probe_error") == ["0.5: weights that are not trained (this run)"]
    assert comparisons(one, "random_probe_error") == []


def test_references_stand_beside_runs_with_their_data_protocol_and_options():
    known = [
        Reference("nll_nats", "digits", "real", 1.0, "all"),
        Reference("nll_nats", "digits", "real", 2.0, "two masks", {"masks": 2}),
        Reference("nll_nats", "digits", "static", 3.0, "another protocol"),
        Reference("nll_nats", "mnist", "real", 4.0, "other data"),
    ]
    values = {"nll_nats": metric(1.5, "exact")}
    assert comparisons(entry(values, references=tuple(known), options={"masks": 1}), "nll_nats") == ["1: all"]
    both = comparisons(entry(values, references=tuple(known), options={"masks": 2}), "nll_nats")
    assert both == ["1: all", "2: two masks"]


def test_validation_images_are_the_baseline_of_quality():
    found = quality_baselines({"patch_distance": 1, "validation_patch_distance": 2, "validation_loss": 3})
    assert [(one.metric, one.measured_as) for one in found] == [("patch_distance", "validation_patch_distance")]


def test_the_headline_what_is_compared_and_what_is_exact_are_shown_and_baselines_are_not():
    metrics = {
        "fake_logit": metric(1.0),
        "score": metric(2.0),
        "probe_error": metric(0.02),
        "random_probe_error": metric(0.5, "exact"),
        "elbo_nats": metric(-90.0, "elbo"),
    }
    assert shown(entry(metrics, baselines=PROBES, headline="score")) == ["score", "probe_error", "elbo_nats"]
    assert shown(entry(metrics, baselines=PROBES)) == ["probe_error", "elbo_nats"]
    assert shown(entry({"fake_logit": metric(1.0), "elbo_nats": metric(-90.0, "elbo")})) == ["fake_logit", "elbo_nats"]


def test_what_holds_for_a_whole_run_stands_in_its_first_row():
    first, second = rows(entry({"a": metric(1.0), "b": metric(2.0)}))
    assert first == ("toy", "digits (real)", "a", "1.000", "", "1", "CPU, 1 core", "2 min", "`experiments.toy`")
    assert second == ("", "", "b", "2.000", "", "", "", "", "")


def test_the_headline_is_of_the_plainest_run_with_a_reference():
    reference = Reference("nll_nats", "digits", "real", 1.0, "known", {"hidden": 500})
    values = {"nll_nats": metric(1.5, "exact")}
    runs = [
        entry(values, command="python -m experiments.toy", references=(reference,), options={"hidden": 200}),
        entry(
            values,
            command="python -m experiments.toy --hidden 500 --x",
            references=(reference,),
            options={"hidden": 500},
        ),
        entry(
            values, command="python -m experiments.toy --preset paper", references=(reference,), options={"hidden": 500}
        ),
        entry({"other": metric(1.0)}, references=(reference,), options={"hidden": 500}),
    ]
    found = plainest([one._replace(headline="nll_nats") for one in runs])
    assert found is not None
    assert found.result["command"] == "python -m experiments.toy --preset paper"
    assert plainest([]) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"commit": None}, "commit=None; the ledger keeps results of committed code only"),
        ({"commit": "0" * 40 + "+changes"}, "the ledger keeps results of committed code only"),
        ({"command": "python swirl.py"}, "is of an experiment outside of experiments/; `ledger show` prints its rows"),
        ({"rows": [], "only": "nade"}, "was measured with --only nade; the ledger takes whole tables"),
    ],
)
def test_results_that_cannot_be_kept_are_refused(tmp_path, changes, message):
    result = {**entry({}).result, "commit": "0" * 40, **changes}
    write_json(tmp_path / "result.json", result)
    with pytest.raises(RunError, match=re.escape(message)):
        ledger.add((tmp_path,))


def test_all_training_steps_beside_pytorch_can_be_kept_without_the_samplers():
    ledger.check_result(Path("peers.json"), {"peers": [], "only": "step", "commit": "0" * 40})
    with pytest.raises(RunError, match="the ledger takes whole tables"):
        ledger.check_result(Path("peers.json"), {"peers": [], "only": "nade step", "commit": "0" * 40})


def test_a_run_that_is_not_there_is_told_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit), user_errors():
        ledger.show(tmp_path / "nowhere")
    error = capsys.readouterr().err
    assert error == f"error: {tmp_path}/nowhere holds no run: {tmp_path}/nowhere/config.json is missing\n"


PEER = {
    "name": "vae step",
    "ratio": 0.5,
    "quartiles": [0.4, 0.625],
    "target": 0.55,
    "shares": {"ours": 0.25, "torch": None},
    "bytes": {"ours": 3 * 2**20, "torch": 5 * 2**20},
}


def test_the_table_beside_pytorch_is_that_of_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "RESULTS", tmp_path)
    assert ledger.peers_table() == "Not measured yet."
    sampler = {**PEER, "name": "nade sampler", "target": None}
    assert ledger.keep({"peers": [PEER, sampler], "commit": "0" * 40}).name == "peers.json"
    header, _, step, drawn = ledger.peers_table().splitlines()
    assert header.startswith("| step or sampler | ours / PyTorch | quartiles | at most |")
    assert step == "| vae step | 0.50 | 0.40 to 0.62 | ≤ 0.55 | 25% |  | 3 | 5 |"
    assert drawn == "| nade sampler | 0.50 | 0.40 to 0.62 |  | 25% |  | 3 | 5 |"
    assert ledger.results() == []
    ledger.keep({"peers": [{**PEER, "milliseconds": {"ours": 1, "torch": 2.5}}]})
    assert ledger.peers_table().splitlines()[2].endswith("| 3 | 5 | 1.00 | 2.50 |")


def test_the_table_of_exponents_is_that_of_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "RESULTS", tmp_path)
    assert ledger.exponents_table() == "Not measured yet."
    row = {"model": "VAE", "axis": "batch", "sizes": [16, 32], "time_exponent": 0.9, "memory_exponent": 1.0}
    assert ledger.keep({"exponents": [row]}).name == "exponents.json"
    assert ledger.exponents_table().splitlines()[2] == "| VAE | batch | 16, 32 | 0.90 | 1.00 |"
