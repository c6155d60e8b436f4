"""Tabular models against enumeration, information theory and a count in plain Python."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data.dataset import resident
from genjax.data.feed import make_feed
from genjax.models.autoregressive.tabular import (
    add_counts,
    ar_contexts,
    ar_parameters,
    conditionals,
    free_parameters,
    independent_parameters,
    joint_parameters,
    log_prob,
    markov_parameters,
    offset_contexts,
    table_rows,
    tabular,
)
from genjax.testing import (
    assert_autoregressive,
    assert_normalized,
    assert_resume_equals,
    assert_sampler_matches,
    flip_pattern,
)
from genjax.training import init_seeds, iterate
from tests.models.tabular_cases import (
    CASES,
    HEIGHT,
    NEAR,
    ORDERING,
    PIXELS,
    WIDTH,
    counted_by_hand,
    random_values,
    to_image,
)

ALL = pytest.mark.parametrize(("contexts", "neighbours", "tied"), CASES.values(), ids=CASES.keys())
TABLES = pytest.mark.parametrize("contexts", [contexts for contexts, _, _ in CASES.values()], ids=CASES.keys())


def random_weights(contexts):
    shape = (contexts.rows, contexts.levels)
    weights = np.random.default_rng(1).gamma(1.0, size=shape) + 0.05
    return weights.astype(jax.dtypes.canonicalize_dtype(float))


def log_prob_of_images(contexts, weights):
    log_prob_of = log_prob_of_values(contexts)

    def function(image):
        values = np.round(np.asarray(image).reshape(len(image), -1) * (contexts.levels - 1)).astype(np.int32)
        return log_prob_of(weights, values)

    return function


def log_prob_of_values(contexts):
    return jax.jit(functools.partial(log_prob, contexts))


def count(contexts, values):
    @jax.jit
    def counted(values):
        counts = jnp.zeros((contexts.rows, contexts.levels), jnp.int32)
        return add_counts(contexts, counts, values, jnp.ones(len(values), jnp.int32))

    return counted(values)


def trained(contexts, values, *, steps, batch_size, seeds=(0,), smoothing=0.5):
    model = tabular(contexts, examples=len(values), smoothing=smoothing)
    split = resident({"image": to_image(values, contexts.levels)})
    feed = make_feed(split, lambda raw, key: dict(raw), seeds, batch_size)
    history = list(iterate(model, feed, init_seeds(model, feed, seeds), steps))
    return model, history[-1][1], [metrics["count/loss"][0] for _, _, metrics in history]


# The contexts and their tables.


@pytest.mark.parametrize(("pixels", "k", "levels"), [(5, 0, 2), (5, 1, 2), (6, 3, 2), (5, 4, 2), (4, 2, 3), (3, 1, 4)])
def test_parameter_formula_counts_the_rows_that_inputs_reach(pixels, k, levels):
    contexts = ar_contexts(pixels, k, levels=levels, ordering=np.random.default_rng(0).permutation(pixels))
    inputs = np.array(list(itertools.product(range(levels), repeat=pixels)), np.int32)
    reached = np.unique(jax.jit(functools.partial(table_rows, contexts))(inputs))
    assert ar_parameters(pixels, k, levels=levels) == (levels - 1) * len(reached) == free_parameters(contexts)


def test_parameter_formulas_of_the_lecture():
    assert [independent_parameters(7), markov_parameters(7), joint_parameters(7)] == [7, 2 * 7 - 1, 2**7 - 1]
    assert ar_parameters(784, 9) == 397311
    for levels in (2, 3, 5):
        formulas = (independent_parameters, 0), (markov_parameters, 1), (joint_parameters, 5)
        for formula, k in formulas:
            assert formula(6, levels=levels) == ar_parameters(6, k, levels=levels)
    assert joint_parameters(3, levels=256) == 256**3 - 1


@pytest.mark.parametrize("tied", [False, True])
def test_every_row_of_a_2d_table_is_reached(tied):
    contexts = offset_contexts(HEIGHT + 1, WIDTH, NEAR, tied=tied)
    inputs = np.array(list(itertools.product(range(2), repeat=PIXELS + WIDTH)), np.int32)
    assert len(np.unique(jax.jit(functools.partial(table_rows, contexts))(inputs))) == free_parameters(contexts)


@ALL
def test_each_conditional_depends_on_its_context_and_nothing_else(contexts, neighbours, tied):
    weights = random_weights(contexts)
    values = random_values(16, 2)
    of = jax.jit(functools.partial(conditionals, contexts))
    depends = flip_pattern(lambda x: of(weights, x), values)
    expected = np.array([[j in neighbours[i] for j in range(PIXELS)] for i in range(PIXELS)])
    np.testing.assert_array_equal(depends, expected)


def test_full_joint_is_autoregressive_in_its_order():
    contexts = ar_contexts(PIXELS, PIXELS - 1, ordering=ORDERING)
    weights = random_weights(contexts)
    values = random_values(8, 2)
    of = jax.jit(functools.partial(conditionals, contexts))
    assert_autoregressive(lambda x: of(weights, x), values, ordering=ORDERING, pattern=flip_pattern)


@TABLES
def test_normalized(contexts):
    with jax.enable_x64(True):
        log_probs = log_prob_of_images(contexts, random_weights(contexts))
        assert_normalized(log_probs, (HEIGHT, WIDTH, 1), levels=contexts.levels, atol=1e-12)


def test_ordering_permutes_pixels():
    weights = random_weights(ar_contexts(PIXELS, 3))
    values = random_values(20, 2)
    rows_of_order = ar_contexts(PIXELS, 3, ordering=ORDERING)
    # The tables of the permuted model lie in the order of pixels: bring them into that of generation.
    sizes = [2 ** min(3, at) for at in range(PIXELS)]
    blocks = np.split(weights, np.cumsum(sizes)[:-1])
    permuted = np.concatenate([blocks[ORDERING.index(pixel)] for pixel in range(PIXELS)])
    expected = log_prob_of_values(ar_contexts(PIXELS, 3))(weights, values[:, np.array(ORDERING)])
    np.testing.assert_allclose(log_prob_of_values(rows_of_order)(permuted, values), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ar_contexts(4, 4), "k=4 must be from 0 to 3"),
        (lambda: ar_contexts(4, -1), "k=-1"),
        (lambda: ar_contexts(4, 1, levels=1), "levels=1"),
        (lambda: ar_contexts(4, 1, ordering=[0, 1, 2, 2]), "ordering must hold"),
        (lambda: ar_contexts(784, 783), "at most 2\\^26"),
        (lambda: offset_contexts(4, 4, [(0, 1)]), "offsets must"),
        (lambda: offset_contexts(4, 4, [(0, -1), (0, -1)]), "offsets must"),
        (lambda: tabular(ar_contexts(4, 1), examples=0), "examples=0"),
        (lambda: tabular(ar_contexts(4, 1), examples=1, smoothing=0.0), r"smoothing=0\.0"),
        (lambda: tabular(offset_contexts(9, 9, NEAR, tied=True), examples=2**26), "32 bits"),
        (
            lambda: tabular(ar_contexts(4, 1), examples=1).init(jax.random.key(0), {"image": jnp.zeros((1, 3, 1, 1))}),
            "4 pixels",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Counting.


@ALL
def test_likelihood_equals_a_count_by_hand(contexts, neighbours, tied):
    train, test = random_values(23, contexts.levels), random_values(9, contexts.levels, key=1)
    model, state, _ = trained(contexts, train, steps=5, batch_size=5)
    stats = {name: np.asarray(of_seeds)[0] for name, of_seeds in state.stats.items()}
    metrics = jax.jit(model.evaluate)({}, stats, {"image": to_image(test, contexts.levels)}, jax.random.key(0))
    expected = counted_by_hand(train, test, neighbours, tied, contexts.levels, 0.5)
    np.testing.assert_allclose(metrics["nll_nats"], expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["bits_per_dim"], expected / PIXELS / np.log(2), rtol=1e-5)


@pytest.mark.parametrize("batch_size", [3, 7])
def test_one_pass_counts_each_example_once_and_more_steps_nothing(batch_size):
    contexts, values = ar_contexts(PIXELS, 2), random_values(7, 2)
    counted = count(contexts, values)
    one_pass = -(-len(values) // batch_size)
    for steps in (one_pass, one_pass + 1, 3 * one_pass):
        _, state, _ = trained(contexts, values, steps=steps, batch_size=batch_size, seeds=(3, 5))
        assert state.stats["counts"].dtype == jnp.int32
        for index in range(2):  # the seeds see the examples in different orders
            np.testing.assert_array_equal(np.asarray(state.stats["counts"])[index], counted)
        assert state.stats["seen"].tolist() == [7, 7]


def test_loss_is_that_of_a_batch_under_the_counts_before_it():
    contexts, values = CASES["ternary ar-2"][0], random_values(6, 3)
    _, _, losses = trained(contexts, values, steps=3, batch_size=6)
    once = counted_by_hand(values, values, CASES["ternary ar-2"][1], False, 3, 0.5).mean()
    np.testing.assert_allclose(losses, [PIXELS * np.log(3), once, once], rtol=1e-5)


def test_resumed_equals_uninterrupted():
    values = random_values(10, 2)
    feed = make_feed(resident({"image": to_image(values, 2)}), lambda raw, key: dict(raw), (0, 1), 4)
    assert_resume_equals(tabular(ar_contexts(PIXELS, 2), examples=10), feed, (0, 1), 2)


# Information theory: smoothing -> 0 makes each conditional that of the training images.


def training_nll(contexts, values):
    nll = jax.jit(lambda values: -log_prob(contexts, count(contexts, values) + 1e-12, values).mean())
    return float(nll(values))


def entropy(values):
    """Entropy of the empirical distribution of the rows, in nats."""
    _, counts = np.unique(values, axis=0, return_counts=True)
    frequencies = counts / counts.sum()
    return -(frequencies * np.log(frequencies)).sum()


def test_training_nll_falls_with_each_pixel_of_context_to_the_joint_entropy():
    values = random_values(60, 2)
    with jax.enable_x64(True):
        nlls = [training_nll(ar_contexts(PIXELS, k), values) for k in range(PIXELS)]
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(nlls))
    assert nlls[-1] < nlls[0] - 0.1
    np.testing.assert_allclose(nlls[-1], entropy(values), rtol=1e-9)


def test_independent_pixels_miss_the_total_correlation():
    values = random_values(60, 2)
    total_correlation = sum(entropy(values[:, [i]]) for i in range(PIXELS)) - entropy(values)
    with jax.enable_x64(True):
        divergence = training_nll(ar_contexts(PIXELS, 0), values) - entropy(values)
    np.testing.assert_allclose(divergence, total_correlation, rtol=1e-9)


def test_markov_chain_misses_the_conditional_mutual_information():
    values = random_values(60, 2)

    def missed(i):
        """I(x_i; x_1 ... x_(i-2) | x_(i-1))."""
        pair, last, past = values[:, i - 1 : i + 1], values[:, [i - 1]], values[:, :i]
        return entropy(pair) - entropy(last) - (entropy(values[:, : i + 1]) - entropy(past))

    with jax.enable_x64(True):
        divergence = training_nll(ar_contexts(PIXELS, 1), values) - entropy(values)
    np.testing.assert_allclose(divergence, sum(missed(i) for i in range(2, PIXELS)), rtol=1e-9)


# Sampling.


def with_counts(contexts, image, **rest):
    """A model with random counts, and its stats."""
    model = tabular(contexts, examples=100, smoothing=0.5)
    shape = (contexts.rows, contexts.levels)
    counts = np.random.default_rng(2).integers(0, 6, shape).astype(np.int32)
    generate = jax.jit(model.generate)
    return (counts + 0.5).astype(np.float32), lambda key: generate(
        {}, {"counts": counts, "seen": np.int32(100)}, {"image": image, **rest}, key
    )


@pytest.mark.parametrize("name", ["ar-3 in an order", "2d, tied", "ternary ar-2"])
def test_sampler_matches(name):
    contexts = CASES[name][0]
    weights, generate = with_counts(contexts, np.zeros((6000, HEIGHT, WIDTH, 1), np.float32))
    assert_sampler_matches(generate(jax.random.key(0)), log_prob_of_images(contexts, weights), levels=contexts.levels)


def test_completions_follow_the_conditional_of_what_is_known():
    contexts = ar_contexts(PIXELS, 3, ordering=ORDERING)
    known = np.isin(np.arange(PIXELS), ORDERING[:3]).reshape(HEIGHT, WIDTH, 1)
    image = np.broadcast_to(to_image(np.array([1, 0, 1, 1, 0, 1]), 2), (6000, HEIGHT, WIDTH, 1))
    weights, generate = with_counts(contexts, image, known=np.broadcast_to(known, image.shape))
    samples = np.asarray(generate(jax.random.key(0)))
    assert (samples == image)[:, known].all()

    def conditional(unknown):
        """Log p(unknown, known); the test divides by the sum over the unknown."""
        full = np.repeat(image[:1], len(unknown), axis=0)
        full[:, ~known] = unknown
        return log_prob_of_images(contexts, weights)(full)

    assert_sampler_matches(samples[:, ~known], conditional)


def test_samples_repeat_and_do_not_depend_on_their_neighbours():
    _, generate = with_counts(CASES["2d"][0], np.zeros((5, HEIGHT, WIDTH, 1), np.float32))
    _, generate_three = with_counts(CASES["2d"][0], np.ones((3, HEIGHT, WIDTH, 1), np.float32))
    five = np.asarray(generate(jax.random.key(0)))
    np.testing.assert_array_equal(five, generate(jax.random.key(0)))
    np.testing.assert_array_equal(five[:3], generate_three(jax.random.key(0)))
    assert (five != generate(jax.random.key(1))).any()
