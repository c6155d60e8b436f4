"""Batches for progressive growing: image size, fade-in and batch size of each step (Karras et al. 2018, sec. 2, fig.
2).

Level 0 has the smallest images, and each level has twice the height and width of the level before. The depth d of a
step tells how far the networks have grown: all levels up to d are complete. If d is not an integer, the next level is
being faded in, and its weight alpha is the fractional part of d. alpha is linear in the number of images seen, and a
function of the step alone.
"""

import bisect
import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import reduce
from jaxtyping import Array, Float

from genjax.data.dataset import Load, Split
from genjax.data.feed import BatchLoad, Feed, check_batch_size, make_feed
from genjax.programs import shared
from genjax.types import Batch, Key, PyTree


class Stage(NamedTuple):
    """Stage of training at one image size."""

    level: int
    """Level of the images, from 0 for the smallest."""
    batch_size: int
    """Number of examples per batch at this level."""
    fade: int = 0
    """Number of training images while the level is faded in."""
    stable: int = 0
    """Number of training images after the fade-in, before the next stage begins; the last stage has no end."""


class Moment(NamedTuple):
    """Stage and depth of one step."""

    stage: Stage
    """Stage to which the step belongs."""
    seen: int
    """Number of training images seen before the step, in all stages."""
    depth: float
    """Number of the last complete level, plus the weight alpha of the level that is being faded in."""


def doublings(image_shape: tuple[int, ...], start: int) -> int:
    """Return how often the side `start` must double to reach the images' sides: the number of the last level.

    Raises ValueError if doubling cannot reach the height and width.
    """
    height, width = image_shape[:2]
    factor = height // start if start > 0 else 0
    if height != width or factor < 1 or factor * start != height or factor & (factor - 1):
        raise ValueError(f"image_shape={image_shape}: height and width must be start={start} times one power of 2")
    return factor.bit_length() - 1


def growing(batch_sizes: Sequence[int], *, fade: int, stable: int) -> tuple[Stage, ...]:
    """Return a stage for each level, with these batch sizes; all levels except the first are faded in.

    Raises ValueError if there is no level, or a number is below 1.
    """
    if not batch_sizes or min(*batch_sizes, fade, stable) < 1:
        raise ValueError(f"batch_sizes={tuple(batch_sizes)}, fade={fade} and stable={stable} must be at least 1")
    return tuple(Stage(level, size, fade if level else 0, stable) for level, size in enumerate(batch_sizes))


def starts(stages: Sequence[Stage]) -> list[int]:
    """Return the first step of each stage; a stage ends with the batch that reaches its number of images."""
    lengths = (-(-(stage.fade + stage.stable) // stage.batch_size) for stage in stages[:-1])
    return list(itertools.accumulate(lengths, initial=0))


def moment(stages: Sequence[Stage], step: int) -> Moment:
    """Return the stage, the number of images seen and the depth of step `step`, counted from 0."""
    first = starts(stages)
    index = bisect.bisect_right(first, step) - 1
    earlier = sum((first[i + 1] - first[i]) * stages[i].batch_size for i in range(index))
    stage = stages[index]
    seen = (step - first[index]) * stage.batch_size
    alpha = min(1.0, seen / stage.fade) if stage.fade else 1.0
    return Moment(stage, earlier + seen, stage.level - 1 + alpha)


def steps_until_grown(stages: Sequence[Stage]) -> int:
    """Return the number of steps until the last level is complete: alpha is 1 in the last of these steps."""
    return starts(stages)[-1] + -(-stages[-1].fade // stages[-1].batch_size) + 1


@functools.partial(jax.tree_util.register_dataclass, data_fields=["examples", "depth"], meta_fields=["factor"])
@dataclass(frozen=True)
class Growing:
    """Item of `growing_feed`: the examples, the depth and the image size of a step."""

    examples: PyTree
    """Item of the feed of `make_feed`."""
    depth: Float[np.ndarray | Array, "*seeds"]
    """Depth of the step, repeated for each seed."""
    factor: int
    """Factor by which the data's sides are divided in the batch; static, so that each factor has its own program."""


def growing_feed(split: Split, load: Load, seeds: Sequence[int], stages: Sequence[Stage], *, levels: int) -> Feed:
    """Return training batches of `seeds` with `image` shrunk to the level of the step, and `depth` [batch] of the step.

    Each seed sees the examples in the same order as with `make_feed`. `levels` is the level of the data's own size.

    Raises the ValueErrors of `make_feed`.
    """
    for stage in stages:
        check_batch_size(split, stage.batch_size)

    def positions(step: int) -> range:
        now = moment(stages, step)
        return range(now.seen, now.seen + now.stage.batch_size)

    plain = make_feed(split, load, seeds, positions)

    def items(start: int) -> Iterator[Growing]:
        for step, examples in zip(itertools.count(start), plain.items(start), strict=False):
            now = moment(stages, step)
            depth = np.full(len(seeds), now.depth, np.float32)
            yield Growing(examples, depth, 2 ** (levels - now.stage.level))

    def read(item: Growing) -> Growing:
        return replace(item, examples=plain.read(item.examples))  # pyright: ignore[reportOptionalCall]

    return Feed(plain.arrays, items, grown_load(plain.load), read=plain.read and read)


@shared
def grown_load(plain: BatchLoad) -> BatchLoad:
    """Return the function that loads a batch of the size of its level."""

    def load(arrays: PyTree, item: Growing, key: Key) -> Batch:
        batch = plain(arrays, item.examples, key)
        image = reduce(batch["image"], "b (h f) (w g) c -> b h w c", "mean", f=item.factor, g=item.factor)
        return {**batch, "image": image, "depth": jnp.broadcast_to(item.depth, (len(image),))}

    return load
