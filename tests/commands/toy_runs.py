"""Runs of the toy experiment by its command."""

import pytest

from genjax.runs.runner import main
from tests.experiments.toy import PRESETS, toy


def run(capsys, *arguments):
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as exit_:
        main(toy, PRESETS, [str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err
