import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks import pixel_recurrent
from genjax.networks.pixel_recurrent import DiagonalBiLSTM, RowLSTM, skew, unskew
from genjax.testing import assert_autoregressive, jacobian_pattern

LAYERS = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}
every_layer = pytest.mark.parametrize("name", LAYERS)


def random_layer(name, *, features=3, in_features=4, channels=1):
    """A layer and its parameters in float64, none of them 0, not even where a mask is."""
    layer = LAYERS[name](features, in_features, channels)
    params = jax.eval_shape(layer.init, jax.random.key(0), np.zeros((1, 2, 2, in_features)))["params"]
    rng = np.random.default_rng(1)
    return layer, jax.device_put({key: rng.normal(0, 0.7, leaf.shape) for key, leaf in params.items()})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell(gates, c):
    """Equation (3) for one pixel."""
    o, f, i, g = np.split(gates, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def channel_mask(inputs, features, channels):
    """Which inputs the gates may see at the pixel itself; unit j of each gate belongs to channel j % channels."""
    unit = np.tile(np.arange(features) % channels, 4)
    return (np.arange(inputs) % channels)[:, None] <= unit


def plain_row_lstm(p, x, channels):
    """Pixel by pixel, one image [H, W, F]."""
    height, width, inputs = x.shape
    size = len(p["initial_h"])
    left, here = p["input_to_state"][:inputs], p["input_to_state"][inputs:] * channel_mask(inputs, size, channels)
    states = {(-1, j): (p["initial_h"], p["initial_c"]) for j in range(width)}
    nothing = np.zeros(size)
    for r, j in np.ndindex(height, width):
        before = [states.get((r - 1, j + step), (nothing, nothing))[0] for step in (-1, 0, 1)]
        gates = p["bias"] + x[r, j] @ here + np.concatenate(before) @ p["state_to_state"]
        if j > 0:
            gates = gates + x[r, j - 1] @ left
        states[r, j] = cell(gates, states[r - 1, j][1])
    return np.array([[states[r, j][0] for j in range(width)] for r in range(height)])


def plain_stream(p, x, channels):
    """One stream of the Diagonal BiLSTM from left to right, pixel by pixel, one image [H, W, F]."""
    height, width, inputs = x.shape
    size = len(p["initial_h"])
    here = p["input_to_state"] * channel_mask(inputs, size, channels)
    states = {}
    outside = (p["initial_h"], p["initial_c"])
    for r, j in np.ndindex(height, width):
        left, above = states.get((r, j - 1), outside), states.get((r - 1, j), outside)
        before = np.concatenate([above[0], left[0]])
        states[r, j] = cell(p["bias"] + x[r, j] @ here + before @ p["state_to_state"], left[1])
    return np.array([[states[r, j][0] for j in range(width)] for r in range(height)])


def plain_diagonal_bilstm(p, x, channels):
    left, right = ({key: leaf[stream] for key, leaf in p.items()} for stream in (0, 1))
    from_right = plain_stream(right, x[:, ::-1], channels)[:, ::-1]
    return plain_stream(left, x, channels) + np.concatenate([np.zeros_like(from_right[:1]), from_right[:-1]])


PLAIN = {"row": plain_row_lstm, "diagonal": plain_diagonal_bilstm}


@every_layer
@pytest.mark.parametrize("shape", [(4, 6), (5, 2), (1, 1)])
def test_layer_equals_the_recurrence_pixel_by_pixel(name, shape):
    with jax.enable_x64(True):
        layer, params = random_layer(name, in_features=5, channels=3)
        x = np.random.default_rng(2).normal(size=(2, *shape, 5))
        ours = jax.jit(layer.apply)({"params": params}, x)
        theirs = [PLAIN[name](jax.device_get(params), one, 3) for one in x]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


@every_layer
def test_pixel_by_pixel_equals_the_whole_map(name):
    with jax.enable_x64(True):
        layer, params = random_layer(name)
        x = np.random.default_rng(2).normal(size=(2, 3, 4, 4))
        cache = jax.jit(lambda: layer.apply({"params": params}, 2, 4, method="start"))()
        pixel = jax.jit(functools.partial(layer.apply, {"params": params}, method="pixel"))
        end_row = jax.jit(functools.partial(layer.apply, {"params": params}, method="end_row"))
        rows = []
        for r in range(3):
            row = []
            for j in range(4):
                cache, _ = pixel(cache, 1 - x[:, r, j], j)  # what was kept is replaced by
                cache, h = pixel(cache, x[:, r, j], j)
                row.append(h)
            cache = end_row(cache)
            rows.append(np.stack(row, axis=1))
        whole = jax.jit(layer.apply)({"params": params}, x)
        np.testing.assert_allclose(np.stack(rows, 1), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(3, 5), (5, 3), (4, 4), (1, 3), (3, 1)])
def test_skew_puts_diagonals_into_columns_and_unskew_undoes_it(height, width):
    x = np.arange(1.0, 1 + 2 * height * width * 2).reshape(2, height, width, 2)
    skewed = jax.jit(skew)(x)
    assert skewed.shape == (2, height, width + height - 1, 2)
    expected = np.zeros(skewed.shape)
    for r, j in np.ndindex(height, width):
        expected[:, r, r + j] = x[:, r, j]
    np.testing.assert_array_equal(skewed, expected)
    np.testing.assert_array_equal(jax.jit(unskew)(skewed), x)


def after_one_pixel(name, size=5):
    """The layer on an image whose pixels are delayed by one, so that it does not see a pixel's own value."""
    layer, params = random_layer(name, in_features=1)

    @jax.jit
    def logits(x):
        flat = x.reshape(len(x), -1)
        late = jnp.pad(flat[:, :-1], ((0, 0), (1, 0))).reshape(x.shape)
        return layer.apply({"params": params}, late)

    return logits, jnp.asarray(np.random.default_rng(3).normal(size=(3, size, size, 1)))


def test_diagonal_bilstm_sees_all_pixels_before_and_no_other():
    with jax.enable_x64(True):
        assert_autoregressive(*after_one_pixel("diagonal"))


def row_below(h, initial):
    """The mistake of a convolution over two rows that is padded at the bottom: it reads rows r and r + 1."""
    return jnp.concatenate([h[:, 1:], jnp.broadcast_to(initial, h[:, :1].shape)], axis=1)


def shift_nothing(x):
    """The mistake of dropping the last row and padding with zeros below it, instead of above."""
    return jnp.pad(x[:, :-1], ((0, 0), (0, 1), (0, 0), (0, 0)))


# On 5x5 pixels, counted by hand. Reading the row below, the left stream at (r, j) sees row r + k up to column j - 2k:
# 4 rows x 6 pairs for k = 1 and 3 rows x 1 for k = 2 make 27, and the right stream has its mirror image, one row
# lower. Not shifted, the right stream shows each of 4 rows all that is right of a pixel: 4 + 3 + 2 + 1 + 0 pairs.
@pytest.mark.parametrize(
    ("function", "mistake", "leaks"), [("row_above", row_below, 54), ("shifted_down", shift_nothing, 40)]
)
def test_two_published_mistakes_leak_the_future_and_are_found(monkeypatch, function, mistake, leaks):
    monkeypatch.setattr(pixel_recurrent, function, mistake)
    with jax.enable_x64(True), pytest.raises(AssertionError, match=f"itself or a later one; {leaks} such pairs"):
        assert_autoregressive(*after_one_pixel("diagonal"))


def test_row_lstm_sees_its_triangle_and_no_more():
    """Row r - d from column j - d - 1 to j + d: one column to each side per row, and one to the left in each row."""
    with jax.enable_x64(True):
        layer, params = random_layer("row", in_features=1)
        x = jnp.asarray(np.random.default_rng(3).normal(size=(3, 4, 6, 1)))
        depends = jacobian_pattern(jax.jit(lambda x: layer.apply({"params": params}, x)), x).reshape(4, 6, 4, 6)
    for r, j, row, column in np.ndindex(depends.shape):
        up = r - row
        assert depends[r, j, row, column] == (up >= 0 and j - up - 1 <= column <= j + up)
