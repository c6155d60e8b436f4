"""Labels in the generator under both paddings, and the shapes of the two heads."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.models.adversarial.stargan_networks import LabelledGenerator, TwoHeads, strided_layers
from genjax.networks.residual import ResidualGenerator

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def with_random_leaves(module, *inputs):
    shapes = jax.eval_shape(module.init, KEY, *inputs)
    return jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape)), shapes)


@pytest.mark.parametrize(("padding", "seen"), [("reflect", False), ("zero", True)])
def test_a_label_is_lost_under_reflection_padding_and_seen_under_zero_padding(padding, seen):
    """Instance normalization removes exactly what the label adds, a constant in each channel."""
    with jax.enable_x64(True):
        images = jnp.asarray(RNG.random((1, 8, 8, 1)))
        generator = LabelledGenerator(ResidualGenerator(1, 2, 1, 1, padding, 3, affine=True))
        variables = with_random_leaves(generator, images, jnp.zeros((1, 3)))
        made = jax.jit(lambda label: generator.apply(variables, images, label))
        changes = [np.abs(made(label[None]) - made(jnp.zeros((1, 3)))).max() for label in jnp.eye(3)]
        assert (min(changes) > 1e-3) if seen else (max(changes) < 1e-10)


def test_a_label_is_a_map_for_each_bit_beside_the_image():
    images = RNG.random((2, 5, 4, 2)).astype(np.float32)
    label = jnp.array([[1.0, 0, 0], [0, 0, 1]])
    generator = LabelledGenerator(ResidualGenerator(1, 2, 0, 0, "zero", 3))
    variables = with_random_leaves(generator, images, label)
    maps = np.broadcast_to(np.array([[1, 0.5, 0.5], [0.5, 0.5, 1]])[:, None, None], (2, 5, 4, 3))  # inside 1 and 0
    inner = {"params": variables["params"]["generator"]}
    expected = jax.jit(generator.generator.apply)(inner, np.concatenate([images, maps], axis=-1).astype(np.float32))
    np.testing.assert_allclose(jax.jit(generator.apply)(variables, images, label), expected, rtol=1e-5, atol=1e-6)


def test_the_papers_networks_at_128():
    """Tables 4 and 5 of the paper for five attributes, with transposed convolutions of 3x3 in place of 4x4."""
    image, label = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 128, 128, 3), (1, 5)))
    made, variables = jax.eval_shape(
        functools.partial(LabelledGenerator(ResidualGenerator(3, padding="zero", affine=True)).init_with_output, KEY),
        image,
        label,
    )
    first, last, strided = 49 * 8 * 64, 49 * 64 * 3 + 3, 9 * (64 * 128 + 128 * 256)
    gains = 2 * (64 + 128 + 256 + 12 * 256 + 128 + 64)
    assert made.shape == (1, 128, 128, 3)
    expected = first + last + 2 * strided + 12 * 9 * 256 * 256 + gains
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == expected
    heads = TwoHeads(5, strided=strided_layers((128, 128, 3)))
    (scores, logits), variables = jax.eval_shape(functools.partial(heads.init_with_output, KEY), image)
    assert (scores.shape, logits.shape) == ((1, 2, 2, 1), (1, 5))
    widths = [3, 64, 128, 256, 512, 1024, 2048]
    convs = sum(16 * before * after + after for before, after in itertools.pairwise(widths))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == convs + 9 * 2048 + 4 * 2048 * 5


def test_layers_halve_the_smaller_side_to_2_or_3():
    layers = {4: 1, 7: 1, 8: 2, 14: 2, 16: 3, 28: 3, 128: 6, 256: 7}
    assert {side: strided_layers((side, side + 9, 1)) for side in layers} == layers


def test_the_heads_are_the_papers_in_numpy():
    """One strided layer of an image of 2x2, which the middle of its kernels sees, and a leaky ReLU of slope 0.01."""
    images = RNG.random((3, 2, 2, 1)).astype(np.float32)
    variables = with_random_leaves(TwoHeads(2, filters=3, strided=1), images)
    scores, logits = jax.jit(TwoHeads(2, filters=3, strided=1).apply)(variables, images)
    params = jax.tree.map(np.asarray, variables["params"])
    x = np.einsum("bhwi,hwio->bo", 2 * images - 1, params["conv_0"]["kernel"][1:3, 1:3]) + params["conv_0"]["bias"]
    x = np.where(x > 0, x, 0.01 * x)
    np.testing.assert_allclose(scores[:, 0, 0], x @ params["score"]["kernel"][1, 1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, x @ params["label"]["kernel"], rtol=1e-4, atol=1e-5)
