import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from genjax.models.autoregressive.pixel_cnn import pixel_cnn
from genjax.models.autoregressive.pixel_cnn_networks import Given, conditionals, context_of, make_networks
from genjax.models.autoregressive.pixels import bernoulli, categorical, fill_by_passes, logistic_mixture
from genjax.testing import (
    all_inputs,
    assert_autoregressive,
    assert_normalized,
    assert_sampler_matches,
    jacobian_pattern,
)
from tests.samples import assert_same_samples

KEY = jax.random.key(0)
KINDS = {"plain": False, "gated": True}
OUTPUTS = {
    "bernoulli": ((3, 3, 1), bernoulli()),
    "categorical": ((1, 2, 3), categorical(3)),
    "logistic mixture": ((1, 2, 3), logistic_mixture(3, 2)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_output = pytest.mark.parametrize("name", OUTPUTS)


def random_params(model, batch, *, scale=0.3):
    """Parameters as training might leave them: none zero, biases and masked weights included."""
    shapes, _ = jax.eval_shape(model.init, KEY, batch)
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: rng.normal(0, scale, leaf.shape).astype(leaf.dtype), shapes)


def mean_of(shape):
    return np.random.default_rng(3).random(shape).astype(np.float32)


@functools.cache
def model_of(kind, name, classes=0, condition_channels=0):
    shape, output = OUTPUTS[name]
    model = pixel_cnn(
        shape,
        output=output,
        features=6,
        blocks=2,
        first_kernel=3,
        gated=KINDS[kind],
        classes=classes,
        condition_channels=condition_channels,
        mean=mean_of(shape),
    )
    return model, random_params(model, given(images(name, 2), classes, condition_channels))


def images(name, count, seed=0):
    shape, output = OUTPUTS[name]
    levels = np.random.default_rng(seed).integers(0, output.levels, (count, *shape))
    return (levels / (output.levels - 1)).astype(np.float32)


def given(image, classes=0, condition_channels=0, label=1, seed=0):
    batch = {"image": image}
    if classes:
        batch["label"] = np.full(len(image), label, np.int32)
    if condition_channels:
        condition = np.random.default_rng(seed).random((*image.shape[1:3], condition_channels))
        batch["condition"] = np.broadcast_to(condition.astype(np.float32), (len(image), *condition.shape))
    return batch


def log_prob(model, params, *conditions, **choice):
    evaluate = jax.jit(model.evaluate)
    return lambda image: -np.asarray(evaluate(params, {}, given(image, *conditions, **choice), KEY)["nll_nats"])


def zeros(count, shape):
    return np.zeros((count, *shape), np.float32)


@every_kind
@every_output
def test_probabilities_sum_to_one(kind, name):
    shape, output = OUTPUTS[name]
    assert_normalized(log_prob(*model_of(kind, name)), shape, levels=output.levels)


def test_bits_per_dim_are_those_of_the_elements():
    model, params = model_of("gated", "categorical")
    metrics = jax.jit(model.evaluate)(params, {}, {"image": images("categorical", 4)}, KEY)
    nll = np.asarray(metrics["nll_nats"])
    np.testing.assert_allclose(metrics["bits_per_dim"], nll / (6 * np.log(2)), rtol=1e-6)


def uniform(shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


def random_network(kind, shape, **sizes):
    """The conditionals of an unconditional network, as a function of images."""
    output = categorical(3)
    model = pixel_cnn(shape, output=output, gated=KINDS[kind], **sizes)
    params = random_params(model, {"image": zeros(1, shape)})
    networks = make_networks(shape[2], output, gated=KINDS[kind], **sizes)
    return jax.jit(lambda image: conditionals(networks, jax.tree.map(jnp.asarray, params), image, context=None))


def reach_of_masks(shape, *, blocks, first_kernel, kernel):
    """Which elements see which through the masks of the plain network, one layer after another."""
    height, width, channels = shape
    places = [(y, x, c) for y in range(height) for x in range(width) for c in range(channels)]

    def layer(size, *, strict):
        sees = np.zeros((len(places), len(places)), bool)
        for i, (y, x, c) in enumerate(places):
            for j, (above, left, other) in enumerate(places):
                near = abs(y - above) <= size // 2 and abs(x - left) <= size // 2
                before = (above, left) < (y, x)
                same = (above, left) == (y, x) and (other < c if strict else other <= c)
                sees[i, j] = near and (before or same)
        return sees.astype(int)

    reach = layer(first_kernel, strict=True)
    for size in [*[kernel] * blocks, 1]:
        # A residual block passes its input on too, and a 1x1 convolution lets channels see those before.
        reach = (layer(size, strict=False) @ reach > 0).astype(int)
    return reach.astype(bool)


@pytest.mark.parametrize("shape", [(5, 5, 1), (3, 4, 3)])
def test_plain_network_sees_what_its_masks_let_through_and_has_a_blind_spot(shape):
    sizes = {"blocks": 2, "first_kernel": 3, "kernel": 3}
    logits = random_network("plain", shape, features=24, **sizes)
    x = uniform((6, *shape))
    seen = jacobian_pattern(logits, x)
    expected = reach_of_masks(shape, **sizes)
    np.testing.assert_array_equal(seen, expected)
    past = np.tri(len(seen), k=-1, dtype=bool)
    assert not (seen & ~past).any()
    assert (past & ~seen).any()


@pytest.mark.parametrize("shape", [(5, 5, 1), (3, 4, 3)])
def test_gated_network_sees_all_of_the_past_and_nothing_else(shape):
    logits = random_network("gated", shape, features=24, blocks=3, first_kernel=5)
    assert_autoregressive(logits, uniform((6, *shape)))


def plain_sampler(kind, name, params, batch):
    """The sampler that computes everything anew for each element."""
    shape, output = OUTPUTS[name]
    networks = make_networks(
        shape[2], output, features=6, blocks=2, first_kernel=3, gated=KINDS[kind], conditional=True
    )

    @jax.jit
    def fill(params, batch, key):
        context = context_of(networks, params, Given(shape, 2, 1), batch)
        passes = functools.partial(conditionals, networks, params, context=context, center=mean_of(shape))
        return fill_by_passes(passes, output, key, batch["image"], batch.get("known"))

    return functools.partial(fill, params, batch)


@every_kind
@every_output
def test_sampler_equals_the_plain_one_and_draws_from_the_density(kind, name):
    """With a label and a condition, so that both must reach every element at its position."""
    shape, output = OUTPUTS[name]
    model, params = model_of(kind, name, 2, 1)
    many = np.asarray(jax.jit(model.generate)(params, {}, given(zeros(20_000, shape), 2, 1), KEY))
    naive = plain_sampler(kind, name, params, given(zeros(500, shape), 2, 1))
    assert_same_samples(many[:500], naive(KEY))
    assert_sampler_matches(many, log_prob(model, params, 2, 1), levels=output.levels)


@every_kind
def test_completion_keeps_what_is_known_and_is_the_plain_samplers(kind):
    model, params = model_of(kind, "bernoulli", 2, 1)
    known = np.broadcast_to((np.arange(9) < 4).astype(np.float32).reshape(3, 3, 1), (200, 3, 3, 1))
    batch = {**given(images("bernoulli", 200), 2, 1), "known": known}
    completed = np.asarray(jax.jit(model.generate)(params, {}, batch, KEY))
    assert ((completed == batch["image"]) | (known == 0)).all()
    assert (completed != batch["image"]).any()
    assert_same_samples(completed, plain_sampler(kind, "bernoulli", params, batch)(KEY))


@every_kind
def test_conditional_model_is_normalized_under_each_condition_and_depends_on_it(kind):
    shape, output = OUTPUTS["categorical"]
    model, params = model_of(kind, "categorical", 2, 1)
    x = all_inputs(shape, levels=output.levels)
    one, label, condition = (
        log_prob(model, params, 2, 1, label=label, seed=seed)(x) for label, seed in ((0, 0), (1, 0), (0, 1))
    )
    for log_probs in (one, label, condition):
        np.testing.assert_allclose(scipy.special.logsumexp(log_probs), 0, atol=1e-5)
    assert (one != label).all()
    assert (one != condition).all()


def test_every_conditional_depends_on_the_whole_surroundings_of_the_condition():
    """Conditions are known beforehand, so no mask hides any of them: also those below and to the right."""
    _, params = model_of("plain", "bernoulli", 0, 1)
    networks = make_networks(1, bernoulli(), features=6, blocks=2, first_kernel=3, gated=False, conditional=True)

    @jax.jit
    def logits(condition):
        image = jnp.zeros_like(condition)
        arrays = jax.tree.map(jnp.asarray, params)
        context = context_of(networks, arrays, Given((3, 3, 1), 0, 1), {"image": image, "condition": condition})
        return conditionals(networks, arrays, image, context)

    assert jacobian_pattern(logits, uniform((6, 3, 3, 1))).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": None}, r"label: the model needs it, of shape \(4,\); the batch has condition, image"),
        ({"label": np.zeros((4, 1), np.int32)}, r"batch\['label'\]: shape \(1,\), the model is for \(\)"),
        ({"label": np.array([0, 1, 2, 1])}, r"batch\['label'\]: 2 must be from 0 to 1"),
        ({"label": np.array([0, -1, 0, 1])}, r"batch\['label'\]: -1 must be from 0 to 1"),
        ({"condition": None}, r"condition: the model needs it, of shape \(4, 3, 3, 1\); the batch has image, label"),
        (
            {"condition": np.zeros((4, 3, 3, 2), np.float32)},
            r"batch\['condition'\]: shape \(3, 3, 2\), the model is for \(3, 3, 1\)",
        ),
    ],
)
def test_what_a_batch_lacks_is_named(change, message):
    model, params = model_of("plain", "bernoulli", 2, 1)
    batch = {**given(images("bernoulli", 4), 2, 1), **change}
    batch = {name: jnp.asarray(array) for name, array in batch.items() if array is not None}
    with pytest.raises(ValueError, match=message):
        model.evaluate(params, {}, batch, KEY)
    with pytest.raises(ValueError, match=message):
        model.generate(params, {}, batch, KEY)


def test_a_label_that_comes_too_late_to_be_refused_gives_nan():
    model, params = model_of("plain", "bernoulli", 2, 1)
    batch = {**given(images("bernoulli", 4), 2, 1), "label": np.array([0, 1, 2, 1])}
    for values in (
        jax.jit(model.evaluate)(params, {}, batch, KEY)["nll_nats"],
        jax.jit(model.generate)(params, {}, batch, KEY),
    ):
        np.testing.assert_array_equal(np.isnan(values).reshape(4, -1).any(axis=1), [False, False, True, False])


def test_known_elements_that_are_no_prefix_are_refused():
    model, params = model_of("plain", "bernoulli")
    image = jnp.asarray(images("bernoulli", 2))
    batch = {"image": image, "known": jnp.asarray(np.isin(np.arange(3), 1)[None, :, None, None] * np.ones_like(image))}
    with pytest.raises(ValueError, match="known: the model completes what follows a prefix"):
        model.generate(params, {}, batch, KEY)
    with pytest.raises(ValueError, match=r"known: shape \(2, 3\) must be that of image"):
        model.generate(params, {}, {**batch, "known": jnp.asarray(np.zeros((2, 3)))}, KEY)


@every_kind
def test_a_deep_untrained_model_is_nearly_uniform_and_its_parameters_are_not_alike(kind):
    shape, output = OUTPUTS["categorical"]
    model = pixel_cnn(shape, output=output, features=16, blocks=15, gated=KINDS[kind])
    batch = {"image": jnp.asarray(images("categorical", 20))}
    params, _ = model.init(KEY, batch)  # alike blocks share their programs here, and would not as parts of one
    nll = np.asarray(jax.jit(model.evaluate)(params, {}, batch, KEY)["nll_nats"])
    assert nll.std() > 0
    np.testing.assert_allclose(nll, 6 * np.log(3), rtol=0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 2}, "features=2 must be at least 3"),
        ({"blocks": 0}, "blocks=0 must be at least 1"),
        ({"classes": -1}, "classes=-1 must be at least 0"),
        ({"first_kernel": 1}, "first_kernel=1 must be odd and at least 3"),
        ({"kernel": 4}, "kernel=4 must be odd and at least 1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        pixel_cnn((4, 4, 3), output=categorical(4), **options)
