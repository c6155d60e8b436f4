import functools

import jax
import numpy as np
import pytest

from genjax.networks.masked_conv import MaskedConv, causal_mask, gate, masked_normal, next_row, shifted_down


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_mask_of_one_channel():
    """Everything above, everything to the left; at the centre nothing (A) or the pixel itself (B)."""
    a, b = (causal_mask((2, 5), 1, 1, mask=mask, channels=1)[:, :, 0, 0] for mask in ("A", "B"))
    np.testing.assert_array_equal(a, [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(b, [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    assert causal_mask((2, 5), 1, 1, mask="above", channels=1).all()


def test_mask_of_channels_at_the_centre():
    """Feature i belongs to channel i mod 3; the second copy of four features starts again at channel 0."""
    a, b = (causal_mask((1, 1), 4, 4, mask=mask, channels=3, copies=2)[0, 0] for mask in ("A", "B"))
    strictly_before = np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0]])
    not_after = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 1, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(a, np.tile(strictly_before, 2))
    np.testing.assert_array_equal(b, np.tile(not_after, 2))


def test_weights_have_the_variance_of_their_masked_fan_in():
    mask = causal_mask((2, 3), 60, 60, mask="B", channels=3)
    init = functools.partial(masked_normal, shape=mask.shape, mask=mask, gain=2.0)
    kernel = np.asarray(jax.jit(init)(jax.random.key(0)))
    assert (kernel[~mask] == 0).all()
    for channel in range(3):
        outputs = np.arange(60) % 3 == channel
        # Three pixels above and one to the left of 60 maps, and at the centre the groups up to the output's own.
        fan_in = 4 * 60 + 20 * (channel + 1)
        drawn = kernel[..., outputs][mask[..., outputs]]
        np.testing.assert_allclose(drawn.var(), 2 / fan_in, rtol=0.1)


@pytest.mark.parametrize(("mask", "channels"), [("A", 1), ("A", 3), ("B", 3), ("above", 1)])
def test_a_convolution_is_that_of_xla_with_the_masked_kernel(mask, channels):
    x = random(2, 4, 5, 3)
    kernel = random(2, 3, 3, 6, seed=2)  # not zero where masked
    bias = np.arange(6, dtype=np.float32)
    full = kernel * causal_mask((2, 3), 3, 6, mask=mask, channels=channels)
    full = np.pad(full, ((0, 1), (0, 0), (0, 0), (0, 0)))  # with the row below the centre
    expected = jax.lax.conv_general_dilated(x, full, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
    conv = MaskedConv(6, (2, 3), mask, channels=channels)
    ours = jax.jit(conv.apply)({"params": {"kernel": kernel, "bias": bias}}, x)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def empty_cache(conv, params, x):
    """What the convolution remembers before the first row."""
    _, cache = jax.eval_shape(lambda x: conv.apply(params, x, "row", mutable=["cache"]), x[:, :1])
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), cache)


@pytest.mark.parametrize(("size", "mask"), [((2, 5), "A"), ((2, 3), "B"), ((1, 3), "B"), ((1, 1), "B")])
def test_pixel_by_pixel_gives_the_same_map(size, mask):
    x = random(2, 3, 4, 2)
    conv = MaskedConv(3, size, mask, channels=2)
    params = jax.jit(conv.init)(jax.random.key(1), x)
    cache = empty_cache(conv, params, x)
    pixel = jax.jit(lambda cache, x, place: conv.apply({**params, **cache}, x, place, mutable=["cache"]))
    rows = []
    for y in range(3):
        cache, columns = jax.jit(next_row)(cache), []
        for column in range(4):
            out, cache = pixel(cache, x[:, y : y + 1, column : column + 1], column)
            columns.append(out)
        rows.append(np.concatenate(columns, axis=2))
    whole = jax.jit(conv.apply)(params, x)
    np.testing.assert_allclose(np.concatenate(rows, axis=1), whole, rtol=1e-5, atol=1e-6)


def test_row_by_row_gives_the_same_map():
    x = random(2, 3, 4, 2)
    conv = MaskedConv(3, (2, 3), "above")
    params = jax.jit(conv.init)(jax.random.key(1), x)
    cache = empty_cache(conv, params, x)
    row = jax.jit(lambda cache, x: conv.apply({**params, **next_row(cache)}, x, "row", mutable=["cache"]))
    rows = []
    for y in range(3):
        out, cache = row(cache, x[:, y : y + 1])
        rows.append(out)
    whole = jax.jit(conv.apply)(params, x)
    np.testing.assert_allclose(np.concatenate(rows, axis=1), whole, rtol=1e-5, atol=1e-6)


def test_gate_is_tanh_times_sigmoid_of_the_halves():
    x = np.array([0.5, -1.0, 2.0, 0.3])
    np.testing.assert_allclose(jax.jit(gate)(x), np.tanh(x[:2]) / (1 + np.exp(-x[2:])), rtol=1e-6)


def test_shifting_down_loses_the_last_row():
    x = np.arange(6.0).reshape(1, 3, 2, 1)
    shifted = np.asarray(jax.jit(shifted_down)(x))
    np.testing.assert_array_equal(shifted[0, :, :, 0], [[0, 0], [0, 1], [2, 3]])


def test_a_window_gives_the_convolution_where_the_kernel_fits():
    conv, x = MaskedConv(4, (2, 5), "B"), random(2, 6, 7, 3)
    params = jax.jit(conv.init)(jax.random.key(0), x)
    window = jax.jit(lambda x: conv.apply(params, x, "window"))(x[:, 1:3, 2:7])
    whole = np.asarray(jax.jit(conv.apply)(params, x))
    np.testing.assert_allclose(window, whole[:, 2:3, 4:5], rtol=1e-5, atol=1e-6)
