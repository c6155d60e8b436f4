"""The command line as a user meets it: what a run leaves behind, and what is said of bad input."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from genjax.metrics.detection import auroc
from genjax.runs.restore import restore_run
from genjax.runs.runner import main, only_process
from genjax.runs.session import user_errors
from tests.commands.toy_runs import run
from tests.experiments.toy import PRESETS, toy

# A read of a damaged checkpoint leaves callbacks of Orbax's behind for an event loop that is closed by then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("finished") / "run"
    with pytest.raises(SystemExit) as exit_:
        main(toy, PRESETS, ["--seeds", "3", "5", "--workdir", str(directory)])
    assert exit_.value.code == 0
    return directory


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def test_a_run_directory_holds_all_there_is_to_know(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {".lock", "config.json", "metrics.jsonl", "tensorboard", "checkpoints", "figures", "result.json"}
    assert {path.name for path in (finished / "figures").iterdir()} == {"samples.png", "learning_curves.png"}
    assert list((finished / "tensorboard").rglob("events.out.tfevents.*"))
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["seed"]) for row in rows if row["split"] == "train"] == [
        (50, 3),
        (50, 5),
        (100, 3),
        (100, 5),
    ]


def test_the_result_has_its_fields(finished):
    result = json.loads((finished / "result.json").read_text())
    expected = "experiment preset command dataset seeds steps metrics parameters wall_seconds device versions commit"
    assert set(result) == set(expected.split())
    assert result["command"] == "python -m tests.experiments.toy --seeds 3 5"
    assert set(result["dataset"]) == {"name", "split", "protocol", "sha256"}
    nll = result["metrics"]["nll_nats"]
    assert nll["kind"] == "exact"
    assert nll["mean"] == pytest.approx(np.mean(nll["per_seed"]))
    assert nll["sd"] == pytest.approx(np.std(nll["per_seed"], ddof=1))
    assert result["parameters"] == 2 * 4 * 64 + 64 + 4


def command(function, *arguments):
    with user_errors():
        function(*arguments)


def test_sample_draws_the_same_images_for_the_same_key(finished, tmp_path):
    from genjax.commands.sample import sample

    for name, key in (("a", 0), ("b", 0), ("c", 1)):
        sample(finished, count=5, key=key, out=tmp_path / f"{name}.png")
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert a.shape == (5, 8, 8, 1)
    assert (a == b).all()
    assert (a != c).any()
    for wrong in ({"seed": 4}, {"out": tmp_path / "a.jpg"}):
        with pytest.raises(SystemExit) as exit_, user_errors():
            sample(finished, **wrong)
        assert exit_.value.code == 2


def test_evaluate_repeats_the_number_of_the_result(finished, capsys):
    from genjax.commands.evaluate import evaluate

    evaluate(finished)
    nll = json.loads((finished / "result.json").read_text())["metrics"]["nll_nats"]
    assert f"{nll['mean']:.2f} ± {nll['sd']:.2f}" in capsys.readouterr().out


def test_what_is_no_mean_over_examples_is_measured_for_each_seed_and_split(finished, capsys):
    from genjax.commands.evaluate import evaluate

    run = restore_run(finished)
    biases = [run.chosen(seed)[0]["nade"]["b"].sum() for seed in (3, 5)]
    measured = json.loads((finished / "result.json").read_text())["metrics"]["bias_times_examples"]["per_seed"]
    np.testing.assert_allclose(measured, np.array(biases) * run.experiment.data.test.size, rtol=1e-5)
    assert biases[0] != biases[1]
    evaluate(finished, split="train")
    on_train = np.mean(biases) * run.experiment.data.train.size
    means = [float(mean) for mean in re.findall(r"(-?[\d.]+) ±", capsys.readouterr().out)]
    assert any(abs(mean - on_train) < 0.01 for mean in means)  # two decimals are shown


def test_detect_ranks_test_images_above_noise_and_takes_a_background_off(finished, capsys):
    from genjax.commands.detect import CORRUPTIONS, corrupted, detect, make_log_probs

    detect(finished, count=50, against=("digits",))
    aurocs = json.loads((finished / "detection.json").read_text())["auroc"]
    assert all(len(values["per_seed"]) == 2 for values in aurocs.values())
    assert aurocs["inverted"]["mean"] > 0.9
    assert aurocs["digits"]["per_seed"] == pytest.approx([0.5, 0.5], abs=0.01)  # they are the test images themselves
    detect(finished, count=50, background=finished)
    ratios = json.loads((finished / "detection-ratio.json").read_text())["auroc"]
    run = restore_run(finished)
    log_probs = make_log_probs(run)
    usual = log_probs(run.experiment.data, 50)
    noisy = log_probs(corrupted(run.experiment.data, CORRUPTIONS["noise"]), 50)
    expected = [0.5, auroc(usual[1] - usual[0], noisy[1] - noisy[0])]
    assert ratios["noise"]["per_seed"] == pytest.approx(expected, abs=1e-3)
    assert (usual < 0).all()
    assert (finished / "figures" / "detection.png").exists()
    with pytest.raises(SystemExit), user_errors():
        detect(finished, against=("nowhere.npz",))
    assert "nowhere.npz" in capsys.readouterr().err


PROCESS = ("--distributed", "--processes", "2", "--coordinator")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hiden", "3"], "--hidden"),
        (["--preset", "smal"], "smal"),
        (["--steps", "many"], "many"),
        (["--steps", "0"], "--steps 0 must be at least 1"),
        (["--seeds", "1", "2", "1"], r"--seeds \[1, 2, 1\]: each may stand once"),
        (["--batch-size", "5000"], "--batch-size 5000 must be from 1 to 1297"),
        (["--dataset", "digit"], "--dataset digit: .*nearest: digits"),
        (["--dataset", "mnist", "--data-dir", "/nowhere"], "--data-dir /nowhere: no such directory"),
        (["--binarization", "none"], "--binarization none: the model needs binary pixels"),
        (["--dataset", "./none.npz"], "--dataset ./none.npz: no such file"),
        (["--process-id", "1"], "--process-id is for one of several"),
        (["--distributed", "--processes", "2"], "--processes: give --coordinator, --processes and"),
        ([*PROCESS, "here", "--process-id", "0"], "--coordinator here: give an address"),
        ([*PROCESS, "here:1", "--process-id", "2"], "--process-id 2 must be from 0 to"),
    ],
)
def test_bad_options_are_told_and_leave_nothing_behind(capsys, tmp_path, arguments, message):
    code, _, error = run(capsys, *arguments, "--workdir", tmp_path / "run")
    assert code == 2
    assert re.search(message, error)
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_another_configuration_is_refused_with_the_differing_fields(copy, capsys):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    code, _, error = run(capsys, "--seeds", 3, 5, "--hidden", 6, "--steps", 120, "--workdir", copy)
    assert code == 1
    assert error.endswith("hidden: 4 there, 6 now\n  steps: 100 there, 120 now\n")
    assert before == {path: path.stat().st_mtime_ns for path in copy.rglob("*")}


def test_a_folder_that_is_no_run_is_refused(capsys, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    code, _, error = run(capsys, "--workdir", tmp_path)
    assert (code, error) == (
        1,
        f"error: --workdir {tmp_path} is not empty and holds no run (config.json is missing); give a new folder\n",
    )
    code, _, error = run(capsys, "--workdir", tmp_path / "thesis.tex")
    assert code == 1
    assert "is a file" in error


def test_a_damaged_last_checkpoint_is_told_and_the_one_before_it_used(finished, copy, capsys):
    last = copy / "checkpoints/seeds-3-5/100"
    for path in last.rglob("d/*"):
        path.write_bytes(b"\0" * path.stat().st_size)
    code, output, _ = run(capsys, "--seeds", 3, 5, "--workdir", copy)
    assert code == 0
    assert f"damaged checkpoint, using the one before it: {last}" in output
    assert "continuing at step 50" in output
    for name in ("metrics.jsonl", "checkpoints/seeds-3-5/100/facts/metadata"):
        digests = [re.sub(r'"seconds": [\d.]+', "", (directory / name).read_text()) for directory in (finished, copy)]
        assert digests[0] == digests[1]


def test_only_damaged_checkpoints_are_told(copy, capsys):
    for path in (copy / "checkpoints").rglob("d/*"):
        path.write_bytes(b"\0" * path.stat().st_size)
    code, _, error = run(capsys, "--seeds", 3, 5, "--workdir", copy)
    assert code == 1
    assert "all checkpoints are damaged" in error
    assert "Traceback" not in error


def test_two_processes_do_not_work_in_one_directory(copy, capsys):
    with only_process(copy):
        code, _, error = run(capsys, "--seeds", 3, 5, "--workdir", copy)
    assert (code, error) == (1, f"error: another process is working in {copy}\n")


def error_of_restoring(directory, capsys):
    """What every command says of a run that it cannot read: one line."""
    with pytest.raises(SystemExit), user_errors():
        restore_run(directory)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"depth": 3}}, "its options are of another version: depth"),
        ({"options": {"hidden": "4"}}, "its options are of another version: hidden='4'"),
        ({"options": {"seeds": [0, None]}}, r"its options are of another version: seeds=\[0, None\]"),
        ({"options": {"binarization": "sampled"}}, "its options are of another version: binarization='sampled'"),
        ({"options": {"steps": 0}}, "its options are of another version: --steps 0 must be at least 1"),
        ({"file": "/nowhere/toy.py"}, "the experiment's file /nowhere/toy.py is gone"),
        (
            {"experiment": "tests.nowhere:toy", "file": None},
            "tests.nowhere:toy cannot be imported: ModuleNotFoundError",
        ),
        ({"experiment": "tests.experiments.toy:Toy"}, "toy.py has no Toy"),
        ({"experiment": "json:toy"}, "the experiment's module json is .*json/__init__.py here, and was .*toy.py"),
        ({"experiment": "toy"}, r"a run of an earlier version of genjax \(experiment 'toy'\)"),
        ({"options": []}, "config.json is not the configuration of a run: it must have experiment, preset, options"),
    ],
)
def test_a_config_that_cannot_be_used_is_told_in_one_line(copy, capsys, changes, message):
    saved = json.loads((copy / "config.json").read_text())
    for name, value in changes.items():
        saved[name] = {**saved[name], **value} if isinstance(value, dict) else value
    (copy / "config.json").write_text(json.dumps(saved))
    assert re.search(message, error_of_restoring(copy, capsys))


OLD_CONFIG = {
    "experiment": "nade",
    "preset": "quick",
    "options": {
        "hidden": 100,
        "tied": False,
        "ordering": "raster",
        "learning_rate": 0.003,
        "final_learning_rate": 0.0001,
        "run": {
            "dataset": "digits",
            "data_dir": None,
            "binarization": "threshold",
            "seeds": [0],
            "seeds_at_once": None,
            "steps": 40,
            "batch_size": 100,
            "evaluate_every": 250,
            "quality": False,
            "workdir": "runs/nade",
            "deterministic": False,
        },
    },
    "groups": [[0]],
}
"""As the first version of the command line wrote it."""


def test_a_run_of_the_first_version_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(OLD_CONFIG))
    expected = (
        f"error: {tmp_path} holds a run of an earlier version of genjax (experiment 'nade'), "
        "which this version cannot read; train it anew in another folder\n"
    )
    assert error_of_restoring(tmp_path, capsys) == expected
    code, _, error = run(capsys, "--workdir", tmp_path)
    assert (code, error) == (1, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_run_that_is_older_than_an_option_goes_on(copy, capsys):
    """Its configuration lacks the option, which has its default now; another value is another configuration."""
    config = json.loads((copy / "config.json").read_text())
    assert config["options"].pop("precision") == "float32"
    (copy / "config.json").write_text(json.dumps(config))
    assert run(capsys, "--seeds", 3, 5, "--workdir", copy)[0] == 0
    code, _, error = run(capsys, "--seeds", 3, 5, "--precision", "bfloat16", "--workdir", copy)
    assert code == 1
    assert "precision: 'float32' there, 'bfloat16' now" in error
