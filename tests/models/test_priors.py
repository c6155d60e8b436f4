import functools

import jax
import numpy as np
import pytest
import scipy.stats

from genjax.models.priors import Prior, check_prior, gaussian, gaussian_mixture, swiss_roll, uniform

KEY = jax.random.key(0)
COUNT = 20_000
PETALS, SPIRAL = gaussian_mixture(), swiss_roll()


@functools.cache
def sampler(prior, count):
    return jax.jit(lambda key, labels: prior.sample(key, count, labels))


def drawn(prior, labels=None, *, count=COUNT, key=KEY):
    return np.asarray(sampler(prior, count)(key, labels))


def assert_moments(samples, mean, covariance):
    """Each within five standard errors: of a mean sqrt(v / n), of a second moment of Gaussians sqrt(2) v / sqrt(n)."""
    scale = np.diag(covariance).max()
    np.testing.assert_allclose(samples.mean(0), mean, atol=5 * np.sqrt(scale / len(samples)))
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=5 * np.sqrt(2 / len(samples)) * scale)


def test_the_gaussian_has_its_moments():
    samples = drawn(gaussian(3, std=5.0))
    assert_moments(samples, np.zeros(3), 25 * np.eye(3))
    assert scipy.stats.kstest(samples[:, 0] / 5, "norm").pvalue > 1e-4


def test_the_uniform_prior_fills_its_cube():
    samples = drawn(uniform(2, limit=3.0))
    assert_moments(samples, np.zeros(2), 3 * np.eye(2))
    for column in samples.T:
        assert scipy.stats.kstest(column / 6 + 0.5, "uniform").pvalue > 1e-4


def petal(k):
    """Mean and covariance of component k: 1.4 along the direction 2 pi k / 10, variances .25 along and .01 across."""
    angle = 2 * np.pi * k / 10
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return 1.4 * rotation[:, 0], rotation @ np.diag([0.25, 0.01]) @ rotation.T


@pytest.mark.parametrize("k", [0, 1, 4, 9])
def test_each_petal_has_its_moments(k):
    samples = drawn(PETALS, np.full(COUNT, k))
    mean, covariance = petal(k)
    assert_moments(samples, mean, covariance)
    across = (samples - mean) @ [-mean[1], mean[0]] / 1.4
    np.testing.assert_allclose(across.std(), 0.1, rtol=5 / np.sqrt(2 * COUNT))


def nearest_petal(samples):
    """The component under which each sample is most likely."""
    densities = [scipy.stats.multivariate_normal(*petal(k)).logpdf(samples) for k in range(10)]
    return np.argmax(densities, axis=0)


@pytest.mark.parametrize("labels", [None, 10])
def test_without_a_label_all_petals_are_as_likely(labels):
    """Mixture moments: mean 0, and isotropic covariance of half of 1.4^2 + .25 + .01."""
    samples = drawn(PETALS, None if labels is None else np.full(COUNT, labels))
    assert_moments(samples, np.zeros(2), np.eye(2) * (1.4**2 + 0.26) / 2)
    assert scipy.stats.chisquare(np.bincount(nearest_petal(samples), minlength=10)).pvalue > 1e-4


def test_labelled_and_unlabelled_samples_stand_in_one_batch():
    labels = np.tile([3, 10], COUNT // 2)
    nearest = nearest_petal(drawn(PETALS, labels))
    assert (nearest[::2] == 3).mean() > 0.95
    assert scipy.stats.chisquare(np.bincount(nearest[1::2], minlength=10)).pvalue > 1e-4


@pytest.mark.parametrize("k", [0, 7])
def test_a_class_of_the_swiss_roll_owns_its_part_of_the_spiral(k):
    """The distance from 0 is 3 sqrt(u), the angle 4 pi sqrt(u), and u uniform on [k / 10, (k + 1) / 10)."""
    samples = drawn(SPIRAL, np.full(COUNT, k))
    u = (np.linalg.norm(samples, axis=1) / 3) ** 2
    assert u.min() >= k / 10 - 1e-6
    assert u.max() <= (k + 1) / 10 + 1e-6
    assert scipy.stats.kstest((u * 10 - k).clip(0, 1), "uniform").pvalue > 1e-4
    angle = 4 * np.pi * np.sqrt(u)
    on_spiral = 3 * np.sqrt(u)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    np.testing.assert_allclose(samples, on_spiral, atol=1e-4)


def test_the_whole_swiss_roll_is_uniform_in_u():
    u = (np.linalg.norm(drawn(SPIRAL), axis=1) / 3) ** 2
    assert scipy.stats.kstest(u.clip(0, 1), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("prior", [gaussian(2), uniform(2), PETALS, SPIRAL])
def test_samples_follow_their_key_and_fit_codes_of_their_dimension_alone(prior):
    a, b, c = (drawn(prior, count=4, key=key) for key in (KEY, KEY, jax.random.key(1)))
    assert (a == b).all()
    assert (a != c).any()
    check_prior(prior, 2)
    with pytest.raises(ValueError, match="samples have 2 dimensions, the code has latents=3"):
        check_prior(prior, 3)


def test_a_prior_that_is_not_what_it_says_is_refused():
    wrong = Prior(3, 0, lambda key, count, labels: jax.random.normal(key, (count, 2)))
    with pytest.raises(ValueError, match=r"shape \(2, 2\), codes of latents=3 \(2, 3\)"):
        check_prior(wrong, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian(0), "dimension=0"),
        (lambda: gaussian(2, std=0.0), "std=0"),
        (lambda: uniform(2, limit=-1.0), "limit=-1"),
        (lambda: gaussian_mixture(0), "components=0"),
        (lambda: gaussian_mixture(std=(0.5, 0.0)), "std=0"),
        (lambda: swiss_roll(0), "classes=0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=f"{message}.* must be above 0"):
        make()
