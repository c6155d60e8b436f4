"""The networks of Progressive GAN: the paper's formulas in NumPy, and growth without a step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.signal import correlate

from genjax.networks.progressive import (
    MOMENTUM,
    Discriminator,
    EqualizedConv,
    EqualizedDense,
    Generator,
    MinibatchDeviation,
    alpha,
    doubled,
    faded,
    halved,
    minibatch_deviation,
    pixel_norm,
    pyramid,
)

RNG = np.random.default_rng(0)
CHANNELS = (5, 4, 3)
LAST = len(CHANNELS) - 1


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def test_pixel_norm_is_the_papers():
    a = normal(2, 3, 3, 5)
    norm = np.sqrt((a**2).sum(axis=-1, keepdims=True) / 5 + 1e-8)
    np.testing.assert_allclose(pixel_norm(a), a / norm, rtol=1e-5)
    np.testing.assert_allclose((np.asarray(pixel_norm(a)) ** 2).mean(axis=-1), 1, rtol=1e-5)


def deviation_of(x):
    """One group: sec. 3 as it is written, with the code's 1e-8."""
    return np.mean([np.sqrt(((one - one.mean()) ** 2).mean() + 1e-8) for one in np.reshape(x, (len(x), -1)).T])


def test_the_minibatch_deviation_is_the_papers_over_the_whole_batch():
    x = normal(6, 2, 2, 3)
    for group in (0, 6, 100):
        np.testing.assert_allclose(minibatch_deviation(x, group=group), [deviation_of(x)] * 6, rtol=1e-5)
    np.testing.assert_allclose(minibatch_deviation(x[::-1]), minibatch_deviation(x), rtol=1e-6)
    np.testing.assert_allclose(minibatch_deviation(jnp.ones((4, 2, 2, 3))), 1e-4, rtol=1e-5)


def test_groups_are_those_of_the_authors_code():
    """Reshaped to [group, batch / group]: example n is with those whose number is n modulo batch / group."""
    x = normal(6, 2, 2, 3)
    expected = [deviation_of(x[n % 3 :: 3]) for n in range(6)]
    assert len(set(expected)) == 3
    np.testing.assert_allclose(minibatch_deviation(x, group=2), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="group=4 must divide the batch, which has 6 examples"):
        minibatch_deviation(x, group=4)


def test_the_deviation_is_one_more_map_and_outside_training_its_running_mean():
    x, module = normal(4, 2, 2, 3), MinibatchDeviation()
    maps, moved = module.apply({"batch_stats": {"deviation": jnp.asarray(0.5)}}, x, train=True, mutable=["batch_stats"])
    np.testing.assert_array_equal(maps[..., :3], x)
    np.testing.assert_allclose(maps[..., 3], deviation_of(x), rtol=1e-5)
    running = MOMENTUM * 0.5 + (1 - MOMENTUM) * deviation_of(x)
    np.testing.assert_allclose(moved["batch_stats"]["deviation"], running, rtol=1e-5)
    np.testing.assert_array_equal(module.apply({"batch_stats": {"deviation": jnp.asarray(0.5)}}, x)[..., 3], 0.5)


def test_an_equalized_layer_scales_at_run_time():
    """By sqrt(2) / sqrt(inputs); for a convolution these are 9 per channel."""
    x, dense, conv = normal(2, 4, 4, 3), EqualizedDense(2, 1.0), EqualizedConv(2)
    kernel, filters, bias = normal(3, 2), normal(3, 3, 3, 2), normal(2)
    found = dense.apply({"params": {"kernel": kernel, "bias": bias}}, x)
    np.testing.assert_allclose(found, x @ kernel / np.sqrt(3) + bias, rtol=1e-4, atol=1e-6)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    sums = [correlate(padded, filters[None, ..., out], mode="valid")[..., 0] for out in range(2)]
    found = conv.apply({"params": {"kernel": filters, "bias": bias}}, x)
    np.testing.assert_allclose(found, np.stack(sums, -1) * np.sqrt(2 / 27) + bias, rtol=1e-4, atol=1e-5)


def test_a_step_of_adam_is_as_large_for_all_effective_weights_whatever_their_scale():
    x = normal(8, 3)
    for scale in (0.01, 100.0):
        layer = EqualizedDense(2)
        params = jax.tree.map(lambda leaf: scale * leaf, layer.init(jax.random.key(0), x))  # noqa: B023
        gradient = jax.grad(lambda params: layer.apply(params, x).sum())(params)  # noqa: B023
        adam = optax.adam(1e-3, b1=0.0, b2=0.99)
        updates, _ = adam.update(gradient, adam.init(params))
        effective = updates["params"]["kernel"] * np.sqrt(2 / 3)
        np.testing.assert_allclose(np.abs(effective), 1e-3 * np.sqrt(2 / 3), rtol=1e-5)


def test_weights_start_at_a_deviation_of_1_and_maps_keep_theirs():
    layer = EqualizedDense(300)
    outputs, variables = layer.init_with_output(jax.random.key(0), normal(300, 200))
    np.testing.assert_allclose(variables["params"]["kernel"].std(), 1, rtol=0.02)
    np.testing.assert_allclose(outputs.std(), np.sqrt(2), rtol=0.05)


@functools.cache
def variables():
    """Of both networks at the last level."""
    images = jnp.zeros((1, 4 * 2**LAST, 4 * 2**LAST, 2))
    generator, discriminator = Generator(4, CHANNELS, 2, LAST, float(LAST)), Discriminator(CHANNELS, LAST, float(LAST))
    return jax.jit(lambda key: (generator.init(key, jnp.zeros((1, 6))), discriminator.init(key, images)))(
        jax.random.key(1)
    )


@functools.cache
def compiled(network, level):
    def run(variables, inputs, depth):
        module = Generator(4, CHANNELS, 2, level, depth) if network == 0 else Discriminator(CHANNELS, level, depth)
        return module.apply(variables, inputs, train=True, mutable=["batch_stats"])[0]

    return jax.jit(run)


def applied(network, inputs, level, depth, change):
    both = variables()[network]
    tree = {**both["params"]}
    if change is not None:
        tree[change] = jax.tree.map(lambda leaf: leaf + 1, tree[change])
    return compiled(network, level)({**both, "params": tree}, inputs, depth)


def generated(z, *, level, depth, change=None):
    return applied(0, z, level, depth, change)


def judged(images, *, level, depth, change=None):
    return applied(1, images, level, depth, change)


@pytest.mark.parametrize("level", [1, 2])
def test_growth_is_continuous(level):
    """Before a level and at its alpha = 0: the same images, doubled, and the same outputs, bit for bit."""
    z, images = normal(3, 6), normal(3, 4 * 2**level, 4 * 2**level, 2)
    before = level - 1.0
    small = generated(z, level=level - 1, depth=before)
    np.testing.assert_array_equal(generated(z, level=level, depth=before), doubled(small))
    outputs = judged(halved(images), level=level - 1, depth=before)
    np.testing.assert_array_equal(judged(images, level=level, depth=before), outputs)
    np.testing.assert_array_equal(
        judged(doubled(small), level=level, depth=before), judged(small, level=level - 1, depth=before)
    )
    assert (generated(z, level=level, depth=before + 0.01) != doubled(small)).any()
    assert (judged(images, level=level, depth=before + 0.01) != outputs).any()


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_that_is_there_has_nothing_of_what_the_one_before_shows(level):
    z, images = normal(3, 6), normal(3, 4 * 2**level, 4 * 2**level, 2)
    for depth in (float(level), level - 0.5):
        same_images = generated(z, level=level, depth=depth) == generated(
            z, level=level, depth=depth, change=f"to_image_{level - 1}"
        )
        same_outputs = judged(images, level=level, depth=depth) == judged(
            images, level=level, depth=depth, change=f"from_image_{level - 1}"
        )
        assert same_images.all() == same_outputs.all() == (depth == level)


def test_between_two_levels_images_are_mixed_by_alpha():
    """The generator's as the real ones (`process_reals` of the authors' code)."""
    z, images = normal(3, 6), normal(3, 8, 8, 2)
    small, large = generated(z, level=0, depth=0.0), generated(z, level=1, depth=1.0)
    found = generated(z, level=1, depth=0.3)
    np.testing.assert_allclose(found, 0.7 * np.repeat(np.repeat(small, 2, 1), 2, 2) + 0.3 * large, rtol=1e-5, atol=1e-6)
    coarse = images.reshape(3, 4, 2, 4, 2, 2).mean((2, 4))
    expected = 0.7 * np.repeat(np.repeat(coarse, 2, 1), 2, 2) + 0.3 * images
    np.testing.assert_allclose(faded(pyramid(images, 1), 0.3), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", [0.0, 0.4, 1.0, 1.7, 2.0])
def test_at_the_last_level_any_depth_has_the_images_and_outputs_of_its_own_level(depth):
    z, images = normal(3, 6), normal(3, 16, 16, 2)
    level = int(np.ceil(depth))
    own, shown, given = generated(z, level=level, depth=depth), faded(pyramid(images, LAST), depth), images
    for _ in range(LAST - level):
        own, given = doubled(own), halved(given)
    np.testing.assert_array_equal(generated(z, level=LAST, depth=depth), own)
    np.testing.assert_array_equal(judged(images, level=LAST, depth=depth), judged(given, level=level, depth=depth))
    real = faded(pyramid(given, level), depth)
    np.testing.assert_allclose(
        judged(shown, level=LAST, depth=depth), judged(real, level=level, depth=depth), rtol=1e-5
    )


def test_halving_undoes_doubling_exactly():
    x = normal(2, 4, 4, 3)
    np.testing.assert_array_equal(halved(doubled(x)), x)
    np.testing.assert_allclose(halved(x), x.reshape(2, 2, 2, 2, 2, 3).mean((2, 4)), rtol=1e-5, atol=1e-7)


def test_alpha_is_what_a_depth_is_above_the_level_before():
    assert [float(alpha(depth, 2)) for depth in (0.0, 1.0, 1.25, 2.0, 2.5)] == [0, 0, 0.25, 1, 1]
    assert float(alpha(0.0, 0)) == 1
