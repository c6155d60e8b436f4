"""The run directory: its configuration, its metrics, its result."""

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

PLACES = ("workdir", "data_dir")
"""Options that say where something lies and not what is computed: a run may be continued with other ones."""


class RunError(Exception):
    """What stops a command and is told to the user in one line."""

    def __init__(self, message: object, *, exit_code: int = 1) -> None:
        super().__init__(str(message))
        self.exit_code = exit_code


def write_json(path: Path, value: Any) -> None:
    """Write `value` beside `path` and rename it, so that no reader ever sees half of it."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(value, indent=1) + "\n")
    os.replace(beside, path)


def read_json(path: Path) -> Any:
    """The value in a JSON file; RunError where there is none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as JSON: {error}") from error


def check_config(directory: Path, config: Mapping[str, Any]) -> None:
    """Raise RunError where `directory` holds something else than a run with this configuration."""
    if directory.exists() and not directory.is_dir():
        raise RunError(f"--workdir {directory} is a file; give a new folder, or that of a run to continue")
    if not (directory / CONFIG).exists():
        if directory.exists() and any(directory.iterdir()):
            raise RunError(
                f"--workdir {directory} is not empty and holds no run ({CONFIG} is missing); give a new folder"
            )
        return
    old, new = named(read_json(directory / CONFIG)), named(config)
    names = [name for name in sorted(old | new) if name not in PLACES and old.get(name) != new.get(name)]
    if names:
        lines = "".join(f"\n  {name}: {old.get(name)!r} there, {new.get(name)!r} now" for name in names)
        raise RunError(f"--workdir {directory} holds a run with another configuration; it is left as it is:{lines}")


def named(config: Mapping[str, Any]) -> dict[str, Any]:
    """All that a saved configuration says, by the names of the command line."""
    return {"experiment": config["experiment"], "preset": config["preset"], **config["options"]}


def read_rows(directory: Path) -> Iterator[dict[str, Any]]:
    """The rows of metrics.jsonl; a last line that a killed process left half-written is passed over."""
    path = directory / METRICS
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            return


def forget_after(directory: Path, seeds: Sequence[int], step: int) -> None:
    """Take out the rows of `seeds` that are later than `step`: the continued run writes them anew."""
    rows = [row for row in read_rows(directory) if row["seed"] not in seeds or row["step"] <= step]
    beside = directory / (METRICS + ".part")
    beside.write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.replace(beside, directory / METRICS)


def curves(directory: Path) -> Mapping[str, Mapping[int, Curve]]:
    """Per metric of each split, one curve per seed."""
    points: dict[str, dict[int, list[tuple[int, float]]]] = {}
    for row in read_rows(directory):
        for name in row.keys() - {"step", "seed", "split"}:
            by_seed = points.setdefault(f"{row['split']}: {name}", {})
            by_seed.setdefault(row["seed"], []).append((row["step"], row[name]))
    return {name: points[name] for name in sorted(points)}


def is_full_disk(error: BaseException) -> bool:
    """Whether the file system had no room, as the operating system or a library underneath says it."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error)


def full_disk(directory: Path) -> RunError:
    """What the user is told when there is no room left."""
    return RunError(
        f"no space left on the disk of {directory}; what is there stays readable: free some space and give the same "
        "command again with this --workdir to continue from the last checkpoint"
    )
