"""Several devices: the seeds of a training and the examples of its batches, spread over a mesh of devices.

The mesh has two axes. Groups of devices along `seed` train different seeds and never speak to each other; the devices
of a group, along `batch`, share the examples of each batch, and the state of their seeds lies on each of them. What is
computed is what one device would compute: losses, gradients and batch statistics are of the whole batch.
"""

import math

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from genjax.errors import ArgumentError
from genjax.types import PyTree

SEED, BATCH = "seed", "batch"
"""Names of the axes of a mesh."""


def make_mesh(seeds: int, batch_size: int, devices: int | None = None) -> Mesh | None:
    """Return the mesh of the first `devices` devices for this number of seeds and of examples in a batch.

    There are as many groups as can share the seeds evenly, gcd(seeds, devices), and the devices of a group divide each
    batch evenly. By default the mesh has as many devices as can. Returns None for one device, which needs no mesh.

    Raises ValueError if there are not so many devices, or a batch does not divide over the devices of a group.
    """
    there = jax.device_count()
    fitting = [count for count in range(1, there + 1) if batch_size % group_size(seeds, count) == 0]
    count = fitting[-1] if devices is None else devices
    if not 1 <= count <= there:
        raise ArgumentError("devices", devices, f" must be from 1 to {there}, the number of devices here")
    if count not in fitting:
        choices = ", ".join(map(str, fitting))
        needs = f": {seeds} seed(s) with batches of {batch_size} examples divide over {choices} devices"
        raise ArgumentError("devices", devices, needs)
    if count == 1:
        return None
    size = group_size(seeds, count)
    # Under explicit axes, the other kind, the carry of a scan would change its type.
    kinds = (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh((count // size, size), (SEED, BATCH), axis_types=kinds, devices=jax.devices()[:count])


def group_size(seeds: int, devices: int) -> int:
    """Return the number of devices that share the batches of their seeds."""
    return devices // math.gcd(seeds, devices)


def placed(mesh: Mesh | None, tree: PyTree, *axes: str) -> PyTree:
    """Put arrays on the devices, their first axes spread over these axes of the mesh; without axes, all on each."""
    return jax.device_put(tree, None if mesh is None else NamedSharding(mesh, PartitionSpec(*axes)))


def gathered(mesh: Mesh | None, tree: PyTree) -> PyTree:
    """Put whole arrays on the first device of the mesh, for what is done on one; as they are without a mesh."""
    return tree if mesh is None else jax.device_put(tree, mesh.devices.flat[0])


def constrained(mesh: Mesh | None, tree: PyTree, *axes: str) -> PyTree:
    """Inside a program: let arrays lie as `placed` puts them."""
    if mesh is None:
        return tree
    within = jax.sharding.get_abstract_mesh()  # inside `jax.shard_map` over the seeds
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh if within.empty else within, PartitionSpec(*axes)))
