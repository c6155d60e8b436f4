"""Ranges of pixel values."""

import jax.numpy as jnp
import numpy as np

from genjax.networks.images import signed, unsigned


def test_the_two_mappings_send_ends_to_ends_and_undo_each_other():
    images = jnp.array([0.0, 0.25, 0.5, 1.0])
    np.testing.assert_array_equal(signed(images), [-1, -0.5, 0, 1])
    np.testing.assert_array_equal(unsigned(signed(images)), images)
