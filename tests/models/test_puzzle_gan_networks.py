"""Dependence of the generator's outputs on the order of the patches and on the noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.models.adversarial.puzzle_gan_networks import Generator, PartEncoder, capped_channels

SHAPE = (16, 16, 1)
KEY = jax.random.key(0)
PATCHES = np.random.default_rng(0).random((4, 3, 6, 6, 1))
GENERATOR = Generator(SHAPE, (2, 4), 5)


@functools.cache
def variables():
    """Variables with kernels of 0.5 in place of 0.02, so that outputs differ, and shifted running statistics."""
    found = jax.device_get(jax.jit(GENERATOR.init)(KEY, np.zeros((1, 3, 6, 6, 1)), np.zeros((1, 3))))
    params = jax.tree.map(lambda leaf: 25 * leaf if leaf.ndim > 1 else leaf, found["params"])
    return {"params": params, "batch_stats": jax.tree.map(lambda leaf: leaf + 0.3, found["batch_stats"])}


@functools.cache
def run(train=False):
    def both(variables, patches, z):
        if not train:
            return GENERATOR.apply(variables, patches, z)
        return GENERATOR.apply(variables, patches, z, train=True, mutable=["batch_stats"])

    return jax.jit(both)


@pytest.mark.parametrize("train", [False, True])
def test_image_mask_and_statistics_do_not_depend_on_the_order_of_the_patches(train):
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables())
    with jax.enable_x64(True):
        z = np.random.default_rng(1).random((4, 3))
        before = jax.device_get(run(train)(wide, PATCHES, z))
        for order in ([2, 0, 1], [1, 0, 2]):
            after = run(train)(wide, PATCHES[:, order], z)
            jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13), after, before)
        changed = PATCHES.copy()
        changed[:, 1] = PATCHES[:, 0]  # it is not that patches do not count
        for one, other in zip(
            jax.tree.leaves(jax.device_get(run(train)(wide, changed, z))), jax.tree.leaves(before), strict=True
        ):
            assert np.abs(one - other).max() > 1e-4


def test_two_patches_may_change_places():
    """In float32, up to its rounding."""
    pair, z = PATCHES[:, :2].astype(np.float32), np.ones((4, 3))
    before, after = (run()(variables(), patches, z) for patches in (pair, pair[:, ::-1]))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), after, before)


def test_no_noise_reaches_the_mask():
    @jax.jit
    def jacobians(variables, z):
        return jax.jacfwd(lambda z: GENERATOR.apply(variables, jnp.asarray(PATCHES[:1], jnp.float32), z))(z)

    of_image, of_mask = jax.device_get(jacobians(variables(), np.random.default_rng(0).random((1, 3))))
    assert (of_mask == 0).all()
    assert (np.abs(of_image).max(axis=(0, 1, 2, 3, 4)) > 1e-4).all()


def test_images_and_masks_lie_between_0_and_1():
    image, mask = jax.device_get(run()(variables(), 100 * PATCHES.astype(np.float32), np.ones((4, 3))))
    for output in (image, mask):
        assert output.shape == (4, 16, 16, 1)
        assert output.min() >= 0
        assert output.max() <= 1
        assert output.std() > 0.01


def test_the_encoding_is_the_sum_of_those_of_single_patches():
    encoder = PartEncoder(SHAPE, (2, 4), 5)
    own = {part: tree["encoder"] for part, tree in variables().items()}
    encode = functools.partial(jax.jit(encoder.apply), own)
    patches = PATCHES.astype(np.float32)
    together, singles = jax.device_get((encode(patches), [encode(patches[:, i : i + 1]) for i in range(3)]))
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
        together,
        jax.tree.map(lambda *parts: sum(parts), *singles),
    )
    assert [maps.shape[1:] for maps in together[0]] == [(8, 8, 2), (4, 4, 4)]
    assert together[1].shape == (4, 5)


def test_where_there_is_batch_normalization():
    norms = {
        "/".join(str(part.key) for part in path[:-1])
        for path, _ in jax.tree_util.tree_leaves_with_path(variables()["batch_stats"])
    }
    assert norms == {"encoder/convs/norm_1", "mask/norm", "mask/norm_0", "image/norm", "image/norm_0"}


@pytest.mark.parametrize(
    ("side", "channels"),
    [
        (16, (64, 128)),
        (28, (64, 128)),
        (32, (64, 128, 256)),
        (64, (64, 128, 256, 512)),
        (128, (64, 128, 256, 512, 512)),
    ],
)
def test_the_architecture_follows_from_the_size(side, channels):
    assert capped_channels((side, side, 3), 64) == channels
    generator = Generator((side, side, 3), capped_channels((side, side, 3), 2), 5)
    shapes = jax.eval_shape(lambda: generator.init_with_output(KEY, jnp.zeros((2, 3, 9, 7, 3)), jnp.zeros((2, 4)))[0])
    assert [one.shape for one in shapes] == [(2, side, side, 3), (2, side, side, 1)]


@pytest.mark.parametrize(
    ("shape", "filters", "message"),
    [((30, 30, 1), 4, "height and width must be 4, 5, 6, 7 times"), (SHAPE, 0, "filters=0 must be at least 1")],
)
def test_what_cannot_be_built_is_named(shape, filters, message):
    with pytest.raises(ValueError, match=message):
        capped_channels(shape, filters)
