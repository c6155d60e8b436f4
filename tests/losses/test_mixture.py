import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from genjax.losses.mixture import gaussian_mixture_log_prob, scale_gradient

log_prob = jax.jit(gaussian_mixture_log_prob)


def random_mixture(seed, shape):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), rng.normal(size=shape), rng.normal(-0.5, 0.5, shape)


def test_the_log_density_is_scipys():
    logits, means, log_sigmas = random_mixture(0, (4, 3, 5))
    x = np.random.default_rng(1).normal(size=(4, 3))
    each = scipy.stats.norm.logpdf(x[..., None], means, np.exp(log_sigmas))
    expected = scipy.special.logsumexp(scipy.special.log_softmax(logits, axis=-1) + each, axis=-1)
    with jax.enable_x64(True):
        ours = log_prob(logits, means, log_sigmas, x)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_a_mixture_of_equal_components_is_one_of_them():
    x = np.linspace(-3, 3, 7)
    ones = np.ones((7, 4))
    mixture = log_prob(np.array([0.3, -2.0, 9.0, 0.0]) * ones, 0.5 * ones, -1.0 * ones, x)
    np.testing.assert_allclose(mixture, scipy.stats.norm.logpdf(x, 0.5, np.exp(-1)), rtol=1e-5)


@pytest.mark.parametrize(("log_sigma", "bound"), [(-1e4, -7), (-7.0, -7), (1e4, 7)])
def test_outside_its_bounds_a_sigma_counts_as_the_bound_and_the_density_still_integrates_to_one(log_sigma, bound):
    """Trapezoids of a thousandth of the width, 20 widths to either side."""
    sigma = np.exp(bound)
    x = np.linspace(-20 * sigma, 20 * sigma, 40_001)
    with jax.enable_x64(True):
        zeros = np.zeros((len(x), 2))
        density = np.exp(log_prob(zeros, zeros, np.full((len(x), 2), log_sigma), x))
    np.testing.assert_allclose(np.trapezoid(density, x), 1, atol=1e-9)
    np.testing.assert_allclose(density.max(), scipy.stats.norm.pdf(0, 0, sigma), rtol=1e-6)


def test_value_and_gradient_are_finite_at_extreme_arguments():
    """All combinations, mixed with a component of mean 0 and sigma 1."""

    def total(arguments):
        return gaussian_mixture_log_prob(*arguments).sum()

    extremes = ([-1e4, 0, 1e4], [-1e9, 0, 1e9], [-1e4, -7, 0, 1e4], [-1e9, 0, 1])
    logits, means, log_sigmas, x = np.array(list(itertools.product(*extremes)), np.float32).T
    pairs = [np.stack([np.zeros_like(part), part], axis=-1) for part in (logits, means, log_sigmas)]
    value, gradient = jax.jit(jax.value_and_grad(total))((*pairs, x))
    assert np.isfinite(value)
    assert all(np.isfinite(part).all() for part in gradient)


def test_the_scaled_gradient_is_sigma_times_the_true_one_and_nothing_else_changes():
    with jax.enable_x64(True):
        logits, means, log_sigmas = random_mixture(2, (6, 3))
        x = np.random.default_rng(3).normal(size=6)

        def plain(logits, means, log_sigmas, x):
            return gaussian_mixture_log_prob(logits, means, log_sigmas, x).sum()

        def scaled(logits, means, log_sigmas, x):
            return plain(logits, scale_gradient(means, jnp.exp(log_sigmas)), log_sigmas, x)

        (value, true), (same, ours) = (
            jax.jit(jax.value_and_grad(function, argnums=(0, 1, 2)))(logits, means, log_sigmas, x)
            for function in (plain, scaled)
        )
        np.testing.assert_allclose(same, value, rtol=1e-12)
        np.testing.assert_allclose(ours[0], true[0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(ours[1], np.exp(log_sigmas) * np.asarray(true[1]), rtol=1e-12)
        np.testing.assert_allclose(ours[2], true[2], rtol=1e-12, atol=1e-14)
