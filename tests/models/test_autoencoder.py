"""Autoencoders: linear ones against principal component analysis, and the classifier on an encoder."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
import scipy.special
from flax import linen as nn
from sklearn.decomposition import PCA

from genjax.core import init_state, make_step
from genjax.models.latent.autoencoder import (
    BERNOULLI,
    GAUSSIAN,
    autoencoder,
    conv_networks,
    decode,
    encode,
    example_inputs,
    mlp_networks,
    reconstruct,
    scaled_strides,
)
from genjax.models.latent.classifier import classifier
from genjax.networks.bound import init_networks

SHAPE = (2, 3, 1)
KEY = jax.random.key(0)
STEPS = 3000


def correlated(count=300):
    """Images of Gaussian pixels whose covariance has the eigenvalues 6^2, 5^2, ..., 1 over 100, and a mean of 1 / 2."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    pixels = 0.5 + rng.normal(size=(count, 6)) @ (np.arange(6, 0, -1)[:, None] / 10 * axes.T)
    return pixels.reshape(-1, *SHAPE).astype(np.float32)


@functools.cache
def linear(latents):
    """A linear autoencoder's networks, what it learns of all of `correlated` at once, and its errors [N]."""
    networks = mlp_networks(SHAPE, hidden=(), latents=latents)
    model = autoencoder(SHAPE, networks, optimizer=optax.adam(optax.cosine_decay_schedule(0.03, STEPS)))
    batch = {"image": jnp.asarray(correlated())}
    step = make_step(model.phases)

    @jax.jit
    def trained():
        state = init_state(model, KEY, batch)
        state = jax.lax.fori_loop(0, STEPS, lambda _, state: step(state, batch)[0], state)
        return state.params, model.evaluate(state.params, {}, batch, KEY)["squared_error"]

    params, errors = trained()
    return networks, params, np.asarray(errors)


def trailing(latents):
    """The sum of the eigenvalues of the covariance after the first: what no linear code of this size reconstructs."""
    pixels = correlated().reshape(-1, 6).astype(float)
    return scipy.linalg.eigvalsh(np.cov(pixels.T, bias=True))[::-1][latents:].sum()


@pytest.mark.parametrize("latents", [1, 2, 4])
def test_a_linear_autoencoder_reaches_the_error_of_pca_and_no_less(latents):
    error = linear(latents)[2].mean()
    np.testing.assert_allclose(error, trailing(latents), rtol=1e-4)
    assert error >= trailing(latents) - 1e-6


@pytest.mark.parametrize("latents", [1, 2, 4])
def test_its_decoder_spans_the_principal_subspace(latents):
    networks, params, _ = linear(latents)
    codes = np.concatenate([np.eye(latents), np.zeros((1, latents))])
    *ends, start = np.asarray(jax.jit(functools.partial(decode, networks))(params, codes))
    ends = np.stack(ends) - start
    components = PCA(latents).fit(correlated().reshape(-1, 6)).components_
    assert scipy.linalg.subspace_angles(ends.reshape(latents, 6).T, components.T).max() < 1e-2


def test_its_error_falls_with_the_size_of_the_code():
    errors = [linear(latents)[2].mean() for latents in (1, 2, 4)]
    assert (np.diff(errors) < -0.05).all()


def test_networks_with_hidden_units_are_not_linear():
    networks = mlp_networks(SHAPE, hidden=(5,), latents=2)
    x = jnp.asarray(correlated(3))

    @jax.jit
    def bend():
        params, _ = init_networks(networks, KEY, **example_inputs(networks, x))
        return encode(networks, params, x[:1] + x[1:2]) - encode(networks, params, x)[:2].sum(0)

    assert abs(bend()).max() > 1e-3


IMAGES = np.random.default_rng(1).random((5, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("reconstruction", [GAUSSIAN, BERNOULLI], ids=["gaussian", "bernoulli"])
def test_evaluation_and_loss_are_their_formulas(reconstruction):
    networks = mlp_networks(SHAPE, hidden=(4,), latents=2, mean=IMAGES.mean(0), reconstruction=reconstruction)
    model = autoencoder(SHAPE, networks, optimizer=optax.sgd(1.0))
    batch = {"image": jnp.asarray(IMAGES)}

    @jax.jit
    def everything():
        params, _ = model.init(KEY, batch)
        return (
            reconstruct(networks, params, batch["image"]),
            model.evaluate(params, {}, batch, KEY),
            model.phases[0].loss(params, {}, batch, KEY),
            model.generate(params, {}, batch, KEY),
            (model.embed(params, {}, batch), encode(networks, params, batch["image"])),
        )

    ours, values, (loss, (metrics, _)), generated, codes = everything()
    ours = np.asarray(ours, float)
    errors = ((ours - IMAGES) ** 2).sum((1, 2, 3))
    cross_entropy = -(scipy.special.xlogy(IMAGES, ours) + scipy.special.xlog1py(1 - IMAGES, -ours)).sum((1, 2, 3))
    costs = errors if reconstruction is GAUSSIAN else cross_entropy
    np.testing.assert_allclose(values["squared_error"], errors, rtol=1e-5)
    np.testing.assert_allclose(values["mse"], errors / 6, rtol=1e-5)
    if reconstruction is BERNOULLI:
        np.testing.assert_allclose(values["cross_entropy_nats"], cross_entropy, rtol=1e-5)
    np.testing.assert_allclose([loss, metrics["mse"]], [costs.mean(), errors.mean() / 6], rtol=1e-5)
    np.testing.assert_allclose(generated, ours.clip(0, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(*codes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reconstruction", [GAUSSIAN, BERNOULLI], ids=["gaussian", "bernoulli"])
@pytest.mark.parametrize("make", [mlp_networks, functools.partial(conv_networks, channels=(2,), features=3)])
def test_a_code_of_zero_is_the_mean_image_at_the_start(make, reconstruction):
    mean = np.linspace(0.1, 0.9, 6, dtype=np.float32).reshape(SHAPE)
    networks = make(SHAPE, latents=2, mean=mean, reconstruction=reconstruction)

    @jax.jit
    def both_ways():
        params, _ = init_networks(networks, KEY, **example_inputs(networks, jnp.asarray(IMAGES)))
        return decode(networks, params, jnp.zeros((1, 2)))[0], encode(networks, params, jnp.asarray(mean)[None])

    image, code = both_ways()
    np.testing.assert_allclose(image, mean, rtol=1e-5)
    np.testing.assert_allclose(code, 0, atol=1e-6)


def test_strides_are_scaled_to_the_resolution():
    strides = {shape: scaled_strides((*shape, 1), 4) for shape in ((64, 64), (32, 32), (28, 28), (8, 8), (28, 7))}
    assert strides == {
        (64, 64): (2, 2, 2, 2),
        (32, 32): (2, 2, 2, 1),
        (28, 28): (2, 2, 1, 1),
        (8, 8): (2, 1, 1, 1),
        (28, 7): (1, 1, 1, 1),
    }


LABELLED = {"image": jnp.asarray(correlated(20)), "label": jnp.asarray(np.arange(20) % 3)}


@functools.cache
def pretrained():
    """An encoder, and variables that it does not start from itself."""
    networks = mlp_networks(SHAPE, hidden=(4,), latents=2)
    return networks.encoder, jax.jit(networks.encoder.init)(jax.random.key(9), LABELLED["image"])


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_stays_bit_for_bit_and_a_fine_tuned_one_does_not(frozen):
    encoder, variables = pretrained()
    model = classifier(encoder, 3, optimizer=optax.adam(0.01), frozen=frozen, encoder_params=variables)
    first = state = jax.jit(functools.partial(init_state, model))(KEY, LABELLED)
    step = jax.jit(make_step(model.phases))
    for _ in range(5):
        state, _ = step(state, LABELLED)
    assert set(state.params) == {"encoder", "classifier"}  # nothing of the decoder is there to be moved
    assert all(same_bits(first.params["encoder"], variables))
    assert all(same_bits(state.params["encoder"], variables)) == frozen
    assert not any(same_bits(state.params["classifier"], first.params["classifier"]))


def same_bits(tree, other):
    return [a.tobytes() == b.tobytes() for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)]


def test_without_variables_an_encoder_is_fresh_and_follows_its_key():
    encoder, variables = pretrained()
    model = classifier(encoder, 3, optimizer=optax.sgd(1.0))
    init = jax.jit(model.init)
    first, second = (init(jax.random.key(seed), LABELLED)[0]["encoder"] for seed in (0, 1))
    for other in (second, variables):
        assert not all(same_bits(first, other))


def test_what_a_classifier_measures_is_its_formula():
    encoder, variables = pretrained()
    model = classifier(encoder, 3, optimizer=optax.sgd(1.0), encoder_params=variables)

    @jax.jit
    def everything():
        params, _ = model.init(KEY, LABELLED)
        return (
            (params["classifier"]["params"], encoder.apply(params["encoder"], LABELLED["image"])),
            model.evaluate(params, {}, LABELLED, KEY),
            model.phases[0].loss(params, {}, LABELLED, KEY),
            model.generate(params, {}, LABELLED, KEY),
            model.embed(params, {}, LABELLED),
        )

    (head, codes), values, (loss, (metrics, _)), predicted, features = everything()
    codes, label = np.asarray(codes, float), np.asarray(LABELLED["label"])
    logits = codes @ head["kernel"] + head["bias"]
    expected = -scipy.special.log_softmax(logits, axis=1)[np.arange(20), label]
    np.testing.assert_allclose(values["cross_entropy_nats"], expected, rtol=1e-5)
    np.testing.assert_array_equal(values["error_rate"], (logits.argmax(1) != label).astype(float))
    np.testing.assert_allclose([loss, metrics["error_rate"]], [expected.mean(), values["error_rate"].mean()], rtol=1e-5)
    np.testing.assert_array_equal(predicted, logits.argmax(1))
    np.testing.assert_allclose(features, codes, rtol=1e-5, atol=1e-6)


def test_misuse_is_named():
    networks = mlp_networks(SHAPE, hidden=(4,), latents=2)
    encoder, variables = pretrained()
    wider = mlp_networks(SHAPE, hidden=(5,), latents=2).encoder
    no_bias = {"params": {**variables["params"], "code": {"kernel": variables["params"]["code"]["kernel"]}}}
    optimizer = optax.sgd(1.0)
    for message, call in {
        "latents=0 must be at least 1": lambda: autoencoder(SHAPE, networks._replace(latents=0), optimizer=optimizer),
        r"the encoder returns arrays of shape \(1, 2\), must be \(1, 3\)": lambda: autoencoder(
            SHAPE, networks._replace(latents=3), optimizer=optimizer
        ),
        r"the decoder returns arrays of shape \(1, 2, 3, 1\), must be \(1, 3, 2, 1\)": lambda: autoencoder(
            (3, 2, 1), networks, optimizer=optimizer
        ),
        "channels: 0 layers": lambda: conv_networks(SHAPE, channels=()),
        "classes=1 must be at least 2": lambda: classifier(encoder, 1, optimizer=optimizer),
        r"encoder_params: the shape of .*bias.* is \(4,\), the encoder's is \(5,\)": lambda: jax.eval_shape(
            classifier(wider, 3, optimizer=optimizer, encoder_params=variables).init, KEY, LABELLED
        ),
        r"code.*bias.* is missing, the encoder's is \(2,\)": lambda: jax.eval_shape(
            classifier(encoder, 3, optimizer=optimizer, encoder_params=no_bias).init, KEY, LABELLED
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()


def test_a_head_of_ones_own_takes_the_place_of_the_dense_layer():
    encoder, _ = pretrained()
    head = nn.Sequential([nn.Dense(7), jnp.tanh, nn.Dense(3)])
    model = classifier(encoder, 3, optimizer=optax.sgd(1.0), head=head)
    params, _ = jax.eval_shape(model.init, KEY, LABELLED)
    assert params["classifier"]["params"]["layers_0"]["kernel"].shape == (2, 7)
