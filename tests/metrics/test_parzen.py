import numpy as np
import pytest
import scipy.special
import scipy.stats

from genjax.metrics.parzen import BANDWIDTHS, parzen, parzen_log_probs

RNG = np.random.default_rng(0)
SAMPLES, X = RNG.normal(size=(5, 3)), RNG.normal(size=(7, 3))


def test_it_is_the_log_of_the_mean_of_scipys_densities(monkeypatch):
    monkeypatch.setattr("genjax.metrics.parzen.CHUNK", 3)
    each = [[scipy.stats.multivariate_normal(mean, 0.49).logpdf(x) for mean in SAMPLES] for x in X]
    expected = scipy.special.logsumexp(each, axis=1) - np.log(5)
    np.testing.assert_allclose(parzen_log_probs(X, SAMPLES, (2.0, 0.7))[1], expected, rtol=1e-10)


def test_around_a_single_sample_it_is_a_gaussian():
    expected = scipy.stats.norm.logpdf(X, SAMPLES[:1], 0.3).sum(axis=1)
    np.testing.assert_allclose(parzen_log_probs(X, SAMPLES[:1], (0.3,))[0], expected, rtol=1e-10)


def test_far_from_all_samples_it_does_not_underflow():
    found = parzen_log_probs(np.full((1, 1), 100.0), np.zeros((2, 1)), (0.1,))
    np.testing.assert_allclose(found, [[scipy.stats.norm.logpdf(100, 0, 0.1)]], rtol=1e-10)


def test_the_bandwidth_is_the_best_on_validation_and_the_numbers_are_of_the_test():
    """Around one sample at 0 the best s is the root mean square of the validation values: here 0.2 of the grid."""
    samples, validation = np.zeros((1, 1)), np.array([[0.2], [-0.2]])
    test = np.array([[0.1], [0.5], [-0.9]])
    found = parzen(samples, validation, test, bandwidths=(0.1, 0.2, 0.4))
    log_probs = scipy.stats.norm.logpdf(test[:, 0], 0, 0.2)
    assert found.bandwidth == 0.2
    np.testing.assert_allclose(found.nats, log_probs.mean(), rtol=1e-10)
    np.testing.assert_allclose(found.standard_error, log_probs.std() / np.sqrt(3), rtol=1e-10)
    assert found.protocol == (
        "Gaussian Parzen window, 1 samples, 2 validation and 3 test examples, best of 3 bandwidths from 0.1 to 0.4"
    )


def test_the_grid_is_ten_bandwidths_from_a_tenth_to_one():
    np.testing.assert_allclose(BANDWIDTHS, 10 ** (np.arange(10) / 9 - 1))


@pytest.mark.parametrize(("samples", "bandwidths"), [(SAMPLES, (0.0,)), (SAMPLES, ())])
def test_bad_arguments_are_named(samples, bandwidths):
    with pytest.raises(ValueError, match=r"bandwidths=\(.*\) must be above 0"):
        parzen_log_probs(X, samples, bandwidths)
