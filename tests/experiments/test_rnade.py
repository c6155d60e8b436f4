"""The experiment on RNADE: its baselines, and the images that they share."""

import jax
import numpy as np
import pytest
import scipy.stats

from experiments.rnade import REFERENCES, Options, baselines, fit_gaussian, images_of, rnade
from genjax.data.levels import dequantized
from genjax.data.load import load_dataset
from genjax.evaluation import make_evaluate_seeds
from genjax.runs.loop import split_means
from genjax.runs.options import Data


@pytest.fixture(scope="module")
def grey():
    return load_dataset("digits", binarization="none")


def test_images_of_are_those_that_a_run_measures(grey):
    """By their mean, sum of squares, and number."""
    data = dequantized(grey, 17)

    def evaluate(params, stats, batch, key):
        return {"mean": batch["image"].mean((1, 2, 3)), "squares": (batch["image"] ** 2).mean((1, 2, 3))}

    measured = split_means(make_evaluate_seeds(evaluate, data.load), ({"": np.zeros(1)}, {}), data.test)
    images = images_of(data, data.test)
    assert images.shape == (300, 64)
    np.testing.assert_allclose([images.mean(), (images**2).mean()], [measured["mean"][0], measured["squares"][0]])
    assert (images != images_of(data, data.test, jax.random.key(1))).all()


def test_the_gaussian_has_the_moments_of_the_images_over_all_noises(grey):
    """Of 20 noises of each image; the noise of the mean is 1 / 17 wide, that of products of values below 1 no wider."""
    data, gaussian = dequantized(grey, 17), fit_gaussian(grey, 17)
    draws = [images_of(data, data.train, jax.random.key(draw)) for draw in range(20)]
    centred = [draw - gaussian.mean for draw in draws]
    noise_mean = 1 / 17 / np.sqrt(12 * 20 * 1297)
    np.testing.assert_allclose(np.mean(draws, axis=(0, 1)), gaussian.mean, atol=5 * noise_mean)
    covariance = np.mean([one.T @ one / len(one) for one in centred], axis=0)
    np.testing.assert_allclose(covariance, gaussian.covariance, atol=5 * noise_mean)


def test_its_nll_is_scipys(grey):
    gaussian = fit_gaussian(grey, 17)
    images = images_of(dequantized(grey, 17), grey.test)
    expected = -scipy.stats.multivariate_normal(gaussian.mean, gaussian.covariance).logpdf(images).mean()
    np.testing.assert_allclose(gaussian.nll_nats(images), expected, rtol=1e-10)


def test_the_references_are_what_the_baselines_give(grey):
    """Of the mixtures, the one that validation picks out of all: of 10 components, with 0.0003 added."""
    found = baselines(grey, 17, components=(10,), regularizations=(3e-4,))
    gaussian, mixture = (reference.value for reference in REFERENCES)
    np.testing.assert_allclose(found["gaussian_nll_nats"], gaussian, atol=0.001)
    np.testing.assert_allclose(found["mixture_nll_nats"], mixture, atol=0.1)  # its sums depend on the machine


def test_binary_pixels_are_refused():
    with pytest.raises(ValueError, match="levels=17 of static data"):
        rnade(Options(Data(binarization="static")))
