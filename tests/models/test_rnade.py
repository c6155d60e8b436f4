import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

from genjax.core import init_state, make_step
from genjax.models.autoregressive import rnade
from genjax.models.autoregressive.rnade import Weights
from genjax.testing import assert_autoregressive
from tests.models.rnade_cases import (
    KEY,
    SHAPE,
    SIZES,
    D,
    as_params,
    conditionals,
    log_prob,
    naive_log_probs,
    naive_mixtures,
    nll_nats,
    random_images,
    random_weights,
    raster,
    with_biases,
)


@pytest.mark.parametrize(("dimensions", "chunk"), [(1, 4), (12, 1), (12, 16), (16, 16), (21, 5)])
def test_recursion_equals_the_naive_form(dimensions, chunk):
    with jax.enable_x64(True):
        w = random_weights(0, dimensions=dimensions)
        x = np.random.default_rng(1).normal(size=(6, dimensions))
        ours = conditionals(w, x, chunk=chunk)
        alpha, mu, sigma = naive_mixtures(w, x)
        close = {"rtol": 0, "atol": 1e-10}
        np.testing.assert_allclose(scipy.special.softmax(ours.logits, axis=-1), alpha, **close)
        np.testing.assert_allclose(ours.means, mu, **close)
        np.testing.assert_allclose(np.exp(ours.log_sigmas), sigma, rtol=1e-10)
        np.testing.assert_allclose(log_prob(w, x), naive_log_probs(w, x).sum(1), **close)


def test_gradient_equals_that_of_a_plain_form():
    """Activations by a cumulative sum over all pixels, for automatic differentiation."""

    def plain(w, x):
        a = w.c + jnp.cumsum(x[:, :, None] * w.W, axis=1) - x[:, :, None] * w.W
        outputs = jnp.einsum("bdh,dhp->bdp", jax.nn.relu(w.rho[:, None] * a), w.V) + w.b
        return rnade.mixture_of(outputs).log_prob(x).sum()

    with jax.enable_x64(True):
        w, x = random_weights(0, dimensions=21), np.random.default_rng(1).normal(size=(6, 21))
        ours = jax.jit(jax.grad(lambda w, x: rnade.log_prob(w, x).sum(), argnums=(0, 1)))(w, x)
        theirs = jax.jit(jax.grad(plain, (0, 1)))(w, x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), ours, theirs)


def test_each_conditional_integrates_to_one():
    with jax.enable_x64(True):
        w = random_weights(2, dimensions=5)
        x, grid = np.random.default_rng(3).normal(size=(2, 5)), np.linspace(-50, 50, 50_001)
        values = np.broadcast_to(grid[:, None, None], (len(grid), 2, 5))
        density = np.exp(jax.jit(lambda w, x, values: rnade.conditionals(w, x).log_prob(values))(w, x, values))
    np.testing.assert_allclose(np.trapezoid(density, grid, axis=0), np.ones((2, 5)), atol=1e-8)


def test_the_density_of_two_standardized_pixels_integrates_to_one():
    """The density is that of the values before standardization."""
    shape = (1, 2, 1)
    mean, std = np.array([0.3, -1.0]).reshape(shape), np.array([0.5, 3.0]).reshape(shape)
    model = rnade.rnade(shape, hidden=5, components=3, mean=mean, std=std, ordering=[1, 0])
    first, second = np.linspace(-10, 10, 401), np.linspace(-61, 59, 601)
    image = np.stack(np.meshgrid(first, second, indexing="ij"), -1).reshape(-1, *shape)
    nll = nll_nats(model, random_weights(4, dimensions=2), image)
    density = np.exp(-np.asarray(nll, np.float64)).reshape(401, 601)
    total = np.trapezoid(np.trapezoid(density, second, axis=1), first)
    np.testing.assert_allclose(total, 1, atol=1e-3)


def test_without_hidden_units_and_with_one_component_it_is_independent_gaussians():
    rng = np.random.default_rng(5)
    mean, std = rng.normal(size=SHAPE), rng.uniform(0.1, 3, SHAPE)
    mu, log_sigma = rng.normal(size=D), rng.normal(size=D)
    order = rng.permutation(D)
    with jax.enable_x64(True):
        w = random_weights(5, components=1)
        w = w._replace(V=np.zeros(w.V.shape), b=np.stack([np.ones(D), mu[order], log_sigma[order]], -1))
        image = random_images(6)
        model = rnade.rnade(SHAPE, hidden=5, components=1, mean=mean, std=std, ordering=order.tolist())
        nll = nll_nats(model, w, image)
    locations, scales = mean + std * mu.reshape(SHAPE), std * np.exp(log_sigma).reshape(SHAPE)
    expected = -scipy.stats.norm.logpdf(np.asarray(image), locations, scales).sum((1, 2, 3))
    np.testing.assert_allclose(nll, expected, rtol=1e-12)


def test_standardization_is_a_change_of_variables():
    with jax.enable_x64(True):
        rng = np.random.default_rng(7)
        mean, std, w = rng.normal(size=SHAPE), rng.uniform(0.1, 3, SHAPE), random_weights(7)
        image = random_images(8)
        ours = nll_nats(rnade.rnade(SHAPE, mean=mean, std=std, **SIZES), w, image)
        theirs = nll_nats(rnade.rnade(SHAPE, **SIZES), w, (image - mean) / std)
        np.testing.assert_allclose(ours, theirs + np.log(std).sum(), rtol=1e-12)


def test_bits_per_dim_are_those_of_the_levels():
    """A density of 1 on the cell of every level, which is 1 / K wide, is log2 K bits of a level."""
    model = rnade.rnade(SHAPE, levels=17, **SIZES)
    params, batch = as_params(random_weights(9)), {"image": random_images(9)}
    result = jax.jit(model.evaluate)(params, {}, batch, KEY)
    nll_nats = np.asarray(result["nll_nats"])
    np.testing.assert_allclose(result["bits_per_dim"], nll_nats / D / np.log(2) + np.log2(17), rtol=1e-5)
    assert set(jax.eval_shape(raster().evaluate, params, {}, batch, KEY)) == {"nll_nats"}


def test_each_conditional_depends_on_all_pixels_before_it_and_on_no_other():
    order = np.random.default_rng(10).permutation(21)
    w = random_weights(10, dimensions=21)
    back = np.argsort(order)

    @jax.jit
    def parameters(x):
        return jnp.concatenate(rnade.conditionals(jax.tree.map(jnp.asarray, w), x[:, order]), axis=-1)[:, back]

    x = np.random.default_rng(11).normal(size=(8, 21)).astype(np.float32)
    assert_autoregressive(parameters, x, ordering=order)


def test_the_gradient_of_the_means_is_scaled_by_sigma():
    """Gradient of the biases of one pixel's mixture, which is that of its parameters."""
    with jax.enable_x64(True):
        w, x = random_weights(12, dimensions=1), np.array([[0.7]])
        true = jax.jit(jax.grad(lambda w, x: rnade.log_prob(w, x).sum()))(w, x)
        ours = jax.jit(jax.grad(lambda w, x: rnade.log_prob(w, x, scaled_means=True).sum()))(w, x)
        sigma = naive_mixtures(w, np.asarray(x))[2][0, 0]
        expected = np.concatenate([np.ones(3), sigma, np.ones(3)]) * np.asarray(true.b)[0]
        np.testing.assert_allclose(np.asarray(ours.b)[0], expected, rtol=1e-12)


@functools.cache
def loss_and_gradient(loss):
    return jax.jit(jax.value_and_grad(lambda params, image: loss(params, {}, {"image": image}, KEY)[0]))


def test_the_scaled_gradient_is_what_the_model_trains_with():
    w, image = random_weights(13), random_images(13)
    gradients = {}
    for scaled, model in ((True, raster()), (False, rnade.rnade(SHAPE, scaled_means=False, **SIZES))):
        value, gradient = loss_and_gradient(model.phases[0].loss)(as_params(w), image)
        gradients[scaled] = (value, np.asarray(gradient["rnade"]["b"]))
    np.testing.assert_allclose(gradients[True][0], gradients[False][0], rtol=1e-5)
    assert (gradients[True][1][:, 3:6] != gradients[False][1][:, 3:6]).all()
    np.testing.assert_allclose(gradients[True][1][:, 6:], gradients[False][1][:, 6:], rtol=1e-5)


def test_components_begin_spread_over_the_standardized_range_and_as_wide_as_they_lie_apart():
    w = jax.jit(functools.partial(rnade.init_weights, dimensions=2, hidden=3, components=3))(KEY)
    logits, means, log_sigmas = np.split(np.asarray(w.b), 3, axis=1)
    np.testing.assert_array_equal(logits, 0)
    np.testing.assert_allclose(means, [[-1, 0, 1]] * 2, atol=1e-6)
    np.testing.assert_allclose(np.exp(log_sigmas), np.diff(means)[:, :1].repeat(3, 1), rtol=1e-5)


def test_it_learns_a_correlated_gaussian():
    """Mean log-likelihood of held-out pairs: minus the entropy, within 0.02 nats and never above by as much.

    Its difference from the true density's on the same pairs estimates -KL(true || model) <= 0.
    """
    covariance = np.array([[1.0, 0.8], [0.8, 2.0]])
    truth = scipy.stats.multivariate_normal([0.5, -1.0], covariance)
    shape = (1, 2, 1)
    model = rnade.rnade(shape, hidden=16, components=2, optimizer=optax.adam(optax.cosine_decay_schedule(0.01, 600)))
    train, test = (truth.rvs(size, random_state=size) for size in (600 * 256, 20_000))
    batches = train.astype(np.float32).reshape(600, 256, *shape)
    step = make_step(model.phases)

    @jax.jit
    def trained(batches):
        state = init_state(model, KEY, {"image": batches[0]})
        return jax.lax.scan(lambda state, image: step(state, {"image": image}), state, batches)[0].params

    image = test.astype(np.float32).reshape(-1, *shape)
    nll = nll_nats(model, Weights(**trained(batches)["rnade"]), image)
    nll = np.asarray(nll, np.float64)
    kl = nll.mean() + truth.logpdf(test).mean()
    assert -0.005 < kl < 0.02
    # 20000 log-densities of a 2-D Gaussian, each with standard deviation 1
    assert abs(nll.mean() - truth.entropy()) < 0.02 + 4 / np.sqrt(20_000)


@pytest.mark.parametrize("value", [1e4, -1e4])
@pytest.mark.parametrize("part", ["logits", "means", "log_sigmas"])
def test_loss_and_gradient_are_finite_at_extreme_outputs(part, value):
    place = ("logits", "means", "log_sigmas").index(part)
    w = with_biases(random_weights(18), 3 * place, value)
    loss, gradient = loss_and_gradient(raster().phases[0].loss)(as_params(w), random_images(19))
    assert np.isfinite(loss)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_component_that_collapses_onto_a_value_has_a_finite_density_and_sampler():
    w = random_weights(20, components=1)
    w = w._replace(V=np.zeros(w.V.shape, np.float32), b=np.tile(np.float32([0.0, 0.5, -1e4]), (D, 1)))
    x, recorded = rnade.sample(w, KEY, 100)
    assert np.isfinite(recorded).all()
    np.testing.assert_allclose(x, 0.5, atol=0.01)
    np.testing.assert_allclose(
        log_prob(w, np.full((1, D), 0.5, np.float32)), D * (7 - np.log(2 * np.pi) / 2), rtol=1e-5
    )


def test_model_of_a_permutation_equals_the_permuted_model():
    rng = np.random.default_rng(21)
    order, w, image = rng.permutation(D), random_weights(21), random_images(21)
    mean, std = rng.normal(size=SHAPE), rng.uniform(0.5, 2, SHAPE)
    permute = lambda array: np.asarray(array).reshape(-1, D)[:, order].reshape(-1, *SHAPE)  # noqa: E731
    ordered = rnade.rnade(SHAPE, mean=mean, std=std, ordering=order.tolist(), **SIZES)
    permuted = rnade.rnade(SHAPE, mean=permute(mean)[0], std=permute(std)[0], **SIZES)

    ours, theirs = nll_nats(ordered, w, image), nll_nats(permuted, w, permute(image))
    samples, others = (
        jax.jit(model.generate)(as_params(w), {}, {"image": image}, KEY) for model in (ordered, permuted)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(permute(samples), others, rtol=1e-5)


def test_parameter_count():
    params, _ = jax.eval_shape(rnade.rnade((28, 28, 1)).init, KEY, {})
    expected = 784 * 512 + 3 * 784 * 512 * 10 + 3 * 784 * 10 + 512 + 784
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == rnade.parameter_count(784, 512, 10) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden=0 and components=10 must be at least 1"),
        ({"components": 0}, "components=0 must be at least 1"),
        ({"levels": 1}, "levels=1 must be at least 2"),
        ({"ordering": [0] * D}, "must hold each of the 12 pixels 0 to 11 once"),
        ({"mean": np.zeros((3, 4, 2))}, r"mean: shape \(3, 4, 2\) must be the image's"),
        ({"std": np.full(SHAPE, np.nan)}, "std: .* all values finite"),
        ({"std": np.zeros(SHAPE)}, "std: the smallest is 0.0, and each must be above 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        rnade.rnade(SHAPE, **options)
