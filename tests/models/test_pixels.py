import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.models.autoregressive.pixels import (
    bernoulli,
    categorical,
    element_uniforms,
    fill_by_passes,
    logistic_mixture,
)
from genjax.testing import assert_sampler_matches, assert_stable

OUTPUTS = {"bernoulli": bernoulli(), "categorical": categorical(4), "logistic mixture": logistic_mixture(4, 2)}
every_output = pytest.mark.parametrize("name", OUTPUTS)


def random_parameters(output, *shape):
    return np.random.default_rng(0).normal(size=(*shape, output.parameters)).astype(np.float32)


@functools.cache
def jitted(name):
    """The functions of an output, compiled: log_probs, log_prob and draw."""
    output = OUTPUTS[name]
    return tuple(map(jax.jit, (output.log_probs, output.log_prob, output.draw)))


@every_output
def test_log_probs_are_normalized_and_hold_log_prob(name):
    output, (all_log_probs, log_prob, _) = OUTPUTS[name], jitted(name)
    parameters = random_parameters(output, 5)
    log_probs = np.asarray(all_log_probs(parameters))
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1, rtol=1e-5)
    for level in range(output.levels):
        x = np.full(5, level / (output.levels - 1), np.float32)
        np.testing.assert_allclose(log_prob(parameters, x), log_probs[:, level], rtol=1e-5)


@every_output
def test_draw_inverts_the_distribution_function(name):
    output, (all_log_probs, _, draw) = OUTPUTS[name], jitted(name)
    parameters = random_parameters(output)
    uniform = ((np.arange(10_000) + 0.5) / 10_000).astype(np.float32)
    drawn = draw(np.broadcast_to(parameters, (10_000, output.parameters)), uniform)
    shares = np.bincount(np.round(np.asarray(drawn) * (output.levels - 1)).astype(int), minlength=output.levels) / 1e4
    np.testing.assert_allclose(shares, np.exp(all_log_probs(parameters)), atol=2e-4)


def table_of(output):
    """Conditionals of a 1x3 image that look at the sum of the elements before."""
    weights = random_parameters(output, 3)

    def conditionals(x):
        before = jnp.cumsum(x, axis=2) - x
        return weights[None, None, :, None, :] * (1 + before[..., None])

    return conditionals


@every_output
def test_filling_by_passes_draws_from_the_density(name):
    output = OUTPUTS[name]
    conditionals = table_of(output)

    @jax.jit
    def log_prob(x):
        return output.log_prob(conditionals(x), x).sum(axis=(1, 2, 3))

    fill = jax.jit(functools.partial(fill_by_passes, conditionals, output))
    assert_sampler_matches(
        fill(jax.random.key(0), np.zeros((20_000, 1, 3, 1), np.float32)), log_prob, levels=output.levels
    )


def test_known_elements_are_kept_and_the_rest_follows_them():
    output = bernoulli()
    conditionals = lambda x: 100.0 * (2 * jnp.roll(x, 1, axis=2)[..., None] - 1)  # noqa: E731 (each copies the one before)
    known, image = np.zeros((2, 4, 1, 3, 1), np.float32)
    known[:, :, 0] = 1
    image[:2] = 1
    filled = np.asarray(
        jax.jit(functools.partial(fill_by_passes, conditionals, output))(jax.random.key(0), image, known)
    )
    np.testing.assert_array_equal(filled[:, 0, :, 0], [[1, 1, 1]] * 2 + [[0, 0, 0]] * 2)


def test_a_sample_does_not_depend_on_how_many_are_drawn():
    uniforms = jax.jit(element_uniforms)
    many, few = (np.asarray(uniforms(jax.random.key(0), np.zeros((count, 2, 2, 1), np.float32))) for count in (5, 2))
    np.testing.assert_array_equal(many[:2], few)
    assert len(np.unique(many)) == many.size


@every_output
def test_values_and_gradients_are_finite_at_extreme_parameters(name):
    output = OUTPUTS[name]
    x = (np.arange(output.levels) / (output.levels - 1)).astype(np.float32)

    @jax.jit
    def loss(parameters):
        return -output.log_prob(jnp.broadcast_to(parameters, (output.levels, output.parameters)), jnp.asarray(x))

    for at in (30.0, 90.0, 1e4):
        assert_stable(loss, (output.parameters,), at=at)


@pytest.mark.parametrize("name", ["categorical", "logistic mixture"])
def test_a_value_without_a_level_has_no_probability(name):
    output = OUTPUTS[name]
    x = np.array([-1.0, -0.2, 0.0, 1.0, 1.2, 3.0, np.nan], np.float32)
    log_probs = jitted(name)[1](random_parameters(output, 7), x)
    np.testing.assert_array_equal(np.isfinite(log_probs), [False, False, True, True, False, False, False])


@every_output
def test_nothing_is_drawn_of_parameters_that_are_no_numbers(name):
    output = OUTPUTS[name]
    uniform = np.array([0.0, 0.5, 0.99], np.float32)
    drawn = jitted(name)[2](np.full((3, output.parameters), np.nan, np.float32), uniform)
    assert np.isnan(drawn).all()


@pytest.mark.parametrize(("levels", "components"), [(1, 2), (4, 0)])
def test_a_mixture_without_levels_or_components_is_refused(levels, components):
    with pytest.raises(ValueError, match=f"levels={levels} must be at least 2, and components={components}"):
        logistic_mixture(levels, components)


def test_a_softmax_over_one_level_is_refused():
    with pytest.raises(ValueError, match="levels=1 must be at least 2"):
        categorical(1)
