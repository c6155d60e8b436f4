"""Known pixels of an image: what a batch may give, and the models that refuse to complete."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.models import priors
from genjax.models.completion import given_pixels, prefix_or_nan
from genjax.models.latent import aae, aae_networks, vae, vae_networks

SHAPE = (2, 2, 1)


def vae_model():
    return vae.vae(SHAPE, vae_networks.mlp_networks(SHAPE, hidden=(3,), latents=2), optimizer=optax.sgd(0.1))


def aae_model():
    optimizers = aae.Optimizers(*(optax.sgd(0.1) for _ in range(4)))
    networks = aae_networks.mlp_networks(SHAPE, hidden=(3,), latents=2)
    return aae.aae(SHAPE, networks, priors.gaussian(2), optimizers=optimizers)


@pytest.mark.parametrize("make", [vae_model, aae_model])
def test_a_model_of_whole_images_refuses_to_complete(make):
    model, batch = make(), {"image": jnp.zeros((1, *SHAPE))}
    params, stats = jax.eval_shape(model.init, jax.random.key(0), batch)
    with pytest.raises(ValueError, match="known: this model draws whole images"):
        model.generate(params, stats, {**batch, "known": jnp.ones((1, *SHAPE))}, jax.random.key(0))


def test_a_known_set_that_is_no_prefix_is_refused_or_nan():
    x, known = (jnp.asarray(np.array([row])) for row in ([1.0, 1.0, 1.0], [1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match=r"known: .* a prefix of its ordering"):
        prefix_or_nan({"known": known}, x, known)
    checked = jax.jit(lambda x, known: prefix_or_nan({"known": known}, x, known))
    assert np.isnan(checked(x, known)).all()
    np.testing.assert_array_equal(checked(x, np.array([[1.0, 1.0, 0.0]])), x)


IMAGE = jnp.asarray(np.full((1, 2, 3, 1), 0.5))


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (np.zeros((1, 2, 2, 1)), r"known: shape \(1, 2, 2, 1\) must be that of image, \(1, 2, 3, 1\)"),
        (np.full((1, 2, 3, 1), 0.5), r"known: holds 0\.5, and must hold 0 \(not known\) and 1 only"),
        (np.full((1, 2, 3, 1), 255, np.uint8), "known: holds 255"),
        (np.full((1, 2, 3, 1), np.nan), "known: holds nan"),
        (np.ones((1, 2, 3, 1), complex), "known: ndarray of complex128 must be an array of 0 and 1"),
        (np.full((1, 2, 3, 1), "yes"), "known: ndarray of <U3 must be"),
        ([[[[1], [0], [0]]] * 2], "known: list of None must be an array"),
    ],
)
def test_known_of_another_shape_or_type_or_value_is_refused(known, message):
    with pytest.raises(ValueError, match=message):
        given_pixels({"image": IMAGE, "known": known})


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float32])
def test_known_is_0_and_1_and_hides_what_is_not_known(dtype):
    known = np.array([1, 0, 1, 0, 0, 1], dtype).reshape(1, 2, 3, 1)
    image = jnp.asarray(np.where(known, IMAGE, np.float32(np.nan)))
    for given in (given_pixels, jax.jit(given_pixels)):
        shown, ours = given({"image": image, "known": known})
        np.testing.assert_array_equal(ours, known.astype(np.float32))
        np.testing.assert_array_equal(shown, known * 0.5)
    assert all((array == 0).all() for array in given_pixels({"image": IMAGE}))


def test_known_values_that_come_too_late_to_be_refused_give_nan():
    _, known = jax.jit(given_pixels)({"image": IMAGE, "known": np.full(IMAGE.shape, 255)})
    assert np.isnan(known).all()


def test_known_pixels_pass_where_jax_would_stop_at_nan():
    x, known = (jnp.asarray([row]) for row in ([0.25, 0.5, 0.75], [1.0, 1.0, 0.0]))
    with jax.debug_nans(True):
        np.testing.assert_array_equal(prefix_or_nan({"known": known}, x, known), x)
        image, _ = given_pixels({"image": x.reshape(1, 1, 3, 1), "known": known.reshape(1, 1, 3, 1)})
    np.testing.assert_array_equal(image.ravel(), [0.25, 0.5, 0])
