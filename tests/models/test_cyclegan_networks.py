import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.models.adversarial.cyclegan_networks import PatchDiscriminator, patch_side, strided_layers

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def test_a_patch_is_about_as_large_in_every_image():
    assert [patch_side(strided) for strided in range(5)] == [7, 16, 34, 70, 142]
    layers = {8: 0, 28: 0, 32: 0, 64: 1, 128: 2, 256: 3, 512: 4}
    assert {side: strided_layers((side, side, 1)) for side in layers} == layers


def with_random_kernels(discriminator, image):
    shapes = jax.eval_shape(discriminator.init, KEY, image)
    return jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape), jnp.float32), shapes)


def seen(discriminator, image, row, column):
    """Pixels with respect to which a score has a derivative."""
    variables = with_random_kernels(discriminator, image)
    gradient = jax.jit(jax.grad(lambda image: discriminator.apply(variables, image)[0, row, column, 0]))(image)
    return np.asarray(gradient[0, ..., 0]) != 0


@pytest.mark.parametrize(("strided", "side"), [(0, 8), (1, 24), (2, 48), (3, 96)])
def test_a_score_sees_its_patch_and_no_pixel_more(strided, side):
    image = jnp.asarray(RNG.random((1, side, side, 1)), jnp.float32)
    found = seen(PatchDiscriminator(filters=1, strided=strided, normalized=False), image, 4 if strided else 3, 3)
    for places in (np.flatnonzero(found.any(axis)) for axis in (1, 0)):
        np.testing.assert_array_equal(places, np.arange(places[0], places[0] + patch_side(strided)))
    assert found[:, places].any()


def test_the_papers_patches_at_256():
    discriminator = PatchDiscriminator()
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    scores, _ = jax.eval_shape(lambda image: discriminator.init_with_output(KEY, image), image)
    assert scores.shape == (1, 30, 30, 1)
    assert patch_side(discriminator.strided) == 70


def test_normalization_lets_the_rest_of_the_image_in_through_its_statistics_only():
    image, discriminator = jnp.asarray(RNG.random((1, 24, 24, 1)), jnp.float32), PatchDiscriminator(2, strided=1)
    assert seen(discriminator, image, 0, 0)[-5:, -5:].any()
    params = with_random_kernels(discriminator, image)["params"]
    assert set(params["conv_0"]) == {"kernel", "bias"}  # not normalized
    assert set(params["conv_1"]) == {"kernel"}


def test_widths_double_up_to_eight_times_the_first():
    image = jax.ShapeDtypeStruct((1, 512, 512, 3), jnp.float32)
    params = jax.eval_shape(PatchDiscriminator(strided=4).init, KEY, image)["params"]
    assert [params[f"conv_{index}"]["kernel"].shape[-1] for index in range(5)] == [64, 128, 256, 512, 512]


def test_a_score_is_the_papers_in_numpy():
    """An image of 3x3 has 2x2 places of a 4x4 kernel and one score, with a leaky ReLU of slope 0.2 between."""
    discriminator, image = PatchDiscriminator(3, strided=0), RNG.random((2, 3, 3, 1)).astype(np.float32)
    variables = with_random_kernels(discriminator, image)
    params = jax.tree.map(np.asarray, variables["params"])
    around = np.pad(2 * image - 1, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(around, (4, 4), (1, 2))
    x = np.einsum("bhwirc,rcio->bhwo", windows, params["conv_0"]["kernel"]) + params["conv_0"]["bias"]
    x = np.where(x > 0, x, 0.2 * x)
    expected = np.einsum("bhwi,hwio->bo", x, params["score"]["kernel"][1:3, 1:3]) + params["score"]["bias"]
    scores = np.asarray(jax.jit(discriminator.apply)(variables, image))
    np.testing.assert_allclose(scores[:, 0, 0], expected, rtol=1e-4, atol=1e-5)
