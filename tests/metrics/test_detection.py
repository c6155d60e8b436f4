import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from genjax.metrics.detection import auroc


@pytest.mark.parametrize("digits", [6, 0])  # without and with ties
def test_auroc_is_scikit_learns(digits):
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 2, 50).round(digits), rng.normal(0, 1, 70).round(digits)
    labels = np.repeat([1, 0], [50, 70])
    expected = roc_auc_score(labels, np.concatenate([inside, outside]))
    np.testing.assert_allclose(auroc(inside, outside), expected, rtol=1e-12)


def test_auroc_at_its_ends():
    low, high = np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])
    assert (auroc(high, low), auroc(low, high), auroc(low, low)) == (1, 0, 0.5)


@pytest.mark.parametrize("bad", [np.array([]), np.array([np.nan])])
def test_auroc_needs_numbers(bad):
    with pytest.raises(ValueError, match="needs numbers on both sides"):
        auroc(bad, np.ones(2))
