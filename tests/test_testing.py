"""Each check passes on what is right and fails on what is broken on purpose."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.core import Model, Phase
from genjax.data.dataset import resident
from genjax.data.feed import make_feed
from genjax.testing import (
    all_inputs,
    assert_autoregressive,
    assert_normalized,
    assert_resume_equals,
    assert_sampler_matches,
    assert_samplers_equal,
    assert_stable,
    flip_pattern,
    pool_rare,
)

PROBS = np.array([0.2, 0.5, 0.9])


@jax.jit
def bernoulli(x):
    """Three independent pixels."""
    return jnp.log(jnp.where(x > 0.5, PROBS, 1 - PROBS)).sum(axis=1)


@jax.jit
def uniform(x):
    return jnp.full(len(x), -x[0].size * np.log(3))


def test_all_inputs_lists_each_once():
    inputs = np.asarray(all_inputs((2, 1), levels=3))
    assert inputs.shape == (9, 2, 1)
    assert {tuple(one.ravel()) for one in inputs} == {(i / 2, j / 2) for i in range(3) for j in range(3)}
    with pytest.raises(ValueError, match="2\\^30"):
        all_inputs((30,))


@pytest.mark.parametrize(("log_prob", "shape", "levels"), [(bernoulli, (3,), 2), (uniform, (2, 1, 1), 3)])
def test_normalized(log_prob, shape, levels):
    assert_normalized(log_prob, shape, levels=levels)


def test_unnormalized_is_caught():
    with pytest.raises(AssertionError, match=r"sum to 1\.0"):
        assert_normalized(lambda x: bernoulli(x) + np.log(1.01), (3,))
    with pytest.raises(AssertionError, match="sum to nan"):
        assert_normalized(lambda x: bernoulli(x) * jnp.nan, (3,))


WEIGHTS = np.tri(4, k=-1)
ORDERING = np.array([2, 0, 3, 1])


def linear(weights):
    return lambda x: jnp.tanh(x.reshape(len(x), -1) @ weights.T).reshape(x.shape)


def in_order(weights, ordering):
    """Weights that act on elements `ordering` as `weights` act on 0, 1, 2, ..."""
    inverse = np.argsort(ordering)
    return weights[np.ix_(inverse, inverse)]


INPUTS = np.random.default_rng(0).integers(0, 2, (6, 2, 2)).astype(np.float32)


@pytest.mark.parametrize("kind", [{}, {"pattern": flip_pattern}])
def test_autoregressive(kind):
    assert_autoregressive(linear(WEIGHTS), INPUTS, **kind)
    assert_autoregressive(lambda x: linear(WEIGHTS)(x)[..., None] * np.arange(3), INPUTS, **kind)
    assert_autoregressive(linear(in_order(WEIGHTS, ORDERING)), INPUTS, ordering=ORDERING, **kind)
    assert_autoregressive(linear(np.eye(4, k=-1)), INPUTS, full=False, **kind)


@pytest.mark.parametrize("kind", [{}, {"pattern": flip_pattern}])
def test_leaks_and_blind_spots_are_caught(kind):
    with pytest.raises(AssertionError, match="element 1 depends on element 1"):
        assert_autoregressive(linear(WEIGHTS + np.diag([0, 1e-3, 0, 0])), INPUTS, **kind)
    with pytest.raises(AssertionError, match="element 0 depends on element 3"):
        assert_autoregressive(linear(WEIGHTS + np.eye(4, k=3)), INPUTS, **kind)
    with pytest.raises(AssertionError, match="element 2 does not depend on element 0"):
        assert_autoregressive(linear(np.eye(4, k=-1)), INPUTS, **kind)
    with pytest.raises(AssertionError, match="element 1 does not depend on element 0"):
        assert_autoregressive(linear(np.tri(4, k=-2)), INPUTS, full=False, **kind)
    with pytest.raises(AssertionError, match="depends on"):
        assert_autoregressive(linear(in_order(WEIGHTS, ORDERING)), INPUTS, **kind)


def test_nan_jacobian_is_caught():
    with pytest.raises(AssertionError, match="NaN"):
        assert_autoregressive(lambda x: jnp.sqrt(x - x) * x, INPUTS)


@jax.jit
def draw(key, probs=PROBS):
    return jax.random.bernoulli(key, probs, (20000, 3)).astype(float)


def test_sampler_matches():
    assert_sampler_matches(draw(jax.random.key(0)), bernoulli)
    three = jax.random.randint(jax.random.key(0), (5000, 2), 0, 3) / 2
    assert_sampler_matches(three, uniform, levels=3)


def test_biased_sampler_is_caught():
    with pytest.raises(AssertionError, match="chi-square"):
        assert_sampler_matches(draw(jax.random.key(0), PROBS + np.array([0, 0.03, 0])), bernoulli)
    with pytest.raises(AssertionError, match="other than k / 1"):
        assert_sampler_matches(draw(jax.random.key(0)) / 2, bernoulli)
    with pytest.raises(AssertionError, match="other than k / 1"):
        assert_sampler_matches(draw(jax.random.key(0)) * jnp.nan, bernoulli)
    with pytest.raises(ValueError, match="too few"):
        assert_sampler_matches(draw(jax.random.key(0))[:5], bernoulli)


def test_impossible_samples_are_caught():
    @jax.jit
    def never_one(x):
        return jnp.where(x[:, 0] > 0.5, -jnp.inf, jnp.log(0.25))

    assert_sampler_matches(draw(jax.random.key(0), np.array([0, 0.5, 0.5])), never_one)
    with pytest.raises(AssertionError, match="probability 0"):
        assert_sampler_matches(draw(jax.random.key(0), np.array([0.001, 0.5, 0.5])), never_one)


def test_pooled_classes_keep_the_totals():
    observed, expected = pool_rare(np.array([10, 0, 2, 30]), np.array([9.0, 1.0, 3.0, 29.0]))
    assert observed.tolist() == [30, 12]
    assert expected.tolist() == [29, 13]


def test_samplers_equal():
    assert_samplers_equal(draw, draw, jax.random.key(1))
    with pytest.raises(AssertionError, match="1 of 20000 samples differ, the first is number 7"):
        assert_samplers_equal(draw, jax.jit(lambda key: draw(key).at[7, 1].add(1)), jax.random.key(1))
    with pytest.raises(AssertionError, match="shapes"):
        assert_samplers_equal(draw, lambda key: draw(key)[1:], jax.random.key(1))


def test_stable():
    assert_stable(lambda logits: jax.nn.softplus(logits))
    assert_stable(lambda logits: -jax.nn.log_softmax(logits)[0], (3,))
    with pytest.raises(AssertionError, match="value of the loss"):
        assert_stable(lambda logits: jnp.log(1 + jnp.exp(logits)))
    with pytest.raises(AssertionError, match="value of the loss"):
        assert_stable(lambda logits: -jnp.log(jax.nn.sigmoid(logits)))
    with pytest.raises(AssertionError, match="gradient of the loss"):
        assert_stable(lambda logits: jnp.sqrt(jnp.square(logits)))


def mean_model(hidden=lambda: 0.0):
    """Learns the mean image; what `hidden` returns while the step is traced is state that no checkpoint holds."""

    def loss(params, stats, batch, key):
        noise = 0.1 * jax.random.normal(key, batch["image"].shape)
        error = jnp.square(batch["image"] + noise + hidden() - params["mean"]).mean()
        return error, ({}, {"steps": stats["steps"] + 1})

    def init(key, batch):
        return {"mean": jnp.zeros(batch["image"].shape[1:])}, {"steps": jnp.zeros((), jnp.int32)}

    def absent(params, stats, batch, key):
        raise NotImplementedError

    return Model(init, (Phase("fit", loss, ("mean",), optax.adam(0.1)),), absent, absent)


@pytest.fixture
def feed():
    images = np.random.default_rng(0).random((7, 2, 2, 1)).astype(np.float32)
    return make_feed(resident({"image": images}), lambda raw, key: dict(raw), (0, 1), 3)


def test_resume_equals(feed):
    assert_resume_equals(mean_model(), feed, (0, 1), 3)


def test_hidden_state_is_caught(feed):
    traces = []

    def count_traces():
        traces.append(1)
        return float(len(traces))

    with pytest.raises(AssertionError, match=r"state\.params\['mean'\] differs"):
        assert_resume_equals(mean_model(count_traces), feed, (0, 1), 3)


def test_a_feed_that_starts_anew_is_caught(feed):
    with pytest.raises(AssertionError, match="differs"):
        assert_resume_equals(mean_model(), feed._replace(items=lambda start: feed.items(0)), (0, 1), 3)
