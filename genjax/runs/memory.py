"""Memory that a training needs at least, compared with what there is before anything is allocated."""

import math
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from genjax.mesh import SEED
from genjax.runs.directory import RunError
from genjax.runs.experiment import Experiment
from genjax.training import init_call
from genjax.types import PyTree

GIBIBYTE = 2**30


def size_of(tree: PyTree) -> int:
    """Return the bytes of all arrays of a tree."""
    return sum(math.prod(leaf.shape) * np.dtype(raw_type(leaf)).itemsize for leaf in jax.tree.leaves(tree))


def raw_type(leaf: Any) -> Any:
    """Return the type of an array's elements; a random key counts as eight bytes."""
    return np.uint64 if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf.dtype


def check_state_fits(experiment: Experiment, seeds: Sequence[int], batch_size: int, mesh: Mesh | None) -> None:
    """Raise RunError if the state of a group of seeds, with its gradient, needs more memory than a device has.

    The state is traced, not computed. A training needs more than this, for activations: `python -m genjax plan` says
    how much.
    """
    program, arguments = init_call(experiment.model, experiment.training_feed(seeds, batch_size), seeds)
    state = program.eval_shape(*arguments)
    groups = 1 if mesh is None else mesh.shape[SEED]
    needed, there = (size_of(state) + size_of(state.params)) // groups, device_memory()
    if there is not None and needed > there:
        sizes = f"{needed / GIBIBYTE:.1f} GiB, and a device has {there / GIBIBYTE:.1f} GiB"
        raise RunError(
            f"the parameters, optimizer state and gradients of {len(seeds)} seed(s) need {sizes}; choose a smaller "
            "model, or fewer --seeds-at-once",
            exit_code=2,
        )


def device_memory() -> int | None:
    """Return the bytes of memory of the first device; None if they are not known."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    return host_memory()


def host_memory() -> int | None:
    """Return the bytes of memory of this machine, or of what its container may use; None if they are not known."""
    try:
        limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):
        return None
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(file, encoding="ascii") as limit:
                limits.append(int(limit.read()))
        except (OSError, ValueError):
            continue
    return min((limit for limit in limits if limit > 0), default=None)
