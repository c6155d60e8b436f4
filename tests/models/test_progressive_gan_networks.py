"""The networks of Progressive GAN: the paper's formulas in NumPy, and growth without a step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.signal import correlate

from genjax.models.adversarial.progressive_gan_networks import (
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
    return RNG.normal(size=shape).astype(np.float32)


def test_pixel_norm_is_the_papers():
    a = normal(2, 3, 3, 5)
    norm = np.sqrt((a**2).sum(axis=-1, keepdims=True) / 5 + 1e-8)
    found = jax.jit(pixel_norm)(a)
    np.testing.assert_allclose(found, a / norm, rtol=1e-5)
    np.testing.assert_allclose((np.asarray(found) ** 2).mean(axis=-1), 1, rtol=1e-5)


def deviation_of(x):
    """One group: sec. 3 as it is written, with the code's 1e-8."""
    return np.mean([np.sqrt(((one - one.mean()) ** 2).mean() + 1e-8) for one in np.reshape(x, (len(x), -1)).T])


@functools.partial(jax.jit, static_argnames="group")
def deviation(x, group):
    return minibatch_deviation(x, group=group)


def test_the_minibatch_deviation_is_the_papers_over_the_whole_batch():
    x = normal(6, 2, 2, 3)
    for group in (0, 6, 100):
        np.testing.assert_allclose(deviation(x, group), [deviation_of(x)] * 6, rtol=1e-5)
    np.testing.assert_allclose(deviation(x[::-1], 0), deviation(x, 0), rtol=1e-5)
    np.testing.assert_allclose(deviation(np.ones((6, 2, 2, 3), np.float32), 0), 1e-4, rtol=1e-5)


def test_groups_are_those_of_the_authors_code():
    """Reshaped to [group, batch / group]: example n is with those whose number is n modulo batch / group."""
    x = normal(6, 2, 2, 3)
    expected = [deviation_of(x[n % 3 :: 3]) for n in range(6)]
    assert len(set(expected)) == 3
    np.testing.assert_allclose(deviation(x, 2), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="group=4 must divide the batch, which has 6 examples"):
        deviation(x, 4)


def test_the_deviation_is_one_more_map_and_outside_training_its_running_mean():
    x, module, variables = normal(6, 2, 2, 3), MinibatchDeviation(), {"batch_stats": {"deviation": jnp.asarray(0.5)}}
    maps, moved = jax.jit(lambda x: module.apply(variables, x, train=True, mutable=["batch_stats"]))(x)
    np.testing.assert_array_equal(maps[..., :3], x)
    np.testing.assert_allclose(maps[..., 3], deviation_of(x), rtol=1e-5)
    running = MOMENTUM * 0.5 + (1 - MOMENTUM) * deviation_of(x)
    np.testing.assert_allclose(moved["batch_stats"]["deviation"], running, rtol=1e-5)
    np.testing.assert_array_equal(jax.jit(lambda x: module.apply(variables, x))(x)[..., 3], 0.5)


def test_an_equalized_layer_scales_at_run_time():
    """By gain / sqrt(inputs of a unit): sqrt(2 / 27) for a convolution of 3 channels."""
    x, dense, conv = normal(2, 4, 4, 3), EqualizedDense(2, 1.0), EqualizedConv(2)
    kernel, filters, bias = normal(3, 2), normal(3, 3, 3, 2), normal(2)
    found = jax.jit(dense.apply)({"params": {"kernel": kernel, "bias": bias}}, x)
    np.testing.assert_allclose(found, x @ kernel / np.sqrt(3) + bias, rtol=1e-4, atol=1e-6)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    sums = [correlate(padded, filters[None, ..., out], mode="valid")[..., 0] for out in range(2)]
    found = jax.jit(conv.apply)({"params": {"kernel": filters, "bias": bias}}, x)
    np.testing.assert_allclose(found, np.stack(sums, -1) * np.sqrt(2 / 27) + bias, rtol=1e-4, atol=1e-5)


def test_a_step_of_adam_is_as_large_for_all_effective_weights_whatever_their_scale():
    """The step size times the constant (sec. 4.1), and not times the weight's own scale."""
    x, adam, layer = jnp.asarray(normal(8, 3)), optax.adam(1e-3, b1=0.0, b2=0.99), EqualizedDense(2)

    @jax.jit
    def change(kernel):
        params = {"params": {"kernel": kernel, "bias": jnp.zeros(2)}}
        gradient = jax.grad(lambda params: layer.apply(params, x).sum())(params)
        updates, _ = adam.update(gradient, adam.init(params))
        new = {"params": {"kernel": updates["params"]["kernel"], "bias": jnp.zeros(2)}}
        return layer.apply(new, jnp.eye(3))

    for scale in (0.01, 100.0):
        np.testing.assert_allclose(np.abs(change(scale * normal(3, 2))), 1e-3 * np.sqrt(2 / 3), rtol=1e-5)


def test_weights_start_at_a_deviation_of_1_and_maps_keep_theirs():
    outputs, variables = jax.jit(EqualizedDense(300).init_with_output)(jax.random.key(0), normal(300, 200))
    np.testing.assert_allclose(variables["params"]["kernel"].std(), 1, rtol=0.02)
    np.testing.assert_allclose(outputs.std(), np.sqrt(2), rtol=0.05)


@functools.cache
def variables():
    """Of both networks at the last level, with random numbers in all places."""
    images = jnp.zeros((1, 4 * 2**LAST, 4 * 2**LAST, 2))
    generator, discriminator = Generator(4, CHANNELS, 2, LAST, float(LAST)), Discriminator(CHANNELS, LAST, float(LAST))
    shapes = jax.eval_shape(
        lambda key: (generator.init(key, jnp.zeros((1, 6))), discriminator.init(key, images)), jax.random.key(1)
    )
    return jax.tree.map(lambda leaf: normal(*leaf.shape), shapes)


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
    return np.asarray(compiled(network, level)({**both, "params": tree}, inputs, depth))


def generated(z, *, level, depth, change=None):
    return applied(0, z, level, depth, change)


def judged(images, *, level, depth, change=None):
    return applied(1, images, level, depth, change)


def close(a, b):
    """Equal up to float32 rounding: the programs of two levels may round differently."""
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


Z, IMAGES = normal(3, 6), normal(3, 16, 16, 2)
halve, double = jax.jit(halved), jax.jit(doubled)


def test_growth_is_continuous():
    """Before a level and at its alpha = 0: the same images, doubled, and the same outputs."""
    small, outputs = generated(Z, level=1, depth=1.0), judged(halve(IMAGES), level=1, depth=1.0)
    close(generated(Z, level=2, depth=1.0), double(small))
    close(judged(IMAGES, level=2, depth=1.0), outputs)
    close(judged(double(small), level=2, depth=1.0), judged(small, level=1, depth=1.0))
    assert np.abs(generated(Z, level=2, depth=1.01) - double(small)).max() > 1e-3
    assert np.abs(judged(IMAGES, level=2, depth=1.01) - outputs).max() > 1e-3


@pytest.mark.parametrize("depth", [1.5, 2.0])
def test_a_level_that_is_there_has_nothing_of_what_the_one_before_shows(depth):
    images, outputs = generated(Z, level=2, depth=depth), judged(IMAGES, level=2, depth=depth)
    without = generated(Z, level=2, depth=depth, change="to_image_1")
    unread = judged(IMAGES, level=2, depth=depth, change="from_image_1")
    for one, other in ((images, without), (outputs, unread)):
        assert (np.abs(one - other).max() > 1e-3) == (depth < 2)
        if depth == 2:
            close(one, other)


def test_between_two_levels_images_are_mixed_by_alpha():
    """The generator's as the real ones (`process_reals` of the authors' code)."""
    small, large = generated(Z, level=1, depth=1.0), generated(Z, level=2, depth=2.0)
    expected = 0.7 * np.repeat(np.repeat(small, 2, 1), 2, 2) + 0.3 * large
    np.testing.assert_allclose(generated(Z, level=2, depth=1.3), expected, rtol=1e-4, atol=1e-5)
    coarse = np.asarray(IMAGES).reshape(3, 8, 2, 8, 2, 2).mean((2, 4))
    expected = 0.7 * np.repeat(np.repeat(coarse, 2, 1), 2, 2) + 0.3 * IMAGES
    np.testing.assert_allclose(real(IMAGES, 2, 1.3), expected, rtol=1e-4, atol=1e-5)


@functools.partial(jax.jit, static_argnames="level")
def real(images, level, depth):
    return faded(pyramid(images, level), depth)


@pytest.mark.parametrize("depth", [0.0, 0.4, 1.0])
def test_a_higher_level_shows_the_same_at_any_depth_below_it(depth):
    """So that one program at the last level can draw and judge whatever the training has reached."""
    close(generated(Z, level=2, depth=depth), double(generated(Z, level=1, depth=depth)))
    small = halve(IMAGES)
    close(judged(IMAGES, level=2, depth=depth), judged(small, level=1, depth=depth))
    close(real(IMAGES, 2, depth), double(real(small, 1, depth)))


def test_halving_undoes_doubling_exactly():
    np.testing.assert_array_equal(halve(double(IMAGES)), IMAGES)
    means = np.asarray(IMAGES).reshape(3, 8, 2, 8, 2, 2).mean((2, 4))
    np.testing.assert_allclose(halve(IMAGES), means, rtol=1e-4, atol=1e-6)


def test_alpha_is_what_a_depth_is_above_the_level_before():
    assert [float(alpha(depth, 2)) for depth in (0.0, 1.0, 1.25, 2.0, 2.5)] == [0, 0, 0.25, 1, 1]
    assert float(alpha(0.0, 0)) == 1


def test_the_first_level_of_the_generator_is_the_papers_in_numpy():
    """Gains are sqrt(2) / 4 in the linear layer, as in the authors' code, sqrt(2) in the convolution and 1 at last."""
    params = variables()[0]["params"]

    def normalized(a):
        return a / np.sqrt((a**2).mean(axis=-1, keepdims=True) + 1e-8)

    def leaky(a):
        return np.where(a > 0, a, 0.2 * a)

    linear, conv, image = (params[name] for name in ("linear", "conv_0_1", "to_image_0"))
    x = normalized(Z) @ linear["kernel"] * np.sqrt(2) / 4 / np.sqrt(6) + linear["bias"]
    x = np.pad(normalized(leaky(x.reshape(3, 4, 4, 5))), ((0, 0), (1, 1), (1, 1), (0, 0)))
    sums = [correlate(x, conv["kernel"][None, ..., out], mode="valid")[..., 0] for out in range(5)]
    x = normalized(leaky(np.stack(sums, -1) * np.sqrt(2) / np.sqrt(9 * 5) + conv["bias"]))
    expected = x @ image["kernel"] / np.sqrt(5) + image["bias"]
    np.testing.assert_allclose(generated(Z, level=0, depth=0.0), expected, rtol=1e-4, atol=1e-5)


def test_a_batch_moves_the_running_deviation_by_a_tenth():
    """Numbers 1 and 3 at every place have the deviation 1, and the running one begins at 0."""
    x = np.array([1, 3], np.float32).reshape(2, 1, 1, 1)
    _, moved = jax.jit(lambda x: MinibatchDeviation().apply({}, x, train=True, mutable=["batch_stats"]))(x)
    np.testing.assert_allclose(moved["batch_stats"]["deviation"], 0.1, rtol=1e-6)
