import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp

from genjax.losses.likelihood import bernoulli_log_prob
from genjax.models.autoregressive import made
from genjax.models.autoregressive.made import mask_of, stacked_degrees
from genjax.networks.masked import MaskedMLP
from genjax.testing import all_inputs, assert_autoregressive, assert_normalized, assert_stable
from tests.models.made_cases import (
    CASES,
    KEY,
    ORDER,
    SHAPE,
    D,
    every_case,
    log_prob_of,
    model_of,
    one_of,
    orders_of,
    plain_log_probs,
    random_params,
)


@every_case
def test_probabilities_sum_to_one(case):
    model = made.made(SHAPE, **CASES[case])
    with jax.enable_x64(True):
        assert_normalized(log_prob_of(model, random_params(model)), SHAPE, atol=1e-12)


def test_probabilities_of_each_mask_sum_to_one():
    every = stacked_degrees(orders_of(3, shuffle=True), (7, 8))
    network = MaskedMLP((7, 8))
    with jax.enable_x64(True):
        params = random_params(made.made(SHAPE, **CASES["masks and orderings"]))["made"]
        log_prob = jax.jit(lambda degrees, x: bernoulli_log_prob(network.apply({"params": params}, x, degrees), x))
        for mask in range(3):
            one = functools.partial(log_prob, one_of(every, mask))
            assert_normalized(lambda x, one=one: one(x).sum(-1), (D,), atol=1e-12)


@pytest.mark.parametrize("masks", [1, 32])
def test_the_mixture_is_over_as_many_masks_as_were_asked_for(masks):
    """The reference code of Germain et al. averages 33 where 32 are asked for."""
    model = made.made(SHAPE, hidden=(7,), masks=masks, shuffle=True)
    with jax.enable_x64(True):
        params = random_params(model)
        x = np.asarray(all_inputs((D,)))
        every = stacked_degrees(orders_of(masks, shuffle=True), (7,))
        log_probs = [plain_log_probs(params, one_of(every, mask), x) for mask in range(masks)]
        expected = logsumexp(log_probs, axis=0) - np.log(masks)
        ours = log_prob_of(model, params)(x.reshape(-1, *SHAPE))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


def test_masks_differ_and_are_the_same_in_every_model():
    every = stacked_degrees(orders_of(3, shuffle=False), (20,))
    assert (every[0] == every[0][0]).all()
    assert len(np.unique(every[1], axis=0)) == 3
    first_two = stacked_degrees(orders_of(2, shuffle=False), (20,))
    np.testing.assert_array_equal(every[1][:2], first_two[1])


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("widths", [(30,), (30, 20)])
def test_each_conditional_depends_on_all_pixels_before_it_and_on_no_other(direct, widths):
    network = MaskedMLP(widths, activation=jnp.tanh, direct=direct)
    every = stacked_degrees([np.asarray(ORDER)], widths)
    model = made.made(SHAPE, hidden=widths, ordering=ORDER, direct=direct)
    params = random_params(model)["made"]
    x = np.random.default_rng(3).integers(0, 2, (4, D)).astype(np.float32)
    logits = jax.jit(lambda x: network.apply({"params": params}, x, mask_of(every, 0)))
    assert_autoregressive(logits, x, ordering=ORDER)


@every_case
def test_the_first_pixel_of_the_ordering_has_its_bias_alone(case):
    if CASES[case].get("shuffle"):
        pytest.skip("every mask has another first pixel")
    model = model_of(case)
    params = random_params(model)
    p = np.exp(log_prob_of(model, params)(all_inputs(SHAPE)))
    on = np.asarray(all_inputs((D,)))[:, ORDER[0]] == 1
    bias = params["made"]["output"]["bias"][ORDER[0]]
    np.testing.assert_allclose(p[on].sum(), 1 / (1 + np.exp(-bias)), rtol=1e-5)


def test_model_of_a_permutation_equals_the_permuted_model():
    """log p of model(order) of the data is log p of model(raster) of the permuted data, its weights permuted alike."""
    ordered, raster = (made.made(SHAPE, hidden=(7,), ordering=order, masks=2) for order in (ORDER, None))
    params = random_params(ordered)["made"]
    order = np.asarray(ORDER)
    permuted = {
        "hidden_1": {"kernel": params["hidden_1"]["kernel"][order], "bias": params["hidden_1"]["bias"]},
        "output": {"kernel": params["output"]["kernel"][:, order], "bias": params["output"]["bias"][order]},
        "direct": {"kernel": params["direct"]["kernel"][np.ix_(order, order)]},
    }
    x = np.asarray(all_inputs((D,)))
    ours = log_prob_of(ordered, {"made": params})(x.reshape(-1, *SHAPE))
    theirs = log_prob_of(raster, {"made": permuted})(x[:, order].reshape(-1, *SHAPE))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_training_draws_every_mask():
    """The loss under many keys takes the value of each mask."""
    model = made.made(SHAPE, hidden=(7,), masks=3, ordering=ORDER)
    params = random_params(model)
    x = np.asarray(all_inputs((D,)))
    every = stacked_degrees(orders_of(3, shuffle=False), (7,))
    expected = [-plain_log_probs(params, one_of(every, mask), x).mean() for mask in range(3)]
    batch = {"image": x.reshape(-1, *SHAPE)}

    @jax.jit
    def losses_of(params, batch):
        return jax.vmap(lambda key: model.phases[0].loss(params, {}, batch, key)[0])(jax.random.split(KEY, 40))

    losses = losses_of(params, batch)
    distance = np.abs(np.asarray(losses)[:, None] - np.asarray(expected))
    assert distance.min(axis=1).max() < 1e-4
    assert set(distance.argmin(axis=1)) == {0, 1, 2}


def test_untrained_output_biases_are_the_marginals():
    mean = np.random.default_rng(0).uniform(0.2, 0.8, SHAPE)
    params, _ = jax.jit(made.made(SHAPE, hidden=(7,), mean=mean).init)(KEY, {})
    np.testing.assert_allclose(expit(params["made"]["output"]["bias"]), mean.reshape(-1), rtol=1e-5)


def test_the_likelihood_is_finite_at_extreme_logits():
    model = made.made((2, 1, 1), hidden=(3,))
    params, _ = jax.jit(model.init)(KEY, {})

    def loss(logits):
        extreme = {"made": {**params["made"], "output": {**params["made"]["output"], "bias": logits}}}
        return model.evaluate(extreme, {}, {"image": jnp.ones((2, 2, 1, 1))}, KEY)["nll_nats"]

    assert_stable(jax.jit(loss))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ()}, r"hidden=\(\) must hold at least one layer"),
        ({"hidden": (3, 0)}, r"hidden=\(3, 0\) must hold at least one layer"),
        ({"masks": 0}, "masks=0 must be at least 1"),
        ({"ordering": [0] * D}, "must hold each of the 6 pixels 0 to 5 once"),
        ({"ordering": ORDER, "shuffle": True}, "ordering: with shuffle=True"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        made.made(SHAPE, **options)
