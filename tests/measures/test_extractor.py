"""The extractor is a classifier whose name says which, and every metric over it bears its hash."""

import functools

import jax
import numpy as np
import pytest
import scipy.special

from genjax.data.dataset import Dataset, resident
from genjax.data.load import load_dataset
from genjax.measures import extractor
from genjax.measures.extractor import train_extractor
from genjax.measures.quality import image_quality, largest_window, quality_names


@functools.cache
def digits() -> Dataset:
    return load_dataset("digits", binarization="none")


@functools.cache
def trained(steps=150):
    return train_extractor(digits(), steps=steps)


def test_its_error_is_that_of_its_most_probable_class_and_stands_in_its_name():
    test = digits().test.arrays
    probabilities = trained().probabilities(test["image"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    error = (probabilities.argmax(axis=1) != test["label"]).mean()
    assert trained().test_error == pytest.approx(error)
    assert error < 0.3  # chance: 0.9
    assert f"test error {error:.4f} [{trained().sha256}]" in trained().name


def test_probabilities_are_the_softmax_of_one_dense_layer_on_the_features(monkeypatch):
    """The logits are linear in the features: so are differences of log-probabilities, up to rounding."""
    monkeypatch.setattr(extractor, "EVALUATION_BATCH", 40)  # 130 images: a last batch that is not full
    images = digits().test.arrays["image"][:130]
    features, logs = trained().features(images), np.log(trained().probabilities(images))
    assert features.shape == (130, extractor.FEATURES)
    with_one = np.concatenate([features, np.ones((130, 1))], axis=1)
    logits = logs - logs[:, :1]
    weights = np.linalg.lstsq(with_one, logits, rcond=None)[0]
    np.testing.assert_allclose(scipy.special.softmax(with_one @ weights, axis=1), np.exp(logs), atol=1e-4)
    np.testing.assert_allclose(trained().features(images[:3]), features[:3], rtol=1e-5, atol=1e-6)


def test_the_same_training_has_the_same_name_and_another_has_another():
    few = [train_extractor(digits(), steps=steps) for steps in (2, 2, 3)]
    assert few[0].name == few[1].name
    assert few[0].sha256 != few[2].sha256


def test_real_images_score_better_than_noise_under_names_with_the_hash():
    train, test = digits().train.arrays["image"][:300], digits().test.arrays["image"]
    noise = np.asarray(jax.random.uniform(jax.random.key(0), test.shape))
    real, bad = (image_quality(trained(), test, fake, split="test").values for fake in (train, noise))
    assert set(real) == set(quality_names(trained()))
    assert not any("fid" in name for name in real)
    for name in ("frechet", "kernel"):
        assert bad[f"{name}_{trained().sha256}"] > 5 * abs(real[f"{name}_{trained().sha256}"])
    assert bad["patch_distance"] > 2 * real["patch_distance"]
    assert bad["ms_ssim"] < real["ms_ssim"] < 1
    for name in ("precision", "recall"):
        assert bad[f"{name}_{trained().sha256}"] < 0.5 < 0.8 < real[f"{name}_{trained().sha256}"]


def test_every_number_says_on_what_it_was_measured():
    train, test = digits().train.arrays["image"][:40], digits().test.arrays["image"][:50]
    protocols = image_quality(trained(), test, train, split="test").protocols
    for name, protocol in protocols.items():
        assert ("50 real images (test) and 40 generated ones" in protocol) == (
            not name.startswith(("class_score", "patch_distance", "ms_ssim"))
        )
        assert (trained().name in protocol) == name.endswith(trained().sha256)
    assert "40 real images (test) and 40 generated ones" in protocols["patch_distance"]


def test_windows_fit_small_images():
    assert [largest_window(sides) for sides in ((28, 28), (8, 8), (9, 11))] == [11, 7, 9]


def test_data_without_labels_are_refused():
    images = {"image": np.zeros((4, 8, 8, 1), np.float32)}
    unlabelled = digits()._replace(train=resident(images))
    with pytest.raises(ValueError, match="an extractor needs labels of two classes or more, got 0"):
        train_extractor(unlabelled)
