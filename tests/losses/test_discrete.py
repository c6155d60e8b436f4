import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from genjax.losses.discrete import (
    categorical_log_prob,
    discretized_logistic_log_prob,
    discretized_logistic_mixture_log_prob,
)

component = jax.jit(discretized_logistic_log_prob, static_argnames="levels")
mixture = jax.jit(discretized_logistic_mixture_log_prob, static_argnames="levels")


def values(levels):
    return (np.arange(levels) / (levels - 1)).astype(jax.dtypes.canonicalize_dtype(float))


@pytest.mark.parametrize("levels", [2, 5])
def test_categorical_log_prob_is_scipys(levels):
    rng = np.random.default_rng(0)
    logits, level = rng.normal(size=(4, 3, levels)), rng.integers(0, levels, (4, 3))
    with jax.enable_x64(True):
        ours = jax.jit(categorical_log_prob)(logits, level / (levels - 1))
    expected = np.take_along_axis(scipy.special.log_softmax(logits, axis=-1), level[..., None], -1)[..., 0]
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


@pytest.mark.parametrize("levels", [2, 7, 256])
def test_the_mass_of_a_bin_is_a_difference_of_scipys_distribution_function(levels):
    with jax.enable_x64(True):
        ours = np.exp(component(np.float64(0.3), np.float64(-1.2), values(levels), levels=levels))
    edges = np.concatenate([[-np.inf], 2 * (np.arange(levels - 1) + 0.5) / (levels - 1) - 1, [np.inf]])
    np.testing.assert_allclose(ours, np.diff(scipy.stats.logistic.cdf(edges, 0.3, np.exp(-1.2))), rtol=1e-10)


@pytest.mark.parametrize("log_scale", [-6.9, -3.0, 0.0, 5.0, 25.0])
@pytest.mark.parametrize("mean", [-2.0, 0.004, 1.5])
def test_the_masses_of_all_levels_sum_to_one(mean, log_scale):
    parameters = np.array([0.3, -0.7, mean, 0.1, log_scale, -2.0], np.float32)
    log_probs = mixture(parameters, values(256), levels=256)
    np.testing.assert_allclose(scipy.special.logsumexp(np.asarray(log_probs, np.float64)), 0, atol=1e-5)


def test_a_mixture_of_one_is_its_component_and_of_equal_ones_as_well():
    x = values(5)
    one = component(np.float32(0.2), np.float32(-1.0), x, levels=5)
    for count in (1, 3):
        parameters = np.repeat(np.float32([0.4, 0.2, -1.0]), count)
        np.testing.assert_allclose(mixture(parameters, x, levels=5), one, rtol=1e-5)


@jax.jit
def value_and_gradient(mean, log_scale):
    def total(mean, log_scale):
        return discretized_logistic_log_prob(mean, log_scale, jnp.arange(4) / 3, levels=4).sum()

    return jax.value_and_grad(total, argnums=(0, 1))(mean, log_scale)


@pytest.mark.parametrize("mean", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("log_scale", [-1e4, -7.0, 0.0, 20.0, 90.0, 1e4])
def test_value_and_gradient_are_finite_at_extreme_parameters(mean, log_scale):
    value, gradient = value_and_gradient(np.float32(mean), np.float32(log_scale))
    assert np.isfinite([value, *gradient]).all()
