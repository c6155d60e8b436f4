"""Matrix products and convolutions of a function in a smaller type, and all else as it is: mixed precision.

A product a b of float32 arrays becomes float32(round(a) round(b)), where `round` gives the type of the products, such
as bfloat16, and sums inside the product are float32's (Micikevicius et al. 2018, ICLR, "Mixed precision training",
section 3.3). Nothing else changes: additions, activations, normalizations, reductions, log-sum-exps, random numbers
and the states of scans stay in float32. bfloat16 has float32's range, so that a loss needs no scaling.

The function is traced, and its operations are applied one after another (a jaxpr interpreter): so the rule holds for
products that automatic differentiation makes as well, and no network knows of it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from jax.typing import DTypeLike

CONVOLUTION = "conv_general_dilated"

PRODUCTS = ("dot_general", CONVOLUTION)
"""Operations whose operands are rounded."""

INLINED = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")
"""Operations that are replaced by their bodies, if these hold products. A derivative of one's own is lost by it, so
differentiate first."""

CHECKPOINTS = ("checkpoint", "remat2")

KEPT = ("scan", "while", "cond", *CHECKPOINTS)
"""Operations that stay, with products in their bodies rounded."""


def with_products(function: Callable[..., Any], dtype: DTypeLike | None) -> Callable[..., Any]:
    """Return the function with its products of float32 arrays in `dtype`; with None, the function itself.

    Products that ask for `jax.lax.Precision.HIGHEST` stay as they are. The arguments and results are trees of arrays,
    and results keep their types. The gradient of the returned function is not the rounded gradient: for that, give
    `jax.grad(function)`.
    """
    if dtype is None:
        return function

    def rounded(*args: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        results = evaluated(traced, jax.tree.leaves(args), dtype)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return rounded


def evaluated(traced: ClosedJaxpr, inputs: Sequence[Any], dtype: DTypeLike) -> list[Any]:
    """Return the results of a traced function with its products in `dtype`."""
    jaxpr = traced.jaxpr
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*traced.consts, *inputs], strict=True))

    def value(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else values[variable]

    for equation in jaxpr.eqns:
        results = applied(equation, [value(variable) for variable in equation.invars], dtype)
        values |= zip(equation.outvars, results, strict=True)
    return [value(variable) for variable in jaxpr.outvars]


def applied(equation: JaxprEqn, operands: Sequence[Any], dtype: DTypeLike) -> list[Any]:
    """Return the results of one operation, in which products are computed in `dtype`."""
    name, params = equation.primitive.name, equation.params
    if name in PRODUCTS:
        return [product(equation, operands, dtype)]
    bodies = list(bodies_of(params))
    if name in (*INLINED, *KEPT) and any(map(has_products, bodies)):
        if name in INLINED:
            return evaluated(closed(bodies[0]), operands, dtype)
        if name in CHECKPOINTS:
            return checkpointed(bodies[0], operands, params, dtype)
        params = {key: with_rounded_bodies(value, dtype) for key, value in params.items()}
    results = equation.primitive.bind(*operands, **equation.primitive.get_bind_params(params))
    return results if equation.primitive.multiple_results else [results]


def product(equation: JaxprEqn, operands: Sequence[Any], dtype: DTypeLike) -> Any:
    """Return a product, of rounded operands if they are float32."""
    params = equation.params
    wanted = params["precision"] or ()
    exact = jax.lax.Precision.HIGHEST in (wanted if isinstance(wanted, tuple) else (wanted,))
    if exact or any(operand.dtype != jnp.float32 for operand in operands):
        return equation.primitive.bind(*operands, **params)
    return jax.lax.platform_dependent(
        *operands,
        cpu=lambda *operands: emulated(equation, operands, dtype),
        default=lambda *operands: computed(equation, operands, dtype),
    )


def computed(equation: JaxprEqn, operands: Sequence[Any], dtype: DTypeLike) -> Any:
    """Return a product of operands in `dtype`, as float32.

    The result of a convolution is rounded too; that of a dot product is not.
    """
    result = dtype if equation.primitive.name == CONVOLUTION else jnp.float32
    params = {**equation.params, "preferred_element_type": result}
    return equation.primitive.bind(*(jnp.asarray(one, dtype) for one in operands), **params).astype(jnp.float32)


def emulated(equation: JaxprEqn, operands: Sequence[Any], dtype: DTypeLike) -> Any:
    """Return `computed` by a product of float32: some of a CPU's own products of bfloat16 are missing."""
    kind = jnp.finfo(dtype)

    def rounded(one: Any) -> Any:
        return jax.lax.reduce_precision(one, kind.nexp, kind.nmant)

    found = equation.primitive.bind(*map(rounded, operands), **equation.params)
    return rounded(found) if equation.primitive.name == CONVOLUTION else found


def checkpointed(body: Any, operands: Sequence[Any], params: Any, dtype: DTypeLike) -> list[Any]:
    """Return the results of `jax.checkpoint`, which keeps nothing of its body for a gradient."""
    again = jax.checkpoint(
        lambda *operands: evaluated(closed(body), operands, dtype),
        prevent_cse=params["prevent_cse"],
        policy=params["policy"],
    )
    return again(*operands)


def bodies_of(tree: Any) -> Iterator[Jaxpr | ClosedJaxpr]:
    """Yield the traced functions among the parameters of an operation."""
    if isinstance(tree, Jaxpr | ClosedJaxpr):
        yield tree
    elif isinstance(tree, dict | tuple | list):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from bodies_of(part)


def has_products(body: Jaxpr | ClosedJaxpr) -> bool:
    """Return whether a traced function holds a product, at any depth."""
    return any(
        equation.primitive.name in PRODUCTS or any(map(has_products, bodies_of(equation.params)))
        for equation in body.eqns
    )


def with_rounded_bodies(tree: Any, dtype: DTypeLike) -> Any:
    """Return a parameter of an operation with rounded products in the traced functions that it holds."""
    if isinstance(tree, tuple) and any(True for _ in bodies_of(tree)):
        return tuple(with_rounded_bodies(part, dtype) for part in tree)
    if not isinstance(tree, Jaxpr | ClosedJaxpr):
        return tree
    types = [variable.aval for variable in closed(tree).jaxpr.invars]
    rounded = jax.make_jaxpr(lambda *inputs: evaluated(closed(tree), inputs, dtype))(*types)
    return rounded if isinstance(tree, ClosedJaxpr) else rounded.jaxpr


def closed(body: Jaxpr | ClosedJaxpr) -> ClosedJaxpr:
    """Return a traced function with its constants; one without them has none."""
    return body if isinstance(body, ClosedJaxpr) else ClosedJaxpr(body, ())
