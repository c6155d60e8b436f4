import functools
import math

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from scipy.special import expit, logsumexp

from genjax.core import init_state, make_step
from genjax.data.stream import stream_feed, stream_windows
from genjax.models.autoregressive import char_rnn
from genjax.models.autoregressive.char_rnn import categorical, sequential
from genjax.testing import (
    assert_autoregressive,
    assert_normalized,
    assert_resume_equals,
    assert_sampler_matches,
    assert_stable,
    flip_pattern,
)
from genjax.training import init_seeds, iterate, seed
from tests.models.char_rnn_cases import (
    PARAMS,
    SERIES_CORE,
    TEXT_CORE,
    V,
    characters,
    continuation,
    log_probs,
    random_params,
    read,
    read_anew,
    string_log_prob,
    text,
    values,
)

# Characters


def test_probabilities_of_all_strings_sum_to_one():
    assert_normalized(string_log_prob, (4,), levels=V)


def test_log_probability_is_the_softmax_of_a_recurrence_in_numpy():
    """One layer, with its equations written out for one string."""
    with jax.enable_x64(True):
        core = sequential(categorical(V), hidden=4, layers=1)
        params = random_params(core, 5)
        x = np.array([2, 0, 1, 1])
        layer, head = params["core"]["layer_0"], params["head"]
        c = h = np.zeros(4)
        onehot = np.zeros(V)  # before the first character stands none
        expected = []
        for character in x:
            gates = onehot @ layer["input"]["kernel"] + layer["input"]["bias"] + h @ layer["recurrent"]
            i, f, o, g = np.split(np.asarray(gates), 4)
            c = expit(f) * c + expit(i) * np.tanh(g)
            h = expit(o) * np.tanh(c)
            logits = np.asarray(h @ head["kernel"] + head["bias"])
            expected.append(logits[character] - logsumexp(logits))
            onehot = np.eye(V)[character]
        np.testing.assert_allclose(log_probs(core, params, x[None])[0], expected, rtol=0, atol=1e-12)


def test_a_character_changes_what_is_said_of_later_ones_and_of_no_other():
    def logits(x):
        return read_anew(TEXT_CORE, PARAMS, characters(x))[1]

    x = text((6, 7)) // 2 * 1.0  # 0 or 1: the first and the last of the three characters
    assert_autoregressive(logits, x, pattern=flip_pattern)


def test_a_text_read_in_two_parts_is_the_text_read_at_once():
    with jax.enable_x64(True):
        params = random_params(TEXT_CORE)
        x = text((5, 12))
        whole = read_anew(TEXT_CORE, params, x)
        carry, first = read_anew(TEXT_CORE, params, x[:, :6])
        carry, second = read(TEXT_CORE, params, carry, x[:, 6:])
        halves = (carry, np.concatenate([first, second], axis=1))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12), whole, halves)


def test_the_sampler_draws_from_the_density():
    x, _ = continuation(TEXT_CORE, PARAMS, jax.random.key(1), np.zeros((60_000, 0), np.int32), length=4)
    assert_sampler_matches(np.asarray(x) / (V - 1), string_log_prob, levels=V)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_sampler_records_the_models_log_probability(temperature):
    core = sequential(categorical(V, temperature), hidden=4, layers=2)
    with jax.enable_x64(True):
        params, prompt = random_params(core), text((40, 3))
        x, recorded = continuation(core, params, jax.random.key(0), prompt, length=6)
        whole = log_probs(core, params, np.concatenate([prompt, x], axis=1))
        np.testing.assert_allclose(whole[:, 3:].sum(axis=1), recorded, rtol=0, atol=1e-12)


def test_a_temperature_sharpens_each_conditional():
    """One character after a prompt, under probabilities^(1 / 0.5) made to sum to 1."""
    core = sequential(categorical(V, 0.5), hidden=4, layers=2)
    prompt = np.broadcast_to(text((1, 3)), (40_000, 3))
    x, _ = continuation(core, PARAMS, jax.random.key(2), prompt, length=1)
    every = np.concatenate([prompt[:V], np.arange(V, dtype=np.int32)[:, None]], axis=1)
    squared = 2 * np.asarray(log_probs(core, PARAMS, every)[:, 3], np.float64)
    expected = squared - logsumexp(squared)
    assert_sampler_matches(np.asarray(x) / (V - 1), lambda x: expected[characters(x)[:, 0]], levels=V)


def test_a_low_temperature_takes_the_likeliest_character():
    core = sequential(categorical(V, 1e-4), hidden=4, layers=2)
    prompt = text((20, 3))
    x, _ = continuation(core, PARAMS, jax.random.key(0), prompt, length=8)
    sequence = np.pad(np.asarray(prompt), ((0, 0), (0, 8)))
    for position in range(3, 11):  # each character by a pass over the whole row
        _, logits = read_anew(core, PARAMS, sequence.copy())
        sequence[:, position] = np.asarray(logits)[:, position].argmax(axis=1)
    np.testing.assert_array_equal(x, sequence[:, 3:])


@pytest.mark.parametrize("core", [TEXT_CORE, SERIES_CORE], ids=["characters", "values"])
def test_the_sampler_equals_one_that_reads_all_again_for_each_element(core):
    params, key = random_params(core), jax.random.key(4)
    prompt = text((20, 3)) if core is TEXT_CORE else values((20, 3))
    ours, _ = continuation(core, params, key, prompt, length=6)

    @jax.jit
    def next_elements(params, sequence, position):
        """Those at a position after the prompt, of parameters that the whole sequence is read for."""
        _, parameters = char_rnn.conditionals(core, params, core.start(20), sequence)
        rows = jax.vmap(lambda row: jax.random.split(jax.random.fold_in(key, row), 6))(jnp.arange(20))
        return jax.vmap(core.head.draw)(rows[:, position], parameters[:, 3 + position])

    sequence = np.pad(prompt, ((0, 0), (0, 6)))
    for position in range(6):
        sequence[:, 3 + position] = next_elements(params, sequence.copy(), position)
    np.testing.assert_allclose(ours, sequence[:, 3:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("temperature", [1e-4, 1e-38, 1e-40, 1e-300])
def test_however_cold_the_likeliest_character_is_drawn(temperature):
    logits = np.asarray([[1.0, 3.0, 2.0], [-2e4, -1e4, -3e4], [0.0, 1e-3, -5.0]], np.float32)
    draw = jax.vmap(categorical(V, temperature).draw, (None, 0))
    drawn = jax.jit(jax.vmap(lambda seed, logits: draw(jax.random.key(seed), logits), (0, None)))(np.arange(5), logits)
    np.testing.assert_array_equal(drawn, np.ones((5, 3)))


def test_loss_and_gradient_are_finite_at_extreme_logits():
    loss = jax.jit(lambda logits, character: -categorical(V).log_prob(logits, character))
    for character in range(V):
        assert_stable(lambda logits, character=character: loss(logits, character), (V,))


def test_a_continuation_depends_on_its_prompt():
    model = char_rnn.char_rnn(V, hidden=4, temperature=1e-4, length=8)
    prompt = np.broadcast_to(np.arange(V, dtype=np.int32)[:, None], (V, 2))
    drawn = jax.jit(model.generate)({"rnn": PARAMS}, {}, {"prompt": prompt}, jax.random.key(0))
    assert len(np.unique(np.asarray(drawn), axis=0)) > 1


# Training on a stream


def text_stream(size=200):
    return np.asarray(text((size,), seed=3))


@functools.cache
def tiny():
    return char_rnn.char_rnn(V, hidden=4, layers=2)


def batches(feed, steps):
    for item, _ in zip(feed.items(0), range(steps), strict=False):
        yield feed.load(feed.arrays, jax.tree.map(lambda leaf: leaf[0], item), jax.random.key(0))


def each_log_prob(parameters, x):
    return np.asarray(jax.jit(TEXT_CORE.head.log_prob)(parameters, x))


def test_the_state_is_carried_along_the_stream_and_dropped_where_it_begins_anew():
    """The carry after each step is that of reading the rows since the pass began, with the weights as they are."""
    still = char_rnn.make_model(TEXT_CORE, length=1, optimizer=optax.sgd(0.0))
    feed = stream_feed(text_stream(), (0,), 4, length=7)
    steps_per_pass = 200 // 28
    state = jax.jit(functools.partial(init_state, still))(jax.random.key(0), next(batches(feed, 1)))
    state = state._replace(params={"rnn": PARAMS})
    step = jax.jit(make_step(still.phases))
    since = np.zeros((4, 0), np.int32)
    for index, batch in enumerate(batches(feed, steps_per_pass + 2)):
        state, metrics = step(state, batch)
        new = np.asarray(batch["sequence"])
        since = new if index % steps_per_pass == 0 else np.concatenate([since, new], axis=1)
        if index not in (0, steps_per_pass - 1, steps_per_pass + 1):
            continue
        carry, parameters = read_anew(TEXT_CORE, PARAMS, since)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), state.stats["carry"], carry)
        expected = -each_log_prob(parameters, since)[:, -7:].mean()
        np.testing.assert_allclose(metrics["likelihood/loss"], expected, rtol=1e-5)


def test_rows_that_do_not_go_on_begin_anew_each_for_itself():
    model, x = tiny(), text((2, 5))
    carry, _ = read_anew(TEXT_CORE, PARAMS, text((2, 6), seed=8))
    loss = jax.jit(model.phases[0].loss)
    batch = {"sequence": x, "continues": np.array([True, False])}
    value, _ = loss({"rnn": PARAMS}, {"carry": carry}, batch, jax.random.key(0))
    readings = read(TEXT_CORE, PARAMS, carry, x), read_anew(TEXT_CORE, PARAMS, x)
    goes_on, anew = (each_log_prob(parameters, x) for _, parameters in readings)
    np.testing.assert_allclose(value, -(goes_on[0].mean() + anew[1].mean()) / 2, rtol=1e-5)


def test_a_resumed_run_with_a_carry_equals_an_uninterrupted_one():
    model = char_rnn.char_rnn(V, hidden=4, layers=1, dropout=0.3)
    assert_resume_equals(model, stream_feed(text_stream(), (0, 1), 4, length=7), (0, 1), 5)


def test_a_text_that_repeats_is_learnt_across_the_ends_of_steps():
    """Period 5 read in steps of 3: the first character of a step is known from the state that is carried alone."""
    model = char_rnn.char_rnn(3, hidden=16, layers=1, optimizer=optax.adam(3e-2))
    feed = stream_feed(np.tile(np.array([0, 0, 1, 2, 1], np.int32), 40), (0,), 4, length=3)
    start = seed(init_seeds(model, feed, (0,)), 0)
    losses = [float(metrics["likelihood/loss"]) for *_, metrics in iterate(model, feed, start, 250)]
    steps_per_pass = 200 // 12
    inside = [loss for index, loss in enumerate(losses) if index % steps_per_pass > 2]
    assert np.mean(inside[-20:]) < 0.02


def test_the_evaluation_is_the_mean_over_all_held_out_characters():
    stream = text_stream(40)
    split = stream_windows(stream, context=30, window=4)
    batch = split.read(np.arange(split.size))
    metrics = jax.jit(tiny().evaluate)({"rnn": PARAMS}, {}, batch, jax.random.key(0))
    metrics = {name: np.asarray(value) for name, value in metrics.items()}
    exact = -log_probs(TEXT_CORE, PARAMS, stream[None])[0]
    # Two further windows begin 4 and 8 characters into the stream.
    late = [-log_probs(TEXT_CORE, PARAMS, stream[None, first:])[0, 30:34] for first in (4, 8)]
    expected = np.concatenate([exact[:34], late[0], late[1]])[:40].mean()
    np.testing.assert_allclose(metrics["nats_per_character"].mean(), expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["bits_per_character"], metrics["nats_per_character"] / math.log(2), rtol=1e-6)


def test_without_weights_an_evaluation_is_the_mean_of_its_row():
    x = text((3, 6))
    nats = jax.jit(tiny().evaluate)({"rnn": PARAMS}, {}, {"sequence": x}, jax.random.key(0))["nats_per_character"]
    np.testing.assert_allclose(nats, -log_probs(TEXT_CORE, PARAMS, x).mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (char_rnn.char_rnn, {"vocabulary_size": 1}, "vocabulary_size=1 must be at least 2"),
        (char_rnn.char_rnn, {"vocabulary_size": 3, "temperature": 0.0}, "temperature=0.0 must be above 0"),
        (char_rnn.char_rnn, {"vocabulary_size": 3, "temperature": math.nan}, "temperature=nan must be above 0"),
        (char_rnn.char_rnn, {"vocabulary_size": 3, "hidden": 0}, "hidden=0 and layers=2 must be at least 1"),
        (char_rnn.char_rnn, {"vocabulary_size": 3, "dropout": 1.0}, "dropout=1.0 must be at least 0 and below 1"),
        (char_rnn.char_rnn, {"vocabulary_size": 3, "length": 0}, "length=0 must be at least 1"),
        (char_rnn.series_rnn, {"components": 0}, "components=0 must be at least 1"),
        (char_rnn.series_rnn, {"scale": 0.0}, "scale=0.0 must be above 0"),
    ],
)
def test_wrong_options_are_named(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.int64])
def test_characters_of_any_type_of_integers_are_read_trained_on_and_continued(kind):
    model = char_rnn.char_rnn(V, hidden=3, layers=1, length=4)
    x = np.asarray(text((2, 5)))
    of_kind, known = ({"sequence": jnp.asarray(x.astype(one))} for one in (kind, np.int32))
    state = init_state(model, jax.random.key(0), known)
    step = jax.jit(make_step(model.phases))
    once, metrics = step(state, of_kind)
    assert step._cache_size() == 1
    step(once, of_kind)
    assert step._cache_size() == 1
    np.testing.assert_allclose(metrics["likelihood/loss"], step(state, known)[1]["likelihood/loss"], rtol=1e-6)
    both = ({**batch, "prompt": batch["sequence"]} for batch in (of_kind, known))
    drawn = [model.generate(state.params, {}, batch, jax.random.key(1)) for batch in both]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("kind", [ml_dtypes.bfloat16, np.int32, np.uint8])
def test_values_of_any_type_of_numbers_are_read_and_continued(kind):
    model = char_rnn.series_rnn(hidden=3, components=2, length=4)
    x = np.array([[1, 2, 3, 4], [4, 3, 1, 2]])
    of_kind, known = ({"sequence": np.asarray(x, one), "prompt": np.asarray(x, one)} for one in (kind, np.float32))
    state = init_state(model, jax.random.key(0), jax.device_put(known))
    drawn = [jax.jit(model.generate)(state.params, {}, batch, jax.random.key(1)) for batch in (of_kind, known)]
    np.testing.assert_allclose(*drawn, rtol=1e-5)
