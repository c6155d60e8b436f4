"""DCGAN as a model: who moves which statistics, and what its features and samples are by."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.core import Input, init_state, make_step
from genjax.models.adversarial.dcgan import dcgan, dcgan_networks
from genjax.models.adversarial.dcgan_networks import MOMENTUM
from genjax.models.adversarial.gan import Optimizers

SHAPE = (16, 16, 1)
KEY = jax.random.key(0)
BATCH = {"image": np.random.default_rng(0).random((6, *SHAPE)).astype(np.float32)}
OPTIMIZERS = Optimizers(optax.sgd(0.1), optax.sgd(0.1))


@functools.cache
def model_and_state():
    model = dcgan(SHAPE, optimizers=OPTIMIZERS, filters=2, latents=3)
    return model, jax.jit(lambda key, batch: init_state(model, key, batch))(KEY, BATCH)


def differ(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any((np.asarray(one) != np.asarray(other)).any() for one, other in pairs)


def test_each_phase_moves_the_weights_and_statistics_of_its_own_network():
    model, state = model_and_state()
    for phase in model.phases:
        after, _ = jax.jit(make_step([phase]))(state, BATCH)
        for network in ("generator", "discriminator"):
            own = network in phase.wrt
            assert differ(after.params[network], state.params[network]) == own
            assert differ(after.stats[network], state.stats[network]) == own


def test_only_its_own_network_would_follow_a_phases_gradient():
    """The generator's loss has a gradient in the discriminator too: what keeps it still is the phase."""
    model, state = model_and_state()
    for phase in model.phases:
        loss = lambda params, batch, phase=phase: phase.loss(params, state.stats, batch, KEY)[0]  # noqa: E731
        gradients = jax.device_get(jax.jit(jax.grad(loss))(state.params, BATCH))
        assert all(any((leaf != 0).any() for leaf in jax.tree.leaves(tree)) for tree in gradients.values())


def test_running_statistics_of_the_discriminator_are_those_of_real_images():
    model, state = model_and_state()
    networks = dcgan_networks(SHAPE, filters=2, latents=3)
    kernels = state.params["discriminator"]["params"]["convs"]
    conv = functools.partial(
        jax.lax.conv_general_dilated,
        window_strides=(2, 2),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )

    @jax.jit
    def second_maps(images):
        first = jax.nn.leaky_relu(conv(2 * images - 1, kernels["conv_0"]["kernel"]), 0.2)
        return conv(first, kernels["conv_1"]["kernel"])

    second = np.asarray(second_maps(BATCH["image"]))
    _, (_, stats) = jax.jit(model.phases[0].loss)(state.params, state.stats, BATCH, KEY)
    running = stats["discriminator"]["batch_stats"]["convs"]["norm_1"]
    np.testing.assert_allclose(running["mean"], (1 - MOMENTUM) * second.mean((0, 1, 2)), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(running["var"], MOMENTUM + (1 - MOMENTUM) * second.var((0, 1, 2)), rtol=1e-4)
    assert networks.prior.dimension == 3


def test_a_sample_in_training_depends_on_its_neighbours_and_one_that_is_drawn_does_not():
    model, state = model_and_state()
    generator = dcgan_networks(SHAPE, filters=2, latents=3).generator
    variables = {**state.params["generator"], **state.stats["generator"]}
    z = np.random.default_rng(0).normal(size=(4, 3))
    for train in (True, False):
        run = jax.jit(functools.partial(generator.apply, variables, train=train, mutable=["batch_stats"]))
        many, few = (np.asarray(run(noise)[0]) for noise in (z, z[:2]))
        assert (np.abs(many[:2] - few).max() > 1e-3) == train
    draw = jax.jit(model.generate)
    many, few = (draw(state.params, state.stats, {"image": np.zeros((n, *SHAPE))}, KEY) for n in (5, 2))
    np.testing.assert_allclose(np.asarray(many)[:2], few, rtol=1e-5, atol=1e-6)


def test_features_are_those_of_the_discriminators_maps():
    model, state = model_and_state()
    features = np.asarray(jax.jit(model.embed)(state.params, state.stats, BATCH))
    assert features.shape == (6, 16 * (2 + 4))
    kernel = np.asarray(state.params["discriminator"]["params"]["logit"]["kernel"])[:, 0]
    logit = features[:, 16 * 2 :] @ kernel  # the last maps are 4x4 already
    np.testing.assert_allclose(
        jax.jit(model.evaluate)(state.params, state.stats, BATCH, KEY)["real_logit"], logit, rtol=1e-4
    )


def test_images_of_another_shape_are_refused():
    model, state = model_and_state()
    larger = {"image": jnp.zeros((2, 32, 32, 1))}
    with pytest.raises(ValueError, match=r"batch\['image'\]: shape \(32, 32, 1\), the model is for \(16, 16, 1\)"):
        model.evaluate(state.params, state.stats, larger, KEY)
    with pytest.raises(ValueError, match=r"batch\['image'\]: shape \(32, 32, 1\), the model is for \(16, 16, 1\)"):
        model.embed(state.params, state.stats, larger)
    assert model.inputs == {"image": Input(SHAPE)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": (30, 30, 1)}, r"image_shape=\(30, 30, 1\): height and width must be 4, 5, 6, 7 times one"),
        ({"filters": 0}, "filters=0 must be at least 1"),
        ({"latents": 0}, "dimension=0 must be above 0"),
        ({"discriminator_updates": 0}, "discriminator_updates=0 must be at least 1"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dcgan(**{"image_shape": SHAPE, "optimizers": OPTIMIZERS, "filters": 2, **change})
