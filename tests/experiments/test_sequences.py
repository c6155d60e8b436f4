"""Runs on a text and on a series, as a user meets them."""

import json
import re

import numpy as np
import pytest

from experiments import char_rnn, time_series
from genjax.commands.sample import sample
from genjax.runs.runner import main
from genjax.runs.session import user_errors

TEXT = "Of all that is said, little is heard.\n" * 60
TINY = ["--hidden", "4", "--layers", "1", "--sequence-length", "6", "--batch-size", "5", "--steps", "6"]


def run(module, capsys, *arguments):
    """Exit code, standard output and standard error of a command."""
    name = module.__name__.split(".")[-1]
    with pytest.raises(SystemExit) as exit_:
        main(getattr(module, name), module.PRESETS, [str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "own.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def finished(text_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("finished") / "run"
    arguments = ["--text", str(text_file), *TINY, "--prompt", "Of ", "--workdir", str(directory)]
    with pytest.raises(SystemExit) as exit_:
        main(char_rnn.char_rnn, char_rnn.PRESETS, arguments)
    assert exit_.value.code == 0
    return directory


def test_a_run_on_a_text_writes(finished):
    written = (finished / "figures/samples.txt").read_text()
    assert written.startswith("Of ")
    assert len(written) == 3 + char_rnn.WRITTEN
    assert set(written) <= set(TEXT)
    assert (finished / "figures/learning_curves.png").exists()
    result = json.loads((finished / "result.json").read_text())
    assert result["dataset"]["name"] == "own"
    assert result["vocabulary"] == len(set(TEXT))
    assert set(result["metrics"]) == {"nats_per_character", "bits_per_character"}


def test_sample_goes_on_from_a_prompt(finished, capsys, tmp_path):
    texts = []
    for key, temperature in ((0, 0.8), (0, 0.8), (1, 0.8), (0, 1e-3), (1, 1e-3)):
        sample(finished, count=40, prompt="little", temperature=temperature, key=key, out=tmp_path / "out.txt")
        texts.append(capsys.readouterr().out.removesuffix("\n"))
        assert (tmp_path / "out.txt").read_text() == texts[-1]
        assert texts[-1].startswith("little")
        assert len(texts[-1]) == 46
    assert texts[0] == texts[1] != texts[2]
    assert texts[3] == texts[4]


def test_a_run_keeps_its_text_and_refuses_another(finished, text_file, capsys, tmp_path):
    """Samples are of the vocabulary of the training, whatever has become of the file; the run cannot go on with it."""

    def written():
        sample(finished, count=40, prompt="little", out=tmp_path / "out.txt")
        return capsys.readouterr().out

    before, result = written(), (finished / "result.json").read_text()
    arguments = ["--text", text_file, *TINY, "--prompt", "Of ", "--workdir", finished]
    try:
        text_file.write_text(TEXT.replace("l", "L"))
        assert written() == before
        code, _, error = run(char_rnn, capsys, *arguments)
        assert code == 1
        assert "holds a run on other data: their SHA-256 is" in error
        assert (finished / "result.json").read_text() == result
        text_file.unlink()
        assert written() == before
    finally:
        text_file.write_text(TEXT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "Ünder"}, "characters outside the vocabulary: 'n', 'Ü'"),
        ({"temperature": 0.0}, "temperature=0.0 must be above 0"),
        ({"count": 0}, "--count 0 must be from 1"),
    ],
)
def test_what_sample_cannot_write(finished, capsys, options, message):
    with pytest.raises(SystemExit) as exit_, user_errors():
        sample(finished, **options)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "nowhere.txt"], "--text nowhere.txt: no such file"),
        (["--prompt", "€"], "characters outside the vocabulary: '€'"),
        (["--temperature", "0"], "--temperature 0.0 must be above 0"),
        (["--batch-size", "7000"], r"--batch-size 7000, length=6: a step reads .* at most the 38750 there are"),
        (["--sequence-length", "0"], "--sequence-length 0 must be above 0"),
        (["--dataset", "descripions"], "--dataset descripions: .*texts are descriptions"),
    ],
)
def test_bad_options_are_told_and_leave_nothing_behind(capsys, tmp_path, arguments, message):
    code, _, error = run(char_rnn, capsys, *TINY, *arguments, "--workdir", tmp_path / "run")
    assert code == 2
    assert re.search(message, error)
    assert not (tmp_path / "run").exists()


def test_a_series_of_ones_own(capsys, tmp_path):
    path = tmp_path / "own.csv"
    values = np.random.default_rng(0).normal(50, 3, 300)
    path.write_text("day,value\n" + "".join(f"{day},{value}\n" for day, value in enumerate(values)))
    code, _, error = run(time_series, capsys, "--series", path, *TINY, "--workdir", tmp_path / "run")
    assert code == 0, error
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["dataset"]["name"] == "own"
    assert np.isfinite(result["metrics"]["nats_per_value"]["mean"])
    assert len(list((tmp_path / "run/figures").glob("*.png"))) == 3
    with pytest.raises(SystemExit), user_errors():
        sample(tmp_path / "run")
    assert "draws images and texts" in capsys.readouterr().err
