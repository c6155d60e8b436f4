import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logit

from genjax.networks.start import frequency_logits, image_bias


def test_the_logits_are_log_odds_of_clipped_frequencies():
    frequencies = np.array([[0.0, 0.25], [0.5, 1.0]])
    np.testing.assert_allclose(frequency_logits(frequencies), logit([[0.001, 0.25], [0.5, 0.999]]), rtol=1e-12)


@pytest.mark.parametrize(("mean", "pixel"), [(None, 0.0), (np.full((2, 3, 1), 0.2), float(logit(0.2)))])
def test_an_image_starts_at_the_mean_image(mean, pixel):
    bias = image_bias(mean)(jax.random.key(0), (2, 3, 1), jnp.float32)
    np.testing.assert_allclose(bias, np.full((2, 3, 1), pixel), rtol=1e-6)
