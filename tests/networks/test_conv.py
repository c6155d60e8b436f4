import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.conv import ConvDecoder, ConvEncoder, ConvTranspose, conv_transpose


@pytest.mark.parametrize(("size", "stride"), [(4, 2), (5, 2), (2, 3), (4, 1)])
def test_overlap_add_is_the_transposed_convolution(size, stride):
    rng = np.random.default_rng(0)
    x, kernel = jnp.asarray(rng.normal(size=(2, 3, 4, 2))), jnp.asarray(rng.normal(size=(size, size, 2, 3)))
    probe = jnp.asarray(rng.normal(size=(2, 3 * stride, 4 * stride, 3)))

    def projected(implementation):
        def project(x, kernel):
            return jnp.sum(probe * conv_transpose(x, kernel, stride=stride, implementation=implementation) ** 2)

        return jax.jit(jax.value_and_grad(project, argnums=(0, 1)))(x, kernel)

    jax.tree.map(
        lambda ours, lax: np.testing.assert_allclose(ours, lax, rtol=1e-5, atol=1e-5),
        projected("matmul"),
        projected("lax"),
    )


@pytest.mark.parametrize("implementation", ["matmul", "lax"])
@pytest.mark.parametrize("size", [4, 5])
def test_it_is_the_adjoint_of_a_convolution_of_stride_2(size, implementation):
    """<conv x, y> = <x, deconv y>, where deconv has the kernel of conv, flipped and with its channels swapped."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x, y, kernel = (jnp.asarray(rng.normal(size=s)) for s in ((2, 6, 8, 3), (2, 3, 4, 5), (size, size, 3, 5)))
        dimensions = ("NHWC", "HWIO", "NHWC")
        down = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=dimensions)
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        up = conv_transpose(y, turned, stride=2, implementation=implementation)
        np.testing.assert_allclose(jnp.vdot(down, y), jnp.vdot(x, up), rtol=1e-12)


def test_overlap_add_paints_a_patch_turned_round():
    kernel = jnp.arange(16.0).reshape(4, 4, 1, 1)
    image = conv_transpose(jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(1), kernel, stride=2, implementation="matmul")
    expected = np.zeros((6, 6))
    expected[1:5, 1:5] = np.arange(16.0).reshape(4, 4)[::-1, ::-1]
    np.testing.assert_array_equal(image[0, :, :, 0], expected)


def test_module_applies_kernel_and_bias():
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 2))
    variables = ConvTranspose(5).init(jax.random.key(1), x)
    kernel = variables["params"]["kernel"]
    assert kernel.shape == (4, 4, 2, 5)
    variables["params"]["bias"] = jnp.arange(5.0)
    expected = conv_transpose(x, kernel, stride=2) + jnp.arange(5.0)
    np.testing.assert_allclose(ConvTranspose(5).apply(variables, x), expected, rtol=1e-5, atol=1e-6)
    assert set(ConvTranspose(5, use_bias=False).init(jax.random.key(1), x)["params"]) == {"kernel"}


def test_encoder_and_decoder_mirror_each_other():
    images = jnp.zeros((2, 12, 8, 3))
    encoder, decoder = ConvEncoder((4, 6), 10), ConvDecoder((12, 8, 3), (6, 4), 10)

    def both():
        features, encoder_variables = encoder.init_with_output(jax.random.key(0), images)
        return features, encoder_variables, *decoder.init_with_output(jax.random.key(0), features)

    features, encoder_variables, logits, decoder_variables = jax.eval_shape(both)
    assert features.shape == (2, 10)
    assert logits.shape == images.shape
    assert encoder_variables["params"]["Conv_1"]["kernel"].shape == (4, 4, 4, 6)
    assert decoder_variables["params"]["Dense_1"]["kernel"].shape == (10, 3 * 2 * 6)


def test_decoder_starts_from_the_bias_it_is_given():
    mean = jnp.arange(16.0).reshape(4, 4, 1)
    decoder = ConvDecoder((4, 4, 1), (3,), 5, bias_init=jax.nn.initializers.constant(mean))
    logits, _ = decoder.init_with_output(jax.random.key(0), jnp.zeros((2, 3)))
    np.testing.assert_allclose(logits, jnp.stack([mean, mean]), rtol=1e-6, atol=1e-6)


def test_decoder_refuses_images_that_cannot_be_halved():
    with pytest.raises(ValueError, match=r"image_shape=\(6, 8, 1\): height and width must be multiples of 4"):
        ConvDecoder((6, 8, 1), (3, 3), 5).init(jax.random.key(0), jnp.zeros((2, 3)))


def test_strides_are_those_given():
    encoder, decoder = ConvEncoder((4, 6), 10, strides=(2, 1)), ConvDecoder((6, 4, 1), (6, 4), 10, strides=(1, 2))

    def both():
        _, encoder_variables = encoder.init_with_output(jax.random.key(0), jnp.zeros((2, 6, 4, 1)))
        return encoder_variables, *decoder.init_with_output(jax.random.key(0), jnp.zeros((2, 3)))

    encoder_variables, logits, decoder_variables = jax.eval_shape(both)
    assert encoder_variables["params"]["Dense_0"]["kernel"].shape == (3 * 2 * 6, 10)
    assert decoder_variables["params"]["Dense_1"]["kernel"].shape == (10, 3 * 2 * 6)
    assert logits.shape == (2, 6, 4, 1)
    for strided in (lambda x: ConvEncoder((4, 6), 10, strides=(2,)).init(jax.random.key(0), x), decoder_of_one_stride):
        with pytest.raises(ValueError, match=r"strides=\(2,\): must be 2, one for each of channels"):
            strided(jnp.zeros((2, 6, 4, 1)))


def decoder_of_one_stride(x):
    return ConvDecoder((6, 4, 1), (6, 4), 10, strides=(2,)).init(jax.random.key(0), x.reshape(2, -1))
