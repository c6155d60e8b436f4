"""Data of a run: files that it keeps, and the hash by which other data are refused."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genjax.runs.config import Config, flat, with_option
from genjax.runs.directory import CONFIG, RunError, read_config

KEPT = "data"
"""Folder of a run with copies of the files that its options name, such as a text: --text my.txt is data/text/my.txt."""

DATA = "data_sha256"
"""Entry of config.json with the hash of the data (`Dataset.sha256`)."""


def named_files(config: Config) -> Iterator[tuple[str, Path]]:
    """Yield the options whose values are files, with the files."""
    for name, value in flat(config.options).items():
        if isinstance(value, Path) and value.is_file():
            yield name, value


def keep_files(config: Config, directory: Path) -> None:
    """Copy the files that the options name into the run directory, if they are not there yet."""
    for name, file in named_files(config):
        copy = directory / KEPT / name / file.name
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            beside = copy.with_name(copy.name + ".part")
            shutil.copyfile(file, beside)
            os.replace(beside, copy)


def with_kept_files(config: Config, directory: Path) -> Config:
    """Return the configuration with the run's own copies of files: those named may have changed since, or be gone."""
    for name, value in flat(config.options).items():
        if isinstance(value, Path) and (copy := directory / KEPT / name / value.name).is_file():
            config = with_option(config, name, copy, flag=name)
    return config


def check_data(directory: Path, sha256: str) -> None:
    """Raise RunError if there is a run in `directory` on other data, as their hash says."""
    stored: Mapping[str, Any] = read_config(directory) if (directory / CONFIG).exists() else {}
    known = stored.get(DATA)
    if known and known != sha256:
        raise RunError(
            f"{directory} holds a run on other data: their SHA-256 is {sha256[:16]} now and was {known[:16]}; bring "
            "the data back as they were, or train in another folder"
        )
