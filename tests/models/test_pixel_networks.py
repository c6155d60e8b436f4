"""PixelCNN, Gated PixelCNN and PixelRNN against the papers' drawings of them, pixel by pixel in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.models.autoregressive import pixel_cnn, pixel_rnn
from genjax.models.autoregressive.pixels import categorical

HEIGHT, WIDTH, CHANNELS, LEVELS, FEATURES = 3, 4, 3, 2, 6
OUTPUT = categorical(LEVELS)
MEAN = np.random.default_rng(2).random((HEIGHT, WIDTH, CHANNELS))


def image():
    return np.random.default_rng(0).random((HEIGHT, WIDTH, CHANNELS))


def random_params(init):
    """Parameters in float64, large enough that every part of the network changes the result."""
    shapes = jax.eval_shape(init, jax.random.key(0))
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape), shapes)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def conv(x, params, mask):
    """A masked convolution, output by output; the kernel's centre is in the middle of its last row."""
    kernel, bias = params["kernel"], params["bias"]
    rows, columns, inputs, outputs = kernel.shape
    half = outputs // 2 if mask.endswith("pair") else outputs  # each half of a pair is counted from channel 0
    y = np.zeros((*x.shape[:2], outputs)) + bias
    for r, j, out in np.ndindex(*x.shape[:2], outputs):
        for up, side, n in np.ndindex(rows, columns, inputs):
            row, column = r - (rows - 1) + up, j - columns // 2 + side
            if row < 0 or not 0 <= column < x.shape[1]:
                continue
            own = n % CHANNELS, out % half % CHANNELS
            past = row < r or column < j
            same = (row, column) == (r, j) and (own[0] < own[1] if mask.startswith("A") else own[0] <= own[1])
            if past or same or mask.startswith("above"):
                y[r, j, out] += kernel[up, side, n, out] * x[row, column, n]
    return y


def read(x, params, first, second):
    """Twice ReLU and a 1x1 convolution; parameter p of channel c is map p C + c."""
    out = conv(relu(conv(relu(x), params[first], "B")), params[second], "B")
    return np.moveaxis(out.reshape(HEIGHT, WIDTH, -1, CHANNELS), 2, 3)


def residual_network(params, x):
    """Figure 5 and table 1 of van den Oord et al. (2016a): h + conv 1x1 (ReLU conv 3x3 (ReLU conv 1x1 (ReLU h)))."""
    h = conv(x, params["first"], "A")
    for block in range(2):
        names = [f"MaskedConv_{3 * block + part}" for part in range(3)]
        inner = h
        for name in names:
            inner = conv(relu(inner), params[name], "B")
        h = h + inner
    return read(h, params, "MaskedConv_6", "MaskedConv_7")


def gate(x):
    a, b = np.split(x, 2, axis=-1)
    return np.tanh(a) * sigmoid(b)


def gated_network(above, params, x):
    """Figure 2 of van den Oord et al. (2016b): the stack above, one row down, feeds the row's, which has residuals."""
    vertical = np.concatenate([np.zeros((1, WIDTH, CHANNELS)), x[:-1]])
    h, skips = x, 0
    for block in range(2):
        gates = conv(vertical, above[f"MaskedConv_{2 * block}"], "above")
        vertical = gate(gates)
        wide, skip, residual = (
            ("first", "MaskedConv_0", "MaskedConv_1") if block == 0 else map("MaskedConv_{}".format, (2, 3, 4))
        )
        sideways = conv(h, params[wide], "A pair" if block == 0 else "B pair")
        gated = gate(sideways + conv(gates, above[f"MaskedConv_{2 * block + 1}"], "above"))
        skips = skips + conv(gated, params[skip], "B")
        h = conv(gated, params[residual], "B") + (h if block else 0)
    return read(skips, params, "MaskedConv_5", "MaskedConv_6")


@pytest.mark.parametrize("gated", [False, True])
def test_pixel_cnn_is_the_network_of_its_paper(gated):
    sizes = {"features": FEATURES, "blocks": 2, "first_kernel": 5, "gated": gated}
    model = pixel_cnn.pixel_cnn((HEIGHT, WIDTH, CHANNELS), output=OUTPUT, **sizes)
    networks, x = pixel_cnn.make_networks(CHANNELS, OUTPUT, **sizes), image()
    params = random_params(lambda key: model.init(key, {"image": jnp.zeros((1, HEIGHT, WIDTH, CHANNELS))})[0])
    with jax.enable_x64(True):
        conditionals = jax.jit(lambda params, x: pixel_cnn.conditionals(networks, params, x, None, MEAN))
        ours = np.asarray(conditionals(params, x[None]))
    weights, centred = params["pixels"]["params"], 2 * (x - MEAN)
    theirs = gated_network(params["above"]["params"], weights, centred) if gated else residual_network(weights, centred)
    np.testing.assert_allclose(ours[0], theirs, rtol=1e-9)


def lstm(weights, x, h, c):
    """Equation (3) of van den Oord et al. (2016a), the gates in the order o, f, i, g."""
    o, f, i, g = np.split(x @ weights["input_to_state"] + h @ weights["state_to_state"] + weights["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def channel_masked(weights, inputs, places):
    """K_is with the mask on its last position; a gate's features are counted from channel 0."""
    kernel = weights["input_to_state"].reshape(places, inputs, 4, FEATURES).copy()
    sees = np.arange(inputs)[:, None] % CHANNELS <= np.arange(FEATURES) % CHANNELS
    kernel[-1] *= sees[:, None]
    return {**weights, "input_to_state": kernel.reshape(places * inputs, 4 * FEATURES)}


def row_lstm(weights, x):
    """A row at a time, each state from the three above it; left and right of the image they are 0."""
    inputs = x.shape[-1]
    weights = channel_masked(weights, inputs, 2)
    h, c = (np.broadcast_to(weights[f"initial_{name}"], (WIDTH, FEATURES)) for name in "hc")
    outputs = []
    for row in x:
        around = np.pad(h, ((1, 1), (0, 0)))
        before = np.pad(row, ((1, 0), (0, 0)))
        states = [lstm(weights, before[j : j + 2].ravel(), around[j : j + 3].ravel(), c[j]) for j in range(WIDTH)]
        h, c = (np.stack(part) for part in zip(*states, strict=True))
        outputs.append(h)
    return np.stack(outputs)


def diagonal_stream(weights, x):
    """Each state from those above and to the left, the cell from the left; outside of the image they are learned."""
    weights = channel_masked(weights, x.shape[-1], 1)
    h, c = (np.tile(weights[f"initial_{name}"], (HEIGHT + 1, WIDTH + 1, 1)) for name in "hc")
    for r, j in np.ndindex(HEIGHT, WIDTH):
        seen = np.concatenate([h[r, j + 1], h[r + 1, j]])
        h[r + 1, j + 1], c[r + 1, j + 1] = lstm(weights, x[r, j], seen, c[r + 1, j])
    return h[1:, 1:]


def diagonal_bilstm(weights, x):
    left, right = ({name: array[side] for name, array in weights.items()} for side in (0, 1))
    other = diagonal_stream(right, x[:, ::-1])[:, ::-1]
    return diagonal_stream(left, x) + np.concatenate([np.zeros((1, WIDTH, FEATURES)), other[:-1]])


@pytest.mark.parametrize(("layer", "recurrence"), [("row", row_lstm), ("diagonal", diagonal_bilstm)])
def test_pixel_rnn_is_the_network_of_its_paper(layer, recurrence):
    """Figure 5 of van den Oord et al. (2016a): a 7x7 convolution, recurrent layers with residuals, two convolutions."""
    sizes = {"layer": layer, "features": FEATURES, "layers": 2}
    model = pixel_rnn.pixel_rnn((HEIGHT, WIDTH, CHANNELS), output=OUTPUT, **sizes)
    network, x = pixel_rnn.make_network(CHANNELS, OUTPUT, **sizes), image()
    params = random_params(lambda key: model.init(key, {})[0])
    with jax.enable_x64(True):
        conditionals = jax.jit(lambda params, x: pixel_rnn.conditionals(network, params, MEAN, x))
        ours = np.asarray(conditionals(params, x[None]))
    weights = params["pixel_rnn"]
    maps = conv(x - MEAN, weights["first"], "A")
    for index in range(2):
        maps = maps + conv(recurrence(weights[f"recurrent_{index}"], maps), weights[f"widen_{index}"], "B")
    np.testing.assert_allclose(ours[0], read(maps, weights, "head_0", "head_1"), rtol=1e-9)
