"""Products in bfloat16: each is one of rounded operands, wherever it stands, and nothing else changes."""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import genjax
from genjax.core import init_state, make_step
from genjax.errors import ArgumentError
from genjax.precision import with_precision
from genjax.products import with_products

A = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
B = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
SQUARE = np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)


def rounded(x):
    return np.asarray(x, np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)


def product(a, b):
    return rounded(a) @ rounded(b)


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=1e-5, atol=1e-5)
    assert found.dtype == jnp.float32


@jax.custom_vjp
def halved(a, b):
    return a @ b


halved.defvjp(lambda a, b: (a @ b, (a, b)), lambda kept, g: (0.5 * g @ kept[1].T, 0.5 * kept[0].T @ g))


@jax.custom_jvp
def mirrored(a, b):
    return a @ b


@mirrored.defjvp
def _(primals, tangents):
    return mirrored(*primals), -(tangents[0] @ primals[1] + primals[0] @ tangents[1])


def by_scan(a, b):
    return jax.lax.scan(lambda total, one: (total, one @ b), 0.0, a)[1]


def by_while(a, b):
    return jax.lax.while_loop(lambda c: c[0] < 1, lambda c: (c[0] + 1, a @ b), (0, jnp.zeros((4, 3))))[1]


PLACES = {
    "at the top": lambda a, b: a @ b,
    "in jit": jax.jit(lambda a, b: a @ b),
    "in scan": by_scan,
    "in while": by_while,
    "in a branch": lambda a, b: jax.lax.cond(a[0, 0] < 9, lambda: a @ b, lambda: jnp.zeros((4, 3))),
    "in a checkpoint": jax.checkpoint(lambda a, b: a @ b),
    "in a checkpoint of a scan": jax.checkpoint(lambda a, b: by_scan(a, b)),
    "with a vjp of its own": halved,
    "with a jvp of its own": mirrored,
    "over rows": lambda a, b: jax.vmap(lambda row: row @ b)(a),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_product_is_that_of_rounded_operands(place):
    close(jax.jit(with_products(PLACES[place], jnp.bfloat16))(A, B), product(A, B))
    close(jax.jit(PLACES[place])(A, B), A.astype(np.float64) @ B)
    both = jax.vmap(with_products(PLACES[place], jnp.bfloat16), (0, None))
    close(jax.jit(both)(np.stack([A, -A]), B), np.stack([product(A, B), -product(A, B)]))


SIGNS = {"with a vjp of its own": 0.5, "with a jvp of its own": -1}


@pytest.mark.parametrize("place", [place for place in PLACES if place != "in while"])
def test_a_gradient_is_of_rounded_products_and_by_the_rule_of_the_function(place):
    gradient = jax.grad(lambda a, b: (PLACES[place](a, b) * A[:, :3]).sum(), argnums=(0, 1))
    of_a, of_b = jax.jit(with_products(gradient, jnp.bfloat16))(A, B)
    factor = SIGNS.get(place, 1)
    close(of_a, factor * product(A[:, :3], B.T))
    close(of_b, factor * product(A.T, A[:, :3]))


@pytest.mark.parametrize(("stride", "padding"), [(1, "SAME"), (2, "VALID")])
def test_a_convolution_is_that_of_rounded_operands_and_is_rounded(stride, padding):
    rng = np.random.default_rng(3)
    x, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 5, 5, 3), (3, 3, 3, 4)))
    convolve = functools.partial(
        jax.lax.conv_general_dilated,
        window_strides=(stride, stride),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    wide = np.pad(rounded(x), ((0, 0), *((1, 1),) * 2, (0, 0))) if padding == "SAME" else rounded(x)
    windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), (1, 2))[:, ::stride, ::stride]
    expected = np.einsum("brjcyx,yxco->brjo", windows, rounded(kernel))
    found = jax.jit(with_products(convolve, jnp.bfloat16))(x, kernel)
    np.testing.assert_allclose(found, expected, rtol=2**-8, atol=1e-5)
    np.testing.assert_array_equal(rounded(found), found)
    assert found.dtype == jnp.float32


def test_a_checkpoint_that_holds_constants_keeps_them():
    held = jax.checkpoint(lambda a: jax.jit(lambda a: a @ jnp.asarray(B))(a))
    close(jax.jit(with_products(held, jnp.bfloat16))(A), product(A, B))
    gradient = jax.grad(lambda a: (held(a) * A[:, :3]).sum())
    close(jax.jit(with_products(gradient, jnp.bfloat16))(A), product(A[:, :3], B.T))


def test_all_else_is_as_it_was():
    """Sums, activations, random numbers, products of other types or of the highest precision: bit for bit."""

    def others(x, key):
        exact = jnp.matmul(x, x.T, precision="highest")
        whole = jnp.arange(4) @ jnp.arange(4)
        noise = jax.random.normal(key, x.shape)
        loop = jax.lax.scan(lambda c, row: (c + row, c), jnp.zeros(5), x)
        return exact, whole, jax.nn.softmax(x), jax.nn.logsumexp(x, 1), x.sum(), noise, loop, jax.nn.relu(x)

    found = jax.jit(with_products(others, jnp.bfloat16))(A, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, found, jax.jit(others)(A, jax.random.key(0)))
    assert with_products(others, None) is others


def test_on_accelerators_operands_are_of_the_type_and_dot_products_return_float32():
    convolve = lambda x, k: jax.lax.conv(x, k, (1, 1), "SAME")  # noqa: E731
    for function, shapes, result in [
        (jnp.matmul, ((4, 5), (5, 3)), "f32"),
        (convolve, ((1, 1, 4, 4), (2, 1, 3, 3)), "bf16"),
    ]:
        traced = jax.jit(with_products(function, jnp.bfloat16)).trace(*(jnp.zeros(shape) for shape in shapes))
        text = traced.lower(lowering_platforms=("tpu",)).as_text()
        (line,) = (line for line in text.splitlines() if "stablehlo.dot_general" in line or ".convolution" in line)
        assert line.count("bf16>") == 2 + (result == "bf16")
        assert line.strip().endswith(f"{result}>")


def log_prob(params, x, type_of_products):
    """NADE's log p of binary rows [B, D], equations (1) to (3), with products of operands rounded by the function."""
    W, V, b, c = (np.asarray(params["nade"][name], np.float64) for name in "WVbc")
    before = np.tril(np.ones((x.shape[1], x.shape[1])), -1)
    h = 1 / (1 + np.exp(-(c + (x[:, None] * before) @ type_of_products(W))))
    logits = (h * V).sum(-1) + b
    return (x * logits - np.logaddexp(0, logits)).sum(1)


def examples(dtype):
    return (np.random.default_rng(4).random((6, 3, 3, 1)) < 0.5).astype(dtype)


def trained(model, batch):
    state = init_state(model, jax.random.key(0), batch)
    state = state._replace(params=jax.tree.map(lambda leaf: leaf * 200, state.params))  # away from 0
    return state, jax.jit(make_step(model.phases))(state, batch)[1]["likelihood/loss"]


def test_a_model_in_bfloat16_trains_and_evaluates_with_rounded_products():
    batch = {"image": jnp.asarray(examples(np.float32))}
    model = genjax.nade((3, 3, 1), hidden=4, precision="bfloat16")
    state, loss = trained(model, batch)
    expected = -log_prob(state.params, examples(np.float64).reshape(6, 9), rounded)
    exact = -log_prob(state.params, examples(np.float64).reshape(6, 9), np.asarray)
    assert np.abs(expected - exact).max() > 1e-3
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-5)
    found = jax.jit(model.evaluate)(state.params, {}, batch, jax.random.key(0))["nll_nats"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_completions_in_bfloat16_are_checked_by_value():
    model = with_precision(genjax.nade((3, 3, 1), hidden=4), "bfloat16")
    batch = {"image": jnp.asarray(examples(np.float32))}
    state, _ = trained(model, batch)
    known = jnp.zeros((6, 3, 3, 1)).at[:, 2].set(1)
    with pytest.raises(ValueError, match="known: the model completes what follows a prefix"):
        model.generate(state.params, {}, {**batch, "known": known}, jax.random.key(0))


def test_a_model_in_float64_computes_in_float64_also_of_float32_examples():
    with jax.enable_x64(True):
        batch = {"image": jnp.asarray(examples(np.float32))}
        model = genjax.nade((3, 3, 1), hidden=4, precision="float64")
        state, loss = trained(model, batch)
        assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float64")}
        expected = -log_prob(state.params, examples(np.float64).reshape(6, 9), np.asarray)
        np.testing.assert_allclose(loss, expected.mean(), rtol=1e-13)
        found = jax.jit(model.evaluate)(state.params, {}, batch, jax.random.key(0))["nll_nats"]
        np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ("float64", "precision='float64' needs the environment variable JAX_ENABLE_X64=1"),
        ("float16", "precision='float16' must be float32, bfloat16 or float64"),
    ],
)
def test_a_precision_that_cannot_be_had_is_refused(precision, message):
    with pytest.raises(ArgumentError, match=message):
        genjax.nade((3, 3, 1), precision=precision)
