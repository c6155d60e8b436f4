import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import chi2

from genjax.losses.likelihood import bernoulli_log_prob
from genjax.models.autoregressive import eonade
from genjax.models.autoregressive.eonade import (
    draw_observed,
    fill,
    fixed_orderings,
    known_first,
    log_prob,
    logits,
    objective,
    order_agnostic_nll,
    ordered_logits,
    smaller_mixtures,
)
from genjax.models.autoregressive.pixels import bernoulli, fill_by_passes
from genjax.testing import (
    all_inputs,
    assert_autoregressive,
    assert_normalized,
    assert_sampler_matches,
    assert_samplers_equal,
    assert_stable,
)
from tests.models.eonade_cases import (
    KEY,
    SHAPE,
    WIDTHS,
    D,
    all_masks,
    every_depth,
    mixture_log_prob,
    plain_log_prob,
    plain_logits,
    random_params,
)


@every_depth
def test_the_network_is_its_formula(depth):
    with jax.enable_x64(True):
        params = random_params(WIDTHS[depth])
        x, observed = (np.random.default_rng(seed).integers(0, 2, (9, D)).astype(float) for seed in (1, 2))
        ours = jax.jit(logits)(params, x, observed)
        np.testing.assert_allclose(ours, plain_logits(params, x, observed), rtol=0, atol=1e-12)


def test_the_objective_is_unbiased():
    """Its mean over all sets of observed pixels is the mean of -log p_o(x) over all 720 orderings, exactly."""
    with jax.enable_x64(True):
        params = random_params((5, 4))
        x = np.random.default_rng(1).integers(0, 2, (4, D)).astype(float)
        expected = -np.mean([plain_log_prob(params, order, x) for order in itertools.permutations(range(D))], axis=0)

        @jax.jit
        def nll(params, x, observed):
            return order_agnostic_nll(bernoulli_log_prob(logits(params, x, observed), x), observed)

        ours = 0
        for mask, probability in zip(*all_masks(), strict=True):
            ours += probability * np.asarray(nll(params, x, np.broadcast_to(mask, x.shape)))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-10)


def test_observed_sets_have_their_probabilities():
    count = 63_000
    drawn = np.asarray(jax.jit(draw_observed)(KEY, np.zeros((count, D), np.float32)))
    masks, probabilities = all_masks()
    index = drawn.astype(int) @ 2 ** np.arange(D)[::-1]
    observed = np.bincount(index, minlength=64)
    assert observed[63] == 0
    statistic = ((observed[:63] - count * probabilities) ** 2 / (count * probabilities)).sum()
    assert chi2.sf(statistic, 62) > 1e-4
    np.testing.assert_array_equal(masks @ 2 ** np.arange(D)[::-1], np.arange(63))


def test_the_observed_set_of_an_example_does_not_depend_on_its_neighbours():
    many, few = (jax.jit(draw_observed)(KEY, np.zeros((count, 30), np.float32)) for count in (5, 2))
    np.testing.assert_array_equal(np.asarray(many)[:2], few)
    assert len(np.unique(np.asarray(many), axis=0)) == 5


@pytest.mark.parametrize(("depth", "chunk"), [("one layer", 14), ("three layers", 1), ("three layers", 4)])
def test_an_ordering_equals_the_naive_form(depth, chunk):
    with jax.enable_x64(True):
        dimensions = 17
        params = random_params(WIDTHS[depth], dimensions=dimensions)
        x = np.random.default_rng(1).integers(0, 2, (5, dimensions)).astype(float)
        order = np.random.default_rng(2).permutation(dimensions)

        @jax.jit
        def log_probs(params, order, x):
            return bernoulli_log_prob(ordered_logits(params, order, x, chunk=chunk), x[:, order])

        ours = np.asarray(log_probs(params, order, x)).sum(-1)
        np.testing.assert_allclose(ours, plain_log_prob(params, order, x), rtol=0, atol=1e-10)


@every_depth
def test_probabilities_of_each_ordering_and_of_the_mixture_sum_to_one(depth):
    with jax.enable_x64(True):
        params, log_prob_of_order = random_params(WIDTHS[depth]), jax.jit(log_prob)
        for order in fixed_orderings(D, 4):
            assert_normalized(functools.partial(log_prob_of_order, params, order), (D,), atol=1e-12)
        model = eonade.eonade(SHAPE, hidden=WIDTHS[depth], orderings=4)
        assert_normalized(mixture_log_prob(model, {"eonade": params}), SHAPE, atol=1e-12)


@every_depth
def test_each_conditional_depends_on_all_pixels_before_it_and_on_no_other(depth):
    params = random_params(tuple(8 * width for width in WIDTHS[depth]))  # wide, lest a ReLU layer be dead
    order = fixed_orderings(D, 1)[0]
    x = np.random.default_rng(3).integers(0, 2, (8, D)).astype(np.float32)

    def in_image_order(x):
        return ordered_logits(jax.tree.map(jnp.asarray, params), jnp.asarray(order), x)[:, np.argsort(order)]

    assert_autoregressive(jax.jit(in_image_order), x, ordering=order)


def test_metrics_are_those_of_the_mixtures():
    model = eonade.eonade(SHAPE, hidden=(5, 4), orderings=4)
    with jax.enable_x64(True):
        params = random_params((5, 4))
        x = np.asarray(all_inputs((D,)))
        image = x.reshape(-1, *SHAPE)
        metrics = jax.jit(model.evaluate)({"eonade": params}, {}, {"image": image}, KEY)
        each = np.stack([plain_log_prob(params, order, x) for order in fixed_orderings(D, 4)])
        mixture = lambda rows: logsumexp(rows, axis=0) - np.log(len(rows))  # noqa: E731
        expected = {
            "nll_nats": -mixture(each),
            "bits_per_dim": -mixture(each) / (D * np.log(2)),
            "nll_1_ordering_nats": -each.mean(0),
            "nll_2_orderings_nats": -(mixture(each[:2]) + mixture(each[2:])) / 2,
        }
        assert set(metrics) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(metrics[name], values, rtol=0, atol=1e-10)


def test_more_orderings_are_never_worse():
    """Jensen's inequality, for every example: -log of a mean of probabilities is at most the mean of -log."""
    log_probs = np.random.default_rng(0).normal(-90, 3, (8, 50))
    smaller = jax.jit(smaller_mixtures)(log_probs)
    all_eight = np.log(8) - logsumexp(log_probs, axis=0)
    falling = [*(np.asarray(smaller[f"nll_{name}_nats"]) for name in ("1_ordering", "2_orderings", "4_orderings"))]
    for more, fewer in itertools.pairwise([all_eight, *falling[::-1]]):
        assert (more < fewer).all()


def test_orderings_are_the_same_in_every_model_and_no_two_alike():
    four = fixed_orderings(16, 4)
    np.testing.assert_array_equal(fixed_orderings(16, 2), four[:2])
    assert len(np.unique(four, axis=0)) == 4
    np.testing.assert_array_equal(np.sort(four, axis=1), np.tile(np.arange(16), (4, 1)))


def test_the_estimate_is_the_mean_of_the_objective():
    params = random_params((5,))
    image = np.random.default_rng(1).integers(0, 2, (7, *SHAPE)).astype(np.float32)
    estimate = jax.jit(eonade.make_estimate(3))
    ours = estimate({"eonade": params}, {}, {"image": image}, KEY)["nll_estimate_nats"]

    @jax.jit
    def each_objective(params, x):
        return jax.vmap(lambda key: objective(params, x, key))(jax.random.split(KEY, 3))

    each = each_objective(params, image.reshape(-1, D))
    np.testing.assert_allclose(ours, np.mean(each, axis=0), rtol=1e-5)


@every_depth
def test_the_sampler_equals_the_one_of_as_many_passes_as_pixels(depth):
    model = eonade.eonade(SHAPE, hidden=WIDTHS[depth])
    order = fixed_orderings(D, 1)[0]
    with jax.enable_x64(True):
        params = random_params(WIDTHS[depth])
        image = np.random.default_rng(1).integers(0, 2, (500, *SHAPE)).astype(float)
        known = np.isin(np.arange(D), order[:2]).astype(float).reshape(SHAPE) * np.ones_like(image)

        @jax.jit
        def naive(params, image, known, key):
            def conditionals(image):
                in_order = ordered_logits(params, jnp.asarray(order), image.reshape(-1, D))
                return in_order[:, np.argsort(order)].reshape(-1, *SHAPE, 1)

            pixel_key = jax.random.split(key)[1]
            return fill_by_passes(conditionals, bernoulli(), pixel_key, image, known, ordering=order)

        generate, batch = jax.jit(model.generate), {"image": image, "known": known}
        assert_samplers_equal(
            lambda key: generate({"eonade": params}, {}, batch, key), lambda key: naive(params, image, known, key), KEY
        )


def test_the_sampler_draws_from_the_density():
    model = eonade.eonade(SHAPE, hidden=(5, 4), orderings=4)
    params = {"eonade": random_params((5, 4), scale=0.7)}
    images = jax.jit(model.generate)(params, {}, {"image": np.zeros((20_000, *SHAPE), np.float32)}, jax.random.key(1))
    assert_sampler_matches(images, mixture_log_prob(model, params))


def conditional_given(params, order, known, values):
    """p(x | known pixels) [64] of the model of the ordering with the known pixels first, by enumeration in NumPy."""
    x = np.asarray(all_inputs((D,)), np.float64)
    first = [index for index in order if known[index]] + [index for index in order if not known[index]]
    log_joint = plain_log_prob(params, first, x)
    agrees = (x[:, known] == values[known]).all(axis=1)
    p = np.where(agrees, np.exp(log_joint), 0)
    return p / p.sum()


@pytest.mark.parametrize("orderings", [1, 2])
def test_a_completion_is_exact_whatever_is_known(orderings):
    """Two known pixels in the middle, no prefix of any ordering, against the enumerated conditional."""
    model = eonade.eonade(SHAPE, hidden=(5, 4), orderings=orderings)
    params = random_params((5, 4))
    known, values = np.array([0, 1, 0, 0, 1, 0], bool), np.array([0, 1, 0, 0, 0, 0])
    assert not any(known[order[:2]].all() for order in fixed_orderings(D, orderings))
    count = 20_000
    batch = {
        "image": np.broadcast_to(values.astype(np.float32).reshape(SHAPE), (count, *SHAPE)),
        "known": np.broadcast_to(known.astype(np.float32).reshape(SHAPE), (count, *SHAPE)),
    }
    drawn = jax.jit(model.generate)({"eonade": params}, {}, batch, jax.random.key(4))
    p = np.mean([conditional_given(params, order, known, values) for order in fixed_orderings(D, orderings)], axis=0)
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    assert_sampler_matches(drawn, lambda _: log_p)


def test_each_example_keeps_its_own_known_pixels():
    model = eonade.eonade(SHAPE, hidden=(5,), orderings=4)
    rng = np.random.default_rng(5)
    image, known = (rng.integers(0, 2, (40, *SHAPE)).astype(np.float32) for _ in range(2))
    generate = jax.jit(model.generate)
    drawn = generate({"eonade": random_params((5,))}, {}, {"image": image, "known": known}, KEY)
    assert (np.asarray(drawn)[known > 0] == np.asarray(image)[known > 0]).all()
    assert (np.asarray(drawn)[known == 0] != np.asarray(image)[known == 0]).any()


def test_known_pixels_come_first_and_both_parts_keep_their_order():
    order = jnp.asarray([[3, 0, 2, 1], [3, 0, 2, 1]])
    known = jnp.asarray([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(known_first(order, known), [[2, 1, 3, 0], [3, 0, 2, 1]])


def test_examples_in_different_orders_are_filled_as_each_alone():
    params = random_params((5, 4))
    orders = fixed_orderings(D, 3)
    uniform = np.random.default_rng(0).uniform(size=(30, D)).astype(np.float32)
    zero, filled = np.zeros_like(uniform), jax.jit(fill)
    which = np.arange(30) % 3
    together = np.asarray(filled(params, orders[which], uniform, zero, zero))
    for index in range(3):
        alone = np.asarray(filled(params, np.tile(orders[index], (30, 1)), uniform, zero, zero))
        np.testing.assert_array_equal(together[index::3], alone[index::3])


def test_known_of_another_shape_is_refused():
    model = eonade.eonade(SHAPE, hidden=(5,))
    batch = {"image": jnp.ones((3, *SHAPE)), "known": jnp.ones((3, 3, 2, 1))}
    with pytest.raises(ValueError, match="known: shape"):
        model.generate({"eonade": random_params((5,))}, {}, batch, KEY)


def test_an_untrained_model_starts_from_the_marginals():
    mean = np.random.default_rng(0).uniform(0.2, 0.8, SHAPE)
    params, _ = jax.jit(eonade.eonade(SHAPE, hidden=(5,), mean=mean).init)(KEY, {})
    np.testing.assert_allclose(expit(params["eonade"]["b"]), mean.reshape(-1), rtol=1e-5)


def test_the_objective_is_finite_at_extreme_logits():
    x = jnp.asarray([[0.0, 1.0]])
    observed = jnp.asarray([[1.0, 0.0]])
    assert_stable(jax.jit(lambda out: order_agnostic_nll(bernoulli_log_prob(out[None], x), observed)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ()}, r"hidden=\(\) must hold at least one layer"),
        ({"hidden": (3, 0)}, r"hidden=\(3, 0\) must hold at least one layer"),
        ({"orderings": 0}, "orderings=0 must be a power of two"),
        ({"orderings": 6}, "orderings=6 must be a power of two"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        eonade.eonade(SHAPE, **options)
