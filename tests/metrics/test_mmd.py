import numpy as np
import pytest

from genjax.metrics.mmd import Kernel, rbf_at_median, rbf_mixture, unbiased_mmd2

PLAIN = Kernel("RBF, bandwidth 1", lambda x, y: np.exp(-((x[:, None] - y) ** 2).sum(-1) / 2))
"""The kernel of `rbf_mixture((1.0,))`, by its formula."""


def double_sum(x, y, bandwidths):
    """Equation 3 of Gretton et al. (2012), pair by pair."""

    def k(a, b):
        return np.mean([np.exp(-((a - b) ** 2).sum() / (2 * s**2)) for s in bandwidths])

    within_x = np.mean([k(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j])
    within_y = np.mean([k(y[i], y[j]) for i in range(len(y)) for j in range(len(y)) if i != j])
    return within_x + within_y - 2 * np.mean([k(a, b) for a in x for b in y])


def test_it_is_the_double_sum_over_pairs(monkeypatch):
    monkeypatch.setattr("genjax.metrics.mmd.CHUNK", 4)  # 9 and 7 samples: a last chunk that is not full
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 3)), rng.normal(0.5, 2, (7, 3))
    found = unbiased_mmd2(x, y, rbf_mixture((0.5, 3.0)))
    np.testing.assert_allclose(found.value, double_sum(x, y, (0.5, 3.0)), rtol=1e-10)
    assert found.protocol == "unbiased MMD^2, 9 against 7 samples, RBF, mean over bandwidths 0.5, 3"


def test_the_kernel_of_one_bandwidth_is_the_plain_one():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(12, 2)), rng.normal(1, 1, (9, 2))
    np.testing.assert_allclose(rbf_mixture((1.0,)).matrix(x, y), PLAIN.matrix(x, y), rtol=1e-12)


def test_its_mean_is_zero_for_one_distribution_and_not_for_two():
    rng = np.random.default_rng(1)
    same = [unbiased_mmd2(rng.normal(size=(12, 2)), rng.normal(size=(9, 2)), PLAIN).value for _ in range(1000)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(len(same))
    assert min(same) < 0 < max(same)
    other = [unbiased_mmd2(rng.normal(size=(12, 2)), rng.normal(1, 1, (9, 2)), PLAIN).value for _ in range(200)]
    assert np.mean(other) > 0.1


def test_for_gaussians_in_one_dimension_it_estimates_the_closed_form():
    """E exp(-d^2 / 2 s^2) of d ~ N(m, v) is s / sqrt(s^2 + v) exp(-m^2 / 2 (s^2 + v)); here m = 1, s = 1, v = 2."""
    rng = np.random.default_rng(2)
    expected = 2 / np.sqrt(3) * (1 - np.exp(-1 / 6))
    found = [unbiased_mmd2(rng.normal(size=(40, 1)), rng.normal(1, 1, (30, 1)), PLAIN).value for _ in range(400)]
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / 20


def test_the_median_kernel_is_of_its_reference_alone_and_scales_with_it():
    """Distances among 0, 1 and 3 are 1, 2 and 3: the median is 2."""
    reference = np.array([[0.0], [1.0], [3.0]])
    kernel = rbf_at_median(reference, scales=(0.5, 1.0))
    origin, others = np.array([[0.0]]), np.array([[0.0], [1.0], [2.0]])
    np.testing.assert_allclose(kernel.matrix(origin, others), rbf_mixture((1.0, 2.0)).matrix(origin, others))
    assert "bandwidths 1, 2 (x median 2 of the reference)" in kernel.name


def test_samples_far_from_0_keep_their_distances():
    """Two sets and the same moved by 1000."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 2)), rng.normal(1, 1, (20, 2))
    kernel = rbf_mixture((1.0,))
    np.testing.assert_allclose(
        unbiased_mmd2(x + 1000, y + 1000, kernel).value, unbiased_mmd2(x, y, kernel).value, rtol=1e-6
    )


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"bandwidths=\(1.0, 0.0\)"):
        rbf_mixture((1.0, 0.0))
    with pytest.raises(ValueError, match=r"x: needs 2 or more examples, has the shape \(1, 2\)"):
        unbiased_mmd2(np.zeros((1, 2)), np.zeros((3, 2)), rbf_mixture((1.0,)))
    with pytest.raises(ValueError, match=r"x: holds nan at index \(0, 0\), must be finite"):
        unbiased_mmd2(np.full((2, 2), np.nan), np.zeros((3, 2)), rbf_mixture((1.0,)))
