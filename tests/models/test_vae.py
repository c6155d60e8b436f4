"""The VAE of small networks; `test_vae_linear_gaussian` has the model whose bounds are known in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from genjax.core import init_state, make_step
from genjax.losses.bound import elbo, iwae_bound, monte_carlo_elbo
from genjax.models.latent.vae import bound_terms, make_evaluate, make_generate, manifold_grid, sample_noise, vae
from genjax.models.latent.vae_networks import (
    GAUSSIAN,
    conv_networks,
    decode,
    encode,
    init_params,
    mlp_networks,
    reconstruct,
    with_top,
)

SHAPE = (3, 2, 1)
KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).integers(0, 2, (4, *SHAPE)).astype(np.float32)


@functools.cache
def small(*, gaussian=False):
    """A small model and fresh params; one compilation for all tests."""
    networks = mlp_networks(SHAPE, hidden=(5,), latents=2, gaussian=gaussian)
    params = jax.jit(functools.partial(init_params, networks))(KEY, np.zeros((1, *SHAPE)))
    return networks, jax.device_get(params)


def evaluated(networks, params, images, **options):
    return jax.jit(make_evaluate(networks, **options))(params, {}, {"image": images}, KEY)


elbo_of, iwae_bound_of = jax.jit(elbo), jax.jit(iwae_bound)


@functools.cache
def jitted_terms(networks):
    return jax.jit(
        lambda params, images, noise: bound_terms(networks, params, images, encode(networks, params, images), noise)
    )


def test_rows_in_memory_do_not_change_the_result():
    networks, params = small()
    values = [evaluated(networks, params, IMAGES, samples=7, rows=rows) for rows in (12, 400)]
    for value in values[1:]:
        jax.tree.map(lambda ours, all_: np.testing.assert_allclose(ours, all_, rtol=1e-5), value, values[0])


def test_evaluation_with_one_sample_is_the_bound_at_its_noise():
    networks, params = small()

    @jax.jit
    def drawn():
        keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(4))
        return sample_noise(keys, jnp.arange(1), 2, jnp.dtype(jnp.float32))

    noise = np.asarray(drawn())
    terms = jitted_terms(networks)(params, IMAGES, noise)
    values = evaluated(networks, params, IMAGES, samples=1)
    np.testing.assert_allclose(values["elbo_nats"], elbo_of(terms), rtol=1e-5)
    np.testing.assert_allclose(values["iwae_1_nats"], jax.jit(monte_carlo_elbo)(terms), rtol=1e-5)
    assert len(np.unique(noise)) == noise.size


def test_evaluation_does_not_depend_on_neighbours():
    networks, params = small()
    evaluate = jax.jit(make_evaluate(networks, samples=5))
    other = IMAGES.copy()
    other[[0, 2, 3]] = 1 - other[[0, 2, 3]]
    ours, theirs = (jax.device_get(evaluate(params, {}, {"image": images}, KEY)) for images in (IMAGES, other))
    for name, value in ours.items():
        np.testing.assert_allclose(value[1], theirs[name][1], rtol=1e-5)
        assert abs(value[0] - theirs[name][0]) > 1e-4


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_loss_and_gradient_are_finite_at_extreme_logits(logit):
    networks, params = small()
    params = {**params, "decoder": {"params": {**params["decoder"]["params"], "bias": np.full(SHAPE, logit)}}}
    phase = vae(SHAPE, networks, optimizer=optax.sgd(1.0)).phases[0]
    (loss, _), gradients = jax.jit(jax.value_and_grad(phase.loss, has_aux=True))(params, {}, {"image": IMAGES}, KEY)
    wrong = np.not_equal(IMAGES, logit > 0).sum() / len(IMAGES)
    np.testing.assert_allclose(loss, wrong * 1e4, rtol=1e-2)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_bounds_do_not_depend_on_the_order_of_latents():
    networks, params = small()
    noise = np.random.default_rng(1).normal(size=(4, len(IMAGES), 2))
    swapped = jax.tree.map(lambda leaf: leaf, params)  # new dictionaries, to be changed in place
    for head in ("mean", "log_sigma"):
        layer = params["encoder"]["params"][head]
        swapped["encoder"]["params"][head] = jax.tree.map(lambda leaf: leaf[..., ::-1], layer)
    first = swapped["decoder"]["params"]["MLP_0"]["dense_0"]
    first["kernel"] = first["kernel"][::-1]

    def bounds(params, noise):
        terms = jitted_terms(networks)(params, IMAGES, noise)
        return np.stack([elbo_of(terms), iwae_bound_of(terms)])

    np.testing.assert_allclose(bounds(swapped, noise[..., ::-1]), bounds(params, noise), rtol=1e-5)
    assert abs(bounds(swapped, noise) - bounds(params, noise)).max() > 1e-3


@pytest.mark.parametrize("gaussian", [False, True])
def test_decoder_starts_from_the_clipped_mean_image(gaussian):
    mean = np.array([0, 0.2, 0.5, 0.7, 1, 0.1], np.float32).reshape(SHAPE)
    networks = mlp_networks(SHAPE, hidden=(5,), latents=2, mean=mean, gaussian=gaussian)
    decoded = jax.jit(lambda: networks.likelihood.mean(networks.decoder.init_with_output(KEY, jnp.zeros((1, 2)))[0]))()
    np.testing.assert_allclose(decoded[0], np.clip(mean, 0.001, 0.999), rtol=1e-4)


def test_encoder_sees_images_less_their_mean():
    mean = IMAGES.mean(0)
    plain, centred = (mlp_networks(SHAPE, hidden=(5,), latents=2, mean=value) for value in (None, mean))
    encoded = jax.jit(encode, static_argnums=0)
    params = small()[1]
    np.testing.assert_allclose(
        encoded(centred, params, IMAGES).mean, encoded(plain, params, IMAGES - mean).mean, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("samples", [1, 5])
def test_loss_is_minus_the_mean_bound(samples):
    networks, params = small()
    phase = vae(SHAPE, networks, bound=iwae_bound, samples=samples, optimizer=optax.sgd(1.0)).phases[0]
    loss, (metrics, _) = jax.jit(phase.loss)(params, {}, {"image": IMAGES}, KEY)
    noise = jax.random.normal(KEY, (samples, 4, 2))
    terms = jitted_terms(networks)(params, IMAGES, noise)
    np.testing.assert_allclose(loss, -np.mean(iwae_bound_of(terms)), rtol=1e-5)
    np.testing.assert_allclose(metrics["elbo_nats"], np.mean(elbo_of(terms)), rtol=1e-5)


def test_warm_up_raises_the_weight_of_the_divergence_in_a_line():
    networks, params = small()
    batch, noise = {"image": jnp.asarray(IMAGES)}, jax.random.normal(KEY, (1, 4, 2))
    terms = jax.device_get(jitted_terms(networks)(params, IMAGES, noise))
    model = vae(SHAPE, networks, optimizer=optax.sgd(1.0), beta=0.8, warm_up=4)
    stats = jax.jit(lambda: model.init(KEY, batch)[1])()
    loss = jax.jit(model.phases[0].loss)
    for weight in (0.2, 0.4, 0.6, 0.8, 0.8):
        value, (metrics, stats) = loss(params, stats, batch, KEY)
        np.testing.assert_allclose(value, -(terms.log_likelihood - weight * terms.kl).mean(), rtol=1e-5)
        np.testing.assert_allclose(metrics["elbo_nats"], np.mean(elbo_of(terms)), rtol=1e-5)  # not weighed


def test_beta_alone_weighs_the_divergence_from_the_first_step():
    networks, params = small()
    batch = {"image": IMAGES}
    terms = jax.device_get(jitted_terms(networks)(params, IMAGES, jax.random.normal(KEY, (1, 4, 2))))
    model = vae(SHAPE, networks, optimizer=optax.sgd(1.0), beta=3.0)
    value, _ = jax.jit(model.phases[0].loss)(params, {}, batch, KEY)
    np.testing.assert_allclose(value, -(terms.log_likelihood - 3 * terms.kl).mean(), rtol=1e-5)


GREY = {"image": np.random.default_rng(0).uniform(size=(6, 4, 4, 1)).astype(np.float32)}
BINARY = {"image": (GREY["image"] > 0.5).astype(np.float32)}


@pytest.mark.parametrize(
    ("networks", "batch"),
    [
        (mlp_networks((4, 4, 1), hidden=(16,), latents=2), BINARY),
        (mlp_networks((4, 4, 1), hidden=(16,), latents=2, gaussian=True), GREY),
        (conv_networks((4, 4, 1), channels=(4,), features=16, latents=2), BINARY),
    ],
    ids=["mlp", "gaussian", "conv"],
)
def test_training_moves_both_networks_and_raises_the_bound(networks, batch):
    model = vae((4, 4, 1), networks, optimizer=optax.adam(1e-2))
    first = state = jax.jit(functools.partial(init_state, model))(KEY, batch)
    step, losses = jax.jit(make_step(model.phases)), []
    for _ in range(60):
        state, metrics = step(state, batch)
        losses.append(float(metrics["bound/loss"]))
    before, after = jax.device_get((first.params, state.params))
    for network in ("encoder", "decoder"):
        changed = jax.tree.map(lambda a, b: bool((a != b).any()), before[network], after[network])
        assert all(jax.tree.leaves(changed))
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 1
    assert set(metrics) == {"bound/loss", "bound/elbo_nats", "bound/kl_nats"}


def generated(networks, params, count, *, draw_pixels):
    batch = {"image": np.zeros((count, *SHAPE))}
    return np.asarray(jax.jit(make_generate(networks, draw_pixels=draw_pixels))(params, {}, batch, KEY))


def test_generate_gives_images_that_do_not_depend_on_their_number():
    means, pixels = (generated(*small(), 400, draw_pixels=draw) for draw in (False, True))
    np.testing.assert_allclose(pixels[:3], generated(*small(), 3, draw_pixels=True), rtol=1e-6)
    assert ((means > 0) & (means < 1)).all()
    assert set(np.unique(pixels)) == {0, 1}
    for images in (means, pixels):
        assert images.shape == (400, *SHAPE)
        assert len(np.unique(images, axis=0)) > 40
    np.testing.assert_allclose(pixels.mean(), means.mean(), atol=4 * 0.5 / np.sqrt(pixels.size))


def test_gaussian_pixels_are_drawn_with_their_variance():
    mean, log_var = np.linspace(0.4, 0.6, 10_000), np.full(10_000, 2 * np.log(0.05))
    sample = jax.jit(GAUSSIAN.sample)
    pixels = np.asarray(sample((mean, log_var), KEY))
    assert np.std(pixels - mean) == pytest.approx(0.05, rel=0.03)
    assert abs(np.mean(pixels - mean)) < 4 * 0.05 / 100
    wide = np.asarray(sample((mean, log_var + 10), KEY))
    assert (wide.min(), wide.max()) == (0, 1)


def test_embedding_and_reconstruction_use_posterior_means():
    networks, params = small()
    batch = {"image": jnp.asarray(IMAGES)}
    model = vae(SHAPE, networks, optimizer=optax.sgd(1.0))

    @jax.jit
    def all_three(params):
        embedding = model.embed(params, {}, batch)
        posterior = encode(networks, params, batch["image"])
        return (
            embedding,
            posterior,
            reconstruct(networks, params, batch["image"]),
            decode(networks, params, posterior.mean),
        )

    embedding, posterior, reconstruction, decoded = all_three(params)
    np.testing.assert_allclose(embedding, posterior.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(reconstruction, decoded, rtol=1e-5, atol=1e-6)
    assert set(jax.eval_shape(model.evaluate, params, {}, batch, KEY)) == {"elbo_nats", "iwae_500_nats", "kl_nats"}


def test_manifold_grid_has_the_priors_quantiles():
    def show_latents(z):
        return z[:, None, None, :]

    grid = np.asarray(jax.jit(lambda: manifold_grid(show_latents, 20))()).reshape(20, 20, 2)
    quantiles = scipy.stats.norm.ppf((np.arange(20) + 0.5) / 20)
    np.testing.assert_allclose(grid[..., 0], np.repeat(quantiles[:, None], 20, 1), rtol=1e-4)
    np.testing.assert_allclose(grid[..., 1], np.repeat(quantiles[None], 20, 0), rtol=1e-4)
    assert np.isfinite(grid).all()


def test_misuse_is_named():
    networks = mlp_networks(SHAPE, hidden=(5,), latents=2)
    for message, call in {
        "samples=0 must be at least 1": lambda: vae(SHAPE, networks, samples=0, optimizer=optax.sgd(1.0)),
        "samples=0 and rows=1000 must": lambda: make_evaluate(networks, samples=0),
        r"the decoder returns arrays of shape \(1, 3, 2, 1\), must be \(1, 2, 3, 1\)": lambda: vae(
            (2, 3, 1), networks, optimizer=optax.sgd(1.0)
        ),
        r"the encoder returns arrays of shape \(\(1, 2\), \(1, 2\)\), must be \(\(1, 3\), \(1, 3\)\)": lambda: vae(
            SHAPE, networks._replace(latents=3), optimizer=optax.sgd(1.0)
        ),
        "beta=-1": lambda: vae(SHAPE, networks, beta=-1.0, optimizer=optax.sgd(1.0)),
        "warm_up=-2": lambda: vae(SHAPE, networks, warm_up=-2, optimizer=optax.sgd(1.0)),
        "prior_variance=0": lambda: vae(SHAPE, networks._replace(prior_variance=0), optimizer=optax.sgd(1.0)),
        r"the top_encoder returns arrays of shape \(\(1, 3\), \(1, 3\)\), must be \(\(1, 4\), \(1, 4\)\)": lambda: vae(
            SHAPE,
            with_top(networks, latents=3, hidden=(), activation=jnp.tanh)._replace(top_latents=4),
            optimizer=optax.sgd(1.0),
        ),
        "side=0": lambda: manifold_grid(lambda z: z, 0),
        "multiples of 4": lambda: vae(SHAPE, conv_networks(SHAPE), optimizer=optax.sgd(1.0)),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
