import itertools

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from genjax.metrics.class_score import class_score
from genjax.metrics.features import FeatureSets
from genjax.metrics.frechet import frechet_distance
from genjax.metrics.kernel_distance import kernel_distance
from genjax.metrics.mmd import Kernel, cubic_kernel
from genjax.metrics.precision_recall import precision_recall

RNG = np.random.default_rng(0)


def sets(real, fake):
    return FeatureSets(np.asarray(real, np.float32), np.asarray(fake, np.float32), "a classifier [0123abcd]", "test")


REAL, FAKE = RNG.normal(size=(40, 5)), RNG.normal(0.5, 2, (30, 5)) @ RNG.normal(size=(5, 5))


def with_moments(mean, covariance, count, seed=1):
    """Points that have exactly this mean and unbiased covariance."""
    drawn = np.random.default_rng(seed).normal(size=(count, len(mean)))
    drawn -= drawn.mean(0)
    white = drawn @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(drawn, rowvar=False)))).T
    return mean + white @ np.linalg.cholesky(covariance).T


def test_the_frechet_distance_is_scipys_of_known_moments():
    means = RNG.normal(size=(2, 4))
    factors = RNG.normal(size=(2, 4, 4))
    first, second = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(4)
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(first + second - 2 * scipy.linalg.sqrtm(first @ second))
    found = frechet_distance(sets(with_moments(means[0], first, 50), with_moments(means[1], second, 70)))
    np.testing.assert_allclose(found.value, expected.real, rtol=1e-4)
    assert found.protocol == (
        "Frechet distance, features of a classifier [0123abcd], 50 real images (test) and 70 generated ones"
    )


def test_the_frechet_distance_in_one_dimension_is_of_means_and_deviations():
    real, fake = with_moments(np.zeros(1), np.array([[4.0]]), 20), with_moments(np.ones(1), np.array([[9.0]]), 20)
    np.testing.assert_allclose(frechet_distance(sets(real, fake)).value, (0 - 1) ** 2 + (2 - 3) ** 2, rtol=1e-4)


def test_the_frechet_distance_stands_features_without_variance():
    """More features than images, and one that is always 0: a shift is still a shift."""
    real = np.concatenate([RNG.normal(size=(6, 9)), np.zeros((6, 1))], axis=1)
    np.testing.assert_allclose(frechet_distance(sets(real, real)).value, 0, atol=1e-5)
    np.testing.assert_allclose(frechet_distance(sets(real, real + 3)).value, 10 * 9, rtol=1e-4)


def test_the_kernel_distance_is_the_sum_over_pairs(monkeypatch):
    monkeypatch.setattr("genjax.metrics.mmd.CHUNK", 7)
    kernel = polynomial_kernel(np.concatenate([REAL, FAKE]), degree=3, gamma=1 / 5, coef0=1)
    real, fake, across = kernel[:40, :40], kernel[40:, 40:], kernel[:40, 40:]
    pairs = [np.mean([block[i, j] for i, j in itertools.permutations(range(len(block)), 2)]) for block in (real, fake)]
    found = kernel_distance(sets(REAL, FAKE))
    np.testing.assert_allclose(found.value, sum(pairs) - 2 * across.mean(), rtol=1e-5)
    assert found.protocol == (
        "Kernel distance, cubic polynomial, unbiased, features of a classifier [0123abcd], "
        "40 real images (test) and 30 generated ones"
    )


def test_the_kernel_distance_of_one_distribution_has_mean_0(monkeypatch):
    """Under the kernel by its formula, which agrees with the library's."""
    kernel = Kernel("cubic polynomial", lambda x, y: (x @ y.T / 3 + 1) ** 3)
    np.testing.assert_allclose(cubic_kernel().matrix(REAL[:, :3], FAKE[:, :3]), kernel.matrix(REAL[:, :3], FAKE[:, :3]))
    monkeypatch.setattr("genjax.metrics.kernel_distance.cubic_kernel", lambda: kernel)
    rng = np.random.default_rng(3)
    found = [kernel_distance(sets(rng.normal(size=(10, 3)), rng.normal(size=(8, 3)))).value for _ in range(500)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(500)
    assert min(found) < 0


def test_precision_and_recall_are_of_scikit_learns_neighbours(monkeypatch):
    monkeypatch.setattr("genjax.metrics.precision_recall.CHUNK", 7)

    def share(points, manifold):
        radii = NearestNeighbors(n_neighbors=4).fit(manifold).kneighbors(manifold)[0][:, 3]
        inside = [any(np.linalg.norm(p - m) <= r for m, r in zip(manifold, radii, strict=True)) for p in points]
        return np.mean(inside)

    real, fake = RNG.normal(size=(40, 2)), RNG.normal(0.8, 1.2, (30, 2))
    found = precision_recall(sets(real, fake))
    assert found[:2] == pytest.approx((share(fake, real), share(real, fake)))
    assert 0 < found.precision < 1
    assert 0 < found.recall < 1
    assert found.protocol.startswith("Precision and recall, 3 neighbours, features of a classifier [0123abcd], 40 real")


def test_a_generator_of_one_mode_has_precision_without_recall():
    """Half of the real features are 0 to 9, half 100 to 109; the generated ones lie between those of the first half."""
    steps = np.arange(10.0)[:, None]
    real = np.concatenate([steps, steps + 100])
    assert precision_recall(sets(real, steps[:9] + 0.5))[:2] == pytest.approx((1, 0.5))
    assert precision_recall(sets(real, real))[:2] == (1, 1)
    assert precision_recall(sets(real, real + 1000))[:2] == (0, 0)


def test_the_class_score_is_the_exponential_of_the_mean_divergence():
    probabilities = RNG.dirichlet(np.ones(4), 20)
    marginal = probabilities.mean(0)
    divergences = [scipy.stats.entropy(row, marginal) for row in probabilities]
    found = class_score(probabilities, classifier="a classifier [0123abcd]")
    np.testing.assert_allclose(found.value, np.exp(np.mean(divergences)), rtol=1e-12)
    assert found.protocol == "exp E KL(p(y|x) || p(y)), a classifier [0123abcd], 20 images"


def test_the_class_score_is_the_number_of_classes_at_most_and_1_at_least():
    assert np.isclose(class_score(np.repeat(np.eye(4), 3, axis=0), classifier="c").value, 4)
    assert np.isclose(class_score(np.repeat(np.eye(4)[:2], 3, axis=0), classifier="c").value, 2)
    assert np.isclose(class_score(np.full((5, 4), 0.25), classifier="c").value, 1)
    assert np.isclose(class_score(np.eye(4)[[0, 0, 0]], classifier="c").value, 1)


@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance, precision_recall])
def test_bad_features_are_named(metric):
    with pytest.raises(ValueError, match=r"fake: needs 2 or more examples, has the shape \(1, 5\)"):
        metric(sets(REAL, FAKE[:1]))
    with pytest.raises(ValueError, match=r"real: holds nan at index \(0, \d\), must be finite"):
        metric(sets(np.where(REAL > 0, REAL, np.nan), FAKE))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="neighbors=30 must be from 1 to 29"):
        precision_recall(sets(REAL, FAKE), neighbors=30)
    for bad in (np.full((2, 3), 0.5), np.array([[1.5, -0.5]])):
        with pytest.raises(ValueError, match="each row must be a probability distribution"):
            class_score(bad, classifier="c")
    with pytest.raises(ValueError, match="probabilities: needs 1 or more examples"):
        class_score(np.zeros((0, 3)), classifier="c")
