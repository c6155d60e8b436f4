import jax.numpy as jnp
import numpy as np

from experiments.pixel_rnn import draw_receptive_field, receptive_field


def test_receptive_field_is_the_mean_derivative_of_the_central_pixel():
    """Two parameters: -3 times the pixel to the left, and the square of the one above."""

    def conditionals(x):
        return jnp.stack([-3 * jnp.roll(x, 1, axis=2), jnp.roll(x, 1, axis=1) ** 2], axis=-1)

    images = jnp.asarray(np.random.default_rng(0).random((6, 4, 5, 1)), jnp.float32)
    expected = np.zeros((4, 5))
    expected[2, 1] = 3 / 2
    expected[1, 2] = 2 * np.asarray(images)[:, 1, 2, 0].mean() / 2
    seen = receptive_field(conditionals, images)
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    shown = draw_receptive_field(np.asarray(seen)).axes[0].images[0].get_array()
    assert np.ma.count(shown) == 2  # what is not seen has no colour
