"""Training batches, whose examples are a pure function of seed and step, so that resuming needs only the step."""

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int

from genjax.data.dataset import Examples, Load, Split
from genjax.errors import ArgumentError
from genjax.mesh import joined_parts, placed, read_parts
from genjax.programs import shared
from genjax.shuffle import epoch_permutation
from genjax.types import Batch, Key, PyTree

BatchLoad = Callable[[PyTree, PyTree, Key], Batch]


class Feed(NamedTuple):
    """Training batches of several seeds; the items have a leading seed axis."""

    arrays: PyTree
    """Arrays that stay on the device: all examples of the split, or nothing if it is streamed."""
    items: Callable[[int], Iterator[PyTree]]
    """Function of the first step that yields, for each step, the indices of its examples [seeds, batch]."""
    load: BatchLoad
    """Function of (`arrays`, item of one seed, key) that returns the batch of this seed on the device."""
    mesh: Mesh | None = None
    """Devices over which seeds and batches are spread; None for one device."""
    read: Callable[[PyTree], PyTree] | None = None
    """Function of an item that returns its raw examples [seeds, batch, ...], which `load` takes in its place, if the
    split is streamed; it also takes an item of some of the seeds and examples."""


def with_mesh(feed: Feed, mesh: Mesh | None) -> Feed:
    """Return the feed for the devices of the mesh, its arrays on each of them."""
    return feed if mesh is None else feed._replace(arrays=placed(mesh, feed.arrays), mesh=mesh)


def read_items(feed: Feed, start: int) -> Iterator[PyTree]:
    """Yield the item of each step from `start` on as `feed.load` takes it; examples are read ahead in threads.

    On a mesh each process reads the examples of its own devices.
    """
    if feed.read is None:
        return feed.items(start)
    import grain  # takes half a second, and most data sets fit into memory

    steps = grain.MapDataset.source(StepSource(feed, start))
    read = iter(steps.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=8)))
    if feed.mesh is None:
        return read
    return (joined_parts(feed.mesh, shape, parts) for shape, parts in read)


Positions = Callable[[int], range]
"""Function of the step that returns the positions of its examples in a seed's stream, one shuffled epoch after
another."""


@functools.lru_cache(maxsize=16)
def epoch_orders(seeds: tuple[int, ...], epoch: int, size: int) -> Int[np.ndarray, "seeds size"]:
    """Return the order in which each seed sees the `size` examples in `epoch`."""
    return np.stack([epoch_permutation(size, seed=seed, epoch=epoch) for seed in seeds]).astype(np.int32)


def batch_indices(
    seeds: tuple[int, ...], step: int, batch_size: int | Positions, size: int
) -> Int[np.ndarray, "seeds batch"]:
    """Return the indices of the examples of step `step`, counted from 0, in each seed's stream of shuffled epochs."""
    own = batch_size(step) if callable(batch_size) else range(step * batch_size, (step + 1) * batch_size)
    positions = np.asarray(own)
    epochs, offsets = np.divmod(positions, size)
    parts = [epoch_orders(seeds, int(epoch), size)[:, offsets[epochs == epoch]] for epoch in np.unique(epochs)]
    return np.concatenate(parts, axis=1)


def make_feed(split: Split, load: Load, seeds: Sequence[int], batch_size: SupportsIndex | Positions) -> Feed:
    """Return the training batches of `seeds`, each seed in its own order.

    `batch_size` is a number, or a function from the step to the positions of its examples if batches vary in size.

    Raises ValueError if there are no seeds, a seed repeats or does not fit into 32 bits, or the batch is empty or
    larger than the split.
    """
    check_seeds(seeds)
    size = batch_size if callable(batch_size) else operator.index(batch_size)
    if not callable(size):
        check_batch_size(split, size)
    items = functools.partial(indexed, split.size, tuple(seeds), size)
    if split.arrays is None:
        return Feed({}, items, raw_load(load), read=functools.partial(examples_at, split))
    return Feed(jax.device_put(dict(split.arrays)), items, indexed_load(load))


def examples_at(split: Split, indices: Int[np.ndarray, "seeds batch"]) -> Examples:
    """Read the examples [seeds, batch, ...] of a split at these indices."""
    examples = split.read(indices.reshape(-1))
    return {name: array.reshape(*indices.shape, *array.shape[1:]) for name, array in examples.items()}


@shared
def raw_load(load: Load) -> BatchLoad:
    """Return the function that loads a batch from its raw examples."""
    return lambda _, raw, key: load(raw, key)


@shared
def indexed_load(load: Load) -> BatchLoad:
    """Return the function that loads a batch from all examples and the indices of its own."""
    return lambda arrays, indices, key: load({name: array[indices] for name, array in arrays.items()}, key)


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise ValueError if there are no seeds, a seed repeats, or one does not fit into 32 bits."""
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise ArgumentError("seeds", tuple(seeds), f": needs at least one, each from 0 to {2**32 - 1} and only once")


def check_batch_size(split: Split, batch_size: int) -> None:
    """Raise ValueError if a batch is empty or larger than the split."""
    if not 1 <= batch_size <= split.size:
        raise ArgumentError(
            "batch_size", batch_size, f" must be from 1 to {split.size}, the number of training examples"
        )


def indexed(size: int, seeds: tuple[int, ...], batch_size: int | Positions, start: int) -> Iterator[np.ndarray]:
    """Yield the indices [seeds, batch] of each step from `start` on."""
    step = start
    while True:
        yield batch_indices(seeds, step, batch_size, size)
        step += 1


@dataclass(frozen=True)
class StepSource:
    """Random access to the raw examples of every step, for Grain."""

    feed: Feed
    start: int
    steps: int = 2**31 - 1

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> Any:
        """Return the raw examples of a step; on a mesh, the shape of its indices and the parts for each device."""
        item, read, mesh = next(self.feed.items(self.start + int(index))), self.feed.read, self.feed.mesh
        if read is None:
            raise ValueError("the examples of this feed lie on the device: there is nothing to read")
        if mesh is None:
            return read(item)
        return max((leaf.shape for leaf in jax.tree.leaves(item)), key=len), read_parts(mesh, item, read)
