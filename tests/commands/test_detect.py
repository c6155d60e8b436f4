"""What is set against the test images, and what they are scored by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.commands.detect import CORRUPTIONS, corrupted, evaluation_of
from genjax.core import Model
from genjax.data.levels import dequantized, with_levels
from genjax.data.load import load_dataset
from genjax.runs.experiment import Experiment

KEY = jax.random.key(3)
SETS = {
    "binary": lambda: load_dataset("digits", binarization="threshold"),
    "levels": lambda: with_levels(load_dataset("digits", binarization="none"), 5),
    "dequantized": lambda: dequantized(load_dataset("digits", binarization="none"), 17),
    "real": lambda: load_dataset("digits", binarization="none"),
}


def batches(name, corruption):
    """The first images of a set, as they are under the key of the other one, and corrupted."""
    data = SETS[name]()
    raw = jax.tree.map(jnp.asarray, data.test.read(np.arange(40)))
    plain = data.load(raw, jax.random.split(KEY)[0])["image"]
    return np.asarray(plain), np.asarray(corrupted(data, CORRUPTIONS[corruption]).load(raw, KEY)["image"])


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize(("name", "levels"), [("binary", 2), ("levels", 5)])
def test_a_corrupted_image_has_the_levels_of_the_data(name, levels, corruption):
    plain, other = batches(name, corruption)
    steps = other * (levels - 1)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-5)
    assert (other != plain).mean() > 0.02
    assert ((other >= 0) & (other <= 1)).all()


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_dequantized_image_keeps_the_noise_within_its_levels(corruption):
    plain, other = batches("dequantized", corruption)
    within = other * 17 - np.floor(other * 17)
    np.testing.assert_allclose(within, plain * 17 - np.floor(plain * 17), atol=2e-4)
    if corruption == "noise":  # what is replaced does not depend on the dequantization noise
        changed = other != plain
        assert abs(within[changed].mean() - 0.5) < 5 * np.sqrt(1 / 12 / changed.sum())


def test_a_flat_image_is_of_its_mean():
    plain, other = batches("real", "flat")
    np.testing.assert_allclose(other, np.broadcast_to(plain.mean(axis=(1, 2), keepdims=True), other.shape), rtol=1e-5)


def test_the_other_corruptions_are_what_they_are_called():
    plain, _ = batches("real", "flat")
    expected = {
        "inverted": 1 - plain,
        "upside down": plain[:, ::-1],
        "halves swapped": np.concatenate([plain[:, 4:], plain[:, :4]], axis=1),
    }
    for name, images in expected.items():
        np.testing.assert_allclose(batches("real", name)[1], images, rtol=1e-6)


@pytest.mark.parametrize("measured", ["nll_nats", "nll_estimate_nats", None])
def test_a_validation_that_measures_something_else_is_not_taken(measured):
    """Such as that of EoNADE."""
    own = lambda params, stats, batch, key: {"nll_nats": jnp.ones(2)}  # noqa: E731
    validate = None if measured is None else lambda params, stats, batch, key: {measured: jnp.zeros(2)}
    model = Model(lambda key, batch: ({}, {}), (), own, lambda params, stats, batch, key: jnp.zeros(2))
    data = SETS["binary"]()
    experiment = Experiment(model, data, lambda *_: {}, validate=validate)
    values = evaluation_of(experiment, "nll_nats")({}, {}, {"image": jnp.zeros((2, 8, 8, 1))}, KEY)
    assert values["nll_nats"][0] == (0 if measured == "nll_nats" else 1)
