"""The experiment on progressive growing: its errors about bad options, its schedule, and its metrics."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.progressive_gan import Options, penalty_to, progressive_gan
from genjax.measures.distances import distances, points
from genjax.runs.loop import bar_text
from genjax.runs.options import Data, Run

DATA, RUN = Data(binarization="none"), Run(steps=100, batch_size=10)
SMALL = {"latents": 2, "maps": 2, "maps_times_side": 8, "fade_images": 300, "stable_images": 200}


def small(**options):
    return progressive_gan(Options(DATA, RUN, **{**SMALL, **options}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"start": 3},
            r"--start 3: images of 'digits': image_shape=\(8, 8, 1\): height and width must be start=3 times",
        ),
        ({"level_batch_sizes": (4,)}, r"--level-batch-sizes \(4,\): must be at least 2, one for each level"),
        ({"group": 4}, r"--group 4 must divide the batch sizes \(10, 10\) that are larger"),
        ({"gamma": 0.0}, "--gamma 0.0 must be above 0"),
        ({"drift": -1.0}, "--drift -1.0 must be at least 0 and finite"),
        ({"drift": math.inf}, "--drift inf must be at least 0 and finite"),
        ({"discriminator_moves": 101}, "--steps 100: the generator is updated once in --discriminator-moves 101"),
        ({"average": 1.0}, "--average 1.0 must be at least 0 and below 1"),
        ({"fade_images": 900}, "--steps 100: the last level is complete after 111; take fewer --fade-images and"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message) as error:
        small(**options)
    assert "\n" not in str(error.value)


def test_with_growth_batches_begin_at_the_start_and_without_at_the_full_size():
    for growth, factor, depth in ((True, 2, 0.0), (False, 1, 1.0)):
        experiment = small(growth=growth)
        item = next(experiment.training_feed((0,), 10).items(0))
        assert (item.factor, item.depth.tolist()) == (factor, [depth])
        assert experiment.facts == {"images": 1000}
    sized = small(level_batch_sizes=(10, 5))
    assert sized.facts == {"images": 20 * 10 + 80 * 5}


def test_distances_are_measured_at_each_side_of_the_growth():
    experiment = small()
    assert experiment.measure is not None
    test = experiment.data.test.read(np.arange(experiment.data.test.size))["image"].astype(np.float32) / 16
    assert points(test, 4).shape == (len(test), 16)
    np.testing.assert_allclose(points(test, 4)[0, 1], test[0, :2, 2:4].mean(), rtol=1e-6)
    same = distances(test, test[::-1], [4, 8])
    np.testing.assert_allclose([same["swd_4"], same["swd_8"]], 0, atol=1e-6)  # the order of sums differs by machine
    shifted = distances(test, test + 1, [4, 8])  # by the mean of |sum of a random unit vector|, that of a normal number
    np.testing.assert_allclose([shifted["swd_4"], shifted["swd_8"]], np.sqrt(2 / np.pi), rtol=0.1)
    assert set(shifted) == {"swd_4", "swd_8", "patch_distance"}
    assert {experiment.kind(name) for name in shifted} == {"estimate"}


def test_samples_are_compared_with_test_images(monkeypatch):
    """Where samples are the test images all distances are 0."""
    experiment = small()
    test = experiment.data.test.read(np.arange(experiment.data.test.size))["image"]
    drawn = lambda model, data, params, stats, count, key: np.asarray(test[:count], np.float32)  # noqa: E731
    monkeypatch.setattr("genjax.measures.distances.drawn", drawn)
    found = experiment.measure({}, {}, experiment.data.test, jax.random.key(0))
    names = ("swd_4", "swd_8", "patch_distance")
    np.testing.assert_allclose([found[name] for name in names], 0, atol=1e-6)
    assert set(found) == {*names, *(f"real_{name}" for name in names)}
    assert min(found[f"real_{name}"] for name in names) > 1e-3


def test_drift_and_penalty_reach_the_critic():
    """Of a critic that says 3 of everything: penalty (0 - gamma)^2 / gamma^2 + drift 3^2."""
    experiment = small(gamma=2.0, drift=0.5, penalty_weight=7.0)
    batch = {"image": jnp.zeros((4, 8, 8, 1)), "depth": jnp.ones(4)}
    params, stats = jax.eval_shape(experiment.model.init, jax.random.key(0), batch)
    zeros = lambda tree: jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)  # noqa: E731
    params, stats = zeros(params), zeros(stats)
    params["discriminator"]["params"]["output"]["bias"] += 3
    loss, _ = jax.jit(experiment.model.phases[0].loss)(params, stats, batch, jax.random.key(0))
    np.testing.assert_allclose(loss, 7 + 0.5 * 9, rtol=1e-6)


def test_the_penalty_is_divided_by_gamma_squared():
    gradients = np.float32([[3.0, 4.0], [0.0, 1.0]])
    penalties = jax.jit(penalty_to(2.0, 10.0).of_gradients)(gradients)
    np.testing.assert_allclose(penalties, [10 * 9 / 4, 10 / 4], rtol=1e-6)


def test_the_progress_bar_has_the_side_and_alpha():
    metrics = {"critic/side": np.array([8.0]), "critic/alpha": np.array([0.25]), "critic/loss": np.array([1.5, 2.5])}
    assert bar_text(metrics, ("critic/side", "critic/alpha", "actor/other")) == "side 8 alpha 0.25 critic 2"
    assert set(small().shown) == {"discriminator/side", "discriminator/alpha"}
