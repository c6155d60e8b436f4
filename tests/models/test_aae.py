"""The phases of the AAE, and the effect of labels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from flax import linen as nn

from genjax.core import make_step
from genjax.models.latent.aae import aae, draw, label_slots, uniform_label, with_dropout
from genjax.models.latent.aae_networks import Encoding, mlp_networks, reconstruct, with_slot
from genjax.models.priors import Prior, gaussian, gaussian_mixture
from genjax.networks.bound import bind
from tests.models.aae_cases import (
    IMAGES,
    KEY,
    LABELS,
    MARKER,
    SGD,
    SHAPE,
    STATS,
    batch,
    encoding_of_images,
    image_of_code,
    semi_supervised_model,
    shaped_model,
    state_of,
)


def test_phases_stand_in_the_papers_order_and_move_their_own_networks():
    _, model = semi_supervised_model()
    assert [(phase.name, phase.wrt) for phase in model.phases] == [
        ("reconstruction", ("encoder", "decoder")),
        ("discriminator", ("discriminator", "label_discriminator")),
        ("regularization", ("encoder",)),
        ("semi_supervised", ("encoder",)),
    ]
    assert [phase.wrt for phase in shaped_model()[1].phases][1] == ("discriminator",)


def test_all_four_phases_move_their_own_networks_bitwise():
    _, model = semi_supervised_model()
    state, examples = state_of(model), batch(labelled=np.ones(6, bool))
    for phase in model.phases:
        after = jax.device_get(jax.jit(make_step([phase]))(state, examples)[0].params)
        for network, before in state.params.items():
            pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after[network]), strict=True)
            assert any((one != other).any() for one, other in pairs) == (network in phase.wrt), (phase.name, network)


def phase_loss(model, name, params, batch, key=KEY):
    phase = next(phase for phase in model.phases if phase.name == name)
    return jax.jit(phase.loss)(params, STATS, batch, key)[0]


def test_the_reconstruction_loss_is_the_squared_error_of_an_image():
    networks, model = semi_supervised_model()
    params = state_of(model).params
    images = np.asarray(jax.jit(functools.partial(reconstruct, networks))(params, STATS, IMAGES))
    expected = ((IMAGES - images) ** 2).sum((1, 2, 3))
    np.testing.assert_allclose(phase_loss(model, "reconstruction", params, batch()), expected.mean(), rtol=1e-5)
    evaluated = jax.jit(model.evaluate)(params, STATS, batch(), KEY)
    np.testing.assert_allclose(evaluated["squared_error"], expected, rtol=1e-5)


def test_the_error_rate_is_of_the_most_probable_class():
    networks, model = semi_supervised_model()
    params = state_of(model).params
    found = jax.jit(model.evaluate)(params, STATS, batch(), KEY)["error_rate"]
    predicted = np.argmax(encoding_of_images(networks, params, STATS, IMAGES).label_logits, axis=1)
    np.testing.assert_array_equal(found, predicted != LABELS)


def test_cross_entropy_is_of_labelled_examples_alone():
    networks, model = semi_supervised_model()
    params = state_of(model).params
    log_probs = scipy.special.log_softmax(encoding_of_images(networks, params, STATS, IMAGES).label_logits, axis=1)
    each = -log_probs[np.arange(6), LABELS]
    for mask in ([True] * 6, [False, True, False, False, True, False]):
        marked = batch(labelled=np.array(mask))
        np.testing.assert_allclose(phase_loss(model, "semi_supervised", params, marked), each[mask].mean(), rtol=1e-5)
    own = {"labelled_image": IMAGES[2:4], "labelled_label": LABELS[2:4]}
    np.testing.assert_allclose(phase_loss(model, "semi_supervised", params, batch(**own)), each[2:4].mean(), rtol=1e-5)


def test_no_labelled_example_is_no_loss_and_hidden_labels_are_not_read():
    _, model = semi_supervised_model()
    params, nobody, one = state_of(model).params, np.zeros(6, bool), np.arange(6) == 1
    garbled = np.where(one, LABELS, 2**30)
    assert phase_loss(model, "semi_supervised", params, batch(labelled=nobody)) == 0
    losses = [phase_loss(model, "semi_supervised", params, batch(labelled=one, label=x)) for x in (LABELS, garbled)]
    assert losses[0] > 0
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
    np.testing.assert_array_equal(slots_of(batch(labelled=nobody, label=garbled), gaussian_mixture(3)), [3] * 6)


def slots_of(batch, prior):
    return jax.jit(lambda batch: label_slots(batch, prior))(batch)


def test_unlabelled_examples_fill_the_last_slot_of_one_hot():
    prior = gaussian_mixture(3)
    labelled = np.array([True, False, True, True, False, False])
    slots = np.asarray(slots_of(batch(labelled=labelled), prior))
    np.testing.assert_array_equal(slots, [0, 3, 2, 2, 3, 3])
    np.testing.assert_array_equal(slots_of(batch(), prior), [3] * 6)
    assert slots_of(batch(labelled=labelled), gaussian(2)) is None
    z = np.arange(12.0).reshape(6, 2)
    joined = jax.jit(with_slot, static_argnums=2)(z, slots, 3)
    np.testing.assert_array_equal(joined, np.concatenate([z, np.eye(4)[slots]], axis=1))


def test_the_discriminator_sees_real_codes_of_the_examples_class():
    networks, shaped = shaped_model()
    networks = networks._replace(encoder=Constant())
    model = aae(SHAPE, networks, MARKER, optimizers=SGD)
    params = {**state_of(shaped).params, "encoder": {"params": {"code": np.ones(2)}}}
    labelled = np.array([True, False, True, True, False, False])
    slots = np.array([0, 3, 2, 2, 3, 3])
    real = np.stack([slots + 1.0, np.full(6, 7.0)], axis=1)
    discriminator = jax.jit(lambda z, slots: bind(networks, params, STATS).discriminator(with_slot(z, slots, 3)))
    logits = [np.asarray(discriminator(z, slots))[:, 0] for z in (real, np.ones((6, 2)))]
    expected = -scipy.special.log_expit(logits[0]) - scipy.special.log_expit(-logits[1])
    found = phase_loss(model, "discriminator", params, batch(labelled=labelled))
    np.testing.assert_allclose(found, expected.mean(), rtol=1e-5)
    encoder_loss = phase_loss(model, "regularization", params, batch(labelled=labelled))
    np.testing.assert_allclose(encoder_loss, -scipy.special.log_expit(logits[1]).mean(), rtol=1e-5)


class Constant(nn.Module):
    """All codes are (1, 1)."""

    @nn.compact
    def __call__(self, x, train=False):
        return {"mean": self.param("code", nn.initializers.ones, (2,)) * jnp.ones((len(x), 1))}


def test_a_gaussian_encoder_has_its_moments_and_a_deterministic_one_no_noise():
    mean, sigma = (jnp.asarray(np.tile(row, (20_000, 1))) for row in ([1.0, -2.0], [0.5, 3.0]))
    samples = np.asarray(jax.jit(lambda: Encoding(mean, jnp.log(sigma), None).sample(KEY))())
    np.testing.assert_allclose(samples.mean(0), [1, -2], atol=5 * 3 / np.sqrt(20_000))
    np.testing.assert_allclose(samples.std(0), [0.5, 3], rtol=5 / np.sqrt(2 * 20_000))
    assert Encoding(mean, None, None).sample(KEY) is mean


def test_training_decodes_samples_of_q_and_not_its_mean():
    networks, model = shaped_model()
    params, images = state_of(model).params, np.tile(IMAGES[:1], (4000, 1, 1, 1))
    encoding = encoding_of_images(networks, params, STATS, IMAGES)
    z = np.asarray(jax.jit(lambda: draw(bind(networks, params, STATS), jnp.asarray(images), 0.0, KEY)[0].z)())
    np.testing.assert_allclose(z.std(0), np.exp(np.asarray(encoding.log_sigma)[0]), rtol=5 / np.sqrt(2 * 4000))


class Sharpness(nn.Module):
    """Discriminator of labels whose logit is 4 for a one-hot vector, and less for less certain labels."""

    @nn.compact
    def __call__(self, label):
        return 10 * (label**2).sum(axis=-1, keepdims=True) - 6


def test_both_adversarial_losses_are_those_of_their_logits():
    networks, semi_supervised = semi_supervised_model()
    networks = networks._replace(label_discriminator=Sharpness())
    model = aae(SHAPE, networks, MARKER._replace(classes=0), optimizers=SGD, semi_supervised=True)
    params = {**state_of(semi_supervised).params, "label_discriminator": {"params": {}}}
    encoding = encoding_of_images(networks, params, STATS, IMAGES)
    codes = np.concatenate([encoding.mean, [[0.0, 7.0]]])
    discriminator = jax.jit(lambda codes: bind(networks, params, STATS).discriminator(codes))
    *fake, real = np.asarray(discriminator(codes), np.float64)[:, 0]
    fake = np.array(fake)
    label = scipy.special.softmax(np.asarray(encoding.label_logits, np.float64), axis=1)
    fake_label = 10 * (label**2).sum(1) - 6
    softplus = functools.partial(np.logaddexp, 0)
    expected = softplus(-real) + softplus(fake).mean() + softplus(-4) + softplus(fake_label).mean()
    np.testing.assert_allclose(phase_loss(model, "discriminator", params, batch()), expected, rtol=1e-5)
    expected = softplus(-fake).mean() + softplus(-fake_label).mean()
    np.testing.assert_allclose(phase_loss(model, "regularization", params, batch()), expected, rtol=1e-5)


def test_each_label_is_as_likely_as_the_others():
    drawn = np.asarray(jax.jit(lambda: uniform_label(KEY, 3000, 4))())
    assert set(np.unique(drawn)) == {0, 1}
    np.testing.assert_array_equal(drawn.sum(1), 1)
    assert scipy.stats.chisquare(drawn.sum(0)).pvalue > 1e-3


def test_dropout_drops_pixels_and_keeps_the_mean():
    images = jnp.ones((1000, 4, 4, 1))
    dropped = np.asarray(jax.jit(lambda: with_dropout(images, 0.2, KEY))())
    np.testing.assert_allclose(np.unique(dropped.round(5)), [0, 1.25])
    np.testing.assert_allclose(dropped.mean(), 1, atol=5 * 0.5 / np.sqrt(16_000))
    assert with_dropout(images, 0.0, KEY) is images


def test_samples_are_of_the_class_they_are_given():
    networks, shaped = shaped_model()
    generate = jax.jit(aae(SHAPE, networks, MARKER, optimizers=SGD).generate)
    params = state_of(shaped).params
    for k in (0, 2):
        expected = image_of_code(networks, params, np.tile([k + 1.0, 7.0], (6, 1)))
        found = generate(params, STATS, batch(label=np.full(6, k)), KEY)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    expected = image_of_code(networks, params, np.tile([0.0, 7.0], (6, 1)))
    np.testing.assert_allclose(generate(params, STATS, {"image": IMAGES}, KEY), expected, rtol=1e-5)


def test_a_semi_supervised_sample_has_its_class_as_y():
    networks, semi_supervised = semi_supervised_model()
    model = aae(SHAPE, networks, MARKER._replace(classes=0), optimizers=SGD, semi_supervised=True)
    params = state_of(semi_supervised).params
    z, y = np.tile([0.0, 7.0], (6, 1)), np.tile(np.eye(3)[2], (6, 1))
    found = jax.jit(model.generate)(params, STATS, batch(label=np.full(6, 2)), KEY)
    np.testing.assert_allclose(found, image_of_code(networks, params, z, y), rtol=1e-5)


def test_a_cluster_is_drawn_and_not_the_label():
    model = cluster_model()
    assert [phase.name for phase in model.phases] == ["reconstruction", "discriminator", "regularization"]
    state, generate = state_of(model), jax.jit(model.generate)
    first, other = (generate(state.params, state.stats, batch(label=np.full(6, k)), KEY) for k in (0, 1))
    np.testing.assert_allclose(first, other, rtol=1e-6)
    assert set(jax.eval_shape(model.evaluate, state.params, state.stats, batch(), KEY)) == {"squared_error"}
    features = np.asarray(jax.jit(model.embed)(state.params, state.stats, batch()))
    assert features.shape == (6, 2 + 4)
    np.testing.assert_allclose(features[:, 2:].sum(axis=1), 1, rtol=1e-5)


@functools.cache
def cluster_model():
    networks = mlp_networks(SHAPE, hidden=(5,), latents=2, classes=4, normalized=True)
    return aae(SHAPE, networks, gaussian(2), optimizers=SGD)


def test_running_statistics_move_in_the_reconstruction_phase_alone():
    model = cluster_model()
    state = state_of(model)
    for phase in model.phases:
        _, (_, stats) = jax.device_get(jax.jit(phase.loss)(state.params, state.stats, batch(), KEY))
        same = [(one == other).all() for one, other in zip(*map(jax.tree.leaves, (stats, state.stats)), strict=True)]
        assert len(same) == 2  # the mean and the variance of the logits of y
        assert not any(same) if phase.name == "reconstruction" else all(same)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prior": gaussian(3)}, "samples have 3 dimensions, the code has latents=2"),
        ({"prior": Prior(2, 0, lambda key, count, labels: jnp.zeros((count, 5)))}, r"shape \(2, 5\)"),
        ({"dropout": 1.0}, "dropout=1.0 must be at least 0 and below 1"),
        ({"semi_supervised": True}, "semi_supervised=True needs the classes of y, got classes=0"),
        ({"image_shape": (4, 4, 1)}, r"decoder returns arrays of shape \(1, 3, 2, 1\), must be \(1, 4, 4, 1\)"),
        (
            {"latents": 3, "prior": gaussian(3)},
            r"encoder returns arrays of shape {'mean': \(1, 2\)}, must be {'mean': \(1, 3\)}",
        ),
        ({"classes": 3}, "there is no label discriminator, classes=3"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    networks = mlp_networks(SHAPE, hidden=(5,), latents=2)
    own = {name: change.pop(name) for name in ("latents", "classes") if name in change}
    options = {"image_shape": SHAPE, "prior": gaussian(2), "optimizers": SGD, **change}
    with pytest.raises(ValueError, match=message):
        aae(networks=networks._replace(**own), **options)


def test_a_prior_of_other_classes_than_the_labels_is_refused():
    networks = mlp_networks(SHAPE, hidden=(6,), latents=2, classes=3)
    with pytest.raises(ValueError, match="prior: must have the 3 classes of y, or none; it has 10"):
        aae(SHAPE, networks, gaussian_mixture(10), optimizers=SGD, semi_supervised=True)


def test_an_encoder_without_the_logits_of_y_is_refused():
    networks = mlp_networks(SHAPE, hidden=(5,), latents=2, classes=3)
    plain = mlp_networks(SHAPE, hidden=(5,), latents=2)
    with pytest.raises(ValueError, match=r"encoder returns .* must be {'mean': \(1, 2\), 'label': \(1, 3\)}"):
        aae(SHAPE, networks._replace(encoder=plain.encoder), gaussian(2), optimizers=SGD)
