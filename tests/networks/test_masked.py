import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.masked import MaskedDense, MaskedMLP, layer_masks, output_mask, spread_degrees


def paths(ordering, widths, seed=0):
    """Integer counts of paths from inputs (rows) to outputs, both in the ordering, through the hidden layers."""
    count = np.eye(len(ordering), dtype=int)
    for mask in layer_masks(spread_degrees(np.asarray(ordering), widths, seed=seed)):
        count = count @ np.asarray(mask).astype(int)
    return count[np.ix_(ordering, ordering)]


@pytest.mark.parametrize("widths", [(9,), (20,), (9, 13), (30, 9, 11)])
@pytest.mark.parametrize("seed", [0, 1])
def test_paths_lead_from_each_input_to_every_later_output_and_to_no_other(widths, seed):
    ordering = np.random.default_rng(seed).permutation(10)
    np.testing.assert_array_equal(paths(ordering, widths, seed) > 0, np.triu(np.ones((10, 10), bool), 1))


@pytest.mark.parametrize("widths", [(1,), (3,), (3, 2)])
def test_few_units_leave_out_dependences_but_never_add_one(widths):
    assert not np.tril(paths(np.arange(10), widths)).any()
    assert paths(np.arange(10), widths)[0, 1]


def test_a_path_count_in_closed_form():
    """D = 3, one unit of each degree 1 and 2: x1 reaches x2 once and x3 twice, x2 reaches x3 once."""
    np.testing.assert_array_equal(paths([0, 1, 2], (2,)), [[0, 1, 2], [0, 0, 1], [0, 0, 0]])


def test_masks_are_equations_12_and_13():
    inputs, hidden = np.array([1, 3, 2]), np.array([2, 1, 1, 2])
    first, last = layer_masks((inputs, hidden))
    for k in range(4):
        for d in range(3):
            assert first[d, k] == (hidden[k] >= inputs[d])
            assert last[k, d] == (inputs[d] > hidden[k])


def test_degrees_are_spread_evenly_and_their_order_follows_the_seed():
    places, hidden = spread_degrees(np.array([2, 0, 1, 4, 3]), (9,), seed=0)
    np.testing.assert_array_equal(places, [2, 3, 1, 5, 4])
    values, counts = np.unique(hidden, return_counts=True)
    np.testing.assert_array_equal(values, [1, 2, 3, 4])
    assert counts.max() - counts.min() <= 1
    assert (hidden == spread_degrees(np.arange(5), (9,), seed=0)[1]).all()
    assert (hidden != spread_degrees(np.arange(5), (9,), seed=1)[1]).any()


def test_one_input_is_allowed():
    assert not paths([0], (3, 2)).any()


def test_the_stored_kernel_is_whole_and_what_is_masked_gets_no_gradient():
    mask = np.array([[True, False], [True, True]])
    layer, x = MaskedDense(2), np.array([[2.0, 3.0]])
    variables = {"params": {"kernel": np.array([[1.0, 10.0], [100.0, 1000.0]]), "bias": np.array([0.5, 0.25])}}
    np.testing.assert_array_equal(jax.jit(layer.apply)(variables, x, mask), [[302.5, 3000.25]])
    gradient = jax.jit(jax.grad(lambda *arguments: layer.apply(*arguments).sum()))(variables, x, mask)
    np.testing.assert_array_equal(gradient["params"]["kernel"], [[2, 0], [3, 3]])


@pytest.mark.parametrize("direct", [False, True])
def test_the_network_is_its_formula(direct):
    network = MaskedMLP((7, 6), activation=jnp.tanh, direct=direct)
    degrees = spread_degrees(np.array([1, 2, 0, 3]), (7, 6), seed=0)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), x, degrees)["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    first, second, last = (np.asarray(mask) for mask in layer_masks(degrees))
    h = np.tanh(x @ (params["hidden_1"]["kernel"] * first) + params["hidden_1"]["bias"])
    h = np.tanh(h @ (params["hidden_2"]["kernel"] * second) + params["hidden_2"]["bias"])
    expected = h @ (params["output"]["kernel"] * last) + params["output"]["bias"]
    if direct:
        expected = expected + x @ (params["direct"]["kernel"] * np.asarray(output_mask(degrees[0], degrees[0])))
    np.testing.assert_allclose(jax.jit(network.apply)({"params": params}, x, degrees), expected, rtol=1e-4, atol=1e-5)
