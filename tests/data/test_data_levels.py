import jax
import numpy as np
import pytest
import scipy.stats

from genjax.data.dataset import Dataset, resident
from genjax.data.levels import dequantized
from genjax.data.load import load_dataset

KEY = jax.random.key(0)


def data_set(image, protocol="real"):
    split = resident({"image": np.asarray(image, np.float32), "label": np.arange(len(image))})
    return Dataset("made", protocol, split, split, split, lambda raw, key: dict(raw), sha256="")


def loaded(data, key=KEY):
    return np.asarray(jax.jit(data.load)(data.train.arrays, key)["image"])


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_each_value_lies_in_the_cell_of_its_level_uniformly(levels):
    level = np.arange(levels).repeat(40_000 // levels).reshape(-1, 1, 1, 1)
    values = loaded(dequantized(data_set(level / (levels - 1)), levels))
    noise = values * levels - level
    assert noise.min() > -1e-4
    assert noise.max() < 1 + 1e-4
    assert scipy.stats.kstest(noise.ravel(), "uniform").pvalue > 1e-4


def test_noise_belongs_to_the_key():
    data = dequantized(data_set(np.full((5, 2, 2, 1), 0.5)), 17)
    first, again, other = (loaded(data, key) for key in (KEY, KEY, jax.random.key(1)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    assert len(np.unique(first)) == first.size


def test_the_digits_keep_their_levels_and_labels():
    grey = load_dataset("digits", binarization="none")
    data = dequantized(grey, 17)
    assert data.protocol == "dequantized-17"
    assert data.sha256 == grey.sha256
    added = loaded(data) * 17 - loaded(grey) * 16  # the noise, from 0 to 1
    assert -1e-4 < added.min() < 0.01
    assert 0.99 < added.max() < 1 + 1e-4
    np.testing.assert_array_equal(jax.jit(data.load)(data.train.arrays, KEY)["label"], grey.train.arrays["label"])


@pytest.mark.parametrize(("protocol", "levels"), [("static", 17), ("real", 1)])
def test_binary_data_and_too_few_levels_are_refused(protocol, levels):
    with pytest.raises(ValueError, match=f"levels={levels} of {protocol} data"):
        dequantized(data_set(np.zeros((2, 1, 1, 1)), protocol), levels)
