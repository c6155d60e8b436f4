import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.residual import (
    NormalizedConv,
    ResidualGenerator,
    halvings,
    instance_norm,
    padded,
    residual_blocks,
)

KEY = jax.random.key(0)


def test_maps_have_mean_0_and_variance_1_each():
    x = 3 + 5 * np.asarray(jax.random.normal(KEY, (2, 6, 4, 3)))
    ours = np.asarray(instance_norm(jnp.asarray(x)))
    np.testing.assert_allclose(ours.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(ours.var((1, 2)), 1, rtol=1e-4)
    expected = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_a_map_without_contrast_becomes_0_and_has_a_gradient():
    x = jnp.full((1, 2, 2, 1), 0.7)
    np.testing.assert_array_equal(instance_norm(x), 0)
    assert np.isfinite(jax.grad(lambda x: (instance_norm(x) ** 2).sum())(x)).all()


@pytest.mark.parametrize(("padding", "mode"), [("reflect", "reflect"), ("zero", "constant")])
def test_padding_is_numpys(padding, mode):
    x = np.asarray(jax.random.normal(KEY, (2, 5, 4, 3)))
    expected = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)), mode=mode)
    np.testing.assert_array_equal(padded(jnp.asarray(x), 3, padding), expected)


def test_a_layer_with_reflection_padding_cannot_see_what_is_the_same_everywhere():
    """Such as a label as one more map: normalization takes it out, unless zeros around the image show its level."""
    x = jax.random.normal(KEY, (1, 6, 6, 2))
    for padding, seen in (("reflect", False), ("zero", True)):
        layer = NormalizedConv(3, padding=padding)
        variables = layer.init(KEY, x)
        assert (np.abs(layer.apply(variables, x + 1) - layer.apply(variables, x)).max() > 1e-3) == seen


def test_how_often_a_side_is_halved_and_how_many_blocks_follow_from_the_size():
    sides = {4: 0, 7: 0, 8: 1, 10: 1, 16: 2, 28: 2, 256: 2}
    assert {side: halvings((side, side, 1)) for side in sides} == sides
    assert halvings((28, 10, 1)) == 1
    assert [residual_blocks((side, side, 3)) for side in (28, 128, 256, 512)] == [6, 6, 9, 9]


def test_the_papers_generator_has_its_layers():
    generator = ResidualGenerator(3, blocks=9)
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    made, variables = jax.eval_shape(functools.partial(generator.init_with_output, KEY), image)
    ends, strided, residual = 7 * 7 * 3 * 64, 9 * (64 * 128 + 128 * 256), 9 * 2 * 9 * 256 * 256
    assert made.shape == (1, 256, 256, 3)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 2 * ends + 3 + 2 * strided + residual


def test_images_keep_their_size_and_lie_between_0_and_1():
    images = jax.random.uniform(KEY, (2, 8, 12, 1))
    generator = ResidualGenerator(3, filters=2, blocks=1, halvings=1)
    run = jax.jit(generator.init_with_output)
    made, _ = run(KEY, images)
    assert made.shape == (2, 8, 12, 3)
    assert 0 < made.min() < made.max() < 1
    np.testing.assert_allclose(run(KEY, images[:1])[0], made[:1], rtol=1e-5)  # neighbours do not matter
