"""Solved puzzles, by enumeration."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from genjax.metrics.puzzle import ceiling, cells, chance, mask_iou, placements, solved

RNG = np.random.default_rng(0)


def test_overlap_is_scikit_learns():
    predicted, mask = RNG.random((5, 4, 3, 1)), RNG.integers(0, 2, (5, 4, 3, 1)).astype(float)
    expected = [jaccard_score(m.ravel(), p.ravel() > 0.5) for p, m in zip(predicted, mask, strict=True)]
    np.testing.assert_allclose(mask_iou(predicted, mask), expected, rtol=1e-6)
    nothing, all_of_it = np.zeros((1, 2, 2, 1)), np.ones((1, 2, 2, 1))
    assert [mask_iou(nothing, one).tolist() for one in (nothing, all_of_it)] == [[1], [0]]


@pytest.mark.parametrize(("shape", "cut"), [((4, 6, 1), 2), ((6, 4, 3), 2)])
def test_pieces_are_placed_where_the_squared_error_is_least(shape, cut):
    images, pieces = RNG.random((3, *shape)), cells(RNG.random((3, *shape)), cut)
    found = placements(pieces, images, cut)
    height, width = shape[0] // cut, shape[1] // cut
    for image, own, places in zip(images, pieces, found, strict=True):

        def error(order, image=image, own=own):
            whole = np.zeros(shape)
            for piece, cell in zip(own, order, strict=True):
                row, column = cell // cut * height, cell % cut * width
                whole[row : row + height, column : column + width] = piece
            return ((whole - image) ** 2).sum()

        assert tuple(places) == min(itertools.permutations(range(cut**2)), key=error)


def test_shuffled_pieces_find_their_places_in_the_image_itself():
    images = RNG.random((4, 6, 9, 1))
    place = np.stack([RNG.permutation(9) for _ in images])
    shuffled = np.take_along_axis(cells(images, 3), place[:, :, None, None, None], axis=1)
    assert solved(placements(shuffled, images, 3), place) == {"piece_accuracy": 1, "jigsaw_accuracy": 1}
    found = place.copy()
    found[0, :2] = found[0, 1::-1]
    assert solved(found, place) == pytest.approx({"piece_accuracy": 34 / 36, "jigsaw_accuracy": 3 / 4})


def test_chance_is_the_mean_over_all_assignments():
    orders = np.array(list(itertools.permutations(range(4))))
    every = solved(orders, np.broadcast_to(np.arange(4), orders.shape))
    assert every == pytest.approx(chance(2))
    assert chance(3)["jigsaw_accuracy"] == pytest.approx(1 / 362880)


def test_the_ceiling_is_the_mean_over_all_assignments_that_give_the_image():
    """Three black pieces and one white: any placement of the black ones looks right, but each has its own position."""
    image = np.zeros((1, 4, 4, 1))
    image[0, :2, :2] = 1
    orders = np.array([(0, *rest) for rest in itertools.permutations((1, 2, 3))])
    assert ceiling(image, 2) == pytest.approx(solved(orders, np.broadcast_to(np.arange(4), orders.shape)))
    assert ceiling(RNG.random((2, 4, 4, 1)), 2) == {"piece_accuracy": 1, "jigsaw_accuracy": 1}


def test_a_pixel_of_exactly_one_half_is_in_no_mask():
    """One pixel is in both masks, and one more in the second; with a half counted in, it would be 3/4, 2/3 or 1/4."""
    predicted, mask = (np.reshape(one, (1, 2, 2, 1)) for one in ([0.5, 0.75, 0.0, 0.5], [1.0, 1.0, 0.5, 0.5]))
    assert mask_iou(predicted, mask).tolist() == [1 / 2]
