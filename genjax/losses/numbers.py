"""Types of the numbers that losses compute with: at least float32, whatever the arguments have."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

P = ParamSpec("P")
T = TypeVar("T")


def in_float32(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function take its arrays in float32, or in float64 if they are: differences of bytes would wrap at 256.

    Arrays of integers, booleans and smaller floats are converted. Numbers of Python, which have no type of their own,
    are not; single integers of NumPy, such as an axis or a size, become numbers of Python. Raises ValueError if an
    array holds no real numbers.
    """

    @functools.wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> T:
        args, kwargs = jax.tree.map(wide, (args, kwargs))
        return function(*args, **kwargs)

    return computed


def wide(leaf: Any) -> Any:
    """Return an array, NumPy's too, in float32 or float64; what is no array, as it is."""
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return leaf
    if isinstance(leaf, np.integer | np.bool_):  # an axis or a size
        return leaf.item()
    if dtype in (jnp.float32, jnp.float64):
        return jnp.asarray(leaf)
    if not any(jnp.issubdtype(dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
        raise ValueError(f"an array of {dtype} must be of real numbers")
    return jnp.asarray(leaf, jnp.float32)
