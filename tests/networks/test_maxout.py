import jax
import numpy as np

from genjax.networks.maxout import Maxout, MaxoutNetwork, symmetric_uniform

KEY = jax.random.key(0)


def test_a_unit_is_the_greatest_of_its_pieces():
    rng = np.random.default_rng(0)
    x, W, b = rng.normal(size=(5, 3)), rng.normal(size=(3, 4, 2)), rng.normal(size=(4, 2))
    variables = {"params": {"pieces": {"kernel": W.reshape(3, 8), "bias": b.reshape(8)}}}
    expected = [[max(x[n] @ W[:, unit, j] + b[unit, j] for j in range(2)) for unit in range(4)] for n in range(5)]
    np.testing.assert_allclose(jax.jit(Maxout(4, pieces=2).apply)(variables, x), expected, rtol=1e-5)


def test_weights_start_uniform_about_zero():
    weights = np.asarray(symmetric_uniform(0.05)(KEY, (100, 100)))
    assert -0.05 <= weights.min() < -0.0499
    assert 0.0499 < weights.max() <= 0.05
    np.testing.assert_allclose(weights.std(), 0.05 / np.sqrt(3), rtol=0.02)


def test_inputs_are_left_out_in_training_and_what_stays_is_scaled():
    network = MaxoutNetwork((), input_dropout=0.2)
    variables = {"params": {"output": {"kernel": np.eye(1), "bias": np.zeros(1)}}}
    ones = np.ones((5000, 1))
    train = jax.jit(lambda ones: network.apply(variables, ones, train=True, rngs={"dropout": KEY}))
    dropped = np.asarray(train(ones))
    np.testing.assert_allclose(np.unique(dropped.round(5)), [0, 1.25])
    np.testing.assert_allclose(dropped.mean(), 1, atol=5 * 0.5 / np.sqrt(5000))
    np.testing.assert_array_equal(jax.jit(network.apply)(variables, ones), ones)


def test_units_are_left_out_in_training_alone():
    network = MaxoutNetwork((3,), pieces=2, input_dropout=0.0, dropout=0.5)
    images = np.ones((2000, 2, 1, 1))
    variables = {
        "params": {
            "maxout_0": {"pieces": {"kernel": np.zeros((2, 6)), "bias": np.tile([-1.0, 1.0], 3)}},
            "output": {"kernel": np.ones((3, 1)), "bias": np.zeros(1)},
        }
    }
    np.testing.assert_array_equal(jax.jit(network.apply)(variables, images), np.full((2000, 1), 3.0))
    train = jax.jit(lambda images: network.apply(variables, images, train=True, rngs={"dropout": KEY}))
    dropped = train(images)
    assert set(np.unique(dropped)) == {0, 2, 4, 6}
