import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp

from genjax.losses.likelihood import bernoulli_log_prob
from genjax.models.autoregressive import made
from genjax.models.autoregressive.made import draw_masks, fill, mask_of, stacked_degrees
from genjax.models.autoregressive.pixels import bernoulli, fill_by_passes
from genjax.networks.masked import MaskedMLP, layer_masks
from genjax.shuffle import permutation
from genjax.testing import (
    all_inputs,
    assert_autoregressive,
    assert_normalized,
    assert_sampler_matches,
    assert_samplers_equal,
    assert_stable,
)
from tests.samples import assert_same_samples

SHAPE = (2, 3, 1)
D = 6
KEY = jax.random.key(0)
ORDER = [3, 0, 5, 1, 4, 2]


def random_params(model, seed=0, scale=1.0):
    """Parameters far from their start, float64 under x64."""
    shapes, _ = jax.eval_shape(model.init, KEY, {"image": np.zeros((1, *SHAPE))})
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: rng.normal(0, scale, leaf.shape).astype(jax.dtypes.canonicalize_dtype(float)), shapes
    )


def log_prob_of(model, params):
    evaluate = jax.jit(model.evaluate)
    return lambda image: -np.asarray(evaluate(params, {}, {"image": image}, KEY)["nll_nats"])


@functools.cache
def model_of(case):
    """The model of a case, for single precision."""
    return made.made(SHAPE, **CASES[case])


def orders_of(masks, *, shuffle):
    """The orderings of the masks as `made` has them."""
    return [permutation(D, seed=mask) if shuffle else np.asarray(ORDER) for mask in range(masks)]


def one_of(every, mask):
    """The degrees of one mask, as `mask_of` of the library selects them."""
    return tuple(layer[mask] for layer in every)


def plain_log_probs(params, degrees, x):
    """Log p_m(x) [B] of one mask in NumPy, ReLU units."""
    weights, h = jax.tree.map(np.asarray, params["made"]), x
    *hidden, last = (np.asarray(mask) for mask in jax.jit(layer_masks)(degrees))
    for index, mask in enumerate(hidden, start=1):
        layer = weights[f"hidden_{index}"]
        h = np.maximum(h @ (layer["kernel"] * mask) + layer["bias"], 0)
    out = h @ (weights["output"]["kernel"] * last) + weights["output"]["bias"]
    if "direct" in weights:
        out = out + x @ (weights["direct"]["kernel"] * (degrees[0] > degrees[0][:, None]))
    return -np.logaddexp(0, np.where(x == 1, -out, out)).sum(-1)


CASES = {
    "one mask": {"hidden": (7,), "ordering": ORDER},
    "two layers": {"hidden": (7, 5), "ordering": ORDER, "direct": False},
    "masks and orderings": {"hidden": (7, 8), "masks": 3, "shuffle": True},
}
every_case = pytest.mark.parametrize("case", CASES)


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


@pytest.mark.parametrize("case", ["one mask", "two layers"])
def test_the_sampler_equals_the_one_of_as_many_passes_as_pixels(case):
    options = CASES[case]
    model = made.made(SHAPE, **options)
    degrees = one_of(stacked_degrees([np.asarray(ORDER)], options["hidden"]), 0)
    network = MaskedMLP(options["hidden"], direct=options.get("direct", True))
    rng = np.random.default_rng(1)
    image = rng.integers(0, 2, (500, *SHAPE)).astype(float)
    known = np.isin(np.arange(D), ORDER[:2]).astype(float).reshape(SHAPE) * np.ones_like(image)
    with jax.enable_x64(True):
        params = random_params(model)

        @jax.jit
        def naive(params, degrees, batch, key):
            def conditionals(image):
                return network.apply({"params": params["made"]}, image.reshape(-1, D), degrees).reshape(-1, *SHAPE, 1)

            image, known, pixel_key = batch["image"], batch["known"], jax.random.split(key)[1]
            return fill_by_passes(conditionals, bernoulli(), pixel_key, image, known, ordering=np.asarray(ORDER))

        generate, batch = jax.jit(model.generate), {"image": image, "known": known}
        assert_samplers_equal(
            lambda key: generate(params, {}, batch, key),
            lambda key: naive(params, degrees, batch, key),
            jax.random.key(2),
        )


def test_examples_under_different_masks_are_filled_as_each_alone():
    every = stacked_degrees(orders_of(3, shuffle=True), (7, 8))
    params = random_params(made.made(SHAPE, **CASES["masks and orderings"]))["made"]
    uniform = np.random.default_rng(0).uniform(size=(30, D)).astype(np.float32)

    @jax.jit
    def filled(params, uniform, masks):
        zero = jnp.zeros_like(uniform)
        return fill(params, mask_of(every, masks), uniform, zero, zero, activation=jax.nn.relu)

    together = np.asarray(filled(params, uniform, np.arange(30) % 3))
    for mask in range(3):
        alone = np.asarray(filled(params, uniform, np.full(30, mask)))
        np.testing.assert_array_equal(together[mask::3], alone[mask::3])


def test_the_sampler_of_several_masks_equals_that_of_as_many_passes_as_pixels():
    """Each image by passes under the mask that is drawn for it."""
    model = made.made(SHAPE, **CASES["masks and orderings"])
    params, image, key = random_params(model), np.zeros((30, *SHAPE), np.float32), jax.random.key(5)
    orders = orders_of(3, shuffle=True)
    every = stacked_degrees(orders, (7, 8))
    network = MaskedMLP((7, 8))

    @jax.jit
    def drawn_masks(key):
        return draw_masks(jax.random.split(key)[0], jnp.zeros((3, 30)))

    @functools.partial(jax.jit, static_argnums=0)
    def naive(mask, params, image, key):
        def conditionals(image):
            logits = network.apply({"params": params["made"]}, image.reshape(-1, D), mask_of(every, mask))
            return logits.reshape(-1, *SHAPE, 1)

        pixel_key = jax.random.split(key)[1]
        return fill_by_passes(conditionals, bernoulli(), pixel_key, image, ordering=np.asarray(orders[mask]))

    masks = np.asarray(drawn_masks(key))
    drawn = np.asarray(jax.jit(model.generate)(params, {}, {"image": image}, key))
    for mask in range(3):
        assert (masks == mask).any()
        assert_same_samples(drawn[masks == mask], np.asarray(naive(mask, params, image, key))[masks == mask])


def test_what_is_not_known_does_not_matter():
    model = made.made(SHAPE, hidden=(7,), masks=3, ordering=ORDER)
    params, batch = random_params(model, scale=2.0), known_batch(ORDER[:2])
    generate = jax.jit(model.generate)
    unknown = np.where(batch["known"] > 0, batch["image"], np.float32(np.nan))
    np.testing.assert_array_equal(
        generate(params, {}, {**batch, "image": unknown}, KEY), generate(params, {}, batch, KEY)
    )
    with pytest.raises(ValueError, match="known: holds 255"):
        model.generate(params, {}, jax.tree.map(jnp.asarray, {**batch, "known": 255 * batch["known"]}), KEY)
    assert np.isnan(generate(params, {}, {**batch, "known": 255 * batch["known"]}, KEY)).all()


@every_case
def test_the_sampler_draws_from_the_density(case):
    model = model_of(case)
    params, batch = random_params(model, scale=0.7), {"image": np.zeros((20_000, *SHAPE), np.float32)}
    images = jax.jit(model.generate)(params, {}, batch, jax.random.key(1))
    assert_sampler_matches(images, log_prob_of(model, params))


def test_a_completion_is_exact_for_the_mixture():
    """Samples given two known pixels against the enumerated conditional of the mixture, not of a mask at random."""
    model = made.made(SHAPE, hidden=(7,), masks=3, ordering=ORDER, direct=False)
    params = random_params(model, scale=2.0)
    image = np.zeros((20_000, *SHAPE), np.float32)
    image[:, 1, 0] = 1  # pixel 3 is 1, pixel 0 is 0
    known = np.isin(np.arange(D), ORDER[:2]).astype(np.float32).reshape(SHAPE) * np.ones_like(image)
    drawn = jax.jit(model.generate)(params, {}, {"image": image, "known": known}, jax.random.key(3))
    log_prob = log_prob_of(model, params)

    def given(image):
        image = np.asarray(image)
        agrees = (image[:, 1, 0, 0] == 1) & (image[:, 0, 0, 0] == 0)
        joint = np.where(agrees, log_prob(image), -np.inf)
        return joint - logsumexp(joint)

    assert_sampler_matches(drawn, given)


def test_a_mask_is_drawn_with_its_probability():
    log_probs = np.broadcast_to(np.log([1.0, 2.0, 5.0])[:, None] - 40.0, (3, 40_000)).astype(np.float32)
    shares = np.bincount(jax.jit(draw_masks)(KEY, log_probs), minlength=3) / 40_000
    np.testing.assert_allclose(shares, [1 / 8, 2 / 8, 5 / 8], atol=0.01)


def known_batch(pixels):
    image = np.ones((3, *SHAPE), np.float32)
    known = np.isin(np.arange(D), pixels).astype(np.float32).reshape(SHAPE)
    return {"image": image, "known": known * np.ones_like(image)}


@pytest.mark.parametrize(
    ("options", "pixels"),
    [
        ({"masks": 3, "ordering": ORDER}, ORDER[1:3]),
        ({"masks": 3, "shuffle": True}, [0]),  # first in the ordering of one mask at most
    ],
)
def test_completion_of_pixels_that_are_no_prefix_is_refused(options, pixels):
    model = made.made(SHAPE, hidden=(7,), **options)
    params = random_params(model)
    with pytest.raises(ValueError, match="known: the model completes what follows a prefix"):
        model.generate(params, {}, jax.tree.map(jnp.asarray, known_batch(pixels)), KEY)
    if "ordering" in options:
        assert np.isnan(jax.jit(model.generate)(params, {}, known_batch(pixels), KEY)).all()


def test_known_of_another_shape_is_refused():
    model = made.made(SHAPE, hidden=(7,))
    with pytest.raises(ValueError, match="known: shape"):
        model.generate(random_params(model), {}, {"image": jnp.ones((3, *SHAPE)), "known": jnp.ones((3, 2, 2, 1))}, KEY)


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
