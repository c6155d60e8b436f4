import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data.binarize import present
from genjax.data.dataset import Dataset, Source, Split, resident
from genjax.data.feed import make_feed
from genjax.data.labels import choose_labelled, class_count, labels_of, mark_labelled, with_labelled_batches

LABELS = np.random.default_rng(0).choice(3, 60, p=[0.6, 0.3, 0.1])
LABELS[:3] = [0, 1, 2]


def data(*, in_memory=True):
    """Image i is grey i / 60 and has label LABELS[i]."""
    images = np.broadcast_to((np.arange(60, dtype=np.float32) / 60).reshape(-1, 1, 1, 1), (60, 2, 2, 1)).copy()
    split = resident({"image": images, "label": LABELS.astype(np.int32)})
    if not in_memory:
        split = Split(split.size, split.read, None)
    return Dataset("greys", "real", split, split, split, lambda raw, key: dict(raw), "")


@pytest.mark.parametrize("in_memory", [True, False])
def test_labels_are_those_of_the_split(in_memory, monkeypatch):
    monkeypatch.setattr("genjax.data.labels.CHUNK", 25)
    np.testing.assert_array_equal(labels_of(data(in_memory=in_memory).train), LABELS)


def test_a_split_without_labels_is_refused():
    with pytest.raises(ValueError, match="label: the data have no labels"):
        labels_of(resident({"image": np.zeros((2, 2, 2, 1))}))


def test_as_many_of_each_class_as_far_as_they_reach():
    rare = int(np.bincount(LABELS)[2])
    for count, expected in [(0, [0, 0, 0]), (3, [1, 1, 1]), (3 * rare, [rare] * 3), (60, np.bincount(LABELS))]:
        chosen = choose_labelled(LABELS, count)
        assert (np.diff(chosen) > 0).all()
        np.testing.assert_array_equal(np.bincount(LABELS[chosen], minlength=3), expected)


def test_fewer_are_a_part_of_more_and_not_the_first():
    chosen = [set(choose_labelled(LABELS, count).tolist()) for count in range(61)]
    assert all(fewer < more for fewer, more in itertools.pairwise(chosen))
    assert chosen[30] != set(range(30))


def test_each_seed_chooses_for_itself_and_all_are_taken_by_some():
    drawn = [choose_labelled(LABELS, 4, seed=seed) for seed in range(200)]
    np.testing.assert_array_equal(drawn[3], choose_labelled(LABELS, 4, seed=3))
    assert set(drawn[3].tolist()) != set(drawn[4].tolist())
    assert len(np.unique(np.concatenate(drawn))) == len(LABELS)
    assert {np.bincount(LABELS[chosen]).argmax() for chosen in drawn} == {0, 1, 2}


@pytest.mark.parametrize("count", [-1, 61])
def test_more_labels_than_there_are_are_refused(count):
    with pytest.raises(ValueError, match=f"labels={count} must be from 0 to 60"):
        choose_labelled(LABELS, count)


@pytest.mark.parametrize("in_memory", [True, False])
def test_only_the_chosen_training_examples_are_marked(in_memory):
    marked = mark_labelled(data(in_memory=in_memory), np.array([2, 5]))
    np.testing.assert_array_equal(marked.train.read(np.array([5, 0, 2, 59]))["labelled"], [True, False, True, False])
    assert (marked.train.arrays is not None) == in_memory
    assert "labelled" not in marked.test.read(np.arange(2))


def test_labelled_batches_hold_the_chosen_examples_and_nothing_else():
    source, chosen = data(), np.array([3, 10, 40])
    plain = make_feed(source.train, source.load, (0,), 8)
    feed = with_labelled_batches(plain, source, chosen, 50)
    load = jax.jit(lambda item, key: feed.load(feed.arrays, item[0], key))
    item = next(feed.items(0))
    first, again, other = (load(item, jax.random.key(seed)) for seed in (0, 0, 1))
    greys = np.asarray(first["labelled_image"])[:, 0, 0, 0] * 60
    assert set(greys.round().astype(int)) == set(chosen)
    np.testing.assert_array_equal(first["labelled_label"], LABELS[greys.round().astype(int)])
    np.testing.assert_array_equal(first["image"], plain.load(plain.arrays, item[0], jax.random.key(0))["image"])
    assert first["image"].shape == (8, 2, 2, 1)
    assert (first["labelled_label"] == again["labelled_label"]).all()
    assert jnp.not_equal(first["labelled_image"], other["labelled_image"]).any()


def test_a_label_below_0_is_no_class():
    """As of an example without a class: by images that are loaded, by choices, and by numbers of classes."""
    found = data()
    unknown = resident({**found.train.arrays, "label": np.where(LABELS == 1, -1, LABELS).astype(np.int32)})
    count = int((LABELS == 1).sum())
    with pytest.raises(ValueError, match=f"'greys': {count} of 60 test images have a label below 0"):
        present(Source("greys", found.train, found.train, unknown, ""), "none")
    with pytest.raises(ValueError, match=f"label: {count} of 60 are below 0; classes count from 0"):
        choose_labelled(unknown.arrays["label"], 3)
    with pytest.raises(ValueError, match=f"label: {count} of 60 are below 0"):
        class_count(found._replace(train=unknown))


def test_a_class_that_is_not_in_the_training_is_refused_where_classes_count():
    found = data()
    assert class_count(found) == 3
    known = resident({name: array[LABELS < 2] for name, array in found.train.arrays.items()})
    with pytest.raises(ValueError, match="'greys': a test image is of class 2, training images of 0 to 1"):
        class_count(found._replace(train=known, validation=known))
