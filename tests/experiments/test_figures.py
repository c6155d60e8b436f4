import numpy as np

from experiments.figures import FRAME, HIDDEN, completion_grid, image_grid, tile


def test_images_lie_row_by_row_with_frames_between():
    images = np.array([0.0, 0.5, 1.0], np.float32).reshape(3, 1, 1, 1)
    expected = np.full((5, 5), FRAME)
    expected[1, 1], expected[1, 3], expected[3, 1] = 0.0, 0.5, 1.0
    np.testing.assert_allclose(tile(images, 2)[..., 0], expected, rtol=1e-6)


def test_colour_images_keep_their_channels():
    assert tile(np.zeros((4, 2, 3, 3), np.float32), 2).shape == (7, 9, 3)


def shown(figure):
    return np.asarray(figure.axes[0].get_images()[0].get_array())


def test_grey_pictures_are_drawn_from_black_to_white():
    picture = image_grid(np.full((1, 2, 2, 1), 0.25), columns=1).axes[0].get_images()[0]
    assert picture.get_clim() == (0, 1)


def test_a_completion_grid_has_image_what_is_known_and_completions():
    images = np.ones((2, 1, 2, 1))
    known = np.array([1.0, 0.0]).reshape(1, 2, 1)
    completions = np.stack([np.full((1, 2, 1), value) for value in (0.1, 0.2, 0.7, 0.8)])
    rows = shown(completion_grid(images, known, completions))[[1, 3]]
    expected = [[1, 1, FRAME, 1, HIDDEN, FRAME, *[a] * 2, FRAME, *[b] * 2] for a, b in ((0.1, 0.2), (0.7, 0.8))]
    np.testing.assert_allclose(rows[:, 1:-1], expected)
