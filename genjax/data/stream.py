"""One long sequence: training batches whose rows continue from step to step, and windows for evaluation."""

from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from genjax.data.dataset import Dataset, Examples, Split
from genjax.data.feed import BatchLoad, Feed
from genjax.errors import ArgumentError
from genjax.programs import shared
from genjax.shuffle import uniform
from genjax.types import Batch, Key, PyTree

CONTEXT, WINDOW = 250, 500
"""Numbers of elements at the start of a window that are read but not scored, and of elements that are scored."""

Stream = Shaped[np.ndarray, " _"]
"""Sequence of characters (as integers) or of real values."""


def stream_dataset(name: str, protocol: str, train: Stream, validation: Stream, test: Stream, sha256: str) -> Dataset:
    """Return the three parts of a sequence as a data set of windows."""
    windows = map(stream_windows, (train, validation, test))
    return Dataset(name, protocol, *windows, load=lambda raw, key: dict(raw), sha256=sha256)


def stream_windows(stream: Stream, *, context: int = CONTEXT, window: int = WINDOW) -> Split:
    """Return windows that score every element of the stream once, each after up to `context` earlier elements.

    An example is `sequence` [context + window] and `weight` of the same shape. Weights are 0 for elements that are only
    read, and for the padding after the stream's end. The first window has no context and scores all its elements.
    Weights are scaled such that the mean over examples of sum(weight * nll) is the mean nll of an element of the
    stream.

    Raises ValueError if the stream is empty.
    """
    if len(stream) == 0:
        raise ValueError("stream: holds nothing to measure")
    count = max(1, -(-(len(stream) - context) // window))

    def read(indices: np.ndarray) -> Examples:
        first = indices[:, None] * window
        positions = first + np.arange(context + window)
        scored = (positions < len(stream)) & ((positions >= first + context) | (first == 0))
        weight = (scored * (count / len(stream))).astype(np.float32)
        return {"sequence": stream[np.minimum(positions, len(stream) - 1)], "weight": weight}

    return Split(count, read, None)


def stream_feed(stream: Stream, seeds: Sequence[int], batch_size: int, *, length: int) -> Feed:
    """Return training batches `sequence` [batch_size, length]: row b of a step continues row b of the step before.

    In each pass the stream is rotated by an offset that depends on seed and pass (its beginning follows its end), cut
    to a multiple of batch_size * length, and laid out in batch_size rows. `continues` [batch_size] is False in the
    first step of a pass, in which no row continues an earlier one.

    Raises ValueError if one step needs more elements than the stream has.
    """
    size = len(stream)
    if batch_size < 1 or length < 1 or batch_size * length > size:
        raise ArgumentError(
            "batch_size",
            batch_size,
            f", length={length}: a step reads batch_size x length elements, at least 1 and "
            f"at most the {size} there are",
        )
    steps = size // (batch_size * length)

    def items(start: int) -> Iterator[PyTree]:
        step = start
        while True:
            turn, index = divmod(step, steps)
            offsets = [int(uniform(seed, turn, ()) * size) for seed in seeds]
            yield {
                "first": np.asarray(offsets, np.int32) + np.int32(index * length),
                "continues": np.full(len(seeds), index > 0),
            }
            step += 1

    return Feed(jnp.asarray(stream), items, stretches_load(batch_size, length, size))


@shared
def stretches_load(batch_size: int, length: int, size: int) -> BatchLoad:
    """Return the function that loads a batch from a stream of `size` elements and the place where it begins."""
    rows = size // (batch_size * length) * length * np.arange(batch_size)[:, None]

    def load(arrays: PyTree, item: PyTree, key: Key) -> Batch:
        del key
        positions = (item["first"] + rows + np.arange(length)) % size
        return {"sequence": arrays[positions], "continues": jnp.broadcast_to(item["continues"], (batch_size,))}

    return load
