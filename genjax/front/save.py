"""A training state on disk, and back."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp

from genjax.checkpoint import Checkpoints, as_arrays
from genjax.core import Model, TrainState
from genjax.data.arrays import ArrayDataset
from genjax.data.dataset import Dataset
from genjax.front.check import arrays_of, check_data
from genjax.front.train import Training
from genjax.training import init_seeds
from genjax.training import seed as seed_of

SHOWN = 3
"""Differences between two models that an error names."""

Layout = dict[str, str]
"""Path of each array of a state -> its type and shape."""


def save(path: str | Path, state: TrainState, *, overwrite: bool = False) -> None:
    """Write a state to a new folder, from which `genjax.restore` reads it bit for bit.

    Raises ValueError where the path exists; with `overwrite`, where it is no folder that `save` has written.
    """
    folder = Path(path).expanduser().absolute()
    if folder.exists() and not overwrite:
        raise ValueError(f"path={str(path)!r} exists; choose another path, or pass overwrite=True")
    if folder.exists() and not is_saved(folder):
        raise ValueError(f"path={str(path)!r} is no folder that genjax.save has written; choose another path")
    written = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True)
    checkpoints = Checkpoints(written, keep=1)
    facts = {"layout": layout(state), "seeds": len(state.key) if state.key.ndim else 0}
    checkpoints.save(int(state.step), state, facts)
    checkpoints.close()
    if folder.exists():
        shutil.rmtree(folder)
    written.rename(folder)


def is_saved(folder: Path) -> bool:
    """Return whether a folder is one that `save` has written: it holds one checkpoint, named by its step."""
    return folder.is_dir() and [one.name.isdecimal() for one in folder.iterdir()] == [True]


def restore(path: str | Path, model: Model, data: ArrayDataset | Dataset) -> TrainState:
    """Read the state that `genjax.save` has written for this model.

    Raises FileNotFoundError where there is none, ValueError where it was saved by another model or is damaged.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.exists():
        raise FileNotFoundError(f"path={str(path)!r}: there is no such folder; write one with genjax.save")
    if not is_saved(folder):
        raise ValueError(f"path={str(path)!r} is no folder that genjax.save has written")
    found = arrays_of(data)
    check_data(model, found)
    with errors_only("absl"):  # Orbax warns of a folder that it is told only to read
        checkpoints = Checkpoints(folder, read_only=True)
    try:
        return read(checkpoints, str(path), model, found)
    finally:
        checkpoints.close()


@contextlib.contextmanager
def errors_only(name: str) -> Iterator[None]:
    """Silence the warnings of a logger."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def read(checkpoints: Checkpoints, path: str, model: Model, data: ArrayDataset) -> TrainState:
    """Read the only checkpoint of a folder; ValueError where it is damaged or of another model."""
    (step,) = checkpoints.manager.all_steps()
    try:
        facts = checkpoints.facts(step)
    except Exception as error:  # whatever a damaged file makes Orbax raise
        raise ValueError(f"path={path!r} is damaged: {error}") from error
    seeds = tuple(range(max(1, facts["seeds"])))
    fresh = init_seeds(model, Training(model, data, None, 1, None).feed(seeds), seeds)
    like = fresh if facts["seeds"] else seed_of(fresh, 0)
    check_layout(path, facts["layout"], layout(like))
    try:
        return checkpoints.read(step, like)[0]
    except Exception as error:  # as above
        raise ValueError(f"path={path!r} is damaged: {error}") from error


def layout(state: TrainState) -> Layout:
    """Return the type and shape of each array by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(as_arrays(state))
    return {jax.tree_util.keystr(path): f"{jnp.asarray(leaf).dtype}{list(jnp.shape(leaf))}" for path, leaf in leaves}


def check_layout(path: str, saved: Layout, own: Layout) -> None:
    """Raise ValueError where the arrays of a saved state are not those of the model."""
    names = [name for name in {**saved, **own} if saved.get(name) != own.get(name)]
    if not names:
        return
    shown = [f"{name} is {saved.get(name, 'missing')} there and {own.get(name, 'missing')} here" for name in names]
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise ValueError(
        f"path={path!r} was saved by another model: {'; '.join(shown[:SHOWN])}{more}; restore it with "
        "the same factory, options and image shape"
    )
