import jax.numpy as jnp
import numpy as np

from genjax.pictures.figures import (
    FRAME,
    HIDDEN,
    completion_grid,
    image_grid,
    receptive_field,
    seen_by_the_centre,
    tile,
)


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


def test_the_receptive_field_counts_what_is_seen_of_the_past():
    strength = np.zeros((4, 4), np.float32)
    strength[1, 1:] = [0.1, 1.0, 0.1]
    strength[2, 1] = 0.5
    title = receptive_field(strength).axes[0].get_title()
    assert title.startswith("the black pixel sees 4 of 10 earlier pixels")


def test_the_centre_sees_by_the_mean_derivative_of_its_log_probability():
    """Log p is -3 times the pixel to the left, and the square of the one above: at row 2, column 2 of a 4 x 5 image."""
    images = jnp.asarray(np.random.default_rng(0).random((6, 4, 5, 1)), jnp.float32)
    expected = np.zeros((4, 5))
    expected[2, 1] = 3
    expected[1, 2] = 2 * np.asarray(images)[:, 1, 2, 0].mean()
    seen = seen_by_the_centre(lambda x: -3 * jnp.roll(x, 1, axis=2) + jnp.roll(x, 1, axis=1) ** 2, images)
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
