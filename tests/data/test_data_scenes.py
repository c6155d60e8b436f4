"""Scenes agree with their objects and captions, which the test parses by its own rules."""

import collections
import functools

import numpy as np
import pytest
from scipy import stats

from genjax.data.captions import decode
from genjax.data.dataset import Source, resident
from genjax.data.scene_grammar import COLOURS, NOTHING
from genjax.data.scenes import scenes

WORDS = {
    0: {word: number for number, names in enumerate(
        ["zero 0", "one 1", "two 2", "three 3", "four 4", "five 5", "six 6", "seven 7", "eight 8", "nine 9"]
    ) for word in names.split()},
    1: {word: number for number, word in enumerate(["red", "green", "blue", "yellow", "white"])},
    2: {"small": 0, "little": 0, "tiny": 0, "large": 1, "big": 1, "huge": 1},
    3: {"left": 0, "right": 1, "top": 2, "upper": 2, "bottom": 3, "lower": 3, "middle": 4, "center": 4},
}  # fmt: skip


def digits(split):
    """Image i of a split is a square of a grey level of its own; labels go round."""
    count = 40
    grey = (100 + 50 * split + np.arange(count)).astype(np.uint8)
    image = np.broadcast_to(grey.reshape(-1, 1, 1, 1), (count, 8, 8, 1)).copy()
    return resident({"image": image, "label": (np.arange(count) % 10).astype(np.int32)})


SOURCE = Source("squares", *map(digits, range(3)), "")


@functools.cache
def drawn():
    return scenes(SOURCE, side=32, captions=4, copies=5, pairs=0.5)


def all_splits():
    source, held_out, _ = drawn()
    return {"train": source.train, "validation": source.validation, "test": source.test, "held out": held_out}


def read(caption):
    """Return the attributes of each clause of a caption."""
    return sorted(
        tuple(
            next(WORDS[column][word] for word in clause.split() if word in WORDS[column]) for column in range(4)
        )
        for clause in caption.split(" and ")
    )  # fmt: skip


def clauses(caption):
    """ "is large and red" is one clause."""
    for size in WORDS[2]:
        caption = caption.replace(f"is {size} and", f"is {size}")
    return caption


@pytest.mark.parametrize("name", ["train", "validation", "test", "held out"])
def test_every_caption_says_what_is_there(name):
    split = all_splits()[name]
    for objects, captions in zip(split.arrays["objects"], split.arrays["caption"], strict=True):
        there = sorted(tuple(one) for one in objects.tolist() if one[0] != NOTHING)
        for caption in captions:
            assert read(clauses(decode(caption, drawn().vocabulary))) == there


@pytest.mark.parametrize("name", ["train", "validation", "test", "held out"])
def test_a_wrong_caption_is_wrong_in_one_thing_and_fits_a_scene_that_could_be(name):
    split, things = all_splits()[name], collections.Counter()
    withheld = {tuple(pair) for pair in drawn().held_out.arrays["objects"][:, 0, :2].tolist()}
    for objects, captions in zip(split.arrays["objects"], split.arrays["wrong_caption"], strict=True):
        there = sorted(tuple(one) for one in objects.tolist() if one[0] != NOTHING)
        for caption in captions:
            told = read(clauses(decode(caption, drawn().vocabulary)))
            assert told != there
            assert name == "held out" or withheld.isdisjoint(one[:2] for one in told)
            things[difference(told, there)] += 1
    alone = {(1, column) for column in range(4)}
    assert set(things) == (alone if name == "held out" else alone | {(2, 0), (2, 1), (2, 3)})
    of_digits = sum(count for (_, column), count in things.items() if column == 0)
    assert stats.binomtest(of_digits, things.total(), 1 / 2).pvalue > 1e-4


def difference(told, there):
    """Return the number of digits and the one column that differs; positions of two digits change together."""
    assert len(told) == len(there)
    by_place = [sorted(scene, key=lambda one: one[3]) for scene in (told, there)]
    columns = {column for a, b in zip(*by_place, strict=True) for column in range(4) if a[column] != b[column]}
    if len(told) == 2 and sorted(one[:3] for one in told) == sorted(one[:3] for one in there):
        assert {one[3] for one in told} == {one[3] for one in there}
        return 2, 3
    assert len(columns) == 1
    assert sum(a != b for a, b in zip(*by_place, strict=True)) == 1
    return len(told), columns.pop()


def test_captions_vary_and_use_the_whole_vocabulary():
    captions = drawn().source.train.arrays["caption"]
    used = {int(number) for number in np.unique(captions)} - {0}
    assert used == set(range(2, drawn().vocabulary.size))
    assert len({tuple(row) for row in captions[0].tolist()}) > 1
    assert (np.count_nonzero(captions, axis=-1).max()) == drawn().vocabulary.length


def test_a_scene_shows_each_digit_at_its_place_in_its_colour_and_size():
    palette = np.array(list(COLOURS.values()))
    for split in all_splits().values():
        for image, objects in zip(split.arrays["image"], split.arrays["objects"], strict=True):
            ys, xs = np.nonzero(image.sum(-1))
            if objects[1, 0] != NOTHING:
                assert len(ys) == sum((12, 20)[size] ** 2 for size in objects[:, 2])
                continue
            _, colour, size, place = objects[0]
            height, width = np.ptp(ys) + 1, np.ptp(xs) + 1
            assert height == width == (12, 20)[size]
            free = {"left": xs.min(), "right": 31 - xs.max(), "top": ys.min(), "bottom": 31 - ys.max()}
            if place < 4:
                assert free[("left", "right", "top", "bottom")[place]] <= 2
                across = "left" if place >= 2 else "top"
                assert free[across] - (32 - width) // 2 in (0, 1, 2)
            else:
                assert all(free[side] - (32 - width) // 2 in (0, 1, 2) for side in ("left", "top"))
            value = image[ys[0], xs[0]]
            np.testing.assert_allclose(value / value.max(), palette[colour], atol=0.01)


def test_held_out_pairs_stand_in_the_fourth_split_alone_and_leave_out_no_digit_and_no_colour():
    seen, unseen = set(), set()
    for name, split in all_splits().items():
        there = split.arrays["objects"].reshape(-1, 4)
        pairs = {tuple(pair) for pair in there[there[:, 0] != NOTHING][:, :2].tolist()}
        (unseen if name == "held out" else seen).update(pairs)
    assert not seen & unseen
    assert len(unseen) == 10
    for pairs in (seen, unseen):
        assert {digit for digit, _ in pairs} == set(range(10))
        assert {colour for _, colour in pairs} == set(range(5))


def test_without_holding_out_every_pair_is_everywhere():
    source, held_out, _ = scenes(SOURCE, side=16, captions=1, copies=20, hold_out=False)
    for split in (source.train, held_out):
        there = split.arrays["objects"][:, 0, :2]
        assert len({tuple(pair) for pair in there.tolist()}) == 50


def test_scenes_of_a_split_are_made_of_its_own_digits():
    greys = []
    for split in all_splits().values():
        single = split.arrays["objects"][:, 1, 0] == NOTHING
        greys.append(set(split.arrays["image"][single].max((1, 2, 3)).tolist()))
    for index, (low, high) in enumerate([(100, 139), (150, 189), (200, 239), (200, 239)]):
        assert min(greys[index]) >= low
        assert max(greys[index]) <= high


def test_the_numbers_asked_for_are_there_and_the_draw_is_the_same_again():
    train = drawn().source.train
    assert train.size == 200
    assert train.arrays["image"].shape == (200, 32, 32, 3)
    assert train.arrays["caption"].shape == (200, 4, drawn().vocabulary.length)
    assert 0.35 < (train.arrays["objects"][:, 1, 0] != NOTHING).mean() < 0.65
    again = scenes(SOURCE, side=32, captions=4, copies=5, pairs=0.5)
    assert again.source.sha256 == drawn().source.sha256
    assert all((again.held_out.arrays[name] == array).all() for name, array in drawn().held_out.arrays.items())
    assert (drawn().held_out.arrays["objects"][:, 1] == NOTHING).all()


def test_digits_have_the_sizes_asked_for_and_single_ones_take_half_of_the_words():
    train = scenes(SOURCE, side=16, captions=1, pairs=0.0, digit_sizes=(0.5, 0.75))
    for image, (first, second) in zip(*(train.source.train.arrays[name] for name in ("image", "objects")), strict=True):
        assert np.ptp(np.nonzero(image.sum(-1)), axis=1).tolist() == [(7, 11)[first[2]]] * 2
        assert second[0] == NOTHING
    assert drawn().vocabulary.length == 2 * train.vocabulary.length + 1  # two clauses and the "and" between them


def without_labels():
    split = resident({"image": np.zeros((4, 8, 8, 1), np.uint8)})
    return Source("plain", split, split, split, "")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (without_labels(), {}, "'plain' is 8x8x1, without labels"),
        (SOURCE, {"side": 14}, "side=14 is too small: small digits must have at least 6 pixels .* at least 15"),
        (SOURCE, {"captions": 0}, "captions=0 and copies=1 must be at least 1"),
        (SOURCE, {"pairs": 1.5}, r"pairs=1.5 in \[0, 1\]"),
        (SOURCE, {"digit_sizes": (0.5, 0.75)}, "a sum of at most 1"),
        (SOURCE, {"digit_sizes": (0.5, 0.5), "pairs": 0}, "must rise"),
    ],
)
def test_scenes_that_cannot_be_made_are_refused(source, options, message):
    with pytest.raises(ValueError, match=message):
        scenes(source, **options)


def test_labels_other_than_digits_are_refused():
    split = resident({"image": np.zeros((4, 8, 8, 1), np.uint8), "label": np.array([0, 10, 3, 4], np.int32)})
    with pytest.raises(ValueError, match="labels from 0 to 10: scenes are made of the digits 0 to 9"):
        scenes(Source("letters", split, split, split, ""), pairs=0.0)
