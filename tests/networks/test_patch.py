import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.patch import PatchDiscriminator, patch_side, strided_layers

KEY = jax.random.key(0)


def test_a_patch_is_about_as_large_in_every_image():
    assert [patch_side(strided) for strided in range(5)] == [7, 16, 34, 70, 142]
    layers = {8: 0, 28: 0, 32: 0, 64: 1, 128: 2, 256: 3, 512: 4}
    assert {side: strided_layers((side, side, 1)) for side in layers} == layers


@pytest.mark.parametrize(("strided", "side"), [(0, 8), (1, 24), (2, 48), (3, 256)])
def test_a_score_sees_its_patch_and_no_pixel_more(strided, side):
    discriminator = PatchDiscriminator(filters=1, strided=strided, normalized=False)

    @jax.jit
    def seen(image):
        variables = discriminator.init(KEY, image)
        scores = discriminator.apply(variables, image)
        middle = scores.shape[1] // 2
        return scores, jax.grad(lambda image: discriminator.apply(variables, image)[0, middle, middle, 0])(image)

    scores, gradient = seen(jax.random.uniform(KEY, (1, side, side, 1)))
    rows, columns = (np.flatnonzero((np.asarray(gradient[0, ..., 0]) != 0).any(axis)) for axis in (1, 0))
    for places in (rows, columns):
        np.testing.assert_array_equal(places, np.arange(places[0], places[0] + patch_side(strided)))
    assert side < 256 or scores.shape == (1, 30, 30, 1)


def test_normalization_lets_the_rest_of_the_image_in_through_its_statistics_only():
    image = jax.random.uniform(KEY, (1, 24, 24, 1))
    discriminator = PatchDiscriminator(filters=2, strided=1)
    variables = discriminator.init(KEY, image)
    corner = jax.grad(lambda image: discriminator.apply(variables, image)[0, 0, 0, 0])(image)
    assert (np.abs(corner[0, -5:, -5:]) > 0).any()
    assert set(variables["params"]["conv_0"]) == {"kernel", "bias"}  # not normalized
    assert set(variables["params"]["conv_1"]) == {"kernel"}


def test_widths_double_up_to_eight_times_the_first():
    image = jax.ShapeDtypeStruct((1, 512, 512, 3), jnp.float32)
    params = jax.eval_shape(PatchDiscriminator(strided=4).init, KEY, image)["params"]
    assert [params[f"conv_{index}"]["kernel"].shape[-1] for index in range(5)] == [64, 128, 256, 512, 512]
