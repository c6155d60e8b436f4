import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data.stream import stream_feed, stream_windows

SIZE = 103


def batches(feed, count, start=0, index=0):
    items = feed.items(start)
    for _ in range(count):
        item = jax.tree.map(lambda leaf: leaf[index], next(items))
        yield jax.tree.map(np.asarray, feed.load(feed.arrays, item, jax.random.key(0)))


@pytest.mark.parametrize("size", [1, 6, 7, 12, 13, 30])
def test_windows_score_every_element_once_after_those_before_it(size):
    stream = np.arange(100, 100 + size)
    split = stream_windows(stream, context=2, window=5)
    examples = split.read(np.arange(split.size))
    scored = examples["weight"] > 0
    np.testing.assert_array_equal(np.sort(examples["sequence"][scored]), stream)
    for sequence, marks in zip(examples["sequence"], scored, strict=True):
        first, count = np.argmax(marks), marks.sum()
        assert marks[first : first + count].all()
        assert first == (0 if sequence[0] == 100 else 2)
        read = sequence[: first + count]
        np.testing.assert_array_equal(read, np.arange(read[0], read[0] + len(read)))


def test_the_mean_over_windows_is_the_mean_over_elements():
    stream = np.random.default_rng(0).normal(size=33).astype(np.float32)
    examples = stream_windows(stream, context=3, window=4).read(np.arange(8))
    per_example = (examples["weight"] * examples["sequence"]).sum(axis=1)
    np.testing.assert_allclose(per_example.mean(), stream.mean(), rtol=1e-5)


def test_windows_are_read_in_any_order():
    split = stream_windows(np.arange(50), context=3, window=4)
    every, some = split.read(np.arange(split.size)), split.read(np.array([4, 0]))
    np.testing.assert_array_equal(some["sequence"], every["sequence"][[4, 0]])


def test_rows_go_on_and_a_pass_reads_the_turned_text_once():
    feed = stream_feed(np.arange(SIZE), (0,), 3, length=5)
    steps = SIZE // 15
    first_pass = list(batches(feed, steps))
    assert [batch["continues"].tolist() for batch in first_pass] == [[place > 0] * 3 for place in range(steps)]
    rows = np.concatenate([batch["sequence"] for batch in first_pass], axis=1)
    turned = rows.reshape(-1)
    np.testing.assert_array_equal(turned, (turned[0] + np.arange(len(turned))) % SIZE)
    (after,) = batches(feed, 1, start=steps)
    assert not after["continues"].any()
    assert after["sequence"][0, 0] != turned[0]


def test_a_batch_is_a_function_of_seed_and_step():
    feed = stream_feed(np.arange(SIZE), (4, 9), 3, length=5)
    alone = stream_feed(np.arange(SIZE), (9,), 3, length=5)
    late = [batch["sequence"] for batch in batches(feed, 12, index=1)][10]
    np.testing.assert_array_equal(next(batches(alone, 1, start=10))["sequence"], late)
    assert (next(batches(feed, 1, start=10))["sequence"] != late).any()


@pytest.mark.parametrize(("batch_size", "length"), [(0, 5), (3, 0), (11, 10)])
def test_a_step_that_cannot_be_filled_is_refused(batch_size, length):
    with pytest.raises(ValueError, match=f"batch_size={batch_size}, length={length}: .* at most the 103 there are"):
        stream_feed(np.arange(SIZE), (0,), batch_size, length=length)


def test_values_keep_their_type():
    feed = stream_feed(np.linspace(0, 1, SIZE, dtype=np.float32), (0,), 3, length=5)
    (batch,) = batches(feed, 1)
    assert batch["sequence"].dtype == jnp.float32
    assert batch["sequence"].shape == (3, 5)


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="stream: holds nothing"):
        stream_windows(np.arange(0))
