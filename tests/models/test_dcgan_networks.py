"""The networks of DCGAN: their shapes, where batch normalization is, and what their features are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.models.adversarial.dcgan_networks import Discriminator, Generator, StridedConvs, halvings, pooled_features

KEY = jax.random.key(0)

SHAPES = {
    (8, 8, 1): [4],
    (16, 16, 1): [4, 8],
    (28, 28, 1): [7, 14],
    (32, 32, 3): [4, 8, 16],
    (64, 64, 3): [4, 8, 16, 32],
}
"""The sides of the maps of each layer, from the smallest."""


def channels_of(image_shape, filters=128):
    return tuple(filters * 2**layer for layer in range(halvings(image_shape)))


def outputs_of_layers(module, x):
    """Layer name -> shape of its output for one example."""

    def run(key, x):
        variables = module.init(key, x)
        return module.apply(variables, x, capture_intermediates=True, mutable=["intermediates"])[1]

    found = jax.eval_shape(run, KEY, x)["intermediates"]
    return {name: value["__call__"][0].shape[1:] for name, value in found.items() if name not in ("__call__", "convs")}


@pytest.mark.parametrize("image_shape", SHAPES)
def test_every_layer_doubles_or_halves(image_shape):
    sides, channels = SHAPES[image_shape], channels_of(image_shape)
    assert len(channels) == len(sides)
    generator = outputs_of_layers(Generator(image_shape, channels[::-1]), np.zeros((1, 100)))
    assert generator["linear"] == (sides[0] ** 2 * channels[-1],)
    expected = [(side, side, width) for side, width in zip(sides[1:], channels[-2::-1], strict=True)]
    assert [generator[f"transpose_{n}"] for n in range(len(sides))] == [*expected, image_shape]
    convs = outputs_of_layers(StridedConvs(channels), np.zeros((1, *image_shape)))
    maps = [(side, side, width) for side, width in zip(sides[::-1], channels, strict=True)]
    assert [convs[f"conv_{n}"] for n in range(len(sides))] == maps
    assert outputs_of_layers(Discriminator(channels), np.zeros((1, *image_shape)))["logit"] == (1,)


def test_at_64_pixels_the_maps_are_those_of_the_papers_figure():
    assert channels_of((64, 64, 3))[::-1] == (1024, 512, 256, 128)


def features(image_shape, filters):
    convs = StridedConvs(channels_of(image_shape, filters))
    images = jnp.zeros((1, *image_shape))
    return jax.eval_shape(lambda key: pooled_features(convs.init_with_output(key, images)[0]), KEY).shape[1]


def test_features_at_32_pixels_and_256_filters_are_the_papers_28672():
    assert features((32, 32, 3), 256) == 28_672
    assert features((28, 28, 1), 32) == 16 * (32 + 64)


@functools.cache
def small(image_shape=(16, 16, 1), filters=2):
    """Generator and discriminator with their variables."""
    channels = channels_of(image_shape, filters)
    generator, discriminator = Generator(image_shape, channels[::-1]), Discriminator(channels)
    z = np.random.default_rng(0).normal(size=(3, 5))
    images, variables = jax.jit(generator.init_with_output)(KEY, z)
    return generator, variables, images, discriminator, jax.jit(discriminator.init)(KEY, images)


def test_batch_norm_is_absent_after_the_last_layer_of_one_and_the_first_and_last_of_the_other():
    _, generator, _, _, discriminator = small()
    assert set(generator["params"]) == {"linear", "norm", "transpose_0", "norm_0", "transpose_1"}
    assert set(generator["batch_stats"]) == {"norm", "norm_0"}
    assert set(discriminator["params"]) == {"convs", "logit"}
    assert set(discriminator["params"]["convs"]) == {"conv_0", "conv_1", "norm_1"}
    assert set(discriminator["batch_stats"]["convs"]) == {"norm_1"}


def test_no_layer_has_a_bias_but_batch_norm():
    for variables in (small()[1], small()[4]):
        paths = jax.tree_util.tree_leaves_with_path(variables["params"])
        biased = [jax.tree_util.keystr(path) for path, _ in paths if "bias" in jax.tree_util.keystr(path)]
        assert biased
        assert all("norm" in path for path in biased)


def test_weights_start_with_the_papers_deviation():
    generator = Generator((8, 8, 1), (64,))
    params = jax.device_get(jax.jit(generator.init)(KEY, np.zeros((1, 100)))["params"])
    kernel, scale = np.asarray(params["linear"]["kernel"]), np.asarray(params["norm"]["scale"])
    for values, mean in ((kernel, 0), (scale, 1)):
        np.testing.assert_allclose(values.std(), 0.02, rtol=5 / np.sqrt(2 * values.size))
        np.testing.assert_allclose(values.mean(), mean, atol=5 * 0.02 / np.sqrt(values.size))
    assert (params["norm"]["bias"] == 0).all()


def test_images_are_in_0_to_1_outside_and_in_minus_1_to_1_inside():
    """Without biases grey is 0 in every map and gives the logit 0; the negative of an image has minus its first maps
    before the leaky ReLU."""
    _, _, images, discriminator, variables = small()
    images = np.asarray(images)
    assert 0 < images.min() < 0.5 < images.max() < 1
    grey = np.full((2, 16, 16, 1), 0.5)
    np.testing.assert_allclose(jax.jit(discriminator.apply)(variables, grey), 0, atol=1e-6)
    convs = StridedConvs(discriminator.channels)
    inner = {name: tree["convs"] for name, tree in variables.items()}
    apply = jax.jit(convs.apply)
    one, other = (np.asarray(apply(inner, x)[0]) for x in (images, 1 - images))
    linear = np.where(one > 0, one, one / 0.2)
    np.testing.assert_allclose(np.where(linear < 0, -linear, -0.2 * linear), other, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4, 1), (30, 30, 1), (18, 18, 3), (64, 32, 3), (27, 27, 1)])
def test_a_size_that_halving_does_not_bring_down_is_refused(shape):
    with pytest.raises(ValueError, match=r"image_shape=\(.*\): height and width must be 4, 5, 6, 7 times one power"):
        halvings(shape)


def test_sizes_in_between_are_reached():
    assert [halvings((side, side, 1)) for side in (10, 12, 14, 20, 48, 56)] == [1, 1, 1, 2, 3, 3]
    assert halvings((16, 28, 1)) == 2


def test_features_are_the_greatest_values_in_four_by_four_windows():
    rng = np.random.default_rng(0)
    wide, odd = rng.normal(size=(2, 8, 8, 3)), rng.normal(size=(2, 7, 7, 2))
    found = np.asarray(jax.jit(pooled_features)([wide, odd]))
    of_wide = wide.reshape(2, 4, 2, 4, 2, 3).max(axis=(2, 4))
    windows = [slice(0, 2), slice(1, 4), slice(3, 6), slice(5, 7)]
    of_odd = np.stack([[odd[:, rows, columns].max(axis=(1, 2)) for columns in windows] for rows in windows])
    expected = np.concatenate([of_wide.reshape(2, -1), of_odd.transpose(2, 0, 1, 3).reshape(2, -1)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_batch_moves_the_running_statistics_of_batch_norm_by_a_tenth():
    """From mean 0 and variance 1, of the batch's numbers of each unit."""
    generator, variables, *_ = small()
    z = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    run = jax.jit(lambda z: generator.apply(variables, z, train=True, mutable=["batch_stats"])[1])
    moved = run(z)["batch_stats"]["norm"]
    units = z @ np.asarray(variables["params"]["linear"]["kernel"])
    np.testing.assert_allclose(moved["mean"], 0.1 * units.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moved["var"], 0.9 + 0.1 * units.var(0), rtol=1e-5)
