import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data.dataset import Split, part, resident
from genjax.data.feed import StepSource, epoch_orders, make_feed, read_items

SIZE, BATCH = 10, 4


def split() -> Split:
    image = np.arange(SIZE * 6, dtype=np.uint8).reshape(SIZE, 2, 3, 1)
    return resident({"image": image, "label": np.arange(SIZE, dtype=np.int32)})


def on_disk() -> Split:
    return split()._replace(arrays=None)


def load(raw, key):
    return {**raw, "image": raw["image"].astype(jnp.float32) / 255 + jax.random.uniform(key)}


def labels(seeds, *, start=0, steps=6, of=split) -> np.ndarray:
    """The labels [steps, seeds, batch] that each seed sees."""
    feed = make_feed(of(), load, seeds, BATCH)
    loaded = jax.vmap(feed.load, in_axes=(None, 0, None))
    items = itertools.islice(read_items(feed, start), steps)
    return np.stack([loaded(feed.arrays, item, jax.random.key(0))["label"] for item in items])


@pytest.mark.parametrize("of", [split, on_disk])
def test_a_batch_depends_on_seed_and_step_alone(of):
    whole = labels((3, 5), of=of)
    np.testing.assert_array_equal(labels((3, 5), start=4, steps=2, of=of), whole[4:])
    np.testing.assert_array_equal(labels((5,), of=of)[:, 0], whole[:, 1])
    np.testing.assert_array_equal(labels((5, 3), of=of), whole[:, ::-1])
    assert (whole[:, 0] != whole[:, 1]).any()


def test_each_epoch_is_another_permutation():
    stream = labels((0,), steps=10).reshape(4, SIZE)
    np.testing.assert_array_equal(np.sort(stream, axis=1), np.tile(np.arange(SIZE), (4, 1)))
    assert len(np.unique(stream, axis=0)) == 4


def test_streamed_equals_resident():
    seeds, key = (1, 2), jax.random.key(7)
    feeds = [make_feed(of(), load, seeds, BATCH) for of in (split, on_disk)]
    for items in itertools.islice(zip(*(read_items(feed, 1) for feed in feeds), strict=False), 5):
        batches = [
            jax.vmap(feed.load, in_axes=(None, 0, None))(feed.arrays, item, key)
            for feed, item in zip(feeds, items, strict=True)
        ]
        jax.tree.map(np.testing.assert_array_equal, *batches)


def test_only_indices_travel_when_the_data_are_resident():
    feed = make_feed(split(), load, (0, 1), BATCH)
    assert next(feed.items(0)).shape == (2, BATCH)
    assert feed.arrays["image"].dtype == jnp.uint8
    assert make_feed(on_disk(), load, (0, 1), BATCH).arrays == {}


def test_an_epochs_order_is_made_once_for_all_seeds_and_steps():
    epoch_orders.cache_clear()
    feed = make_feed(split(), load, tuple(range(200)), 1)
    assert len(list(itertools.islice(feed.items(0), 5))) == 5
    assert epoch_orders.cache_info().misses == 1


def test_a_step_source_is_random_access():
    feed = make_feed(on_disk(), load, (0, 1), BATCH)
    source = StepSource(feed, 3)
    assert dataclasses.is_dataclass(source)
    assert len(source) == 2**31 - 1
    assert source[2]["image"].shape == (2, BATCH, 2, 3, 1)
    np.testing.assert_array_equal(source[2]["label"], StepSource(feed, 0)[5]["label"])


def test_a_part_reads_the_same_from_memory_and_disk():
    indices = np.array([2, 0, 2])
    in_memory, streamed = part(split(), 3, 8), part(on_disk(), 3, 8)
    assert in_memory.size == streamed.size == 5
    np.testing.assert_array_equal(in_memory.read(indices)["label"], [5, 3, 5])
    np.testing.assert_array_equal(streamed.read(indices)["label"], [5, 3, 5])


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1,), (2**32,)])
def test_seeds_must_differ_and_fit_32_bits(seeds):
    with pytest.raises(ValueError, match="seeds="):
        make_feed(split(), load, seeds, BATCH)


def test_the_batch_size_may_be_a_number_of_numpy():
    one, other = (next(make_feed(split(), load, (0,), size).items(1)) for size in (3, np.int64(3)))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("batch_size", [0, SIZE + 1])
def test_a_batch_must_fit_the_split(batch_size):
    with pytest.raises(ValueError, match=f"batch_size={batch_size} must be from 1 to {SIZE}"):
        make_feed(split(), load, (0,), batch_size)
