import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.masked_conv import MaskedConv, causal_mask, gate, masked_normal, next_row, shifted_down


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
    kernel = np.asarray(masked_normal(jax.random.key(0), mask.shape, mask=mask, gain=2.0))
    assert (kernel[~mask] == 0).all()
    for channel in range(3):
        outputs = np.arange(60) % 3 == channel
        # Three pixels above and one to the left of 60 maps, and at the centre the groups up to the output's own.
        fan_in = 4 * 60 + 20 * (channel + 1)
        drawn = kernel[..., outputs][mask[..., outputs]]
        np.testing.assert_allclose(drawn.var(), 2 / fan_in, rtol=0.1)


@pytest.mark.parametrize(("mask", "channels"), [("A", 1), ("A", 3), ("B", 3), ("above", 1)])
def test_a_convolution_is_that_of_xla_with_the_masked_kernel(mask, channels):
    x = jax.random.normal(jax.random.key(0), (2, 4, 5, 3))
    kernel = jax.random.normal(jax.random.key(2), (2, 3, 3, 6))  # not zero where masked
    bias = jnp.arange(6.0)
    full = kernel * causal_mask((2, 3), 3, 6, mask=mask, channels=channels)
    full = jnp.pad(full, ((0, 1), (0, 0), (0, 0), (0, 0)))  # with the row below the centre
    expected = jax.lax.conv_general_dilated(x, full, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
    ours = MaskedConv(6, (2, 3), mask, channels=channels).apply({"params": {"kernel": kernel, "bias": bias}}, x)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "mask"), [((2, 5), "A"), ((2, 3), "B"), ((1, 3), "B"), ((1, 1), "B")])
def test_pixel_by_pixel_gives_the_same_map(size, mask):
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 2))
    conv = MaskedConv(3, size, mask, channels=2)
    params = conv.init(jax.random.key(1), x)
    cache = jax.tree.map(jnp.zeros_like, conv.apply(params, x[:, :1], "row", mutable=["cache"])[1])
    pixel = jax.jit(lambda cache, x, place: conv.apply({**params, **cache}, x, place, mutable=["cache"]))
    rows = []
    for y in range(3):
        cache, columns = next_row(cache), []
        for column in range(4):
            out, cache = pixel(cache, x[:, y : y + 1, column : column + 1], column)
            columns.append(out)
        rows.append(jnp.concatenate(columns, axis=2))
    np.testing.assert_allclose(jnp.concatenate(rows, axis=1), conv.apply(params, x), rtol=1e-5, atol=1e-6)


def test_row_by_row_gives_the_same_map():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 2))
    conv = MaskedConv(3, (2, 3), "above")
    params = conv.init(jax.random.key(1), x)
    cache = jax.tree.map(jnp.zeros_like, conv.apply(params, x[:, :1], "row", mutable=["cache"])[1])
    rows = []
    for y in range(3):
        out, cache = conv.apply({**params, **next_row(cache)}, x[:, y : y + 1], "row", mutable=["cache"])
        rows.append(out)
    np.testing.assert_allclose(jnp.concatenate(rows, axis=1), conv.apply(params, x), rtol=1e-5, atol=1e-6)


def test_gate_is_tanh_times_sigmoid_of_the_halves():
    x = np.array([0.5, -1.0, 2.0, 0.3])
    np.testing.assert_allclose(gate(jnp.asarray(x)), np.tanh(x[:2]) / (1 + np.exp(-x[2:])), rtol=1e-6)


def test_shifting_down_loses_the_last_row():
    x = jnp.arange(6.0).reshape(1, 3, 2, 1)
    np.testing.assert_array_equal(shifted_down(x)[0, :, :, 0], [[0, 0], [0, 1], [2, 3]])


def test_a_window_gives_the_convolution_where_the_kernel_fits():
    conv, x = MaskedConv(4, (2, 5), "B"), jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 7, 3)), jnp.float32)
    params = conv.init(jax.random.key(0), x)
    window = conv.apply(params, x[:, 1:3, 2:7], "window")
    np.testing.assert_allclose(window, conv.apply(params, x)[:, 2:3, 4:5], rtol=1e-5, atol=1e-6)
