"""Several devices: the seeds of a training and the examples of its batches, spread over a mesh of devices.

The mesh has two axes. Groups of devices along `seed` train different seeds and never speak to each other; the devices
of a group, along `batch`, share the examples of each batch, and the state of their seeds lies on each of them. What is
computed is what one device would compute: losses, gradients and batch statistics are of the whole batch.

The devices may belong to several processes, such as one on each host of a cluster. All of them then run the same
program, and arrays of the mesh are whole only in parts that lie with different processes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
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
    # A process without a device in the mesh would have nothing to compute: several processes use all devices.
    possible = range(1, there + 1) if jax.process_count() == 1 else (there,)
    fitting = [count for count in possible if batch_size % group_size(seeds, count) == 0]
    count = max(fitting, default=there) if devices is None else devices
    if not 1 <= count <= there:
        raise ArgumentError("devices", devices, f" must be from 1 to {there}, the number of devices here")
    if count not in fitting:
        raise ArgumentError("devices", count, unfit(seeds, batch_size, count))
    if count == 1:
        return None
    size = group_size(seeds, count)
    return mesh_over(count // size, jax.devices()[:count])


def mesh_over(groups: int, devices: Sequence[Any]) -> Mesh:
    """Return the mesh of these devices in equal groups."""
    # Under explicit axes, the other kind, the carry of a scan would change its type.
    kinds = (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh((groups, len(devices) // groups), (SEED, BATCH), axis_types=kinds, devices=devices)


def on_each_device(tree: PyTree, devices: int | None = None) -> PyTree:
    """Put whole arrays on each of the first `devices` devices of this process, by default on all.

    A trained model is evaluated and sampled on the devices on which its parameters lie (`mesh_of`). Raises ValueError
    if there are not so many devices.
    """
    there = jax.local_devices()
    if devices is not None and not 1 <= devices <= len(there):
        raise ArgumentError("devices", devices, f" must be from 1 to {len(there)}, the number of devices here")
    used = there[:devices]
    return jax.device_put(tree, NamedSharding(mesh_over(1, used), PartitionSpec()) if len(used) > 1 else used[0])


def mesh_of(tree: PyTree) -> Mesh | None:
    """Return the mesh on whose devices the arrays lie; None for one device."""
    found = (getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(tree))
    meshes = (one.mesh for one in found if isinstance(one, NamedSharding) and one.mesh.size > 1)
    return next(meshes, None)  # pyright: ignore[reportReturnType]


def unfit(seeds: int, batch_size: int, devices: int) -> str:
    """Return what an error says of a number of devices over which seeds and batches do not divide."""
    if (processes := jax.process_count()) > 1:
        all_of_them = jax.device_count()
        if devices != all_of_them:
            return f" must be {all_of_them}: the {processes} processes of a run use all of their devices"
        size = group_size(seeds, devices)
        return f": with {seeds} seed(s), {size} devices share a batch; its {batch_size} examples must divide by {size}"
    fitting = [count for count in range(1, jax.device_count() + 1) if batch_size % group_size(seeds, count) == 0]
    choices = ", ".join(map(str, fitting))
    return f": {seeds} seed(s) with batches of {batch_size} examples divide over {choices} devices"


def group_size(seeds: int, devices: int) -> int:
    """Return the number of devices that share the batches of their seeds."""
    return devices // math.gcd(seeds, devices)


def placed(mesh: Mesh | None, tree: PyTree, *axes: str) -> PyTree:
    """Put arrays on the devices, their first axes spread over these axes of the mesh; without axes, all on each.

    Of several processes each has the same arrays, and keeps the part of its own devices.
    """
    if mesh is None:
        return jax.device_put(tree)
    sharding = NamedSharding(mesh, PartitionSpec(*axes))

    def put(leaf: jax.Array | np.ndarray) -> jax.Array:
        if isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.device_put(tree, sharding) if jax.process_count() == 1 else jax.tree.map(put, tree)


def gathered(mesh: Mesh | None, tree: PyTree) -> PyTree:
    """Put whole arrays on the first device of each process, for what is done on one; as they are without a mesh.

    All processes must call it together.
    """
    if mesh is None:
        return tree
    if jax.process_count() == 1:
        return jax.device_put(tree, mesh.devices.flat[0])
    everywhere = jax.jit(lambda arrays: arrays, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), everywhere)


def fetched(tree: PyTree) -> PyTree:
    """Return whole NumPy arrays, on every process; all processes must call it together."""
    return jax.device_get(tree) if is_here(tree) else multihost_utils.process_allgather(tree, tiled=True)


def is_here(tree: PyTree) -> bool:
    """Return whether this process has the whole of every array."""
    arrays = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array)]
    return all(leaf.is_fully_addressable or leaf.is_fully_replicated for leaf in arrays)


def wait_for_all(what: str) -> None:
    """Wait until all processes of a run have come here; `what` names the place."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def read_parts(mesh: Mesh, item: PyTree, read: Callable[[PyTree], PyTree]) -> list[PyTree]:
    """Return what `read` gives for the part of each device of this process; equal parts are read once.

    `item` is a tree of NumPy arrays [seeds, batch] or [seeds], the same on all processes.
    """
    found: dict[str, PyTree] = {}

    def part(device: Any) -> PyTree:
        places = jax.tree.map(
            lambda leaf: spread_evenly(mesh, leaf.shape).devices_indices_map(leaf.shape)[device], item
        )
        if str(places) not in found:
            found[str(places)] = read(jax.tree.map(lambda leaf, place: leaf[place], item, places))
        return found[str(places)]

    return [part(device) for device in mesh.local_devices]


def joined_parts(mesh: Mesh, shape: tuple[int, ...], parts: Sequence[PyTree]) -> PyTree:
    """Return arrays of the mesh from the parts of `read_parts`; `shape` is that of the indices, (seeds, batch)."""

    def join(*leaves: np.ndarray) -> jax.Array:
        leading = shape[: leaves[0].ndim]
        on_devices = [jax.device_put(leaf, device) for leaf, device in zip(leaves, mesh.local_devices, strict=True)]
        whole = (*leading, *leaves[0].shape[len(leading) :])
        return jax.make_array_from_single_device_arrays(whole, spread_evenly(mesh, leading), on_devices)

    return jax.tree.map(join, *parts)


def spread_evenly(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    """Return how arrays [seeds, batch] or [seeds] lie on the mesh: an axis that does not divide is whole everywhere."""
    axes = (axis if size % mesh.shape[axis] == 0 else None for axis, size in zip((SEED, BATCH), shape, strict=False))
    return NamedSharding(mesh, PartitionSpec(*axes))


def constrained(mesh: Mesh | None, tree: PyTree, *axes: str) -> PyTree:
    """Inside a program: let arrays lie as `placed` puts them."""
    if mesh is None:
        return tree
    within = jax.sharding.get_abstract_mesh()  # inside `jax.shard_map` over the seeds
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh if within.empty else within, PartitionSpec(*axes)))


def over_examples(mesh: Mesh | None, function: Callable[[PyTree], PyTree], batch: PyTree) -> PyTree:
    """Inside a program: apply a function of a batch with its examples spread over the devices of a mesh.

    All devices have the batch before and the results after it: examples need not divide evenly over them.
    """
    # Arguments of a program that are spread must divide evenly; XLA would spread them by itself without the first line.
    whole = constrained(mesh, batch)
    results = constrained(mesh, function(constrained(mesh, whole, BATCH)), BATCH)
    return constrained(mesh, results)
