"""Losses of StarGAN in closed form, the networks that each phase updates, targets, and label sets."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from scipy.special import log_softmax

from genjax.core import init_state, make_step
from genjax.data.attributes import Attribute, Schema
from genjax.models.adversarial.gan import Optimizers
from genjax.models.adversarial.stargan import (
    Networks,
    Weights,
    classification_loss,
    conv_networks,
    label,
    permuted,
    stargan,
)

SHAPE = (4, 4, 1)
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.integers(1, 256, (4, *SHAPE)) / 256
COLOURS = Attribute("colour", ("red", "green", "blue"))
SCHEMA = Schema((COLOURS, Attribute("bold", ("bold",))), ((True, True),))
HALVES = SCHEMA._replace(known=((True, False), (False, True)))
BITS = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]], np.uint8)
SETS = np.array([0, 1, 0, 1], np.int32)
BATCH = {
    "image": jnp.asarray(X, jnp.float32),
    "attributes": jnp.asarray(BITS),
    "label_set": jnp.zeros(4, jnp.int32),
    "target": jnp.asarray(BITS[::-1]),
    "target_set": jnp.zeros(4, jnp.int32),
    "truth": jnp.asarray(1 - X, jnp.float32),
}
SGD = Optimizers(optax.sgd(0.1), optax.sgd(0.1))
WEIGHT = RNG.normal(size=SHAPE).astype(np.float32)
"""Weights of the linear critic."""
ROWS = RNG.normal(size=(4, 4)).astype(np.float32)
"""Weights of the critic's logits."""


class Shade(nn.Module):
    """Generator a x + b c, where c is the first number of the label."""

    @nn.compact
    def __call__(self, x, label):
        a, b = (self.param(name, nn.initializers.constant(start), ()) for name, start in (("a", 0.5), ("b", 0.1)))
        return a * x + b * label[:, 0, None, None, None]


class Linear(nn.Module):
    """Discriminator with the score c (WEIGHT . images from -1 to 1), twice, and the logits c (ROWS . mean)."""

    @nn.compact
    def __call__(self, x):
        c = self.param("c", nn.initializers.ones, ())
        score = c * ((2 * x - 1) * WEIGHT).sum(axis=(1, 2, 3), keepdims=True)
        return jnp.concatenate([score, score], axis=1), c * x.mean(axis=(1, 2)) @ ROWS[:1]


LINEAR = Networks(Shade(), Linear())


@functools.cache
def model(weights=Weights(), schema=SCHEMA):  # noqa: B008
    return stargan(SHAPE, LINEAR, schema, optimizers=SGD, weights=weights, discriminator_updates=2, paired=True)


@functools.cache
def state():
    return jax.jit(lambda: init_state(model(), KEY, BATCH))()


@functools.cache
def loss_of(phase, weights=Weights(), schema=SCHEMA):  # noqa: B008
    """Value and metrics of a phase's loss, and its gradient with respect to every network."""
    loss = model(weights, schema).phases[phase].loss
    batch = {**BATCH, "label_set": jnp.asarray(SETS)} if schema is HALVES else BATCH
    run = jax.jit(jax.value_and_grad(lambda params: loss(params, state().stats, batch, KEY), has_aux=True))
    (value, (metrics, _)), gradients = run(state().params)
    return float(value), metrics, gradients


def made(target, x=X):
    """Output of `Shade`."""
    return 0.5 * x + 0.1 * target[:, 0, None, None, None]


def score(x):
    return ((2 * x - 1) * WEIGHT).sum(axis=(1, 2, 3))


def cross_entropy(x, bits):
    """Cross-entropy of the linear logits: of the three colours, plus that of the single bit."""
    logits = x.mean(axis=(1, 2)) @ ROWS[:1]
    single = np.logaddexp(0, -np.where(bits[:, 3] == 1, logits[:, 3], -logits[:, 3]))
    return (-(bits[:, :3] * log_softmax(logits[:, :3], axis=1)).sum(axis=1) + single).mean()


def drawn_target(key):
    return np.asarray(jax.jit(permuted)(key, BITS, np.zeros(4, np.int32)))


def test_the_penalty_of_a_linear_critic_is_that_of_its_weight_wherever_it_is_taken():
    _, metrics, _ = loss_of(0)
    np.testing.assert_allclose(metrics["penalty"], 10 * (np.linalg.norm(WEIGHT) - 1) ** 2, rtol=1e-5)


def test_the_discriminator_descends_the_game_the_penalty_and_the_labels_of_real_images():
    value, metrics, gradients = loss_of(0, Weights(classification=3.0))
    target = drawn_target(jax.random.split(KEY)[0])
    np.testing.assert_allclose(metrics["adversarial"], (score(made(target)) - score(X)).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["classification"], cross_entropy(X, BITS), rtol=1e-5)
    parts = (float(metrics[name]) for name in ("adversarial", "penalty", "classification"))
    np.testing.assert_allclose(value, np.dot([1, 1, 3], list(parts)), rtol=1e-5)
    assert gradients["discriminator"]["params"]["c"] != 0


def test_the_generator_descends_the_game_the_target_and_the_way_back():
    value, metrics, gradients = loss_of(1)
    target = drawn_target(KEY)
    there = made(target)
    back = made(BITS, there)
    expected = {
        "adversarial": -score(there).mean(),
        "classification": cross_entropy(there, target),
        "reconstruction": 2 * np.abs(back - X).mean(),
    }
    for name, term in expected.items():
        np.testing.assert_allclose(metrics[name], term, rtol=1e-5)
    np.testing.assert_allclose(value, np.dot([1, 1, 10], list(expected.values())), rtol=1e-5)
    assert gradients["generator"]["params"]["b"] != 0


def test_an_image_that_is_to_stay_as_it_is_may_count():
    value, metrics, _ = loss_of(1, Weights(0.0, 0.0, 7.0))
    np.testing.assert_allclose(metrics["identity"], 2 * np.abs(made(BITS) - X).mean(), rtol=1e-5)
    np.testing.assert_allclose(value, metrics["adversarial"] + 7 * metrics["identity"], rtol=1e-5)


@pytest.mark.parametrize(("weights", "left"), [(Weights(0.0, 0.0), 1), (Weights(0.0, 10.0), 2), (Weights(), 3)])
def test_terms_of_weight_0_are_told_and_not_descended(weights, left):
    value, metrics, _ = loss_of(1, weights)
    terms = [float(metrics[name]) for name in ("adversarial", "reconstruction", "classification")][:left]
    np.testing.assert_allclose(value, np.dot([1, 10, 1][:left], terms), rtol=1e-5)


def test_each_phase_updates_its_own_network_and_the_generator_every_second_step():
    one, run = state(), jax.jit(make_step(model().phases))
    for step, expected in enumerate([{"discriminator"}, {"discriminator", "generator"}, {"discriminator"}]):
        before, (one, metrics) = jax.device_get(one.params), run(one, BATCH)
        after = jax.device_get(one.params)
        pairs = {name: map(jax.tree.leaves, (after[name], before[name])) for name in after}
        changed = {name for name, pair in pairs.items() if any((a != b).any() for a, b in zip(*pair, strict=True))}
        assert changed == expected, step
        assert np.isnan(metrics["generator/loss"]) == ("generator" not in expected)


def test_targets_are_the_batchs_labels_in_another_order_within_each_label_set():
    bits, sets = np.arange(12)[:, None], np.tile([0, 1, 1], 4)
    orders = np.stack([np.asarray(jax.jit(permuted)(jax.random.key(seed), bits, sets))[:, 0] for seed in range(20)])
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(12), (20, 1)))
    np.testing.assert_array_equal(sets[orders], np.tile(sets, (20, 1)))
    assert len({tuple(order) for order in orders}) == 20
    assert (orders[:, sets == 0] != [0, 3, 6, 9]).any(axis=0).all()


def test_a_label_says_the_known_bits_and_of_several_label_sets_which():
    said, images = jax.jit(label, static_argnums=0), np.zeros((4, *SHAPE))
    np.testing.assert_array_equal(said(SCHEMA, BITS, np.zeros(4, np.int32), images), BITS)
    expected = [[1, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0], [0, 0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(said(HALVES, BITS, SETS, images), expected)
    assert (SCHEMA.numbers, HALVES.numbers) == (4, 6)


def test_the_loss_of_what_a_label_set_does_not_know_is_0_and_so_is_its_gradient():
    logits = RNG.normal(size=(4, 4)).astype(np.float32)

    @jax.jit
    @jax.value_and_grad
    def loss_and_gradient(logits, bits):
        return classification_loss(HALVES, logits, bits, jnp.asarray(SETS))

    loss, gradient = jax.device_get(loss_and_gradient(logits, BITS))
    np.testing.assert_array_equal(gradient != 0, HALVES.known_bits[SETS])
    hidden = np.where(HALVES.known_bits[SETS], BITS, 1 - BITS)
    np.testing.assert_allclose(loss_and_gradient(logits, hidden)[0], loss, rtol=1e-6)
    alone = [-log_softmax(logits[i, :3])[BITS[i, :3].argmax()] for i in (0, 2)]
    alone += [np.logaddexp(0, logits[i, 3] * (1 - 2 * int(BITS[i, 3]))) for i in (1, 3)]
    np.testing.assert_allclose(loss, np.sum(alone) / 4, rtol=1e-5)


@pytest.mark.parametrize(("name", "shape"), [("image", (5, 4, 1)), ("attributes", (3,)), ("label_set", (1,))])
def test_arrays_of_another_shape_are_refused(name, shape):
    wrong = {**BATCH, name: jnp.zeros((4, *shape), BATCH[name].dtype)}
    with pytest.raises(ValueError, match=re.escape(f"batch[{name!r}]: shape {shape}, the model is for")):
        model().phases[0].loss(state().params, state().stats, wrong, KEY)


def test_evaluation_is_of_the_target_and_its_way_back():
    found = jax.jit(model().evaluate)(state().params, state().stats, BATCH, KEY)
    there = made(BITS[::-1])
    expected = {
        "cycle_error": np.abs(made(BITS, there) - X).mean(axis=(1, 2, 3)),
        "paired_error": np.abs(there - (1 - X)).mean(axis=(1, 2, 3)),
        "real_score": score(X),
        "fake_score": score(there),
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)
    drawn = jax.jit(model().generate)(state().params, state().stats, BATCH, KEY)
    np.testing.assert_allclose(drawn, there, rtol=1e-5, atol=1e-6)


class Flat(nn.Module):
    """Discriminator with one score for an image, and logits of `bits`."""

    bits: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x.reshape(len(x), -1)), nn.Dense(self.bits)(x.reshape(len(x), -1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": Weights(classification=-1.0)}, "weights: classification=-1.0 must be at least 0"),
        ({"discriminator_updates": 0}, "discriminator_updates=0 must be at least 1"),
        (
            {"image_shape": (4, 4, 3), "networks": conv_networks((4, 4, 1), SCHEMA)},
            r"\(1, 4, 4, 1\), must be \(1, 4, 4, 3\)",
        ),
        (
            {"networks": LINEAR._replace(discriminator=Flat(4))},
            r"discriminator returns .* \(\(1, 1\), \(1, 4\)\), must be \(\(1, any, any, 1\), \(1, 4\)\)",
        ),
        ({"schema": SCHEMA._replace(attributes=(COLOURS,))}, r", \(1, 4\)\), must be \(\(1, any, any, 1\), \(1, 3\)\)"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    arguments = {"image_shape": SHAPE, "networks": LINEAR, "schema": SCHEMA, "optimizers": SGD, **change}
    with pytest.raises(ValueError, match=message):
        stargan(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filters": 0}, "filters=0 must be at least 1"),
        ({"strided": 0}, "strided=0 must be at least 1"),
        ({"strided": 4}, r"strided=4: images \(8, 8, 1\) cannot be halved so often"),
        ({"blocks": -1}, "blocks=-1 must be at least 0"),
        ({"halved": 3}, "multiples of 8, at least 16"),
    ],
)
def test_networks_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        conv_networks((8, 8, 1), SCHEMA, **change)
