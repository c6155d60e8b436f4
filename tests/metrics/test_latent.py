import numpy as np
import pytest

from genjax.metrics.latent import active_units


def test_a_latent_is_active_where_its_mean_varies():
    """Two values a and -a of equal weight have the variance a^2 N / (N - 1): 0.0101 and 0.0099 at N = 100."""
    sign = np.repeat([1.0, -1.0], 50)
    means = np.stack([sign * np.sqrt(v * 99 / 100) + 5 for v in (0.0101, 0.0099, 4.0, 0.0)], axis=1)
    assert active_units(means) == 2
    assert active_units(means, threshold=1.0) == 1


def test_one_example_has_no_variance():
    with pytest.raises(ValueError, match=r"means: needs 2 or more examples, has the shape \(1, 3\)"):
        active_units(np.zeros((1, 3)))
