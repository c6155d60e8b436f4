"""Checkpoints: training states saved with Orbax, each with a digest by which a damaged checkpoint is recognized."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax import Array

from genjax.mesh import fetched, wait_for_all
from genjax.types import PyTree


class Restored(NamedTuple):
    """Result of `restore_latest`."""

    step: int
    """Training step of the checkpoint."""
    tree: PyTree
    """Saved state."""
    facts: dict[str, Any]
    """JSON values that were saved with the state."""
    damaged: dict[int, str]
    """Newer checkpoints that were skipped because they are damaged: step -> path and reason."""


class Checkpoints:
    """The latest checkpoints of one training run, in one folder.

    A checkpoint is written under a temporary name and then renamed: if the process is killed meanwhile, earlier
    checkpoints stay intact. The folder's path must be absolute; where it holds brackets or a backslash, parts of
    patterns to Orbax, Orbax works through a link to it. With `read_only`, nothing on the disk is changed, not even the
    unfinished save of another process.
    """

    def __init__(self, folder: Path, *, keep: int = 3, read_only: bool = False) -> None:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=not read_only,
            cleanup_tmp_directories=not read_only,
            enable_async_checkpointing=False,
            read_only=read_only,
        )
        self.folder = folder
        self.link = None
        if set("[]\\") & set(str(folder)):
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
            self.link = Path(tempfile.mkdtemp(prefix="genjax-")) / "checkpoints"
            self.link.symlink_to(folder, target_is_directory=True)
        self.manager = ocp.CheckpointManager(self.link or folder, options=options)

    def save(self, step: int, tree: PyTree, facts: dict[str, Any]) -> None:
        """Save `tree` and the JSON values `facts` under `step`; do nothing if that step is saved already.

        Raises OSError or ValueError if the file system refuses, for instance because the disk is full.
        """
        if step in self.manager.all_steps():
            return
        arrays = as_arrays(tree)
        args = ocp.args.Composite(
            tree=ocp.args.StandardSave(arrays),
            facts=ocp.args.JsonSave({**facts, "sha256": digest(arrays)}),
        )
        if not self.manager.save(step, args=args):
            raise ValueError(f"step={step}: Orbax has a later checkpoint than this in {self.folder}")

    def restore_latest(self, like: PyTree) -> Restored | None:
        """Return the newest intact checkpoint with the structure, shapes and types of `like`; None if there is none.

        Raises ValueError if there are checkpoints but all are damaged.
        """
        damaged: dict[int, str] = {}
        for step in sorted(self.manager.all_steps(), reverse=True):
            try:
                tree, facts = self.read(step, like)
            except Exception as error:  # Orbax raises many types for half-written or overwritten files
                damaged[step] = f"{self.folder / str(step)}: {first_line(error)}"
                continue
            return Restored(step, tree, facts, damaged)
        if damaged:
            raise ValueError("all checkpoints are damaged: " + "; ".join(damaged.values()))
        return None

    def set_aside(self, step: int) -> Path:
        """Move a checkpoint out of the folder, so that its step can be saved again; return its new path."""
        names = (f"{self.folder.name}-damaged-{step}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 100))))
        aside = next(path for name in names if not (path := self.folder.with_name(name)).exists())
        if jax.process_index() == 0:
            (self.folder / str(step)).rename(aside)
        wait_for_all(f"set aside {step}")
        self.manager.reload()
        return aside

    def read(self, step: int, like: PyTree) -> tuple[PyTree, dict[str, Any]]:
        """Return the tree and the facts of one checkpoint; raise if its files or arrays are damaged."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, as_arrays(like))
        args = ocp.args.Composite(tree=ocp.args.StandardRestore(abstract), facts=ocp.args.JsonRestore())
        found = self.manager.restore(step, args=args)
        facts = dict(found["facts"])
        if digest(found["tree"]) != facts.pop("sha256"):
            raise ValueError("its arrays do not match their SHA-256")
        return from_arrays(found["tree"], like), facts

    def facts(self, step: int) -> dict[str, Any]:
        """Return the JSON values of a checkpoint without reading its arrays; raise if they cannot be read."""
        found = self.manager.restore(step, args=ocp.args.Composite(facts=ocp.args.JsonRestore()))
        return dict(found["facts"])

    def close(self) -> None:
        """Release the resources that Orbax holds."""
        self.manager.close()
        if self.link is not None and self.link.is_symlink():
            self.link.unlink()
            self.link.parent.rmdir()


def is_key(leaf: Array) -> bool:
    """Whether the array holds random keys, which Orbax cannot write directly."""
    return jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def as_arrays(tree: PyTree) -> PyTree:
    """Replace random keys by their raw data; all other leaves are returned unchanged."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)


def from_arrays(arrays: PyTree, like: PyTree) -> PyTree:
    """Undo `as_arrays`: turn raw data back into random keys at every leaf where `like` has random keys."""

    def restore(array: Array, leaf: Array) -> Array:
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf)) if is_key(leaf) else array

    return jax.tree.map(restore, arrays, like)


def digest(arrays: PyTree) -> str:
    """Return the SHA-256, in hexadecimal, over path, type, shape and bytes of every leaf."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(fetched(arrays)):
        array = np.ascontiguousarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {array.dtype} {np.shape(leaf)}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message, cut to 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
