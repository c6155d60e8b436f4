"""The pictures and the measure of the experiment on VAEs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.parts.vae_codes import BETWEEN, interpolation, make_measure, traversal, two_widest
from genjax.data.load import load_dataset
from genjax.models.latent.vae_networks import decode, encode, init_params, mlp_networks, with_top

SHAPE = (8, 8, 1)


@functools.cache
def networks_and_params(*, top=False):
    networks = mlp_networks(SHAPE, hidden=(8,), latents=3)
    if top:
        networks = with_top(networks, latents=2, hidden=(4,), activation=jnp.tanh)
    return networks, jax.jit(functools.partial(init_params, networks))(jax.random.key(0), jnp.zeros((1, *SHAPE)))


@functools.cache
def decoder():
    networks, params = networks_and_params()
    return jax.jit(lambda codes: decode(networks, params, codes))


def decoded(codes):
    return np.asarray(decoder()(np.asarray(codes, np.float32)))


def codes(count):
    return np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32) * [0.1, 5.0, 1.0]


def test_an_interpolation_ends_in_what_each_of_the_two_codes_decodes_to():
    networks, params = networks_and_params()
    ends = codes(16)
    rows = np.asarray(interpolation(networks, params, ends)).reshape(8, BETWEEN, *SHAPE)
    expected = decoded(ends).reshape(8, 2, *SHAPE)
    np.testing.assert_allclose(rows[:, 0], expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(rows[:, -1], expected[:, 1], rtol=1e-5)
    middle = decoded(ends.reshape(8, 2, 3).mean(axis=1))
    np.testing.assert_allclose(rows[:, BETWEEN // 2], middle, rtol=1e-5)


def test_a_traversal_moves_one_latent_at_a_time_the_most_variable_first():
    networks, params = networks_and_params()
    points = codes(30)
    rows = np.asarray(traversal(networks, params, points)).reshape(3, BETWEEN, *SHAPE)
    for row, latent in zip(rows, (1, 2, 0), strict=True):
        moved = points[0].copy()
        moved[latent] = points[:, latent].mean() + 3 * points[:, latent].std()
        np.testing.assert_allclose(row[-1:], decoded(moved[None]), rtol=1e-4)


@pytest.mark.parametrize(("width", "expected"), [(3, (1, 2)), (1, (0, 0))])
def test_the_scatter_shows_the_two_latents_that_vary_most(width, expected):
    assert two_widest(codes(30)[:, :width]) == expected


def test_active_units_are_those_whose_mean_varies():
    """The heads are scaled so that one of three latents varies, and of the top's two none."""
    networks, params = networks_and_params(top=True)
    data = load_dataset("digits", binarization="threshold")
    raw = data.test.read(np.arange(data.test.size))
    encode_raw = jax.jit(lambda raw, key: encode(networks, params, data.load(raw, key)["image"]).mean)
    scale = np.float32(np.sqrt([0.02, 0.005, 0.0]) / np.asarray(encode_raw(raw, jax.random.key(0))).std(axis=0))
    params = jax.device_get(params)
    head = params["encoder"]["params"]["mean"]
    still = jax.tree.map(np.zeros_like, params["top_encoder"]["params"]["mean"])
    changed = {
        **params,
        "encoder": {"params": {**params["encoder"]["params"], "mean": jax.tree.map(lambda leaf: leaf * scale, head)}},
        "top_encoder": {"params": {**params["top_encoder"]["params"], "mean": still}},
    }
    values = make_measure(networks, data)(changed, {}, data.test, jax.random.key(0))
    assert values == {"active_units": 1, "active_units_2": 0}
