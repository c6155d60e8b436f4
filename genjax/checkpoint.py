"""Checkpoints: a training state on disk by way of Orbax, with a digest that tells a damaged one from a good one."""

import hashlib
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax import Array

from genjax.types import PyTree

Tree = TypeVar("Tree")


class Restored(NamedTuple, Generic[Tree]):
    """What `restore_latest` found."""

    step: int
    tree: Tree
    facts: dict[str, Any]
    damaged: tuple[str, ...]
    """For each newer checkpoint that was passed over: its path and what is wrong with it."""


class Checkpoints:
    """The last checkpoints of one training run, in one folder.

    A save is written beside its final place and renamed: a process killed in the middle of it leaves the earlier
    checkpoints as they are. The folder's path must be absolute.
    """

    def __init__(self, folder: Path, *, keep: int = 3) -> None:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, create=True, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self.folder = folder
        self.manager = ocp.CheckpointManager(folder, options=options)

    def save(self, step: int, tree: PyTree, facts: dict[str, Any]) -> None:
        """Save `tree` and the JSON values `facts` under `step`; nothing is done where that step is there already.

        Raises OSError or ValueError where the file system refuses, such as on a full disk.
        """
        if step in self.manager.all_steps():
            return
        arrays = as_arrays(tree)
        args = ocp.args.Composite(
            tree=ocp.args.StandardSave(arrays),
            facts=ocp.args.JsonSave({**facts, "sha256": digest(arrays)}),
        )
        self.manager.save(step, args=args)

    def restore_latest(self, like: Tree) -> Restored[Tree] | None:
        """The newest checkpoint that is whole, in the structure, shapes and types of `like`; None where there is none.

        Damaged ones that are newer are named in the result and deleted, so that training can save these steps anew.
        """
        damaged: list[str] = []
        for step in sorted(self.manager.all_steps(), reverse=True):
            try:
                tree, facts = self.read(step, like)
            except Exception as error:  # whatever a half-written or overwritten file makes Orbax raise
                damaged.append(f"{self.folder / str(step)}: {first_line(error)}")
                self.manager.delete(step)
                continue
            return Restored(step, tree, facts, tuple(damaged))
        if damaged:
            raise ValueError("no checkpoint is whole: " + "; ".join(damaged))
        return None

    def read(self, step: int, like: Tree) -> tuple[Tree, dict[str, Any]]:
        """The checkpoint of `step`; raises where it is not what was saved."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, as_arrays(like))
        args = ocp.args.Composite(tree=ocp.args.StandardRestore(abstract), facts=ocp.args.JsonRestore())
        found = self.manager.restore(step, args=args)
        facts = dict(found["facts"])
        if digest(found["tree"]) != facts.pop("sha256"):
            raise ValueError("its arrays do not match their SHA-256")
        return from_arrays(found["tree"], like), facts

    def close(self) -> None:
        """Release what Orbax holds."""
        self.manager.close()


def is_key(leaf: Array) -> bool:
    """Whether the array holds random keys, which Orbax cannot write as they are."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def as_arrays(tree: PyTree) -> PyTree:
    """Keys as their raw data, everything else as it is."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)


def from_arrays(arrays: PyTree, like: Tree) -> Tree:
    """The inverse of `as_arrays`."""

    def restore(array: Array, leaf: Array) -> Array:
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf)) if is_key(leaf) else array

    return jax.tree.map(restore, arrays, like)


def digest(arrays: PyTree) -> str:
    """SHA-256 over path, type, shape and bytes of every leaf."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(arrays):
        array = np.ascontiguousarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {array.dtype} {np.shape(leaf)}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def first_line(error: Exception) -> str:
    """What an exception says, cut to its first 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
