import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.models.autoregressive import nade
from genjax.models.autoregressive.nade import Weights
from genjax.testing import assert_autoregressive, assert_normalized, assert_sampler_matches

SHAPE = (3, 4, 1)
D = 12
KEY = jax.random.key(0)
logits = jax.jit(nade.logits, static_argnames="chunk")
log_prob = jax.jit(nade.log_prob)


@functools.cache
def raster():
    """The model in raster order; one compilation of each function for all tests."""
    return nade.nade(SHAPE, hidden=5)


def random_weights(seed, *, dimensions=D, hidden=5, scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = Weights((dimensions, hidden), (dimensions, hidden), (dimensions,), (hidden,))
    return Weights(*(rng.normal(0, scale, shape).astype(jax.dtypes.canonicalize_dtype(float)) for shape in shapes))


def as_params(w):
    return {"nade": {"W": w.W, "V": w.V, "b": w.b, "c": w.c}}


def naive_logits(w, x):
    """Each conditional by itself, equations (2) and (3), in NumPy."""
    rows = []
    for d in range(x.shape[1]):
        h = 1 / (1 + np.exp(-(w.c + x[:, :d] @ w.W[:d])))
        rows.append(h @ w.V[d] + w.b[d])
    return np.stack(rows, axis=1)


def cumulative_logits(w, x):
    """The form with a cumulative sum over all pixels, for automatic differentiation."""
    a = w.c + jnp.cumsum(x[:, :, None] * w.W, axis=1) - x[:, :, None] * w.W
    return (jax.nn.sigmoid(a) * w.V).sum(-1) + w.b


@pytest.mark.parametrize("dimensions", [1, 12, 14, 37])
@pytest.mark.parametrize("chunk", [1, 5, 14])
def test_recursion_equals_the_naive_form(dimensions, chunk):
    with jax.enable_x64(True):
        w = random_weights(0, dimensions=dimensions)
        x = np.random.default_rng(1).integers(0, 2, (6, dimensions)).astype(np.float64)
        np.testing.assert_allclose(logits(w, x, chunk=chunk), naive_logits(w, x), rtol=0, atol=1e-10)


def test_gradient_equals_that_of_the_cumulative_form():
    with jax.enable_x64(True):
        w = random_weights(0, dimensions=37)
        rng = np.random.default_rng(1)
        x = rng.integers(0, 2, (6, 37)).astype(np.float64)
        g = rng.normal(size=(6, 37))
        ours = jax.jit(jax.grad(lambda w, x: (g * nade.logits(w, x)).sum(), argnums=(0, 1)))(w, x)
        theirs = jax.jit(jax.grad(lambda w, x: (g * cumulative_logits(w, x)).sum(), argnums=(0, 1)))(w, x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-10), ours, theirs)


@pytest.mark.parametrize("tied", [False, True])
def test_probabilities_sum_to_one(tied):
    model = nade.nade(SHAPE, hidden=8, tied=tied, ordering=np.random.default_rng(0).permutation(D).tolist())
    params, stats = jax.jit(model.init)(KEY, {"image": np.zeros((1, *SHAPE), np.float32)})
    params = jax.tree.map(lambda leaf: 100 * np.asarray(leaf) + np.float32(0.3), params)  # far from the uniform start

    def log_prob_of(image):
        return -np.asarray(jax.jit(model.evaluate)(params, stats, {"image": image}, KEY)["nll_nats"])

    assert_normalized(log_prob_of, SHAPE, atol=1e-5)


def test_each_conditional_depends_on_all_pixels_before_it_and_on_no_other():
    w = random_weights(2, dimensions=37)
    x = np.random.default_rng(3).integers(0, 2, (4, 37)).astype(np.float32)
    assert_autoregressive(lambda x: logits(w, x), x)


def test_sampler_records_the_log_probability_of_its_samples():
    with jax.enable_x64(True):
        w = random_weights(4)
        x, recorded = nade.sample(w, KEY, 64)
        np.testing.assert_allclose(log_prob(w, x), recorded, rtol=0, atol=1e-10)


def test_sampler_draws_from_the_density():
    w = random_weights(5, dimensions=6)
    x, _ = nade.sample(w, jax.random.key(1), 100_000)
    assert_sampler_matches(x, lambda x: log_prob(w, x))


def test_model_of_a_permutation_equals_the_permuted_model():
    """log p of model(order) of the data is log p of model(identity) of the permuted data."""
    order = np.random.default_rng(6).permutation(D)
    w = random_weights(7)
    image = np.random.default_rng(8).integers(0, 2, (5, *SHAPE)).astype(np.float32)
    ordered = jax.jit(nade.nade(SHAPE, hidden=5, ordering=order.tolist()).evaluate)
    ours = ordered(as_params(w), {}, {"image": image}, KEY)
    permuted = {"image": image.reshape(5, D)[:, order].reshape(5, *SHAPE)}
    theirs = jax.jit(raster().evaluate)(as_params(w), {}, permuted, KEY)
    np.testing.assert_allclose(ours["nll_nats"], theirs["nll_nats"], rtol=1e-5)


def test_tied_model_is_the_untied_one_with_equal_weights():
    w = random_weights(9)
    batch = {"image": np.random.default_rng(8).integers(0, 2, (5, *SHAPE)).astype(np.float32)}
    tied = nade.nade(SHAPE, hidden=5, tied=True)
    shared = {"nade": {"W": w.W, "b": w.b, "c": w.c}}
    a = jax.jit(tied.evaluate)(shared, {}, batch, KEY)["nll_nats"]
    b = jax.jit(raster().evaluate)(as_params(w._replace(V=w.W)), {}, batch, KEY)["nll_nats"]
    np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize(("tied", "expected"), [(False, 785_284), (True, 393_284)])
def test_parameter_count(tied, expected):
    """specified: 2HD + D + H with H=500, D=784; without V: HD + D + H."""
    params, _ = jax.eval_shape(nade.nade((28, 28, 1), tied=tied).init, KEY, {"image": jnp.zeros((1, 28, 28, 1))})
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == nade.parameter_count(784, 500, tied=tied) == expected


def test_untrained_model_starts_from_the_marginals():
    mean = np.random.default_rng(0).uniform(0.2, 0.8, SHAPE)
    model = nade.nade(SHAPE, hidden=3, mean=mean, ordering=np.arange(D)[::-1].tolist())
    params, stats = jax.jit(model.init)(KEY, {})
    params = {"nade": {**params["nade"], "V": np.zeros((D, 3), np.float32)}}
    image = np.random.default_rng(1).integers(0, 2, (4, *SHAPE)).astype(np.float32)
    expected = -np.where(image == 1, np.log(mean), np.log1p(-mean)).sum((1, 2, 3))
    nll = jax.jit(model.evaluate)(params, stats, {"image": image}, KEY)["nll_nats"]
    np.testing.assert_allclose(nll, expected, rtol=1e-5)


def completion_batch(known_pixels, order):
    image = np.random.default_rng(10).integers(0, 2, (3, *SHAPE)).astype(np.float32)
    known = np.zeros(D)
    known[order[:known_pixels]] = 1
    return {"image": image, "known": np.broadcast_to(known.astype(np.float32).reshape(SHAPE), image.shape)}


def test_completion_keeps_what_is_known_and_draws_the_rest():
    order = np.random.default_rng(11).permutation(D)
    model = nade.nade(SHAPE, hidden=5, ordering=order.tolist())
    batch, generate, params = completion_batch(7, order), jax.jit(model.generate), as_params(random_weights(0))
    drawn = np.stack([generate(params, {}, batch, jax.random.key(i)) for i in range(8)])
    known = np.asarray(batch["known"]) > 0
    assert (drawn[:, known] == np.asarray(batch["image"])[known]).all()
    assert (drawn.std(0)[~known] > 0).mean() > 0.5


def test_completion_of_no_known_pixels_is_a_sample():
    batch = completion_batch(0, np.arange(D))
    generate, params = jax.jit(raster().generate), as_params(random_weights(0))
    completed = generate(params, {}, batch, KEY)
    np.testing.assert_array_equal(completed, generate(params, {}, {"image": batch["image"]}, KEY))


def test_completion_of_pixels_that_are_no_prefix_is_refused():
    order = np.arange(D)[::-1]
    batch = jax.tree.map(jnp.asarray, completion_batch(7, order))  # the last seven in raster order
    model = raster()
    params = jax.tree.map(jnp.asarray, as_params(random_weights(0)))
    with pytest.raises(ValueError, match="known: the model completes what follows a prefix"):
        model.generate(params, {}, batch, KEY)
    assert np.isnan(jax.jit(model.generate)(params, {}, batch, KEY)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden=0 must be at least 1"),
        ({"ordering": [0] * D}, "must hold each of the 12 pixels 0 to 11 once"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        nade.nade(SHAPE, **options)
