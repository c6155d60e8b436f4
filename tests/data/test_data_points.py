import numpy as np
import pytest

from genjax.data.points import SIZES, Mixture, grid, mixture_dataset, points, ring


def test_the_ring_and_the_grid_have_their_published_means():
    means = ring().means
    np.testing.assert_allclose(np.hypot(*means.T), 2)
    turned = np.roll(means, -1, axis=0)
    np.testing.assert_allclose(np.hypot(*(turned - means).T), 2 * 2 * np.sin(np.pi / 8))
    assert {tuple(mean) for mean in grid().means} == {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}
    assert (ring().std, grid().std) == (0.02, 0.05)


def test_points_are_of_all_modes_alike_with_their_deviation():
    """Four standard errors everywhere; three modes on a line, far apart."""
    mixture = Mixture("line", np.array([[0.0], [10.0], [20.0]]), 0.5)
    drawn = points(mixture, 30_000)[:, 0]
    mode = (drawn / 10).round()
    shares = np.bincount(mode.astype(int)) / len(drawn)
    assert np.abs(shares - 1 / 3).max() < 4 * np.sqrt(2 / 9 / len(drawn))
    about = drawn - 10 * mode
    assert abs(about.mean()) < 4 * 0.5 / np.sqrt(len(drawn))
    assert abs(about.std() / 0.5 - 1) < 4 / np.sqrt(2 * len(drawn))


def test_streams_differ_and_more_points_begin_with_the_fewer():
    assert (points(ring(), 50)[:20] == points(ring(), 20)).all()
    assert not np.isin(points(ring(), 20, stream=1), points(ring(), 20)).any()


def test_a_data_set_has_three_parts_that_are_read_by_index():
    data = mixture_dataset(grid())
    assert (data.name, data.protocol) == ("grid", "points")
    for split, size in zip((data.train, data.validation, data.test), SIZES, strict=True):
        assert split.size == size == len(split.arrays["point"])
        np.testing.assert_array_equal(split.read(np.array([3, 1]))["point"], split.arrays["point"][[3, 1]])


@pytest.mark.parametrize(("make", "message"), [(lambda: ring(0), "modes=0"), (lambda: grid(std=0.0), r"std=0.0")])
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=f"{message} must be above 0"):
        make()
