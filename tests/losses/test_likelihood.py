import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from genjax.losses.likelihood import bernoulli_log_prob, bits_per_dim, gaussian_log_prob, log_mean_exp, sum_pixels

bernoulli_value_and_slope = jax.jit(jax.value_and_grad(bernoulli_log_prob))


def test_bernoulli_log_prob_is_scipys():
    rng = np.random.default_rng(0)
    logits, x = rng.normal(size=(5, 7)) * 3, rng.integers(0, 2, (5, 7)).astype(float)
    with jax.enable_x64(True):
        ours = jax.jit(bernoulli_log_prob)(logits, x)
    np.testing.assert_allclose(ours, scipy.stats.bernoulli.logpmf(x, scipy.special.expit(logits)), rtol=1e-12)


@pytest.mark.parametrize("logit", [-1e4, -110.0, 0.0, 110.0, 1e4])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bernoulli_log_prob_is_finite_and_right_at_extreme_logits(logit, x):
    value, gradient = bernoulli_value_and_slope(np.float32(logit), np.float32(x))
    np.testing.assert_allclose(value, scipy.special.log_expit(logit if x == 1 else -logit), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(gradient, x - scipy.special.expit(logit), rtol=1e-5, atol=1e-30)


def test_gaussian_log_prob_is_scipys_and_broadcasts():
    rng = np.random.default_rng(0)
    x, mean, log_var = rng.normal(size=(4, 5, 3)), rng.normal(size=(5, 3)), 0.7
    with jax.enable_x64(True):
        ours = jax.jit(gaussian_log_prob)(x, mean, log_var)
    np.testing.assert_allclose(ours, scipy.stats.norm.logpdf(x, mean, np.exp(log_var / 2)), rtol=1e-12)


def test_sum_pixels_sums_all_axes_but_the_first():
    x = np.arange(24.0, dtype=np.float32).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(sum_pixels(jnp.asarray(x)), [66, 210])
    np.testing.assert_array_equal(sum_pixels(jnp.asarray(x[:, 0, 0, 0])), [0, 12])


def test_uniform_bytes_have_eight_bits_per_dim():
    dimensions = 3072
    np.testing.assert_allclose(
        bits_per_dim(jnp.full(2, dimensions * np.log(256)), dimensions), [8, 8], rtol=1e-6, atol=1e-30
    )


def test_bits_per_dim_needs_a_dimension():
    with pytest.raises(ValueError, match="dimensions=0 must be at least 1"):
        bits_per_dim(jnp.zeros(1), 0)


def test_log_mean_exp_is_scipys_and_does_not_underflow():
    x = np.random.default_rng(0).normal(size=(6, 4)) * 5
    for axis in (0, 1, -1):
        with jax.enable_x64(True):
            ours = jax.jit(functools.partial(log_mean_exp, axis=axis))(x)
        np.testing.assert_allclose(ours, scipy.special.logsumexp(x, axis=axis) - np.log(x.shape[axis]), rtol=1e-12)
    far_below = jax.jit(functools.partial(log_mean_exp, axis=0))(np.full((500, 2), -1e4))
    np.testing.assert_allclose(far_below, [-1e4, -1e4], rtol=1e-6)
