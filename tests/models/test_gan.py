"""The phases of the GAN: their losses in closed form, who moves, and a game whose end is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from flax import linen as nn

from genjax.core import Input, init_state, make_step
from genjax.losses.adversarial import MINIMAX, NONSATURATING, WASSERSTEIN
from genjax.models.adversarial.gan import (
    Networks,
    Optimizers,
    drawn_noise,
    gan,
    image_networks,
    point_networks,
    r1,
    wasserstein_penalty,
)
from genjax.models.priors import Prior, gaussian, gaussian_mixture

KEY = jax.random.key(0)
SGD = Optimizers(optax.sgd(0.1), optax.sgd(0.1))
NOISE = np.array([-1.0, 0.5, 2.0, 3.0], np.float32)
REAL = np.array([1.0, -2.0, 0.0, 4.0], np.float32)

FIXED = Prior(1, 0, lambda key, count, _: jnp.asarray(NOISE[:count])[:, None])
"""No noise at all, so that losses have a closed form."""


class Scale(nn.Module):
    """y = a x."""

    start: float

    @nn.compact
    def __call__(self, x, train=False):
        return self.param("a", nn.initializers.constant(self.start), (1,)) * x


class Normalized(nn.Module):
    """Batch normalization without gain or bias, then a sum."""

    @nn.compact
    def __call__(self, x, train=False):
        norm = nn.BatchNorm(use_running_average=not train, momentum=0.9, use_scale=False, use_bias=False, epsilon=0)
        return self.param("a", nn.initializers.ones, (1,)) * norm(x).sum(axis=-1, keepdims=True)


def line(*, discriminator=None, prior=FIXED, **options):
    """Points on a line: G(z) = 0.5 z and D(x) = 0.3 x."""
    networks = Networks(Scale(0.5), discriminator or Scale(0.3), prior)
    return gan((1,), networks, **{"optimizers": SGD, "example": "point", **options})


BATCH = {"point": jnp.asarray(REAL[:, None])}


def state_of(model, batch=BATCH):
    return jax.jit(lambda key: init_state(model, key, batch))(KEY)


def loss_and_gradients(model, name, batch=BATCH, key=KEY):
    """The loss of a phase and its gradient with respect to every network."""
    loss = next(phase.loss for phase in model.phases if phase.name == name)

    @jax.jit
    def both():
        state = init_state(model, KEY, batch)
        return jax.value_and_grad(lambda params: loss(params, state.stats, batch, key)[0])(state.params)

    value, gradients = jax.device_get(both())
    return float(value), {network: float(tree["params"]["a"][0]) for network, tree in gradients.items()}


def sigmoid(x):
    return scipy.special.expit(x)


def test_the_discriminator_descends_minus_the_value_of_the_game():
    real, fake = 0.3 * REAL, 0.3 * 0.5 * NOISE
    value, gradients = loss_and_gradients(line(), "discriminator")
    np.testing.assert_allclose(value, -(np.log(sigmoid(real)) + np.log(1 - sigmoid(fake))).mean(), rtol=1e-5)
    expected = (-(1 - sigmoid(real)) * REAL + sigmoid(fake) * 0.5 * NOISE).mean()
    np.testing.assert_allclose(gradients["discriminator"], expected, rtol=1e-5)


@pytest.mark.parametrize("game", [MINIMAX, NONSATURATING, WASSERSTEIN], ids=lambda game: game.name)
def test_the_generator_descends_its_own_loss(game):
    fake = 0.3 * 0.5 * NOISE
    of_logit = {"minimax": -sigmoid(fake), "nonsaturating": sigmoid(fake) - 1, "wasserstein": -np.ones(4)}[game.name]
    losses = {
        "minimax": np.log(1 - sigmoid(fake)),
        "nonsaturating": -np.log(sigmoid(fake)),
        "wasserstein": -fake,
    }
    value, gradients = loss_and_gradients(line(adversarial=game), "generator")
    np.testing.assert_allclose(value, losses[game.name].mean(), rtol=1e-5)
    np.testing.assert_allclose(gradients["generator"], (of_logit * 0.3 * NOISE).mean(), rtol=1e-5)


def test_each_phase_moves_its_own_network_and_the_generator_sees_the_discriminators_move():
    model = line()
    assert [(phase.name, phase.wrt) for phase in model.phases] == [
        ("discriminator", ("discriminator",)),
        ("generator", ("generator",)),
    ]
    start = state_of(model)
    after, _ = jax.jit(make_step(model.phases))(start, BATCH)
    d = 0.3 - 0.1 * loss_and_gradients(model, "discriminator")[1]["discriminator"]
    slope = ((sigmoid(d * 0.5 * NOISE) - 1) * d * NOISE).mean()
    np.testing.assert_allclose(after.params["discriminator"]["params"]["a"], d, rtol=1e-5)
    np.testing.assert_allclose(after.params["generator"]["params"]["a"], 0.5 - 0.1 * slope, rtol=1e-5)


def test_the_discriminator_makes_k_moves_per_move_of_the_generator_each_on_its_own_noise():
    model = line(prior=gaussian(1), discriminator_updates=3, optimizers=Optimizers(optax.sgd(0.0), optax.sgd(0.1)))
    step, state = jax.jit(make_step(model.phases)), state_of(model)
    generators, fakes, reals = [], [], []
    for _ in range(6):
        state, metrics = step(state, BATCH)
        generators.append(float(state.params["generator"]["params"]["a"][0]))
        fakes.append(float(metrics["discriminator/fake_logit"]))
        reals.append(float(metrics["discriminator/real_logit"]))
    assert generators[0] == generators[1] == 0.5
    assert generators[2] == generators[3] == generators[4]
    assert len(set(generators)) == 3
    assert len(set(fakes)) == 6
    np.testing.assert_allclose(reals, reals[0], rtol=1e-6)


def test_the_discriminator_updates_in_every_step():
    model = line(discriminator_updates=3)
    step, states = jax.jit(make_step(model.phases)), [state_of(model)]
    for _ in range(4):
        states.append(step(states[-1], BATCH)[0])
    assert len({float(state.params["discriminator"]["params"]["a"][0]) for state in states}) == 5


def test_a_linear_critic_pays_for_its_slope_exactly():
    plain, _ = loss_and_gradients(line(adversarial=WASSERSTEIN), "discriminator")
    for penalty, expected, slope in (
        (wasserstein_penalty(weight=10.0), 10 * (0.3 - 1) ** 2, 10 * 2 * (0.3 - 1)),
        (wasserstein_penalty(weight=2.0, target=0.0), 2 * 0.3**2, 2 * 2 * 0.3),
        (r1(weight=10.0), 10 / 2 * 0.3**2, 10 * 0.3),
    ):
        value, gradients = loss_and_gradients(line(adversarial=WASSERSTEIN, penalty=penalty), "discriminator")
        np.testing.assert_allclose(value - plain, expected, rtol=1e-4)
        np.testing.assert_allclose(gradients["discriminator"], slope + (0.5 * NOISE - REAL).mean(), rtol=1e-4)


def test_the_penalty_is_taken_between_real_and_fake_or_at_the_real():
    """D(x) = x^2 / 2 has the gradient x."""
    real, fake = np.full((1000, 1), 2.0, np.float32), np.full((1000, 1), 6.0, np.float32)
    between = np.asarray(jax.jit(wasserstein_penalty().points)(KEY, real, fake))
    assert 2 <= between.min() < 2.1
    assert 5.9 < between.max() <= 6
    assert (r1().points(KEY, jnp.asarray(real), jnp.asarray(fake)) == real).all()


def test_real_and_fake_examples_are_normalized_apart():
    """The sum of a batch's normalized values is 0 and their squares' mean 1, whatever the two batches are."""
    model = line(discriminator=Normalized())
    real, fake = ((x - x.mean()) / x.std() for x in (REAL, 0.5 * NOISE))
    expected = np.log1p(np.exp(-real)) + np.log1p(np.exp(fake))
    np.testing.assert_allclose(loss_and_gradients(model, "discriminator")[0], expected.mean(), rtol=1e-4)


def test_running_statistics_are_those_of_real_examples_and_move_with_their_own_player():
    model = line(discriminator=Normalized())
    start = state_of(model)
    after = {phase.name: jax.jit(make_step([phase]))(start, BATCH)[0].stats for phase in model.phases}
    (running,) = after["discriminator"]["discriminator"]["batch_stats"].values()
    np.testing.assert_allclose(running["mean"], 0.1 * REAL.mean(), rtol=1e-5)
    np.testing.assert_allclose(running["var"], 0.9 + 0.1 * REAL.var(), rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, after["generator"], dict(start.stats))


def test_evaluation_is_by_running_statistics_and_per_example():
    model = line(discriminator=Normalized())
    state = state_of(model)
    found = jax.jit(model.evaluate)(state.params, state.stats, BATCH, KEY)
    np.testing.assert_allclose(found["real_logit"], REAL, rtol=1e-5)  # mean 0 and variance 1, as they began
    np.testing.assert_allclose(found["fake_logit"], 0.5 * NOISE[0], rtol=1e-5)  # each its own draw of the fixed noise
    np.testing.assert_allclose(found["discriminator_loss"], np.log1p(np.exp(-REAL)) + np.log1p(np.exp(-0.5)), rtol=1e-5)
    np.testing.assert_allclose(found["generator_loss"], np.log1p(np.exp(0.5)), rtol=1e-5)


def test_dropout_is_on_in_both_phases_and_off_in_evaluation():
    networks = image_networks((2, 2, 1), hidden=(3,), maxout=(8,), pieces=2, prior=FIXED)
    model = gan((2, 2, 1), networks, optimizers=SGD)
    batch = {"image": jnp.asarray(np.ones((4, 2, 2, 1)))}
    state = state_of(model, batch)
    for phase in model.phases:
        loss = jax.jit(lambda key, phase=phase: phase.loss(state.params, state.stats, batch, key)[0])
        assert float(loss(KEY)) != float(loss(jax.random.key(1)))
    evaluate = jax.jit(model.evaluate)
    logits = [evaluate(state.params, state.stats, batch, key)["real_logit"] for key in (KEY, jax.random.key(1))]
    np.testing.assert_allclose(*logits, rtol=1e-5, atol=1e-6)


def test_an_images_generator_starts_from_the_bias_it_is_given():
    logits = np.linspace(-3, 3, 6).reshape(3, 2, 1)
    networks = image_networks((3, 2, 1), hidden=(4,), bias_init=nn.initializers.constant(logits))
    (image,), _ = jax.jit(networks.generator.init_with_output)(KEY, np.zeros((1, 100)))
    np.testing.assert_allclose(image, sigmoid(logits), rtol=1e-5)


def test_noise_has_variance_1_and_depends_on_its_place():
    noise, few = (np.asarray(jax.jit(lambda n=n: drawn_noise(point_networks().prior, KEY, n))()) for n in (200, 3))
    assert noise.shape == (200, 100)
    assert abs(noise).max() <= np.sqrt(3)
    np.testing.assert_allclose(noise.var(), 1, rtol=0.05)
    np.testing.assert_allclose(few, noise[:3], rtol=1e-5, atol=1e-6)


class Affine(nn.Module):
    """y = a x + b."""

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(1, kernel_init=nn.initializers.constant(0.1))(x)


class Quadratic(nn.Module):
    """The logit of the best discriminator between two Gaussians is linear in x, x^2 and 1."""

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(1)(jnp.concatenate([x, x**2 / 4], axis=-1))


def test_the_game_of_one_dimension_ends_at_the_datas_mean_and_deviation():
    """a z + b with z ~ N(0, 1) against N(2, 1.5^2)."""
    optimizers = Optimizers(optax.adam(0.02, b1=0.5), optax.adam(0.003, b1=0.5))
    networks = Networks(Affine(), Quadratic(), gaussian(1))
    model = gan((1,), networks, optimizers=optimizers, penalty=r1(weight=0.1), example="point")

    @jax.jit
    def play(key):
        def one(state, key):
            state, _ = make_step(model.phases)(state, {"point": 2 + 1.5 * jax.random.normal(key, (200, 1))})
            dense = state.params["generator"]["params"]["Dense_0"]
            return state, jnp.stack([dense["bias"][0], jnp.abs(dense["kernel"][0, 0])])

        start = init_state(model, key, {"point": jnp.zeros((1, 1))})
        return jax.lax.scan(one, start, jax.random.split(key, 3000))[1]

    path = np.asarray(play(KEY))
    np.testing.assert_allclose(path[-1000:].mean(axis=0), [2, 1.5], rtol=0.1)
    assert np.abs(path[0] - [2, 1.5]).min() > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"discriminator_updates": 0}, "discriminator_updates=0 must be at least 1"),
        ({"shape": (2,)}, r"the generator returns arrays of shape \(1, 1\), must be \(1, 2\)"),
        ({"networks": Networks(Scale(1.0), Scale(1.0), gaussian_mixture(3))}, "prior: must be without classes, got 3"),
        (
            {"shape": (3,), "networks": Networks(Scale(1.0), Scale(1.0), gaussian(3))},
            r"shape \(1, 3\), must be \(1, 1\)",
        ),
        (
            {"networks": Networks(Scale(1.0), Normalized(), FIXED), "penalty": r1()},
            "the discriminator has batch statistics; take one without, or no penalty",
        ),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    options = {"shape": (1,), "networks": Networks(Scale(1.0), Scale(1.0), FIXED), "optimizers": SGD, **change}
    with pytest.raises(ValueError, match=message):
        gan(**options)


def test_examples_of_another_shape_are_refused():
    """A scale would take two coordinates as well as one, and a loss of them is nonsense."""
    model = line()
    state = state_of(model)
    for call in (model.phases[0].loss, model.phases[1].loss, model.evaluate, model.generate):
        with pytest.raises(ValueError, match=r"batch\['point'\]: shape \(2,\), the model is for \(1,\)"):
            call(state.params, state.stats, {"point": jnp.zeros((4, 2))}, KEY)
    assert model.inputs == {"point": Input((1,), "real")}


def test_a_penalty_needs_a_weight():
    for make in (r1, wasserstein_penalty):
        with pytest.raises(ValueError, match=r"weight=0.0 must be above 0"):
            make(weight=0.0)


@functools.cache
def ring_networks():
    return point_networks(hidden=(4,), maxout=(3,), prior=gaussian(2))


def test_points_are_of_any_size():
    model = gan((2,), ring_networks(), optimizers=SGD, example="point")
    batch = {"point": jnp.zeros((3, 2))}
    state = jax.eval_shape(lambda: init_state(model, KEY, batch))
    assert jax.eval_shape(model.generate, state.params, state.stats, batch, KEY).shape == (3, 2)


class Dropping(nn.Module):
    """y = a x, or half of the time 0."""

    @nn.compact
    def __call__(self, x, train=False):
        return self.param("a", nn.initializers.ones, (1,)) * nn.Dropout(0.5, deterministic=not train)(x)


def test_real_and_fake_examples_are_dropped_apart():
    """With the same four numbers as real and as fake ones, what is left of the two is not correlated over keys."""
    model = line(discriminator=Dropping())
    state, same = state_of(model), {"point": jnp.asarray(0.5 * NOISE[:, None])}

    @jax.jit
    @jax.vmap
    def logits(key):
        metrics = model.phases[0].loss(state.params, state.stats, same, key)[1][0]
        return metrics["real_logit"], metrics["fake_logit"]

    real, fake = map(np.asarray, logits(jax.random.split(KEY, 1000)))
    np.testing.assert_allclose([real.mean(), fake.mean()], 0.5 * NOISE.mean(), atol=5 * real.std() / np.sqrt(1000))
    assert abs(np.corrcoef(real, fake)[0, 1]) < 5 / np.sqrt(1000)
