"""Losses of each phase of text to image, and the steps in which it updates."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from scipy.special import log_expit

from genjax.core import init_state, make_step
from genjax.models.adversarial.text_to_image import (
    Optimizers,
    halfway,
    pair_metrics,
    same_captions,
    text_to_image,
)
from genjax.models.adversarial.text_to_image_networks import conv_networks
from genjax.models.priors import Prior, gaussian_mixture
from genjax.networks.bound import bind

SHAPE = (8, 8, 1)
KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).random((4, *SHAPE)).astype(np.float32)
CAPTIONS = np.array([[2, 3, 0], [4, 0, 0], [3, 2, 4], [1, 4, 2]])
BATCH = {"image": IMAGES, "caption": CAPTIONS}
SGD = Optimizers(*(optax.sgd(0.1) for _ in range(4)))
FIXED = Prior(3, 0, lambda key, count, labels: jnp.full((count, 3), 0.7))
"""Prior whose noise is constant, so that the fakes of a phase are known."""


@functools.cache
def networks():
    sizes = {"filters": 2, "features": 4, "text_features": 3, "latents": 3, "hidden": 5}
    return conv_networks(SHAPE, 5, **sizes)._replace(prior=FIXED)


@functools.cache
def model(**weights):
    return text_to_image(SHAPE, networks(), optimizers=SGD, matching_steps=2, **{"interpolation": 0.0, **weights})


@functools.cache
def state():
    """State with weights of size 1: with the paper's 0.02 the outputs hardly depend on the inputs."""

    def start():
        state = init_state(model(), KEY, BATCH)
        rng = np.random.default_rng(0)
        return state._replace(params=jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), state.params))

    return jax.jit(start)()


def phase_loss(name, batch=BATCH, **weights):
    phase = next(phase for phase in model(**weights).phases if phase.name == name)
    return jax.jit(phase.loss)(state().params, state().stats, batch, KEY)[0]


def embedded(captions=CAPTIONS):
    return np.asarray(in_training(bound().text_encoder, captions))  # which has no batch statistics


def bound():
    return bind(networks(), state().params, state().stats)


@functools.partial(jax.jit, static_argnums=0)
def output(module, params, stats, *inputs):
    return module.apply({**params, **stats}, *inputs, train=True, mutable=["batch_stats"])[0]


def in_training(network, *inputs):
    return output(*network, *inputs)


def says(images, h):
    """Return log D and log (1 - D) of pairs, mean over a batch."""
    logits = np.asarray(in_training(bound().discriminator, images, h), np.float64)
    return log_expit(logits).mean(), log_expit(-logits).mean()


def fake_images(h):
    return in_training(bound().generator, np.full((len(h), 3), 0.7), h)


def test_encoders_move_first_and_the_others_after_them():
    step, now, moved = jax.jit(make_step(model().phases)), state(), []
    for _ in range(3):
        before = jax.device_get(now.params)
        now, _ = step(now, BATCH)
        after = jax.device_get(now.params)
        pairs = {name: (jax.tree.leaves(before[name]), jax.tree.leaves(after[name])) for name in after}
        moved.append({name for name, (a, b) in pairs.items() if any((x != y).any() for x, y in zip(a, b, strict=True))})
    encoders, others = {"text_encoder", "image_encoder"}, {"generator", "discriminator", "style_encoder"}
    assert moved == [encoders, encoders, others]


def test_the_style_encoder_may_wait():
    late = text_to_image(SHAPE, networks(), optimizers=SGD, matching_steps=2, style_start=5)
    assert [phase.start for phase in late.phases] == [0, 2, 2, 5]
    with pytest.raises(ValueError, match="style_start=1 must be at least matching_steps=2"):
        text_to_image(SHAPE, networks(), optimizers=SGD, matching_steps=2, style_start=1)


def test_the_discriminator_descends_the_matching_aware_loss():
    h = embedded()
    real, mismatched, fake = says(IMAGES, h), says(IMAGES, h[np.array([3, 0, 1, 2])]), says(fake_images(h), h)
    expected = -real[0] - (mismatched[1] + fake[1]) / 2
    np.testing.assert_allclose(phase_loss("discriminator"), expected, rtol=1e-4)
    between = (h + h[np.array([3, 0, 1, 2])]) / 2
    expected -= 0.6 * says(fake_images(between), between)[1] / 2
    np.testing.assert_allclose(phase_loss("discriminator", interpolation=0.6), expected, rtol=1e-4)


WRONG = np.array([[2, 4, 0], [4, 3, 0], [3, 2, 1], [1, 1, 2]])


def test_captions_made_wrong_take_the_place_of_others():
    h = embedded()
    real, mismatched, fake = says(IMAGES, h), says(IMAGES, embedded(WRONG)), says(fake_images(h), h)
    expected = -real[0] - (mismatched[1] + fake[1]) / 2
    np.testing.assert_allclose(phase_loss("discriminator", {**BATCH, "wrong_caption": WRONG}), expected, rtol=1e-4)


def test_images_match_captions_made_wrong_less_than_their_own():
    images, own, wrong = (
        np.asarray(x) for x in (in_training(bound().image_encoder, IMAGES), embedded(), embedded(WRONG))
    )
    hinges = np.maximum(0, 1 + (images * wrong).sum(1) - (images * own).sum(1))
    assert 0 < np.count_nonzero(hinges) < 4
    more = phase_loss("matching", {**BATCH, "wrong_caption": WRONG}) - phase_loss("matching")
    np.testing.assert_allclose(more, hinges.mean(), rtol=1e-4)


def test_the_generator_descends_the_nonsaturating_loss_of_captions_and_of_texts_between():
    h = embedded()
    expected = -says(fake_images(h), h)[0]
    np.testing.assert_allclose(phase_loss("generator"), expected, rtol=1e-4)
    between = (h + h[np.array([3, 0, 1, 2])]) / 2
    expected -= 0.6 * says(fake_images(between), between)[0]
    np.testing.assert_allclose(phase_loss("generator", interpolation=0.6), expected, rtol=1e-4)


def test_the_generator_may_descend_the_matching_loss_of_its_own_images():
    h = embedded()
    by_running_statistics = jax.jit(lambda images: bound().image_encoder(images))(fake_images(h))
    images, own, wrong = (np.asarray(x, np.float64) for x in (by_running_statistics, h, h[::-1]))
    scores, total = images @ own.T, 0.0
    for n, m in itertools.permutations(range(4), 2):
        total += max(0, 1 + scores[n, m] - scores[n, n]) + max(0, 1 + scores[m, n] - scores[n, n])
    hinges = np.maximum(0, 1 + (images * wrong).sum(1) - (images * own).sum(1))
    assert total > 0
    assert 0 < np.count_nonzero(hinges) < 4
    more = phase_loss("generator", matching_weight=0.7) - phase_loss("generator")
    np.testing.assert_allclose(more, 0.7 * total / 16, rtol=1e-4)
    batch = {**BATCH, "wrong_caption": CAPTIONS[::-1]}
    more = phase_loss("generator", batch, matching_weight=0.7) - phase_loss("generator", batch)
    np.testing.assert_allclose(more, 0.7 * (total / 16 + hinges.mean()), rtol=1e-4)


def test_between_a_text_and_itself_is_that_text():
    h = np.tile(embedded()[:1], (3, 1))
    np.testing.assert_allclose(jax.jit(halfway)(h), h, rtol=1e-6)


def test_style_is_the_noise_that_an_image_was_made_of():
    style = in_training(bound().style_encoder, fake_images(embedded()))
    expected = ((np.asarray(style) - 0.7) ** 2).sum(1).mean()
    np.testing.assert_allclose(phase_loss("style"), expected, rtol=1e-4)


def test_matching_is_of_products_and_equal_captions_do_not_compete():
    captions = CAPTIONS[[0, 1, 2, 0]]
    np.testing.assert_array_equal(
        jax.jit(same_captions)(captions), np.eye(4) + np.eye(4)[::-1] * np.array([1, 0, 0, 1])
    )
    images, texts = np.asarray(in_training(bound().image_encoder, IMAGES)), embedded(captions)
    scores, total = images @ texts.T, 0.0
    for n in range(4):
        for m in set(range(4)) - {n} - ({3 - n} if n in (0, 3) else set()):
            total += max(0, 1 + scores[n, m] - scores[n, n]) + max(0, 1 + scores[m, n] - scores[n, n])
    np.testing.assert_allclose(phase_loss("matching", {**BATCH, "caption": captions}), total / 16, rtol=1e-4)


def test_pairs_are_measured_by_running_statistics():
    metrics = jax.jit(functools.partial(pair_metrics, networks(), state().params, state().stats))
    found, one = jax.device_get((metrics(IMAGES, CAPTIONS), metrics(IMAGES[:1], CAPTIONS[:1])))
    for name, values in found.items():
        assert values.shape == (4,)
        np.testing.assert_allclose(values[:1], one[name], rtol=1e-4)
    images = jax.jit(lambda images: bound().image_encoder(images))(IMAGES)
    np.testing.assert_allclose(found["matching_score"], np.einsum("nf,nf->n", images, embedded()), rtol=1e-4)


def test_images_follow_their_captions_and_not_the_words_behind_their_end():
    program = jax.jit(model().generate)

    def generate(batch):
        return np.asarray(program(state().params, state().stats, batch, KEY))

    images = generate(BATCH)
    longer = {**BATCH, "caption": np.pad(CAPTIONS, ((0, 0), (0, 2)))}
    np.testing.assert_allclose(generate(longer), images, rtol=1e-5)
    other = generate({**BATCH, "caption": CAPTIONS[::-1]})
    np.testing.assert_allclose(other[::-1], images, rtol=1e-5)  # the noise is alike
    assert np.abs(images[0] - images[1]).max() > 1e-3


def test_images_of_another_shape_are_refused():
    wrong = {**BATCH, "image": jnp.zeros((4, 8, 9, 1))}
    with pytest.raises(ValueError, match=r"batch\['image'\]: shape \(8, 9, 1\), the model is for \(8, 8, 1\)"):
        model().evaluate(state().params, state().stats, wrong, KEY)


class Flat(nn.Module):
    """Encoder to zeros of length `features`."""

    features: int

    @nn.compact
    def __call__(self, images, train=False):
        return self.param("zeros", nn.initializers.zeros, (1, self.features)) * jnp.ones((len(images), 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"networks": networks()._replace(image_encoder=Flat(7))},
            r"image_encoder returns .* \(1, 7\), must be \(1, 4\)",
        ),
        (
            {"networks": networks()._replace(style_encoder=Flat(2))},
            r"style_encoder returns .* \(1, 2\), must be \(1, 3\)",
        ),
        ({"networks": networks()._replace(prior=gaussian_mixture(2))}, "prior: must be without classes, got 2"),
        ({"image_shape": (16, 16, 1)}, "networks: the generator returns"),
        ({"matching_steps": 0}, "matching_steps=0 must be at least 1"),
        ({"interpolation": -1.0}, "interpolation=-1.0 at least 0"),
        ({"matching_weight": -1.0}, "matching_weight=-1.0"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    arguments = {"image_shape": SHAPE, "networks": networks(), "optimizers": SGD, "matching_steps": 2, **change}
    with pytest.raises(ValueError, match=message):
        text_to_image(**arguments)
