"""Maxout units (Goodfellow et al. 2013): the maximum of several linear functions of the inputs."""

from collections.abc import Sequence

import jax
from flax import linen as nn
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from genjax.types import Key


def symmetric_uniform(limit: float) -> Initializer:
    """Return the initializer that is uniform on (-limit, limit)."""

    def init(key: Key, shape: tuple[int, ...], dtype: DTypeLike = float) -> Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init  # pyright: ignore[reportReturnType] (jax types a key as an array)


class Maxout(nn.Module):
    """Maxout layer: max_j (x W_j + b_j) over `pieces` linear functions, [batch, inputs] to [batch, features]."""

    features: int
    """Number of units."""
    pieces: int = 5
    """Number of linear functions per unit."""
    kernel_init: Initializer = symmetric_uniform(0.005)

    @nn.compact
    def __call__(self, x: Float[Array, "batch inputs"]) -> Float[Array, "batch features"]:
        """Return the maximum over the pieces of each unit, [batch, features]."""
        linear = nn.Dense(self.features * self.pieces, kernel_init=self.kernel_init, name="pieces")(x)
        return linear.reshape(-1, self.features, self.pieces).max(axis=-1)


class MaxoutNetwork(nn.Module):
    """Maxout layers of `widths` units, then one linear output [batch, 1]; inputs are flattened.

    In training an input is dropped with probability `input_dropout` and a hidden unit with probability `dropout`; the
    remaining values are scaled so that the mean is unchanged. Random numbers come from the collection `dropout`.
    """

    widths: Sequence[int] = (240, 240)
    """Units of each maxout layer."""
    pieces: int = 5
    """Number of linear functions per unit."""
    input_dropout: float = 0.2
    dropout: float = 0.5
    kernel_init: Initializer = symmetric_uniform(0.005)

    @nn.compact
    def __call__(self, x: Float[Array, " batch *shape"], train: bool = False) -> Float[Array, "batch 1"]:
        """Return the output, [batch, 1]."""
        x = nn.Dropout(self.input_dropout, deterministic=not train)(x.reshape(len(x), -1))
        for index, width in enumerate(self.widths):
            x = Maxout(width, self.pieces, self.kernel_init, name=f"maxout_{index}")(x)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(1, kernel_init=self.kernel_init, name="output")(x)
