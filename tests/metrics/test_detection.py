import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from genjax.metrics.detection import auroc


@pytest.mark.parametrize("digits", [6, 0])  # without and with ties
def test_auroc_is_the_mann_whitney_statistic_over_the_number_of_pairs(digits):
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 2, 50).round(digits), rng.normal(0, 1, 70).round(digits)
    expected = mannwhitneyu(inside, outside).statistic / (50 * 70)
    np.testing.assert_allclose(auroc(inside, outside), expected, rtol=1e-12)


def test_auroc_at_its_ends():
    low, high = np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])
    assert (auroc(high, low), auroc(low, high), auroc(low, low)) == pytest.approx((1, 0, 0.5))


def test_scores_may_be_infinite():
    """One of the four pairs is in the wrong order, one is a tie."""
    inside, outside = np.array([0.0, -np.inf]), np.array([-np.inf, -5.0])
    assert auroc(inside, outside) == pytest.approx((1 + 1 + 0.5 + 0) / 4)


@pytest.mark.parametrize("bad", [np.array([]), np.array([np.nan])])
def test_auroc_needs_numbers(bad):
    with pytest.raises(ValueError, match="needs numbers on both sides"):
        auroc(bad, np.ones(2))
