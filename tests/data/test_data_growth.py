"""The schedule of progressive growing by hand, and batches that follow it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data.dataset import resident
from genjax.data.feed import batch_indices, read_items
from genjax.data.growth import Stage, doublings, growing, growing_feed, moment, starts, steps_until_grown

STAGES = growing((4, 3, 2), fade=6, stable=5)
SIZE = 11


def test_every_step_of_a_schedule_by_hand():
    """5 images in batches of 4 take 2 steps; 6 + 5 in batches of 3 take 4; the last stage goes on."""
    found = [(now.stage.level, now.stage.batch_size, now.seen, now.depth) for now in map(of(STAGES), range(12))]
    assert found == [
        (0, 4, 0, 0.0),
        (0, 4, 4, 0.0),
        (1, 3, 8, 0.0),
        (1, 3, 11, 0.5),
        (1, 3, 14, 1.0),
        (1, 3, 17, 1.0),
        (2, 2, 20, 1.0),
        (2, 2, 22, 1 + 2 / 6),
        (2, 2, 24, 1 + 4 / 6),
        (2, 2, 26, 2.0),
        (2, 2, 28, 2.0),
        (2, 2, 30, 2.0),
    ]
    assert starts(STAGES) == [0, 2, 6]
    assert steps_until_grown(STAGES) == 10


def of(stages):
    return lambda step: moment(stages, step)


def test_alpha_is_linear_in_the_images_seen_and_depth_never_jumps():
    stages = growing((7, 5, 3), fade=100, stable=50)
    moments = [moment(stages, step) for step in range(200)]
    for level in (1, 2):
        own = [now for now in moments if now.stage.level == level]
        seen = np.array([now.seen - own[0].seen for now in own])
        alphas = np.array([now.depth - (level - 1) for now in own])
        np.testing.assert_allclose(alphas, np.minimum(seen / 100, 1), rtol=1e-12)
        assert alphas[0] == 0
        assert alphas[-1] == 1
    gaps = np.diff([now.depth for now in moments])
    assert gaps.min() == 0
    assert gaps.max() <= 0.05 + 1e-12


def test_images_are_seen_once_each_whatever_the_batch_sizes():
    moments = [moment(STAGES, step) for step in range(12)]
    seen = [number for now in moments for number in range(now.seen, now.seen + now.stage.batch_size)]
    assert seen == list(range(len(seen)))


def test_without_growth_all_is_there_from_the_start():
    stages = (Stage(2, 4),)
    assert [(now.stage.level, now.seen, now.depth) for now in map(of(stages), (0, 1, 50))] == [
        (2, 0, 2.0),
        (2, 4, 2.0),
        (2, 200, 2.0),
    ]
    assert steps_until_grown(stages) == 1


def images():
    return np.random.default_rng(0).integers(0, 256, (SIZE, 16, 16, 1)).astype(np.uint8)


def load(raw, key):
    return {**raw, "image": raw["image"].astype(jnp.float32)}


@pytest.mark.parametrize("on_disk", [False, True])
def test_batches_are_the_seeds_order_at_the_size_of_their_step(on_disk):
    split, seeds = resident({"image": images(), "label": np.arange(SIZE, dtype=np.int32)}), (3, 5)
    feed = growing_feed(split._replace(arrays=None) if on_disk else split, load, seeds, STAGES, levels=2)
    loaded = jax.jit(jax.vmap(feed.load, in_axes=(None, 0, None)))
    order = np.concatenate([batch_indices(seeds, step, SIZE, SIZE) for step in range(3)], axis=1)
    for start in (0, 1, 7):
        for step, item in zip(range(start, start + 3), itertools.islice(read_items(feed, start), 3), strict=True):
            batch, now = loaded(feed.arrays, item, jax.random.key(0)), moment(STAGES, step)
            own = order[:, now.seen : now.seen + now.stage.batch_size]
            np.testing.assert_array_equal(batch["label"], own)
            side = 4 * 2**now.stage.level
            blocks = images()[own].reshape(2, -1, side, 16 // side, side, 16 // side, 1).mean((3, 5))
            np.testing.assert_allclose(batch["image"], blocks, rtol=1e-5)
            np.testing.assert_array_equal(batch["depth"], np.full(own.shape, now.depth, np.float32))


@pytest.mark.parametrize(
    ("shape", "start", "levels"),
    [((4, 4, 1), 4, 0), ((8, 8, 1), 4, 1), ((28, 28, 1), 7, 2), ((1024, 1024, 3), 4, 8)],
)
def test_levels_are_doublings(shape, start, levels):
    assert doublings(shape, start) == levels


@pytest.mark.parametrize(("shape", "start"), [((28, 28, 1), 4), ((8, 16, 1), 4), ((4, 4, 1), 8), ((8, 8, 1), 0)])
def test_a_size_that_is_no_power_of_2_times_the_start_is_refused(shape, start):
    with pytest.raises(ValueError, match=f"height and width must be start={start} times one power of 2") as error:
        doublings(shape, start)
    assert "\n" not in str(error.value)


def test_bad_schedules_are_named():
    for sizes, fade, stable in (((), 6, 5), ((4, 0), 6, 5), ((4, 3), 0, 5), ((4, 3), 6, 0)):
        with pytest.raises(ValueError, match=r"batch_sizes=.*, fade=\d and stable=\d must be at least 1"):
            growing(sizes, fade=fade, stable=stable)
    split = resident({"image": images()})
    with pytest.raises(ValueError, match=f"batch_size=12 must be from 1 to {SIZE}"):
        growing_feed(split, load, (0,), growing((4, 12), fade=6, stable=5), levels=1)
