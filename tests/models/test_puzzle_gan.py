"""Losses of Puzzle-GAN in closed form, the networks that each phase updates, and composites."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from scipy.special import expit

from genjax.core import init_state, make_step
from genjax.losses.reconstruction import absolute_error
from genjax.models.adversarial.dcgan_networks import Discriminator
from genjax.models.adversarial.gan import Optimizers
from genjax.models.adversarial.puzzle_gan import (
    Networks,
    Weights,
    composite,
    conv_networks,
    puzzle_gan,
    weight_schedule,
)
from genjax.models.priors import gaussian, gaussian_mixture

SHAPE = (4, 4, 1)
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.integers(1, 16, (3, *SHAPE)) / 16
M = RNG.integers(0, 2, (3, *SHAPE)).astype(float)
PATCHES = RNG.integers(1, 16, (3, 2, 2, 2, 1)) / 16
BATCH = {name: jnp.asarray(array, jnp.float32) for name, array in (("image", X), ("mask", M), ("patches", PATCHES))}
SGD = Optimizers(optax.sgd(0.1), optax.sgd(0.1))
SCHEDULE = weight_schedule(0.5, 0.125, 3)


class Flat(nn.Module):
    """Generator of a constant image and a constant mask: a and b times the mean of the patches."""

    @nn.compact
    def __call__(self, patches, z, train=False):
        mean = patches.mean(axis=(1, 2, 3, 4)).reshape(-1, 1, 1, 1)
        a, b = (self.param(name, nn.initializers.constant(start), ()) for name, start in (("a", 0.7), ("b", 0.9)))
        return tuple(jnp.broadcast_to(scale * mean + 0 * z.sum(), (len(z), *SHAPE)) for scale in (a, b))


class Mean(nn.Module):
    """Discriminator d times the sum of an image with growing weights, so that positions count."""

    @nn.compact
    def __call__(self, images, train=False):
        return self.param("d", nn.initializers.constant(0.6), ()) * (images * RAMP).sum(axis=(1, 2, 3))[:, None]


RAMP = np.arange(16).reshape(SHAPE) / 64
TOY = Networks(Flat(), Mean(), gaussian(2))
G, MADE = (np.broadcast_to(scale * PATCHES.mean((1, 2, 3, 4)).reshape(-1, 1, 1, 1), X.shape) for scale in (0.7, 0.9))


@functools.cache
def model(weights=Weights(), composites=True, networks=TOY):  # noqa: B008 (immutable)
    return puzzle_gan(SHAPE, networks, optimizers=SGD, schedule=SCHEDULE, weights=weights, composites=composites)


@functools.cache
def start():
    return jax.jit(lambda: init_state(model(), KEY, BATCH))()


@functools.cache
def loss_of(index, updates=0, **options):
    """Value, metrics and stats of a phase's loss, and its gradient with respect to every parameter."""
    state = start()
    stats = {**state.stats, "updates": jnp.asarray(updates)}
    loss = lambda params: model(**options).phases[index].loss(params, stats, BATCH, KEY)  # noqa: E731
    (value, (metrics, stats)), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(state.params)
    named = {name: float(leaf) for tree in gradients.values() for name, leaf in tree["params"].items()}
    return float(value), metrics, stats, named


def logit(images):
    return 0.6 * (images * RAMP).sum((1, 2, 3))


def terms():
    """Terms of the generator's loss in closed form."""
    return {
        "mask": np.abs(MADE - M).sum((1, 2, 3)).mean(),
        "appearance": np.abs((2 * G - 1) * MADE - (2 * X - 1) * M).sum((1, 2, 3)).mean(),
        "adversarial": np.log1p(np.exp(-logit(G))).mean(),
    }


@pytest.mark.parametrize(("updates", "weight"), [(0, 0.5), (1, 0.25), (2, 0.125)])
def test_the_generator_descends_mask_appearance_and_adversarial_losses(updates, weight):
    value, metrics, stats, _ = loss_of(1, updates, weights=Weights(2.0, 3.0, 5.0))
    for name, term in terms().items():
        np.testing.assert_allclose(metrics[name], term, rtol=1e-5)
    np.testing.assert_allclose(metrics["weight"], weight, rtol=1e-6)
    expected = weight * (2 * terms()["mask"] + 3 * terms()["appearance"]) + 5 * terms()["adversarial"]
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert int(stats["updates"]) == updates + 1


def test_the_discriminator_descends_real_generated_and_two_composites():
    value, metrics, stats, gradients = loss_of(0)
    other = np.roll(X, 1, axis=0)
    fakes = [G, other * M + X * (1 - M), X * M + other * (1 - M)]
    expected = np.log1p(np.exp(-logit(X))).mean() + sum(np.log1p(np.exp(logit(fake))).mean() for fake in fakes)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    slope = -(expit(-logit(X)) * logit(X) / 0.6).mean()
    slope += sum((expit(logit(fake)) * logit(fake) / 0.6).mean() for fake in fakes)
    np.testing.assert_allclose(gradients["d"], slope, rtol=1e-4)
    names = ("real_logit", "fake_logit", "other_part_logit", "other_background_logit")
    for name, images in zip(names, (X, *fakes), strict=True):
        np.testing.assert_allclose(metrics[name], logit(images).mean(), rtol=1e-5)
    assert int(stats["updates"]) == 0
    without = np.log1p(np.exp(-logit(X))).mean() + np.log1p(np.exp(logit(G))).mean()
    np.testing.assert_allclose(loss_of(0, composites=False)[0], without, rtol=1e-5)


def test_composites_of_a_full_and_of_an_empty_mask_are_the_images_themselves():
    part, background = (RNG.random((2, *SHAPE)).astype(np.float32) for _ in range(2))
    composed, empty, upper = jax.jit(composite), np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 4, 1))
    upper[:, :2] = 1
    np.testing.assert_array_equal(composed(part, background, 1 - empty), part)
    np.testing.assert_array_equal(composed(part, background, empty), background)
    half = composed(part, background, upper)
    np.testing.assert_array_equal(half, np.concatenate([part[:, :2], background[:, 2:]], axis=1))


def test_the_loss_of_a_mask_is_0_where_it_is_the_true_one_and_nowhere_else():
    error, mask = jax.jit(absolute_error), M.astype(np.float32)
    np.testing.assert_allclose(error(mask, mask), 0, atol=1e-6)
    for place in np.ndindex(3, 4, 4):
        for shift in (-1e-3, 1e-3):
            other = mask.copy()
            other[place] += shift
            assert (np.asarray(error(other, mask)) > 0).tolist() == [index == place[0] for index in range(3)]


def test_the_weight_falls_by_equal_factors_from_the_first_move_to_the_last():
    found = jax.jit(jax.vmap(weight_schedule(1e-2, 1e-4, 51)))(np.arange(51))
    np.testing.assert_allclose(found, np.logspace(-2, -4, 51), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(weight_schedule(0.5, 0.125, 1))(0), 0.5, rtol=1e-6)


def test_the_generator_moves_in_every_second_step_after_the_discriminator():
    assert [(phase.name, phase.wrt, phase.every) for phase in model().phases] == [
        ("discriminator", ("discriminator",), 1),
        ("generator", ("generator",), 2),
    ]
    step, state = jax.jit(make_step(model().phases)), start()
    first, _ = step(state, BATCH)
    second, _ = step(first, BATCH)
    assert [int(one.stats["updates"]) for one in (state, first, second)] == [0, 0, 1]
    a = [float(one.params["generator"]["params"]["a"]) for one in (state, first, second)]
    assert a[0] == a[1] != a[2]
    np.testing.assert_allclose(first.params["discriminator"]["params"]["d"], 0.6 - 0.1 * loss_of(0)[3]["d"], rtol=1e-5)


@functools.cache
def conv():
    """Puzzle-GAN whose discriminator has batch normalization, unlike the paper's for images of this size."""
    networks = conv_networks((8, 8, 1), filters=1, features=2, latents=2)._replace(discriminator=Discriminator((1, 2)))
    return puzzle_gan((8, 8, 1), networks, optimizers=SGD, schedule=SCHEDULE)


CONV_BATCH = {
    "image": jnp.asarray(RNG.random((3, 8, 8, 1))),
    "patches": jnp.asarray(RNG.random((3, 2, 3, 3, 1))),
    "mask": jnp.asarray(np.broadcast_to(np.isin(np.arange(8), (2, 3, 4))[:, None, None], (3, 8, 8, 1)), jnp.float32),
}
PARTS = ("encoder", "mask", "image")
"""Parts of the generator."""


@functools.cache
def conv_state():
    return jax.jit(lambda: init_state(conv(), KEY, CONV_BATCH))()


def test_whom_each_term_of_the_generator_reaches():
    """The mask loss does not reach the image's decoder; the other terms reach all parts of the generator."""
    state, terms = conv_state(), ("mask", "appearance", "adversarial")

    @jax.jit
    @jax.grad
    def gradient(params, weights):
        _, (metrics, _) = conv().phases[1].loss(params, state.stats, CONV_BATCH, KEY)
        return sum(weight * metrics[term] for weight, term in zip(weights, terms, strict=True))

    moved = lambda tree: any((leaf != 0).any() for leaf in jax.tree.leaves(tree))  # noqa: E731
    for term, weights, reached in zip(terms, np.eye(3), ({"encoder", "mask"}, {*PARTS}, {*PARTS}), strict=True):
        found = jax.device_get(gradient(state.params, weights))
        assert {part for part in PARTS if moved(found["generator"]["params"][part])} == reached
        assert moved(found["discriminator"]) == (term == "adversarial")  # which stays, since it is not in `wrt`


def test_each_phase_moves_the_statistics_of_its_own_network():
    state = conv_state()
    for phase in conv().phases:
        _, (_, stats) = jax.jit(phase.loss)(state.params, state.stats, CONV_BATCH, KEY)
        after, before = jax.device_get((stats, state.stats))
        for network in ("generator", "discriminator"):
            pairs = zip(jax.tree.leaves(after[network]), jax.tree.leaves(before[network]), strict=True)
            assert any((one != other).any() for one, other in pairs) == (network in phase.wrt)


def test_evaluation_is_of_the_mask_and_of_what_lies_in_it():
    state = start()
    found = jax.jit(model().evaluate)(state.params, state.stats, BATCH, KEY)
    ours, theirs = MADE > 0.5, M > 0.5
    expected = {
        "mask_iou": (ours & theirs).sum((1, 2, 3)) / (ours | theirs).sum((1, 2, 3)),
        "mask_error": np.abs(MADE - M).mean((1, 2, 3)),
        "part_error": [np.abs(g - x)[m > 0.5].mean() for g, x, m in zip(G, X, M, strict=True)],
        "real_logit": logit(X),
        "fake_logit": logit(G),
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": Weights(appearance=-1.0)}, "weights: appearance=-1.0 must be at least 0"),
        ({"discriminator_updates": 0}, "discriminator_updates=0 must be at least 1"),
        (
            {"image_shape": (4, 4, 3)},
            r"generator returns .* \(\(1, 4, 4, 1\), \(1, 4, 4, 1\)\), must be \(\(1, 4, 4, 3\), \(1, 4, 4, 1\)\)",
        ),
        ({"networks": TOY._replace(prior=gaussian_mixture(2))}, "prior: must be without classes, got 2"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    arguments = {"image_shape": SHAPE, "networks": TOY, "optimizers": SGD, "schedule": SCHEDULE, **change}
    with pytest.raises(ValueError, match=message):
        puzzle_gan(**arguments)


@pytest.mark.parametrize(("name", "needed"), [("image", (4, 4, 1)), ("mask", (4, 4, 1))])
def test_arrays_of_another_shape_are_refused(name, needed):
    wrong = {**BATCH, name: jnp.zeros((3, 5, 4, 1))}
    with pytest.raises(ValueError, match=re.escape(f"batch[{name!r}]: shape (5, 4, 1), the model is for {needed}")):
        model().evaluate(start().params, start().stats, wrong, KEY)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: weight_schedule(0.0, 1.0, 3), "first=0.0 and last=1.0 must be above 0"),
        (lambda: weight_schedule(1.0, 1.0, 0), "updates=0 at least 1"),
        (lambda: conv_networks((16, 16, 1), features=0), "features=0 must be at least 1"),
        (lambda: conv_networks((16, 16, 1), latents=0), "dimension=0 must be above 0"),
        (lambda: conv_networks((18, 18, 1)), "height and width must be 4, 5, 6, 7 times"),
    ],
)
def test_parts_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
