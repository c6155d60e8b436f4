import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.mlp import MLP, GaussianEncoder, GaussianPixels, ImageMLP

X = np.random.default_rng(0).normal(size=(3, 2, 2)).astype(np.float32)


@pytest.mark.parametrize("activate_final", [False, True])
def test_mlp_is_its_formula(activate_final):
    network = MLP((4, 2), activate_final=activate_final, final_bias_init=jax.nn.initializers.constant(0.3))
    ours, variables = jax.device_get(jax.jit(network.init_with_output)(jax.random.key(0), X))
    first, second = (variables["params"][name] for name in ("dense_0", "dense_1"))
    np.testing.assert_array_equal(first["bias"], 0)
    expected = np.tanh(X.reshape(3, 4) @ first["kernel"]) @ second["kernel"] + np.float32(0.3)
    np.testing.assert_allclose(ours, np.tanh(expected) if activate_final else expected, rtol=1e-5)


def test_mlp_kernels_are_glorots():
    params = jax.jit(MLP((300,)).init)(jax.random.key(0), np.zeros((1, 200)))["params"]
    kernel = np.asarray(params["dense_0"]["kernel"])
    limit = np.sqrt(6 / 500)
    assert abs(kernel).max() <= limit
    assert np.std(kernel) == pytest.approx(limit / np.sqrt(3), rel=0.02)


def test_image_mlp_adds_the_bias_pixel_by_pixel():
    bias = np.arange(12.0, dtype=np.float32).reshape(3, 2, 2)
    network = ImageMLP((3, 2, 2), (5,), bias_init=jax.nn.initializers.constant(bias))
    logits, _ = jax.jit(network.init_with_output)(jax.random.key(0), np.zeros((2, 4)))
    np.testing.assert_allclose(logits, np.stack([bias, bias]), rtol=1e-6, atol=1e-6)


def test_gaussian_encoder_has_linear_heads():
    network = GaussianEncoder(MLP((5,), activate_final=True), 2, center=lambda x: x - 0.5)
    (mean, log_var), variables = jax.device_get(jax.jit(network.init_with_output)(jax.random.key(0), X))
    heads = variables["params"]
    features = np.asarray(jax.jit(MLP((5,), activate_final=True).apply)({"params": heads["body"]}, X - 0.5))
    np.testing.assert_allclose(mean, features @ heads["mean"]["kernel"], rtol=1e-5)
    np.testing.assert_allclose(log_var, 2 * features @ heads["log_sigma"]["kernel"], rtol=1e-5)


@functools.cache
def gaussian_pixels():
    """The function from variables to outputs at latents of 0, and the variables."""
    network, latents = GaussianPixels(ImageMLP((2, 2, 1), (5,))), jnp.zeros((3, 2))
    variables = jax.jit(network.init)(jax.random.key(0), latents)
    return jax.jit(lambda variables: network.apply(variables, latents)), variables


@pytest.mark.parametrize("raw", [-1e4, 0.0, 3.0])
def test_gaussian_pixels_share_a_variance_that_is_bounded_below(raw):
    apply, variables = gaussian_pixels()
    mean, log_var = apply({"params": {**variables["params"], "log_sigma": np.float32(raw)}})
    np.testing.assert_allclose(mean, np.full((3, 2, 2, 1), 0.5), rtol=1e-6)
    np.testing.assert_allclose(log_var, np.full((3, 2, 2, 1), 2 * np.logaddexp(raw, -4)), rtol=1e-5)
