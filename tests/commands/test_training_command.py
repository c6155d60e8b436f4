"""Training by the command line: stops that are told, presets and help."""

import errno
import json

import pytest

from genjax.checkpoint import Checkpoints
from genjax.runs import config
from genjax.runs.runner import main
from tests.commands.toy_runs import run
from tests.experiments.toy import PRESETS, toy

# What a read of a damaged checkpoint in an earlier file leaves behind may be found here, as in test_commands.py.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_a_loss_that_is_not_finite_stops_the_run_and_is_traced(capsys, tmp_path):
    code, _, error = run(capsys, "--explode-at", 71, "--workdir", tmp_path / "run")
    assert code == 1
    assert "training stopped: step 71, phase 'likelihood' (loss [" in error
    assert "the first array that is not finite is ['params']['nade']['V']; the checkpoint of step 50 stays" in error
    assert [path.name for path in (tmp_path / "run/checkpoints/seeds-0").iterdir()] == ["50"]
    assert not (tmp_path / "run/result.json").exists()


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("... No space left on device")]
)
def test_a_full_disk_is_told_and_the_run_goes_on_later(capsys, tmp_path, monkeypatch, error):
    save = Checkpoints.save

    def fail_at_the_end(self, step, tree, facts):
        if step == 100:
            raise error
        save(self, step, tree, facts)

    monkeypatch.setattr(Checkpoints, "save", fail_at_the_end)
    code, _, message = run(capsys, "--workdir", tmp_path / "run")
    assert code == 1
    assert f"no space left on the disk of {tmp_path / 'run'}" in message
    monkeypatch.setattr(Checkpoints, "save", save)
    code, output, _ = run(capsys, "--workdir", tmp_path / "run")
    assert code == 0
    assert "continuing at step 50" in output


def test_the_defaults_of_a_preset_give_way_to_options():
    parsed = config.parse(toy, PRESETS, ["--preset", "wide"])
    assert parsed.options.hidden == 8
    assert config.parse(toy, PRESETS, ["--preset", "wide", "--hidden", "3"]).options.hidden == 3
    assert config.from_json(json.loads(json.dumps(config.as_json(parsed)))) == (toy, parsed)


def test_help_shows_the_presets_and_the_page(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(toy, PRESETS, ["--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert "--preset {quick,wide}" in shown
    assert "An experiment that trains in a second" in shown
    assert "Hidden units." in shown
