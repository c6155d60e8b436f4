import functools
import itertools
import re

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax import lax

from genjax.core import init_state, make_step
from genjax.models.adversarial.dcgan import dcgan
from genjax.models.adversarial.gan import Optimizers
from genjax.networks.conv import (
    LAYOUT,
    Conv,
    ConvTranspose,
    conv_general_dilated,
    conv_transpose,
    dilated_conv,
    strided_conv,
)
from genjax.networks.conv_stacks import ConvDecoder, ConvEncoder

SIZES = range(1, 8)
"""Kernel sizes."""


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def strided(x, kernel, stride, padding):
    return conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT)


def strided_by_xla(x, kernel, stride, padding):
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT)


def transposed(x, kernel, stride, padding):
    """By the padding of `jax.lax.conv_transpose`, as its documentation gives it."""
    pads = []
    for size in kernel.shape[:2]:
        if padding == "SAME":
            total = size + stride - 2
            before = size - 1 if stride > size - 1 else -(-total // 2)
        else:
            total, before = size + stride - 2 + max(size - stride, 0), size - 1
        pads.append((before, total - before))
    return dilated_conv(x, kernel, stride, tuple(pads)) if stride > 1 else transposed_by_xla(x, kernel, 1, padding)


def transposed_by_xla(x, kernel, stride, padding):
    return lax.conv_transpose(x, kernel, (stride, stride), padding)


def with_gradients(form, cases):
    """The jitted outputs and gradients by images and kernel, of a sum of squares, in all cases."""

    def one(x, kernel, stride, padding):
        loss = lambda x, kernel: (form(x, kernel, stride, padding) ** 2).sum()  # noqa: E731
        return form(x, kernel, stride, padding), jax.grad(loss, argnums=(0, 1))(x, kernel)

    return jax.jit(lambda arrays: [one(*pair, *rest) for pair, (_, *rest) in zip(arrays, cases, strict=True)])


FORMS = {"strided": (strided, strided_by_xla), "transposed": (transposed, transposed_by_xla)}


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("name", FORMS)
def test_forward_and_both_gradients_are_those_of_xla(name, stride):
    """For an odd and an even side; one image, and kernels that are higher than wide as well."""
    with jax.enable_x64(True):
        cases = [
            (size, stride, padding)
            for size, padding in itertools.product([*((k, k) for k in SIZES), (5, 2)], ["SAME", "VALID"])
        ]
        sides = (9, 8) if name == "strided" else (3, 4)
        arrays = [(random(1, *sides, 2), random(*size, 2, 3, seed=1)) for size, *_ in cases]
        ours, expected = (with_gradients(form, cases)(arrays) for form in FORMS[name])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), ours, expected)


@pytest.mark.parametrize(("dtype", "close"), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.03)])
@pytest.mark.parametrize("name", FORMS)
def test_in_float32_and_bfloat16_within_rounding(name, dtype, close):
    cases = [((5, 5), 2, "SAME")]
    arrays = [(random(4, 6, 7, 2), random(5, 5, 2, 3, seed=1))]
    narrow = jax.tree.map(lambda leaf: leaf.astype(dtype), arrays)
    ours, expected = with_gradients(FORMS[name][0], cases)(narrow), with_gradients(FORMS[name][1], cases)(arrays)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(np.asarray(one, np.float32), other, rtol=close, atol=close * np.abs(other).max())


@pytest.mark.parametrize("name", FORMS)
def test_under_vmap_over_kernels_and_images(name):
    with jax.enable_x64(True):
        x, kernel = random(3, 2, 5, 6, 2), random(3, 4, 4, 2, 3, seed=1)

        def gradients(form):
            loss = lambda x, kernel: (form(x, kernel, 2, "SAME") ** 2).sum()  # noqa: E731
            return jax.jit(jax.vmap(jax.grad(loss, argnums=(0, 1))))(x, kernel)

        ours, expected = (gradients(form) for form in FORMS[name])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), ours, expected)


@pytest.mark.parametrize("name", FORMS)
def test_forward_derivatives_and_the_gradient_of_a_gradient(name):
    """As of a penalty on the gradient by the images, which is differentiated by the kernel."""
    with jax.enable_x64(True):
        x, kernel, tangent = random(2, 5, 6, 2), random(3, 3, 2, 3, seed=1), random(2, 5, 6, 2, seed=2)

        def derivatives(form, x, kernel, tangent):
            layer = lambda x, kernel: jnp.tanh(form(x, kernel, 2, "SAME")).sum()  # noqa: E731
            penalty = lambda kernel: (jax.grad(layer)(x, kernel) ** 2).sum()  # noqa: E731
            forward = jax.jvp(lambda x: form(x, kernel, 2, "SAME"), (x,), (tangent,))
            return forward, jax.grad(penalty)(kernel)

        ours, expected = (jax.jit(functools.partial(derivatives, form))(x, kernel, tangent) for form in FORMS[name])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11), ours, expected)


def test_the_transposed_convolution_has_the_padding_of_jax():
    with jax.enable_x64(True):
        x, kernels = random(2, 3, 4, 2), {size: random(size, size, 2, 3, seed=1) for size in (1, 3, 4, 5)}

        @jax.jit
        def both(x, kernels):
            ours, expected = [], []
            for kernel, stride in itertools.product(kernels.values(), (1, 2, 3)):
                ours.append(conv_transpose(x, kernel, stride=stride))
                expected.append(lax.conv_transpose(x, kernel, (stride, stride), "SAME"))
            return ours, expected

        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), *both(x, kernels))


CONVOLUTION = re.compile(
    r"stablehlo.convolution\(.*?dim_numbers = \[(.*?)\]x\[(.*?)\].*: \(tensor<([\dx]+)xf32>, tensor<([\dx]+)xf32>\)"
)
"""Dimensions of image and kernel, and their sizes."""


@functools.cache
def convolutions(platform):
    """How many convolutions a step of DCGAN has, lowered for the platform, and how many of them XLA exchanges."""
    optimizers = Optimizers(optax.sgd(1e-2), optax.sgd(1e-2))
    model, batch = dcgan((8, 8, 1), optimizers=optimizers, filters=2, latents=3), {"image": jnp.zeros((4, 8, 8, 1))}
    state = jax.eval_shape(lambda key: init_state(model, key, batch), jax.random.key(0))
    text = jax.export.export(jax.jit(make_step(model.phases)), platforms=[platform])(state, batch).mlir_module()
    found = CONVOLUTION.findall(text)
    assert len(found) == text.count("stablehlo.convolution") > 0
    exchanged = [pixels(kernel_names, kernel) > pixels(names, image) for names, kernel_names, image, kernel in found]
    return len(found), sum(exchanged)


def pixels(dimensions, sizes):
    """The product of height and width, which the dimensions 0 and 1 are."""
    by_name = dict(zip(dimensions.split(", "), map(int, sizes.split("x")), strict=True))
    return by_name["0"] * by_name["1"]


def test_a_program_holds_the_forms_of_its_platform_alone():
    """A step exported on any machine: on a CPU no kernel larger than its image; on accelerators XLA's convolutions."""
    assert convolutions("cpu")[1] == 0
    assert convolutions("tpu") == convolutions("cuda")
    assert convolutions("tpu")[1] > 0
    assert convolutions("tpu")[0] < convolutions("cpu")[0]


def test_an_image_without_padding_is_padded_on_a_cpu_alone():
    x, kernel = jnp.zeros((2, 6, 6, 3)), jnp.zeros((3, 3, 3, 4))
    conv = jax.jit(lambda x, kernel: strided(x, kernel, 1, "VALID"))
    texts = {name: jax.export.export(conv, platforms=[name])(x, kernel).mlir_module() for name in ("cpu", "cuda")}
    assert "pad = [[0, 1], [0, 1]]" in texts["cpu"]
    assert "[[0, 1], [0, 1]]" not in texts["cuda"]


def test_groups_and_dilated_kernels_are_left_to_xla():
    x = random(2, 6, 6, 4)
    for options in ({"feature_group_count": 2}, {"kernel_dilation": 2}):
        ours, flax = (kind(4, (3, 3), strides=2, **options) for kind in (Conv, nn.Conv))
        variables = jax.jit(flax.init)(jax.random.key(0), x)
        found, expected = (jax.jit(module.apply)(variables, x) for module in (ours, flax))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_strides_that_differ_are_left_to_xla():
    x, kernel = random(2, 6, 6, 1), random(3, 3, 1, 2, seed=1)
    arguments = {"window_strides": (2, 1), "padding": "SAME", "dimension_numbers": LAYOUT}
    forms = (conv_general_dilated, lax.conv_general_dilated)
    ours, expected = (jax.jit(functools.partial(form, **arguments))(x, kernel) for form in forms)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_it_is_the_adjoint_of_a_convolution_of_stride_2():
    """<conv x, y> = <x, deconv y>, where deconv has the kernel of conv, flipped and with its channels swapped."""
    with jax.enable_x64(True):
        x, y, kernel = random(2, 6, 8, 3), random(2, 3, 4, 5, seed=1), random(5, 5, 3, 5, seed=2)
        down = jax.jit(lambda x, kernel: strided_conv(x, kernel, 2, ((1, 2), (1, 2))))(x, kernel)
        up = jax.jit(functools.partial(conv_transpose, stride=2))(y, kernel[::-1, ::-1].swapaxes(2, 3))
        np.testing.assert_allclose(np.vdot(down, y), np.vdot(x, up), rtol=1e-12)


def test_module_applies_kernel_and_bias():
    x = random(2, 3, 3, 2)
    variables = jax.jit(ConvTranspose(5).init)(jax.random.key(1), x)
    kernel, bias = variables["params"]["kernel"], np.arange(5.0)
    assert kernel.shape == (4, 4, 2, 5)
    variables["params"]["bias"] = bias
    expected = jax.jit(lambda x, kernel, bias: conv_transpose(x, kernel, stride=2) + bias)(x, kernel, bias)
    np.testing.assert_allclose(jax.jit(ConvTranspose(5).apply)(variables, x), expected, rtol=1e-5, atol=1e-6)
    unbiased = jax.eval_shape(ConvTranspose(5, use_bias=False).init, jax.random.key(1), x)
    assert set(unbiased["params"]) == {"kernel"}


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
    mean = np.arange(16.0).reshape(4, 4, 1)
    decoder = ConvDecoder((4, 4, 1), (3,), 5, bias_init=jax.nn.initializers.constant(mean))
    logits, _ = jax.jit(decoder.init_with_output)(jax.random.key(0), np.zeros((2, 3)))
    np.testing.assert_allclose(logits, np.stack([mean, mean]), rtol=1e-6, atol=1e-6)


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
