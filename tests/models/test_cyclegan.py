"""Losses of CycleGAN in closed form, the networks that each phase updates, and the limits of cycle consistency."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from genjax.core import init_state, make_step
from genjax.models.adversarial.cyclegan import Networks, Optimizers, Weights, conv_networks, cyclegan
from genjax.models.adversarial.pool import Pool

SHAPE = (4, 4, 1)
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X, Y = (RNG.integers(0, 256, (3, *SHAPE)) / 256 for _ in range(2))
BATCH = {"image": jnp.asarray(X, jnp.float32), "other_image": jnp.asarray(Y, jnp.float32)}
SGD = Optimizers(optax.sgd(0.1), optax.sgd(0.1))
WITH_IDENTITY = Weights(identity=5.0)


class Scale(nn.Module):
    """Network a f(x) with one parameter a."""

    start: float
    function: object = staticmethod(lambda x: x)

    @nn.compact
    def __call__(self, x):
        return self.param("a", nn.initializers.constant(self.start), ()) * self.function(x)


def turned(times):
    return lambda images: jnp.rot90(images, times, axes=(1, 2))


LINEAR = Networks(Scale(0.5), Scale(0.8), Scale(0.3), Scale(0.6))
"""G(x) = 0.5 x, F(y) = 0.8 y, D_X(x) = 0.3 x, D_Y(y) = 0.6 y."""


@functools.cache
def model(networks=LINEAR, weights=WITH_IDENTITY, pool_size=2, paired=True):
    return cyclegan(SHAPE, SHAPE, networks, optimizers=SGD, weights=weights, pool_size=pool_size, paired=paired)


@functools.cache
def state_of(**options):
    return jax.jit(lambda: init_state(model(**options), KEY, BATCH))()


@functools.cache
def loss_of(index, **options):
    """Value, metrics and stats of a phase's loss, and its gradient with respect to every network."""
    state = state_of(**options)

    def loss(params):
        return model(**options).phases[index].loss(params, state.stats, BATCH, KEY)

    (value, (metrics, stats)), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(state.params)
    return float(value), metrics, stats, {name: float(tree["params"]["a"]) for name, tree in gradients.items()}


def terms():
    """Terms of the generators' loss in closed form, images from -1 to 1."""
    game = ((0.6 * 0.5 * X - 1) ** 2).mean() + ((0.3 * 0.8 * Y - 1) ** 2).mean()
    cycle = 2 * (np.abs(0.8 * 0.5 * X - X).mean() + np.abs(0.5 * 0.8 * Y - Y).mean())
    identity = 2 * (np.abs(0.5 * Y - Y).mean() + np.abs(0.8 * X - X).mean())
    return {"adversarial": game, "cycle": cycle, "identity": identity}


def test_the_generators_descend_adversarial_cycle_and_identity_losses():
    value, metrics, _, gradients = loss_of(0)
    for name, term in terms().items():
        np.testing.assert_allclose(metrics[name], term, rtol=1e-5)
    np.testing.assert_allclose(
        value, terms()["adversarial"] + 10 * terms()["cycle"] + 5 * terms()["identity"], rtol=1e-5
    )
    of_game = 2 * ((0.6 * 0.5 * X - 1) * 0.6 * X).mean()
    of_rest = -10 * 2 * 0.8 * (X.mean() + Y.mean()) - 5 * 2 * Y.mean()
    np.testing.assert_allclose(gradients["generator_y"], of_game + of_rest, rtol=1e-5)


@pytest.mark.parametrize("left", ["adversarial", "cycle"])
def test_each_term_alone_reaches_both_generators(left):
    value, _, _, gradients = loss_of(0, weights=Weights(0.0, 0.0)._replace(**{left: 3.0}))
    np.testing.assert_allclose(value, 3 * terms()[left], rtol=1e-5)
    assert abs(gradients["generator_x"]) > 0.1 < abs(gradients["generator_y"])
    assert (abs(gradients["discriminator_y"]) > 0.1) == (left == "adversarial")  # which stays, since it is not in `wrt`


def test_the_discriminators_descend_half_of_their_squares():
    value, metrics, _, gradients = loss_of(1, pool_size=0)
    fake_y, fake_x = 0.5 * X, 0.8 * Y
    halves = [
        (((d * real - 1) ** 2).mean() + ((d * fake) ** 2).mean()) / 2
        for d, real, fake in ((0.3, X, fake_x), (0.6, Y, fake_y))
    ]
    np.testing.assert_allclose(value, sum(halves), rtol=1e-5)
    np.testing.assert_allclose(metrics["real_score_x"], 0.3 * X.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["fake_score_y"], 0.6 * fake_y.mean(), rtol=1e-5)
    expected = ((0.6 * Y - 1) * Y).mean() + 0.6 * (fake_y**2).mean()
    np.testing.assert_allclose(gradients["discriminator_y"], expected, rtol=1e-5)


def test_each_phase_updates_its_own_networks_and_the_second_sees_the_first():
    assert [phase.wrt for phase in model().phases] == [
        ("generator_y", "generator_x"),
        ("discriminator_x", "discriminator_y"),
    ]
    state, _ = jax.jit(make_step(model(pool_size=0).phases))(state_of(pool_size=0), BATCH)
    a = {name: float(tree["params"]["a"]) for name, tree in state.params.items()}
    np.testing.assert_allclose(a["generator_y"], 0.5 - 0.1 * loss_of(0, pool_size=0)[3]["generator_y"], rtol=1e-5)
    slope = ((0.6 * Y - 1) * Y).mean() + 0.6 * ((a["generator_y"] * X) ** 2).mean()
    np.testing.assert_allclose(a["discriminator_y"], 0.6 - 0.1 * slope, rtol=1e-5)


def test_a_full_pool_gives_the_discriminators_old_images():
    one = model(pool_size=3)
    _, _, stats, _ = loss_of(1, pool_size=3)
    assert int(stats["pools"]["y"].held) == int(stats["pools"]["x"].held) == 3
    np.testing.assert_allclose(stats["pools"]["y"].images, 0.5 * X, rtol=1e-6)
    np.testing.assert_allclose(stats["pools"]["x"].images, 0.8 * Y, rtol=1e-6)
    full = {name: Pool(jnp.full((3, *SHAPE), 9.0), jnp.asarray(3)) for name in "xy"}
    state = state_of(pool_size=3)
    score = jax.jit(lambda key: one.phases[1].loss(state.params, {**state.stats, "pools": full}, BATCH, key)[1][0])
    scores = [float(score(jax.random.key(seed))["fake_score_y"]) for seed in range(8)]
    assert {round(score / (0.6 * 9 / 3)) for score in scores} >= {0, 1, 2}  # so many of three images are old ones


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_cycles_of_maps_that_undo_each_other_cost_nothing_whatever_the_maps_are(shift):
    """At most one of three pairs of inverse maps is right; the cycle loss cannot tell which."""
    maps = [(turned(1), turned(-1)), (turned(2), turned(2)), (lambda x: 1 - x, lambda x: 1 - x)]
    there, back = maps[shift]
    _, metrics, _, _ = loss_of(0, networks=Networks(Scale(1.0, there), Scale(1.0, back), Scale(1.0), Scale(1.0)))
    np.testing.assert_allclose(metrics["cycle"], 0, atol=1e-6)
    assert metrics["identity"] > 0.1


def test_between_a_domain_and_itself_doing_nothing_costs_nothing():
    networks = Networks(*(Scale(1.0) for _ in range(4)))
    one, state, same = model(networks=networks), state_of(networks=networks), {**BATCH, "other_image": BATCH["image"]}
    _, (metrics, _) = jax.jit(one.phases[0].loss)(state.params, state.stats, same, KEY)
    np.testing.assert_allclose([metrics["cycle"], metrics["identity"]], 0, atol=1e-6)


def test_evaluation_is_of_both_directions_and_of_pairs_where_there_are_some():
    state = state_of()
    found = jax.jit(model().evaluate)(state.params, state.stats, BATCH, KEY)
    expected = {
        "cycle_error": np.abs(0.4 * X - X),
        "paired_error": np.abs(0.5 * X - Y),
        "real_score": 0.6 * Y,
        "fake_score": 0.6 * 0.5 * X,
        "other_cycle_error": np.abs(0.4 * Y - Y),
        "other_paired_error": np.abs(0.8 * Y - X),
        "other_real_score": 0.3 * X,
        "other_fake_score": 0.3 * 0.8 * Y,
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values.mean((1, 2, 3)), rtol=1e-5)
    unpaired = jax.eval_shape(model(paired=False).evaluate, state.params, state.stats, BATCH, KEY)
    assert set(found) - set(unpaired) == {"paired_error", "other_paired_error"}


class Flat(nn.Module):
    """Discriminator with one score for an image."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x.reshape(len(x), -1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": Weights(cycle=-1.0)}, "weights: cycle=-1.0 must be at least 0"),
        ({"weights": Weights(identity=5.0), "other_shape": (4, 4, 3)}, "identity=5.0 needs images of one shape"),
        ({"other_shape": (4, 4, 3)}, r"generator_x returns .* \(1, 4, 4, 3\), must be \(1, 4, 4, 1\)"),
        (
            {"networks": LINEAR._replace(discriminator_y=Flat())},
            r"discriminator_y .* \(1, 1\), must be \(1, any, any, 1\)",
        ),
        ({"pool_size": -1}, "pool_size=-1 must be at least 0"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    arguments = {"image_shape": SHAPE, "other_shape": SHAPE, "networks": LINEAR, "optimizers": SGD, **change}
    with pytest.raises(ValueError, match=message):
        cyclegan(**arguments)


@pytest.mark.parametrize("name", ["image", "other_image"])
def test_images_of_another_shape_are_refused(name):
    wrong = {**BATCH, name: jnp.zeros((3, 5, 4, 1))}
    with pytest.raises(ValueError, match=rf"batch\['{name}'\]: shape \(5, 4, 1\), the model is for \(4, 4, 1\)"):
        model().phases[0].loss(state_of().params, state_of().stats, wrong, KEY)


def test_networks_follow_from_the_size_and_may_have_other_channels():
    networks = conv_networks((256, 256, 1), (256, 256, 3))
    assert (networks.generator_y.channels, networks.generator_x.channels) == (3, 1)
    assert (networks.generator_y.blocks, networks.generator_y.halvings, networks.discriminator_x.strided) == (9, 2, 3)
    digits = conv_networks((8, 8, 1), (8, 8, 1), blocks=2)
    assert (digits.generator_y.blocks, digits.generator_y.halvings, digits.discriminator_x.strided) == (2, 1, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"other_shape": (8, 10, 1)}, "height and width must be the same in both"),
        (
            {"image_shape": (3, 3, 1), "other_shape": (3, 3, 1)},
            "halved=0 and edge_size=7 .* multiples of 1, at least 4",
        ),
        ({"halved": 3}, "multiples of 8, at least 16"),
        ({"edge_size": 4}, "edge_size=4 must be odd and above 0"),
        ({"discriminator_filters": 0}, "discriminator_filters=0 must be at least 1"),
        ({"blocks": -1}, "blocks=-1 must be at least 0"),
        ({"strided": 2}, r"strided=2: image_shape=\(8, 8, 1\) halved so often must leave 3 pixels a side"),
    ],
)
def test_networks_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        conv_networks(**{"image_shape": (8, 8, 1), "other_shape": (8, 8, 1), **change})
