import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.models.autoregressive.pixels import (
    bernoulli,
    categorical,
    check_known,
    element_uniforms,
    fill_by_passes,
    logistic_mixture,
    prefix_or_nan,
)
from genjax.testing import assert_sampler_matches

OUTPUTS = {"bernoulli": bernoulli(), "categorical": categorical(4), "logistic mixture": logistic_mixture(4, 2)}
every_output = pytest.mark.parametrize("name", OUTPUTS)


def random_parameters(output, *shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=(*shape, output.parameters)), jnp.float32)


@every_output
def test_log_probs_are_normalized_and_hold_log_prob(name):
    output = OUTPUTS[name]
    parameters = random_parameters(output, 5)
    log_probs = output.log_probs(parameters)
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1, rtol=1e-5)
    for level in range(output.levels):
        x = jnp.full(5, level / (output.levels - 1))
        np.testing.assert_allclose(output.log_prob(parameters, x), log_probs[:, level], rtol=1e-5)


@every_output
def test_draw_inverts_the_distribution_function(name):
    output = OUTPUTS[name]
    parameters = random_parameters(output)
    uniform = (jnp.arange(10_000) + 0.5) / 10_000
    drawn = output.draw(jnp.broadcast_to(parameters, (10_000, output.parameters)), uniform)
    shares = np.bincount(np.round(np.asarray(drawn) * (output.levels - 1)).astype(int), minlength=output.levels) / 1e4
    np.testing.assert_allclose(shares, np.exp(output.log_probs(parameters)), atol=2e-4)


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
    assert_sampler_matches(fill(jax.random.key(0), jnp.zeros((20_000, 1, 3, 1))), log_prob, levels=output.levels)


def test_known_elements_are_kept_and_the_rest_follows_them():
    output = bernoulli()
    conditionals = lambda x: 100.0 * (2 * jnp.roll(x, 1, axis=2)[..., None] - 1)  # noqa: E731 (each copies the one before)
    known = jnp.zeros((4, 1, 3, 1)).at[:, :, 0].set(1)
    image = jnp.zeros((4, 1, 3, 1)).at[:2].set(1)
    filled = fill_by_passes(conditionals, output, jax.random.key(0), image, known)
    np.testing.assert_array_equal(filled[:, 0, :, 0], [[1, 1, 1]] * 2 + [[0, 0, 0]] * 2)


def test_a_sample_does_not_depend_on_how_many_are_drawn():
    many, few = (element_uniforms(jax.random.key(0), jnp.zeros((count, 2, 2, 1))) for count in (5, 2))
    np.testing.assert_array_equal(many[:2], few)
    assert len(np.unique(many)) == many.size


def test_a_known_set_that_is_no_prefix_is_refused_or_nan():
    x, known = jnp.ones((1, 3)), jnp.array([[1.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match=r"known: .* a prefix of its ordering"):
        prefix_or_nan(x, known)
    assert np.isnan(jax.jit(prefix_or_nan)(x, known)).all()
    np.testing.assert_array_equal(jax.jit(prefix_or_nan)(x, jnp.array([[1.0, 1.0, 0.0]])), x)


def test_known_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"known: shape \(1, 2, 2, 1\) must be that of image, \(1, 2, 3, 1\)"):
        check_known(jnp.zeros((1, 2, 3, 1)), jnp.zeros((1, 2, 2, 1)))


@pytest.mark.parametrize(("levels", "components"), [(1, 2), (4, 0)])
def test_a_mixture_without_levels_or_components_is_refused(levels, components):
    with pytest.raises(ValueError, match=f"levels={levels} must be at least 2, and components={components}"):
        logistic_mixture(levels, components)


def test_a_softmax_over_one_level_is_refused():
    with pytest.raises(ValueError, match="levels=1 must be at least 2"):
        categorical(1)
