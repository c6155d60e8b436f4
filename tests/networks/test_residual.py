import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.residual import NormalizedConv, ResidualGenerator, halvings, instance_norm, residual_blocks

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def test_maps_have_mean_0_and_variance_1_each():
    x = (3 + 5 * RNG.normal(size=(2, 6, 4, 3))).astype(np.float32)
    ours = np.asarray(jax.jit(instance_norm)(x))
    np.testing.assert_allclose(ours.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(ours.var((1, 2)), 1, rtol=1e-4)
    expected = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_a_map_without_contrast_becomes_0_and_has_a_gradient():
    x = np.full((1, 2, 2, 1), 0.75)  # sums of these are exact
    np.testing.assert_array_equal(jax.jit(instance_norm)(x), 0)
    assert np.isfinite(jax.jit(jax.grad(lambda x: (instance_norm(x) ** 2).sum()))(x)).all()


@pytest.mark.parametrize(("padding", "mode"), [("reflect", "reflect"), ("zero", "constant")])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (7, 1)])
def test_padding_is_numpys(padding, mode, size, stride):
    x = RNG.normal(size=(2, 6, 8, 3)).astype(np.float32)
    layer = NormalizedConv(4, size, stride, padding)
    shapes = jax.eval_shape(layer.init, KEY, x)
    variables = jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape).astype(np.float32), shapes)
    ours = jax.jit(layer.apply)(variables, x)
    around = np.pad(x, ((0, 0), *[(size // 2, size // 2)] * 2, (0, 0)), mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(around, (size, size), (1, 2))[:, ::stride, ::stride]
    expected = np.einsum("bhwirc,rcio->bhwo", windows, variables["params"]["conv"]["kernel"])
    expected = (expected - expected.mean((1, 2), keepdims=True)) / np.sqrt(expected.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_layer_with_reflection_padding_cannot_see_what_is_the_same_everywhere():
    """An example is a label as one more channel: normalization removes it, unless zero padding shows its level."""
    x = RNG.normal(size=(1, 6, 6, 2)).astype(np.float32)
    for padding, seen in (("reflect", False), ("zero", True)):
        layer = NormalizedConv(3, padding=padding)
        made = jax.jit(lambda x, layer=layer: layer.init_with_output(KEY, x)[0])
        assert (np.abs(made(x + 1) - made(x)).max() > 1e-3) == seen


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
    images = RNG.random((2, 8, 12, 1)).astype(np.float32)
    generator = ResidualGenerator(3, filters=2, blocks=1, halvings=1)
    shapes = jax.eval_shape(generator.init, KEY, images)
    variables = jax.tree.map(lambda leaf: 0.1 * RNG.normal(size=leaf.shape).astype(np.float32), shapes)
    run = jax.jit(generator.apply)
    made = np.asarray(run(variables, images))
    assert made.shape == (2, 8, 12, 3)
    assert 0 < made.min() < made.max() < 1
    beside_another = np.asarray(run(variables, np.stack([1 - images[0], images[1]])))
    np.testing.assert_allclose(beside_another[1], made[1], rtol=1e-5)  # neighbours do not matter


def test_the_variance_of_a_map_has_a_hundred_thousandth_added():
    """A variance v becomes v / (v + 0.00001), which is 1 / 2 where v is that number itself."""
    deviations = np.sqrt(1e-5 * np.array([1, 3, 99]))
    x = (np.array([1.0, -1, -1, 1]).reshape(1, 2, 2, 1) * deviations).astype(np.float32)
    np.testing.assert_allclose(np.asarray(jax.jit(instance_norm)(x)).var((0, 1, 2)), [1 / 2, 3 / 4, 0.99], rtol=1e-4)
