"""Models of real series: densities, exact likelihoods, samples."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import norm

from genjax.models.autoregressive.char_rnn import gaussian_mixture, sequential
from genjax.testing import assert_autoregressive, jacobian_pattern
from tests.models.char_rnn_cases import (
    SERIES_CORE,
    SERIES_PARAMS,
    continuation,
    log_probs,
    random_params,
    read_anew,
    values,
)


@jax.jit
def series_density(parameters, value):
    return jnp.exp(SERIES_CORE.head.log_prob(parameters, value))


@pytest.mark.parametrize("prefix", [0, 3])
def test_the_density_of_a_value_integrates_to_one(prefix):
    with jax.enable_x64(True):
        params = random_params(SERIES_CORE)
        x = values((1, prefix + 1))
        parameters = np.asarray(read_anew(SERIES_CORE, params, x)[1])[0, -1]
        total, _ = quad(lambda value: float(series_density(parameters, value)), -60, 60, limit=200, points=[-2, 0, 2])
        np.testing.assert_allclose(total, 1, atol=1e-8)


def test_one_component_without_weights_is_the_normal_distribution():
    core = sequential(gaussian_mixture(1, 3.0, 2.0), hidden=4, layers=1)
    params, x = jax.tree.map(np.zeros_like, random_params(core)), values((2, 5))
    np.testing.assert_allclose(log_probs(core, params, x), norm(3, 2).logpdf(np.asarray(x)), rtol=1e-5)


def test_an_autoregression_has_its_exact_likelihood():
    """An LSTM that hands x_{t-1} on in its linear range is the AR(1) process with that coefficient."""
    with jax.enable_x64(True):
        core, small = sequential(gaussian_mixture(1), hidden=1, layers=1), 1e-3
        params = jax.tree.map(np.zeros_like, random_params(core))
        # Gates i and o open, f shut, g = small x: h = tanh(tanh(small x)) = small x up to its cube.
        params["core"]["layer_0"]["input"]["kernel"] = np.array([[0, 0, 0, small]])
        params["core"]["layer_0"]["input"]["bias"] = np.array([50.0, -50.0, 50.0, 0.0])
        params["head"]["kernel"] = np.array([[0.0, 0.8 / small, 0.0]])
        params["head"]["bias"] = np.array([0.0, 0.0, math.log(0.6)])
        x = values((2, 20))
        before = np.pad(np.asarray(x), ((0, 0), (1, 0)))[:, :-1]
        np.testing.assert_allclose(log_probs(core, params, x), norm(0.8 * before, 0.6).logpdf(x), rtol=0, atol=1e-4)


def test_each_value_depends_on_all_before_it_and_on_no_other():
    def parameters(x):
        return read_anew(SERIES_CORE, SERIES_PARAMS, x)[1]

    assert_autoregressive(parameters, values((3, 6)), pattern=jacobian_pattern)


def test_continuations_of_a_series_have_the_distribution_function_of_the_density():
    """Kolmogorov-Smirnov test of the value after a prefix; the recorded log p is that of reading the whole."""
    prompt = np.broadcast_to(values((1, 3)), (20_000, 3))
    x, recorded = continuation(SERIES_CORE, SERIES_PARAMS, jax.random.key(0), prompt, length=2)
    x, recorded = np.asarray(x), np.asarray(recorded)
    _, parameters = read_anew(SERIES_CORE, SERIES_PARAMS, np.concatenate([prompt[:1], x[:1]], axis=1))
    logits, means, log_stds = np.split(np.asarray(parameters, np.float64)[0, 3], 3)
    weights, ordered = np.exp(logits - logsumexp(logits)), np.sort(np.asarray(x[:, 0], np.float64))
    cdf = norm(0.5 + 2 * means, 2 * np.exp(log_stds)).cdf(ordered[:, None]) @ weights
    assert abs(cdf - (np.arange(20_000) + 0.5) / 20_000).max() < 2.2 / math.sqrt(20_000)  # p < 1e-4
    whole = log_probs(SERIES_CORE, SERIES_PARAMS, np.concatenate([prompt[:50], x[:50]], axis=1))
    np.testing.assert_allclose(whole[:, 3:].sum(axis=1), recorded[:50], rtol=1e-3, atol=1e-4)


def test_the_unit_of_a_series_shifts_its_nats():
    """Log p of s x + m under mean m and scale s is log p of x under 0 and 1, less log s."""
    plain, scaled = (sequential(gaussian_mixture(2, *unit), hidden=4, layers=1) for unit in ((0.0, 1.0), (3.0, 0.1)))
    x = values((2, 6))
    expected = log_probs(plain, SERIES_PARAMS, x) - math.log(0.1)
    np.testing.assert_allclose(log_probs(scaled, SERIES_PARAMS, 3 + 0.1 * x), expected, rtol=1e-4, atol=1e-5)
