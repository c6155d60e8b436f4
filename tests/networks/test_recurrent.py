import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.recurrent import GRU, StackedLSTM, zero_state

B, T, F, H = 3, 5, 2, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_layer(weights, state, x):
    """The recurrence position by position and gate by gate, in NumPy: columns of the weights are i, f, o, g."""
    W, U, b = (weights[name] for name in ("W", "U", "b"))
    c, h = state
    outputs = []
    for t in range(x.shape[1]):
        i, f, o, g = (x[:, t] @ W[:, k] + h @ U[:, k] + b[k] for k in (slice(n * H, (n + 1) * H) for n in range(4)))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return (c, h), np.stack(outputs, axis=1)


def random_case(layers):
    rng = np.random.default_rng(0)
    network = StackedLSTM(H, layers)
    x = rng.normal(size=(B, T, F))
    zeros = zero_state(B, hidden=H, layers=layers)
    shapes = jax.eval_shape(network.init, jax.random.key(0), zeros, x)["params"]
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)
    state = tuple((rng.normal(size=(B, H)), rng.normal(size=(B, H))) for _ in range(layers))
    return network, params, state, x


def test_layers_are_the_recurrence():
    with jax.enable_x64(True):
        network, params, state, x = random_case(2)
        after, outputs = jax.jit(network.apply)({"params": params}, state, x)
        expected, states = x, []
        for index in range(2):
            layer = params[f"layer_{index}"]
            weights = {"W": layer["input"]["kernel"], "b": layer["input"]["bias"], "U": layer["recurrent"]}
            layer_state, expected = numpy_layer(weights, state[index], expected)
            states.append(layer_state)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12), after, tuple(states))


def test_two_halves_are_the_whole():
    with jax.enable_x64(True):
        network, params, state, x = random_case(2)
        apply = jax.jit(network.apply)
        whole = apply({"params": params}, state, x)
        halfway, first = apply({"params": params}, state, x[:, :2])
        after, second = apply({"params": params}, halfway, x[:, 2:])
        halves = (after, np.concatenate([first, second], axis=1))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12), whole, halves)


def unrolled(weights, state, x):
    """The recurrence position by position, whose gradient is that of automatic differentiation."""
    c, h = state
    outputs = []
    for t in range(x.shape[1]):
        gates = x[:, t] @ weights["input"]["kernel"] + weights["input"]["bias"] + h @ weights["recurrent"]
        i, f, o, g = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        outputs.append(h)
    return (c, h), jnp.stack(outputs, axis=1)


@pytest.mark.parametrize("together", [False, True], ids=["one", "several networks"])
def test_gradients_are_those_of_the_unrolled_recurrence(together):
    """Of a function of the last cell, the last output and all outputs, by weights, first state and inputs."""
    with jax.enable_x64(True):
        network, params, state, x = random_case(2)
        rng = np.random.default_rng(1)
        weigh = [rng.normal(size=shape) for shape in ((B, H), (B, H), (B, T, H))]

        def ours(params, state, x):
            after, outputs = network.apply({"params": params}, state, x)
            return total((after[-1], outputs))

        def theirs(params, state, x):
            _, below = unrolled(params["layer_0"], state[0], x)
            return total(unrolled(params["layer_1"], state[1], below))

        def total(found):
            (c, h), outputs = found
            return sum((one * factor).sum() for one, factor in zip((c, h, outputs), weigh, strict=True))

        grads = [jax.grad(function, (0, 1, 2)) for function in (ours, theirs)]
        case = (params, state, x)
        if together:
            case = jax.tree.map(lambda leaf: np.stack([leaf, 2 * leaf]), case)
            grads = [jax.vmap(grad) for grad in grads]
        found, expected = (jax.jit(grad)(*case) for grad in grads)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-11), found, expected)


def test_the_forget_gate_alone_starts_open():
    """Initial values: bias 1 for the forget gate, once; weights uniform in (-0.08, 0.08)."""
    init = jax.jit(StackedLSTM(50, 1).init)
    params = init(jax.random.key(0), zero_state(1, hidden=50, layers=1), np.zeros((1, 1, 30)))
    layer = jax.device_get(params["params"]["layer_0"])
    np.testing.assert_array_equal(layer["input"]["bias"], np.repeat([0, 1, 0, 0], 50))
    for weights in (layer["input"]["kernel"], layer["recurrent"]):
        assert abs(weights).max() < 0.08
        np.testing.assert_allclose(np.std(weights), 0.08 / np.sqrt(3), rtol=0.03)


def test_dropout_leaves_out_and_scales_up_under_a_key_alone():
    network, params, state, x = random_case(1)
    network = network.clone(dropout=0.5)
    apply = jax.jit(network.apply)
    _, without = apply({"params": params}, state, x)
    _, dropped = apply({"params": params}, state, x, jax.random.key(1))
    kept = np.asarray(dropped) != 0
    assert 0 < kept.mean() < 1
    np.testing.assert_allclose(dropped, np.where(kept, 2 * np.asarray(without), 0), rtol=1e-5, atol=1e-6)
    plain = jax.jit(StackedLSTM(H, 1).apply)({"params": params}, state, x)[1]
    np.testing.assert_allclose(without, plain, rtol=1e-5, atol=1e-6)


def numpy_gru(params, x):
    """The state after a whole sequence [T, F], unit blocks r, u, n."""
    (W, b), U = (params["input"][name] for name in ("kernel", "bias")), params["recurrent"]
    h = np.zeros(H)
    for one in x:
        inputs, own = np.split(one @ W + b, 3), np.split(h @ U, 3)
        r, u = sigmoid(inputs[0] + own[0]), sigmoid(inputs[1] + own[1])
        h = u * h + (1 - u) * np.tanh(inputs[2] + r * own[2])
    return h


def test_a_gru_is_the_recurrence_over_what_is_there():
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        x, lengths = rng.normal(size=(B, T, F)), np.array([5, 0, 2])
        there = np.arange(T) < lengths[:, None]
        shapes = jax.eval_shape(GRU(H).init, jax.random.key(0), x, there)["params"]
        params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)
        found = jax.jit(GRU(H).apply)({"params": params}, x, there)
        expected = [numpy_gru(params, row[:length]) for row, length in zip(x, lengths, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
