"""Samples and completions of RNADE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from genjax.models.autoregressive import rnade
from genjax.models.autoregressive.rnade import Weights
from tests.models.rnade_cases import (
    KEY,
    SHAPE,
    SIZES,
    D,
    as_params,
    naive_log_probs,
    naive_mixtures,
    noise,
    random_images,
    random_weights,
    raster,
    with_biases,
)


def test_sampler_records_the_log_density_of_its_samples():
    with jax.enable_x64(True):
        w = random_weights(14)
        x, recorded = rnade.sample(w, KEY, 64)
        np.testing.assert_allclose(naive_log_probs(w, np.asarray(x)).sum(1), recorded, rtol=0, atol=1e-10)


SAMPLES = 100_000
"""Of four elements: tests with as many share their sampler."""


def test_samples_follow_the_conditional_distribution_functions():
    """Kolmogorov-Smirnov: F(x_d | x_<d), by SciPy, of a right sampler's values are uniform, and independent.

    Sigmas reach from 0.05 to 20: a sampler that clipped them at 1, or took floors of its own, would fail.
    """
    with jax.enable_x64(True):
        w = with_biases(random_weights(15, dimensions=4), slice(6, None), np.log([0.05, 1.0, 20.0]))
        x = np.asarray(rnade.sample(w, jax.random.key(1), SAMPLES)[0])
    alpha, mu, sigma = naive_mixtures(w, x)
    assert sigma.max() > 5
    assert sigma.min() < 0.2
    levels = (alpha * scipy.stats.norm.cdf(x[..., None], mu, sigma)).sum(-1)
    for level in levels.T:
        assert scipy.stats.kstest(level, "uniform").pvalue > 1e-4
    assert np.abs(np.corrcoef(levels.T) - np.eye(4)).max() < 5 / np.sqrt(SAMPLES)


def test_moments_of_samples_are_those_of_the_density():
    """The first element's mixture, and the second's mean by quadrature over the first."""
    with jax.enable_x64(True):
        w = random_weights(16, dimensions=4)
        x = np.asarray(rnade.sample(w, jax.random.key(2), SAMPLES)[0])[:, :2]
        grid = np.linspace(-30, 30, 20_001)
        pairs = np.pad(grid[:, None], ((0, 0), (0, 3)))
        alpha, mu, sigma = naive_mixtures(w, pairs)
        density = (alpha[:, 0] * scipy.stats.norm.pdf(grid[:, None], mu[:, 0], sigma[:, 0])).sum(-1)
        mean = np.trapezoid(density * grid, grid)
        second = np.trapezoid(density * (alpha[:, 1] * mu[:, 1]).sum(-1), grid)
        squares = np.trapezoid(density * (alpha[:, 1] * (mu[:, 1] ** 2 + sigma[:, 1] ** 2)).sum(-1), grid)
    error = 5 / np.sqrt(len(x))
    np.testing.assert_allclose(x.mean(0), [mean, second], atol=error * x.std(0).max())
    assert abs((x[:, 1] ** 2).mean() - squares) < error * (x[:, 1] ** 2).std()


def test_fast_sampler_equals_one_that_computes_all_conditionals_anew_at_each_pixel():
    with jax.enable_x64(True):
        w = random_weights(17)

        draw = jax.jit(lambda w, x: rnade.conditionals(w, x).draw(*rnade.noise(KEY, x)))
        naive = np.zeros((64, D))
        for d in range(D):
            naive[:, d] = draw(w, naive.copy())[:, d]
        np.testing.assert_allclose(rnade.sample(w, KEY, 64)[0], naive, rtol=0, atol=1e-9)


def completion_batch(known_pixels, order):
    known = np.zeros(D)
    known[order[:known_pixels]] = 1
    image = random_images(22, 3)
    known = np.broadcast_to(known.astype(np.float32).reshape(SHAPE), image.shape)
    return {"image": image, "known": known}


def test_completion_keeps_what_is_known_and_draws_the_rest_given_it():
    order = np.random.default_rng(23).permutation(D)
    mean, std = np.full(SHAPE, 0.1), np.full(SHAPE, 0.3)
    model = rnade.rnade(SHAPE, ordering=order.tolist(), mean=mean, std=std, **SIZES)
    generate = jax.jit(model.generate)
    batch, w = completion_batch(7, order), random_weights(0)
    drawn = np.stack([generate(as_params(w), {}, batch, jax.random.key(i)) for i in range(8)])
    known = np.asarray(batch["known"]) > 0
    assert (drawn[:, known] == np.asarray(batch["image"])[known]).all()
    assert (drawn.std(0)[~known] > 0).all()
    x = (np.asarray(batch["image"]).reshape(3, D)[:, order] - 0.1) / 0.3
    alpha, mu, sigma = naive_mixtures(w, x)
    uniform, normal = noise(jax.random.key(0), np.zeros((3, D), np.float32))
    component = (np.cumsum(alpha[:, 7], -1) <= np.asarray(uniform)[:, 7, None]).sum(-1)[:, None]
    eighth = np.take_along_axis(mu[:, 7] + sigma[:, 7] * np.asarray(normal)[:, 7, None], component, 1)[:, 0]
    np.testing.assert_allclose(drawn[0].reshape(3, D)[:, order[7]], 0.1 + 0.3 * eighth, rtol=1e-4)


def test_completion_of_no_known_pixels_is_a_sample():
    batch = completion_batch(0, np.arange(D))
    generate, params = jax.jit(raster().generate), as_params(random_weights(0))
    completed = generate(params, {}, batch, KEY)
    sample = generate(params, {}, {"image": batch["image"]}, KEY)
    np.testing.assert_allclose(completed, sample, rtol=1e-5, atol=1e-6)


def test_completion_of_pixels_that_are_no_prefix_or_of_another_shape_is_refused():
    batch = jax.tree.map(jnp.asarray, completion_batch(7, np.arange(D)[::-1]))  # the last seven in raster order
    model, params = raster(), jax.tree.map(jnp.asarray, as_params(random_weights(0)))
    with pytest.raises(ValueError, match="known: the model completes what follows a prefix"):
        model.generate(params, {}, batch, KEY)
    assert np.isnan(jax.jit(model.generate)(params, {}, batch, KEY)).all()
    with pytest.raises(ValueError, match="known: shape"):
        model.generate(params, {}, {**batch, "known": batch["known"][:, :1]}, KEY)


def test_samples_are_as_narrow_and_as_wide_as_their_density_says():
    """Log sigmas of -30 and 30: the density has -7 and 7 instead, and so must the sampler."""
    sigma = np.exp([-7.0, 7.0])
    with jax.enable_x64(True):
        zeros = Weights(np.zeros((2, 1)), np.zeros((2, 1, 3)), np.zeros((2, 3)), np.zeros(1), np.ones(2))
        w = with_biases(zeros, 2, [-30.0, 30.0])
        x, recorded = jax.device_get(rnade.sample(w, KEY, 1000))
    for column in (x / sigma).T:
        assert scipy.stats.kstest(column, "norm").pvalue > 1e-4
    np.testing.assert_allclose(recorded, scipy.stats.norm.logpdf(x, scale=sigma).sum(1), rtol=1e-9)
