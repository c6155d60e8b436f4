"""The average of a network's weights and batch statistics, against its closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.core import Input, Model, Phase, init_state, make_step
from genjax.models.adversarial.average import averaged, with_average
from genjax.models.adversarial.dcgan import dcgan
from genjax.models.adversarial.gan import Optimizers

SHAPE = (8, 8, 1)
KEY = jax.random.key(0)
BATCH = {"image": np.random.default_rng(0).random((6, *SHAPE)).astype(np.float32)}
DECAY = 0.7


@functools.cache
def played(moves):
    """A DCGAN with an average, and its states from the start to the end of six steps."""
    optimizers = Optimizers(optax.sgd(0.1), optax.sgd(0.1))
    plain = dcgan(SHAPE, optimizers=optimizers, filters=2, latents=3, discriminator_updates=moves)
    model = with_average(plain, decay=DECAY)
    step = jax.jit(make_step(model.phases))
    states = [started(model)]
    for _ in range(6):
        states.append(step(states[-1], BATCH)[0])
    return (
        plain,
        model,
        [state._replace(**jax.device_get({"params": state.params, "stats": state.stats})) for state in states],
    )


def started(model):
    return jax.jit(lambda key, batch: init_state(model, key, batch))(KEY, BATCH)


@pytest.mark.parametrize("moves", [1, 2])
def test_it_is_the_closed_form_of_all_moves_batch_statistics_included(moves):
    _, _, states = played(moves)
    seen = [{"params": s.params["generator"], "stats": s.stats["generator"]} for s in states[::moves]]
    n = len(seen) - 1
    weights = [DECAY**n, *((1 - DECAY) * DECAY ** (n - i) for i in range(1, n + 1))]
    expected = jax.tree.map(lambda *leaves: sum(w * leaf for w, leaf in zip(weights, leaves, strict=True)), *seen)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), states[-1].stats["average"], expected
    )
    assert set(expected["stats"]) == {"batch_stats"}
    first, last = jax.tree.leaves(seen[0]), jax.tree.leaves(seen[-1])
    assert all((one != other).any() for one, other in zip(first, last, strict=True))


def test_samples_are_those_of_the_average_and_features_those_of_the_discriminator():
    plain, model, states = played(1)
    params, stats = states[-1].params, states[-1].stats
    replaced = {**params, "generator": stats["average"]["params"]}, {**stats, "generator": stats["average"]["stats"]}
    np.testing.assert_array_equal(
        averaged(params, stats)[0]["generator"]["params"]["norm"]["scale"],
        replaced[0]["generator"]["params"]["norm"]["scale"],
    )
    generate, evaluate = jax.jit(plain.generate), jax.jit(plain.evaluate)
    expected = np.asarray(generate(*replaced, BATCH, KEY))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    close(jax.jit(model.generate)(params, stats, BATCH, KEY), expected)
    assert np.abs(expected - generate(params, stats, BATCH, KEY)).max() > 1e-4
    logits, of_average = jax.jit(model.evaluate)(params, stats, BATCH, KEY), evaluate(*replaced, BATCH, KEY)
    close(logits["fake_logit"], of_average["fake_logit"])
    close(jax.jit(model.embed)(params, stats, BATCH), jax.jit(plain.embed)(params, stats, BATCH))


def test_a_model_without_an_average_is_sampled_as_it_is():
    params, stats = {"generator": 1}, {"generator": {}}
    assert averaged(params, stats) == (params, stats)


def test_the_game_goes_on_as_without_it():
    plain, _, states = played(1)
    step = jax.jit(make_step(plain.phases))
    after = step(step(started(plain), BATCH)[0], BATCH)[0]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), after.params, states[2].params)


def test_what_the_model_says_of_its_inputs_and_metrics_is_kept():
    plain, model, _ = played(1)
    assert model.inputs == plain.inputs == {"image": Input(SHAPE)}
    assert with_average(plain._replace(kinds={"real_logit": "exact"}), decay=0.9).kinds == {"real_logit": "exact"}


def test_bad_arguments_are_named():
    plain, _, _ = played(1)
    with pytest.raises(ValueError, match=r"decay=1.0 must be at least 0 and below 1"):
        with_average(plain, decay=1.0)
    with pytest.raises(ValueError, match=r"network='decoder': no phase updates it; they update \['discriminator', 'g"):
        with_average(plain, decay=0.9, network="decoder")


def test_it_follows_each_schedule_of_the_phases_that_move_the_network():
    """Phases in every second and every third step, the latter until step 6: moved in the steps 2, 3, 4, 6, 8."""

    def loss(params, stats, batch, key):
        del batch, key
        return -params["generator"]["x"], ({}, stats)

    moves = (
        Phase("a", loss, ("generator",), optax.sgd(1.0), 2),
        Phase("b", loss, ("generator",), optax.sgd(1.0), 3, 0, 6),
    )
    plain = Model(lambda key, batch: ({"generator": {"x": jnp.zeros(())}}, {}), moves, lambda *_: {}, lambda *_: KEY)
    model = with_average(plain, decay=0.5)
    state, step = started(model), jax.jit(make_step(model.phases))
    x = mean = 0.0
    for number in range(1, 10):
        state, _ = step(state, BATCH)
        due = [number % 2 == 0, number % 3 == 0 and number <= 6]
        x += sum(due)
        for _ in range(sum(due)):
            mean = 0.5 * mean + 0.5 * x
        assert float(state.stats["average"]["params"]["x"]) == mean, number
