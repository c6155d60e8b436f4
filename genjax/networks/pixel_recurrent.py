"""Row LSTM and Diagonal BiLSTM: recurrent layers over images.

Both layers have a state h, c at every pixel (van den Oord, Kalchbrenner & Kavukcuoglu 2016, section 3, equation 3):

    [o, f, i, g] = act(K_ss * h_before + K_is * x)
    c = f c_before + i g,   h = o tanh(c)

with sigmoid for o, f and i and tanh for g. K_is is masked, so that the state of a pixel sees no later pixel or channel.
K_ss needs no mask, since it reads states of earlier pixels, in all their channels. Outside of the image the state is
learned, except that the Row LSTM has a state of 0 to the left and right.

A layer computes the full image at once, or pixel by pixel from a cache of earlier pixels (`start`, `pixel`,
`end_row`), with the same result.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import linen as nn
from jax.nn.initializers import zeros
from jaxtyping import Array, Float, Int

from genjax.networks.masked_conv import causal_mask, shifted_down

KERNEL = 3
"""Width in pixels of the Row LSTM's convolutions."""

Index = int | Int[Array, ""]
"""Index of a column in a row."""


class State(NamedTuple):
    """Hidden state h and cell c of an LSTM at some positions, [*positions, features] each."""

    h: Float[Array, "*positions h"]
    c: Float[Array, "*positions h"]

    def at(self, column: Index) -> "State":
        """Return the state [B, h] at one column of a row [B, columns, h]."""
        return jax.tree.map(lambda row: row[:, column], self)

    def put(self, column: Index, state: "State") -> "State":
        """Return the row with the state at one column replaced."""
        return jax.tree.map(lambda row, new: row.at[:, column].set(new), self, state)

    def spread(self, *positions: int) -> "State":
        """Repeat one state [h] at all positions."""
        return jax.tree.map(lambda one: jnp.broadcast_to(one, (*positions, one.shape[-1])), self)


class Weights(NamedTuple):
    """Parameters of one LSTM, or of several with a leading axis."""

    input_to_state: Float[Array, "*streams n gates"]
    """Kernel K_is: one row for each feature of the inputs that it reads."""
    state_to_state: Float[Array, "*streams m gates"]
    """Kernel K_ss: one row for each feature of the states that it reads."""
    bias: Float[Array, "*streams gates"]
    initial: State
    """State [h] outside of the image."""


def make_weights(
    module: nn.Module, features: int, mask: Float[np.ndarray, "n gates"], positions: int, *streams: int
) -> Weights:
    """Create parameters of `module`: kernels ~ N(0, 1 / inputs), biases and initial state 0."""
    shapes = [(*streams, *mask.shape), (*streams, positions * features, 4 * features)]
    masks = [np.broadcast_to(mask, shapes[0]), np.ones(shapes[1], np.float32)]
    input_to_state, state_to_state = (
        module.param(name, lambda key, mask=mask: unit_gain_normal(key, mask)) * mask
        for name, mask in zip(("input_to_state", "state_to_state"), masks, strict=True)
    )
    bias = module.param("bias", zeros, (*streams, 4 * features))
    initial = State(*(module.param(f"initial_{name}", zeros, (*streams, features)) for name in "hc"))
    return Weights(input_to_state, state_to_state, bias, initial)


def unit_gain_normal(key: Array, mask: Float[np.ndarray, "*streams n gates"]) -> Float[Array, "*streams n gates"]:
    """Draw N(0, 1 / s) where the mask is 1, and 0 elsewhere; s is the mean number of inputs that a gate sees."""
    return jax.random.normal(key, mask.shape) * mask / math.sqrt(max(mask.sum(axis=-2).mean(), 1))


def lstm(
    weights: Weights, x: Float[Array, "*positions n"], h: Float[Array, "*positions m"], c: Float[Array, "*positions h"]
) -> State:
    """Apply equation (3) to concatenated inputs, concatenated states and the previous cell."""
    gates = x @ weights.input_to_state + h @ weights.state_to_state + weights.bias
    o, f, i, g = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return State(jax.nn.sigmoid(o) * jnp.tanh(c), c)


def side_by_side(row: Float[Array, "B padded F"], positions: int, width: int) -> Float[Array, "B width n"]:
    """Concatenate each column with the `positions` - 1 columns that follow it."""
    return jnp.concatenate([row[:, position : position + width] for position in range(positions)], axis=-1)


def padded(row: Float[Array, "B W F"]) -> Float[Array, "B padded F"]:
    """Add a column of zeros on each side."""
    return jnp.pad(row, ((0, 0), (1, 1), (0, 0)))


class RowCache(NamedTuple):
    """Cache of a Row LSTM: rows with a column of zeros on each side."""

    x: Float[Array, "B padded F"]
    """Inputs of the current row."""
    above: State
    """States of the row above."""
    here: State
    """States of the current row."""


class RowLSTM(nn.Module):
    """Row LSTM, [B, H, W, F] to [B, H, W, h], computed row by row.

    The state-to-state convolution reads three pixels of the row above, so that a pixel sees a triangle above it. The
    input-to-state convolution reads the pixel itself and the one to its left. The states to the left and right of the
    image are zero.
    """

    features: int
    """Features h of the state."""
    in_features: int
    """Features F of the input."""
    channels: int

    def setup(self) -> None:
        """Create the parameters. The input kernel has only the two positions that its mask allows."""
        mask = causal_mask((1, KERNEL), self.in_features, self.features, mask="B", channels=self.channels, copies=4)
        seen = mask[0, : KERNEL // 2 + 1].reshape(-1, 4 * self.features).astype(np.float32)
        self.weights = make_weights(self, self.features, seen, KERNEL)

    def __call__(self, x: Float[Array, "B H W F"]) -> Float[Array, "B H W h"]:
        """Return the hidden states, in H steps."""
        weights, (batch, _, width, _) = self.weights, x.shape

        def row(above: State, x: Float[Array, "B W F"]) -> tuple[State, Array]:
            inputs = side_by_side(padded(x), KERNEL // 2 + 1, width)
            state = lstm(weights, inputs, side_by_side(padded(above.h), KERNEL, width), above.c)
            return state, state.h

        rows = rearrange(x, "b r j f -> r b j f")
        # Only the states are kept for the gradient, which is faster and smaller than keeping the gates as well.
        _, h = jax.lax.scan(jax.checkpoint(row, prevent_cse=False), weights.initial.spread(batch, width), rows)
        return rearrange(h, "r b j h -> b r j h")

    def start(self, batch: int, width: int) -> RowCache:
        """Return the cache before the first pixel."""
        above = jax.tree.map(padded, self.weights.initial.spread(batch, width))
        x = jnp.zeros((batch, width + 2, self.in_features), self.weights.bias.dtype)
        return RowCache(x, above, jax.tree.map(jnp.zeros_like, above))

    def pixel(self, cache: RowCache, x: Float[Array, "B F"], column: Index) -> tuple[RowCache, Float[Array, "B h"]]:
        """Compute the pixel at `column` of the current row; return the new cache and the pixel's hidden state."""
        kept = cache.x.at[:, column + 1].set(x)
        beside = jax.lax.dynamic_slice_in_dim(cache.above.h, column, KERNEL, axis=1)
        inputs = jnp.concatenate([kept[:, column], x], axis=-1)
        state = lstm(self.weights, inputs, side_by_side(beside, KERNEL, 1)[:, 0], cache.above.c[:, column + 1])
        return RowCache(kept, cache.above, cache.here.put(column + 1, state)), state.h

    def end_row(self, cache: RowCache) -> RowCache:
        """Make the current row the row above."""
        return cache._replace(above=cache.here)


class DiagonalCache(NamedTuple):
    """Cache of a Diagonal BiLSTM."""

    x: Float[Array, "B W F"]
    """Inputs of the current row."""
    above: Float[Array, "B W h"]
    """Hidden states of the left stream in the row above."""
    here: State
    """States of the left stream in the current row, after one column for the state left of the image."""
    right: Float[Array, "B W h"]
    """Hidden states of the right stream in the row above."""
    shifted: Float[Array, "B W h"]
    """Contribution of the right stream to the current row: `right`, or zeros in the first row."""


class DiagonalBiLSTM(nn.Module):
    """Diagonal BiLSTM, [B, H, W, F] to [B, H, W, h], computed diagonal by diagonal: a pixel sees all earlier pixels.

    The state-to-state kernel reads the pixels to the left and above. They are adjacent in the previous column once each
    row is shifted by one against the row above (`skew`). The previous cell is the left pixel's. A second stream does
    the same from right to left; it is shifted down by one row before the two are added, so that a pixel sees no pixel
    to its right.
    """

    features: int
    """Features h of the state."""
    in_features: int
    """Features F of the input."""
    channels: int

    def setup(self) -> None:
        """Create the parameters of the left and the right stream, in this order along the first axis."""
        mask = causal_mask((1, 1), self.in_features, self.features, mask="B", channels=self.channels, copies=4)[0, 0]
        self.weights = make_weights(self, self.features, mask.astype(np.float32), 2, 2)

    def __call__(self, x: Float[Array, "B H W F"]) -> Float[Array, "B H W h"]:
        """Return the sum of both streams' hidden states, in W + H - 1 steps."""
        left, right = jax.vmap(diagonal_lstm)(self.weights, jnp.stack([x, x[:, :, ::-1]]))
        return left + shifted_down(right[:, :, ::-1])

    def start(self, batch: int, width: int) -> DiagonalCache:
        """Return the cache before the first pixel."""
        left, right = (self.stream(index).initial.spread(batch, width + 1) for index in (0, 1))
        x = jnp.zeros((batch, width, self.in_features), self.weights.bias.dtype)
        return DiagonalCache(x, left.h[:, 1:], left, right.h[:, 1:], jnp.zeros_like(right.h[:, 1:]))

    def pixel(
        self, cache: DiagonalCache, x: Float[Array, "B F"], column: Index
    ) -> tuple[DiagonalCache, Float[Array, "B h"]]:
        """Compute the pixel at `column` of the current row; return the new cache and the layer's output there."""
        left = cache.here.at(column)
        state = lstm(self.stream(0), x, jnp.concatenate([cache.above[:, column], left.h], axis=-1), left.c)
        kept = cache._replace(x=cache.x.at[:, column].set(x), here=cache.here.put(column + 1, state))
        return kept, state.h + cache.shifted[:, column]

    def end_row(self, cache: DiagonalCache) -> DiagonalCache:
        """Make the current row the row above, and compute its right stream, now that all of its pixels are known."""
        weights = self.stream(1)

        def pixel(right: State, here: tuple[Array, Array]) -> tuple[State, Array]:
            x, above = here
            state = lstm(weights, x, jnp.concatenate([above, right.h], axis=-1), right.c)
            return state, state.h

        columns = (cache.x.swapaxes(0, 1), cache.right.swapaxes(0, 1))
        _, h = jax.lax.scan(pixel, weights.initial.spread(len(cache.x)), columns, reverse=True)
        right = h.swapaxes(0, 1)
        return cache._replace(above=cache.here.h[:, 1:], right=right, shifted=right)

    def stream(self, index: int) -> Weights:
        """Return the parameters of one stream: 0 is the left, 1 the right."""
        return jax.tree.map(lambda array: array[index], self.weights)


def diagonal_lstm(weights: Weights, x: Float[Array, "B H W F"]) -> Float[Array, "B H W h"]:
    """Return the hidden states of one stream, which runs from left to right."""
    batch, height, width, _ = x.shape
    column = np.arange(width + height - 1)[:, None, None] - np.arange(height)[:, None]
    inside = jnp.asarray((column >= 0) & (column < width))

    def diagonal(left: State, step: tuple[Array, Array]) -> tuple[State, Array]:
        x, inside = step
        above = row_above(left.h, weights.initial.h)
        state = lstm(weights, x, jnp.concatenate([above, left.h], axis=-1), left.c)
        state = jax.tree.map(lambda new, outside: jnp.where(inside, new, outside), state, weights.initial)
        return state, state.h

    diagonals = rearrange(skew(x), "b r t f -> t b r f")
    # Only the states are kept for the gradient, which is faster and smaller than keeping the gates as well.
    scan = jax.checkpoint(diagonal, prevent_cse=False)
    _, h = jax.lax.scan(scan, weights.initial.spread(batch, height), (diagonals, inside))
    return unskew(rearrange(h, "t b r h -> b r t h"))


def row_above(h: Float[Array, "B H h"], initial: Float[Array, " h"]) -> Float[Array, "B H h"]:
    """Shift one skewed column down by one row: the state above each row, and the initial state above the first."""
    return jnp.concatenate([jnp.broadcast_to(initial, h[:, :1].shape), h[:, :-1]], axis=1)


def skew(x: Float[Array, "B H W F"]) -> Float[Array, "B H diagonals F"]:
    """Shift row r to the right by r: column t of W + H - 1 holds the pixels whose row and column add up to t."""
    batch, height, width, features = x.shape
    # Rows of length W + H are read as rows shorter by one, so that each begins one later than the row above.
    flat = jnp.pad(x, ((0, 0), (0, 0), (0, height), (0, 0))).reshape(batch, -1, features)
    return flat[:, : height * (width + height - 1)].reshape(batch, height, width + height - 1, features)


def unskew(x: Float[Array, "B H diagonals F"]) -> Float[Array, "B H W F"]:
    """Inverse of `skew`."""
    batch, height, diagonals, features = x.shape
    flat = jnp.pad(x.reshape(batch, -1, features), ((0, 0), (0, height), (0, 0)))
    return flat.reshape(batch, height, diagonals + 1, features)[:, :, : diagonals + 1 - height]
