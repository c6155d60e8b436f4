"""Saving of a training state to disk, and restoring it."""

import contextlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax

from genjax.checkpoint import Checkpoints, as_arrays
from genjax.core import Model, TrainState
from genjax.data.arrays import ArrayDataset
from genjax.data.dataset import Dataset
from genjax.front.check import arrays_of, check_examples
from genjax.front.train import Training
from genjax.training import empty_seeds
from genjax.training import seed as seed_of

FACTS = ("layout", "seeds")
"""Names of the facts that are saved with a state."""

SHOWN = 3
"""Number of differences between two models that an error lists."""

Layout = Mapping[str, list]
"""Path of each array of a state -> [type, shape], as stored in JSON."""


def save(path: str | Path, state: TrainState, *, overwrite: bool = False) -> None:
    """Write a state to a new folder, from which `genjax.restore` reads it bit for bit.

    Raises ValueError if the path exists; with `overwrite`, only if it is no folder that `save` has written.
    """
    folder = Path(path).expanduser().absolute()
    if folder.exists() and not overwrite:
        raise ValueError(f"path={str(path)!r} exists; choose another path, or pass overwrite=True")
    if folder.exists() and not is_saved(folder):
        raise ValueError(f"path={str(path)!r} is no folder that genjax.save has written; choose another path")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        write(beside / "new", state)
        put_in_place(folder, beside / "new", beside / "old")
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write(folder: Path, state: TrainState) -> None:
    """Write a state to a new folder, with the facts by which `restore` checks that a model suits it."""
    folder.mkdir()
    checkpoints = Checkpoints(folder, keep=1)
    facts = {"layout": layout(state), "seeds": len(state.key) if state.key.ndim else 0}
    checkpoints.save(int(state.step), state, facts)
    checkpoints.close()


def put_in_place(folder: Path, new: Path, old: Path) -> None:
    """Rename the folder `new` to `folder`; what `folder` was becomes `old`, and comes back if the renaming fails."""
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise


def is_saved(folder: Path) -> bool:
    """Return whether a folder is one that `save` has written, with facts that can be read."""
    try:
        facts = json.loads((checkpoint_of(folder) / "facts" / "metadata").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and set(FACTS) <= set(facts)


def checkpoint_of(folder: Path) -> Path:
    """Return the folder of the only checkpoint, named by its step; ValueError if `save` cannot have written `folder`.

    Hidden entries, such as those of a file manager, are ignored.
    """
    shown = [one for one in folder.iterdir() if not one.name.startswith(".")] if folder.is_dir() else []
    if [one.name.isdecimal() for one in shown] != [True]:
        raise ValueError(f"path={str(folder)!r} is no folder that genjax.save has written")
    return shown[0]


def restore(path: str | Path, model: Model, data: ArrayDataset | Dataset) -> TrainState:
    """Read the state that `genjax.save` has written for this model.

    Raises FileNotFoundError if there is no such folder, ValueError if another model saved it or it is damaged.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.exists():
        raise FileNotFoundError(f"path={str(path)!r}: there is no such folder; write one with genjax.save")
    checkpoint_of(folder)
    found = arrays_of(data)
    check_examples(model, found.train)
    with errors_only("absl"):  # Orbax warns about read-only folders
        checkpoints = Checkpoints(folder, read_only=True)
    try:
        return read(checkpoints, str(path), model, found)
    finally:
        checkpoints.close()


@contextlib.contextmanager
def errors_only(name: str) -> Iterator[None]:
    """Silence all messages of a logger below the level ERROR."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def read(checkpoints: Checkpoints, path: str, model: Model, data: ArrayDataset) -> TrainState:
    """Read the only checkpoint of a folder; raise ValueError if it is damaged or of another model."""
    try:
        (step,) = checkpoints.manager.all_steps()
        facts = checkpoints.facts(step)
    except Exception as error:  # Orbax raises many types for a damaged file
        raise ValueError(f"path={path!r} is damaged: {error}") from error
    if not set(FACTS) <= set(facts):
        raise ValueError(f"path={path!r} is no folder that genjax.save has written")
    training = Training(model, data, None, 1, None)
    like = empty_state(training, facts["seeds"])
    if size := other_batch_size(facts["layout"], layout(like), training.size):
        like = empty_state(training._replace(batch_size=size), facts["seeds"])
    check_layout(path, facts["layout"], layout(like))
    try:
        return checkpoints.read(step, like)[0]
    except Exception as error:  # of many types, as above
        raise ValueError(f"path={path!r} is damaged: {error}") from error


def empty_state(training: Training, seeds: int) -> TrainState:
    """Return a state of zeros with the model's shapes and types; it has no seed axis if `seeds` is 0."""
    numbers = tuple(range(max(1, seeds)))
    state = empty_seeds(training.model, training.plain_feed(numbers), numbers)
    return state if seeds else seed_of(state, 0)


def other_batch_size(saved: Layout, own: Layout, size: int) -> int | None:
    """Return the batch size of the saved training if a saved statistic shows that it is not `size`, else None.

    The batch size shows in a model of sequences, which carries the state of each row of the batch between steps.
    """
    for name in saved.keys() & own.keys():
        (_, shape), (_, own_shape) = saved[name], own[name]
        pairs = [pair for pair in zip(shape, own_shape, strict=False) if pair[0] != pair[1]]
        if name.startswith(".stats") and len(shape) == len(own_shape) and len(pairs) == 1 and pairs[0][1] == size:
            return pairs[0][0]
    return None


def layout(state: TrainState) -> Layout:
    """Return the type and shape of each array by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(as_arrays(state))
    return {jax.tree_util.keystr(path): [str(leaf.dtype), list(leaf.shape)] for path, leaf in leaves}


def check_layout(path: str, saved: Layout, own: Layout) -> None:
    """Raise ValueError if the arrays of a saved state differ from those of the model in path, type or shape."""
    names = [name for name in {**saved, **own} if saved.get(name) != own.get(name)]
    if not names:
        return
    shown = [f"{name} is {shown_array(saved, name)} there and {shown_array(own, name)} here" for name in names]
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise ValueError(
        f"path={path!r} was saved by another model: {'; '.join(shown[:SHOWN])}{more}; restore it with "
        "the same factory, options and image shape"
    )


def shown_array(arrays: Layout, name: str) -> str:
    """Return the type and shape of an array as text for an error, or "missing"."""
    return "{}{}".format(*arrays[name]) if name in arrays else "missing"
