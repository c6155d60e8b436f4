"""Puzzles against loops over pixels."""

import functools
import itertools

import jax
import numpy as np
import pytest

from genjax.data.binarize import present
from genjax.data.dataset import Source, resident
from genjax.data.patches import Windows, key_windows, pieces, room, squares, with_jigsaw, with_key_patches

RNG = np.random.default_rng(0)
LEVELS = 16
"""Pixels are multiples of 1 / 16, whose variances are exact."""


def grey(count, shape):
    images = RNG.integers(0, LEVELS + 1, (count, *shape)) / LEVELS
    images[0] = 0.25  # all variances are 0
    images[1, :, : shape[1] // 2] = 0
    return images.astype(np.float32)


@functools.cache
def data(shape=(8, 10, 1)):
    splits = [resident({"image": grey(6, shape), "label": np.arange(6, dtype=np.int32)}) for _ in range(3)]
    return present(Source("squares", *splits, ""), "none")


def batch_of(found, key=0):
    return jax.device_get(jax.jit(found.load)(found.train.arrays, jax.random.key(key)))


def by_hand(image, side, count):
    """Corners of the squares with the largest variance that do not overlap, the first ones of equals."""
    corners = [
        (row, column)
        for row in range(0, image.shape[0] - side + 1, side // 2)
        for column in range(0, image.shape[1] - side + 1, side // 2)
    ]
    taken = []
    for _ in range(count):
        best, greatest = None, -1.0
        for row, column in corners:
            if any(abs(row - r) < side and abs(column - c) < side for r, c in taken):
                continue
            variance = image[row : row + side, column : column + side].astype(np.float64).var()
            if variance > greatest + 1e-12:
                best, greatest = (row, column), variance
        taken.append(best)
    return taken


@pytest.mark.parametrize(("shape", "side", "count"), [((8, 10, 1), 4, 2), ((12, 9, 3), 3, 4), ((8, 14, 1), 4, 2)])
def test_key_patches_are_those_of_the_largest_variance(shape, side, count):
    found = with_key_patches(data(shape), side=side, count=count)
    batch = batch_of(found)
    for index, image in enumerate(found.train.arrays["image"]):
        corners, mask = by_hand(image, side, count), np.zeros(shape[:2])
        for patch, (row, column) in zip(batch["patches"][index], corners, strict=True):
            np.testing.assert_array_equal(patch, image[row : row + side, column : column + side])
            mask[row : row + side, column : column + side] = 1
        np.testing.assert_array_equal(batch["mask"][index, :, :, 0], mask)
        assert mask.sum() == count * side**2
    np.testing.assert_array_equal(batch["label"], np.arange(6))


def test_key_patches_of_an_image_are_always_the_same():
    found = with_key_patches(data(), side=4, count=1)
    for name, array in batch_of(found).items():
        np.testing.assert_array_equal(array, batch_of(found, 1)[name])


@pytest.mark.parametrize(("shape", "side"), [((8, 8, 1), 4), ((10, 10, 1), 4), ((8, 11, 1), 5), ((6, 9, 1), 3)])
def test_an_image_has_room_for_as_many_patches_as_the_worst_order_leaves(shape, side):
    """Every way to take squares without overlap until no more fit."""
    windows = squares(shape, side)
    apart = ~windows.overlaps

    @functools.cache
    def fewest(free):
        return 1 + min(fewest(frozenset(i for i in free if apart[one, i])) for one in free) if free else 0

    assert room(shape, side) == fewest(frozenset(range(len(windows.corners))))


def test_overlapping_windows_have_a_pixel_in_common():
    windows = Windows(np.array([[0, 0], [0, 2], [2, 0], [2, 3], [1, 1]]), (2, 3), (1, 1))
    pixels = [{(r + i, c + j) for i, j in np.ndindex(2, 3)} for r, c in windows.corners.tolist()]
    for i, j in itertools.product(range(5), repeat=2):
        assert windows.overlaps[i, j] == bool(pixels[i] & pixels[j])


@pytest.mark.parametrize("cut", [2, 3])
def test_pieces_of_a_jigsaw_are_those_of_the_image_in_any_order(cut):
    shape = (6, 12, 1)
    found = with_jigsaw(data(shape), cut)
    raw, load = {"image": found.train.arrays["image"]}, jax.jit(found.load)
    batches = [jax.device_get(load(raw, jax.random.key(key))) for key in range(40)]
    height, width = shape[0] // cut, shape[1] // cut
    for batch in batches[:3]:
        assert (batch["mask"] == 1).all()
        for image, patches, place in zip(batch["image"], batch["patches"], batch["place"], strict=True):
            assert sorted(place.tolist()) == list(range(cut**2))
            for patch, cell in zip(patches, place.tolist(), strict=True):
                row, column = cell // cut * height, cell % cut * width
                np.testing.assert_array_equal(patch, image[row : row + height, column : column + width])
    first = np.array([batch["place"][:, 0] for batch in batches]).ravel()
    counts = np.bincount(first, minlength=cut**2)
    expected = len(first) / cut**2
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()
    assert len({tuple(row.tolist()) for row in batches[0]["place"]}) > 1  # an order of its own for each image


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_key_patches(data(), side=4, count=3), r"count=3 must be from 1 to 2: so many patches of 4x4"),
        (lambda: with_key_patches(data(), side=4, count=0), "count=0 must be from 1 to 2"),
        (lambda: with_key_patches(data(), side=9, count=1), "side=9 must be from 2 to 8, of images of 8x10"),
        (lambda: with_key_patches(data(), side=1, count=1), "side=1 must be from 2"),
        (lambda: with_jigsaw(data(), 3), "cut=3 must be at least 2 and divide the sides of images of 8x10"),
        (lambda: with_jigsaw(data(), 1), "cut=1 must be at least 2"),
    ],
)
def test_what_is_not_possible_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_windows_cover_what_they_should():
    assert pieces((4, 6, 1), 2).corners.tolist() == [[0, 0], [0, 3], [2, 0], [2, 3]]
    assert squares((4, 5, 1), 3).corners.tolist() == [[r, c] for r in range(2) for c in range(3)]
    images = np.zeros((1, 4, 5, 1))
    images[0, 3, 4] = 1
    chosen = jax.jit(lambda images: key_windows(images, squares((4, 5, 1), 3), 1))(images)
    assert chosen.tolist() == [[5]]
