"""Run directory: its configuration, its metrics and its result."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genjax.pictures.figures import Curve

CONFIG = "config.json"
METRICS = "metrics.jsonl"
RESULT = "result.json"

PLACES = ("workdir", "data_dir", "devices", "distributed", "coordinator", "processes", "process_id")
"""Options that say where a run lies and is computed: it may be continued with other folders and devices."""


class RunError(Exception):
    """Error that stops a command and is shown to the user as one line, without a traceback."""

    def __init__(self, message: object, *, exit_code: int = 1) -> None:
        super().__init__(str(message))
        self.exit_code = exit_code


def write_json(path: Path, value: Any) -> None:
    """Write `value` to a temporary file and rename it to `path`, so that readers never see an incomplete file."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(value, indent=1) + "\n")
    os.replace(beside, path)


def read_json(path: Path) -> Any:
    """Return the value in a JSON file; RunError if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read as JSON: {error}") from error


def read_config(directory: Path) -> dict[str, Any]:
    """Return the configuration of the run in `directory`; RunError if it is missing or of an earlier version."""
    path = directory / CONFIG
    if not path.is_file():
        raise RunError(f"{directory} holds no run: {path} is missing")
    config = read_json(path)
    kinds = {"experiment": str, "preset": str, "options": dict}
    if not (isinstance(config, dict) and all(isinstance(config.get(name), kind) for name, kind in kinds.items())):
        raise RunError(f"{path} is not the configuration of a run: it must have {', '.join(kinds)}")
    groups = config.get("groups", [])
    if not (
        isinstance(groups, list) and all(isinstance(seeds, list) and set(map(type, seeds)) <= {int} for seeds in groups)
    ):
        raise RunError(f"{path} is not the configuration of a run: its groups must be lists of seeds")
    if ":" not in config["experiment"] or any(isinstance(value, dict) for value in config["options"].values()):
        raise RunError(
            f"{directory} holds a run of an earlier version of genjax (experiment {config['experiment']!r}), "
            "which this version cannot read; train it anew in another folder"
        )
    return config


def check_config(directory: Path, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise RunError if `directory` holds anything but a run with this configuration.

    `defaults` are the values of options that are newer than the run.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise RunError(f"--workdir {directory} is a file; give a new folder, or that of a run to continue")
    if not (directory / CONFIG).exists():
        if any(directory.iterdir()):
            raise RunError(
                f"--workdir {directory} is not empty and holds no run ({CONFIG} is missing); give a new folder"
            )
        return
    stored = read_config(directory)
    if lines := differences({**stored, "options": {**defaults, **stored["options"]}}, config):
        raise RunError(
            f"--workdir {directory} holds a run with another configuration; it is left as it is:"
            + "".join(f"\n  {line}" for line in lines)
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one line for each option, except those in `PLACES`, in which two configurations differ."""
    there, now = ({name: one[name] for name in ("experiment", "preset")} | one["options"] for one in (old, new))
    names = [name for name in sorted(there | now) if name not in PLACES and there.get(name) != now.get(name)]
    return [f"{name}: {there.get(name)!r} there, {now.get(name)!r} now" for name in names]


def read_rows(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of metrics.jsonl, except lines that are none, such as an incomplete one of a killed process."""
    path = directory / METRICS
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and {"seed": int, "step": int, "split": str}.items() <= types_of(row).items():
                yield row


def types_of(row: Mapping[str, Any]) -> dict[str, type]:
    """Return the types of the values of a row by name."""
    return {name: type(value) for name, value in row.items()}


def forget_after(directory: Path, seeds: Sequence[int], step: int) -> None:
    """Remove the rows of `seeds` after `step` from metrics.jsonl: a continued run writes them again."""
    rows = [row for row in read_rows(directory) if row["seed"] not in seeds or row["step"] <= step]
    beside = directory / (METRICS + ".part")
    beside.write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.replace(beside, directory / METRICS)


def curves(directory: Path) -> Mapping[str, Mapping[int, Curve]]:
    """Return the learning curves: for each metric of each split, one curve per seed."""
    points: dict[str, dict[int, list[tuple[int, float]]]] = {}
    for row in read_rows(directory):
        for name in row.keys() - {"step", "seed", "split"}:
            if isinstance(row[name], int | float):
                by_seed = points.setdefault(f"{row['split']}: {name}", {})
                by_seed.setdefault(row["seed"], []).append((row["step"], row[name]))
    return {name: points[name] for name in sorted(points)}


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error of the operating system, or of a library, was caused by a full disk."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error)


def full_disk(directory: Path) -> RunError:
    """Return the error for a full disk, with advice for the user."""
    return RunError(
        f"no space left on the disk of {directory}; what is there stays readable: free some space and give the same "
        "command again with this --workdir to continue from the last checkpoint"
    )
