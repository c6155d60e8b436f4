"""Precision of a model's computation: one policy for all models.

`float32` computes in float32, as JAX does by default. `bfloat16` rounds the operands of all matrix products and
convolutions to bfloat16, in training, evaluation, sampling and features (genjax/products.py); parameters, optimizer
states, running statistics, sums and losses stay in float32. `float64` has parameters, statistics and inputs in float64,
and so everything that is computed from them; it needs JAX_ENABLE_X64=1.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from genjax.core import Model, with_batches
from genjax.errors import ArgumentError
from genjax.products import with_products
from genjax.types import Batch, Key, Params, PyTree, Stats

Precision = Literal["float32", "bfloat16", "float64"]
"""Type of a model's computation."""


def with_precision(model: Model, precision: Precision) -> Model:
    """Return the model with its computation in this precision.

    Completions (`generate` with `known`) are computed in float32 also under bfloat16, since their known pixels are
    checked by value. Raises ValueError if `precision` is none of the three, or float64 without JAX_ENABLE_X64=1.
    """
    if precision == "float32":
        return model
    if precision == "bfloat16":
        return with_small_products(model)
    if precision != "float64":
        raise ArgumentError("precision", precision, " must be float32, bfloat16 or float64")
    if jax.dtypes.canonicalize_dtype(jnp.float64) != jnp.float64:
        raise ArgumentError("precision", precision, " needs the environment variable JAX_ENABLE_X64=1")
    return in_float64(model)


def with_small_products(model: Model) -> Model:
    """Return the model with its products in bfloat16."""

    def rounded(function: Callable[..., Any]) -> Callable[..., Any]:
        return with_products(function, jnp.bfloat16)

    drawn = rounded(model.generate)

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        return (model.generate if "known" in batch else drawn)(params, stats, batch, key)

    return model._replace(
        phases=tuple(phase._replace(products=jnp.bfloat16) for phase in model.phases),
        evaluate=rounded(model.evaluate),
        generate=generate,
        embed=model.embed and rounded(model.embed),
    )


def in_float64(model: Model) -> Model:
    """Return the model with its parameters, statistics and inputs in float64."""

    def widened(batch: Batch, key: Key) -> Batch:
        del key
        return wide(batch)

    wider = with_batches(model, widened)
    return wider._replace(init=lambda key, batch: wide(wider.init(key, batch)))


def wide(tree: PyTree) -> PyTree:
    """Return a tree with float64 in place of float32 arrays."""

    def of(leaf: Any) -> Any:
        return leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf

    return jax.tree.map(of, tree)
