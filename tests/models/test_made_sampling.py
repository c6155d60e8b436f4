"""Samples and completions of MADE."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from genjax.models.autoregressive import made
from genjax.models.autoregressive.made import draw_masks, fill, mask_of, stacked_degrees
from genjax.models.autoregressive.pixels import bernoulli, fill_by_passes
from genjax.networks.masked import MaskedMLP
from genjax.testing import assert_sampler_matches, assert_samplers_equal
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
    random_params,
)
from tests.samples import assert_same_samples


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
