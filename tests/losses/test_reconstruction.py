import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from sklearn.metrics import mean_absolute_error as sklearn_mae
from sklearn.metrics import mean_squared_error as sklearn_mse

from genjax.losses.reconstruction import absolute_error, mean_absolute_error, mean_squared_error, squared_error

RNG = np.random.default_rng(0)
X, NEAR = RNG.random((5, 3, 2, 2)), RNG.random((5, 3, 2, 2))


def test_errors_are_numpys_and_scikit_learns_per_example():
    with jax.enable_x64(True):
        losses = (squared_error, mean_squared_error, mean_absolute_error, absolute_error)
        summed, mean, absolute, total = (loss(jnp.asarray(NEAR), jnp.asarray(X)) for loss in losses)
    np.testing.assert_allclose(summed, [np.linalg.norm(x - near) ** 2 for x, near in zip(X, NEAR, strict=True)])
    np.testing.assert_allclose(mean, [sklearn_mse(x.ravel(), near.ravel()) for x, near in zip(X, NEAR, strict=True)])
    expected = [sklearn_mae(x.ravel(), near.ravel()) for x, near in zip(X, NEAR, strict=True)]
    np.testing.assert_allclose(absolute, expected)
    distances = [np.linalg.norm((x - near).ravel(), 1) for x, near in zip(X, NEAR, strict=True)]
    np.testing.assert_allclose(total, distances)


def test_squared_error_is_twice_a_gaussians_negative_log_density_but_for_a_constant():
    with jax.enable_x64(True):
        ours = squared_error(jnp.asarray(NEAR), jnp.asarray(X))
    log_prob = scipy.stats.norm.logpdf(X, NEAR, 1).sum((1, 2, 3))
    np.testing.assert_allclose(ours, -2 * log_prob - 12 * np.log(2 * np.pi), rtol=1e-10)
