"""Long short-term memory and gated recurrent units over sequences."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax.nn.initializers import orthogonal
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from genjax.types import Key

INIT_SCALE = 0.08
"""Bound of the initial weights, which are uniform in (-0.08, 0.08) (Karpathy 2015)."""

LayerState = tuple[Float[Array, "B H"], Float[Array, "B H"]]
"""Cell c and output h of one layer."""

State = tuple[LayerState, ...]
"""State of each layer, the lowest layer first."""


def zero_state(batch: int, *, hidden: int, layers: int) -> State:
    """Return the state before the first element of a sequence."""
    return tuple((jnp.zeros((batch, hidden)), jnp.zeros((batch, hidden))) for _ in range(layers))


def uniform_init(key: Key, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """Draw weights uniformly from (-0.08, 0.08)."""
    return jax.random.uniform(key, shape, dtype, -INIT_SCALE, INIT_SCALE)


def forget_bias_init(key: Key, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """Return biases of 1 for the forget gate, the second of four blocks, and 0 for the others."""
    del key
    return jnp.repeat(jnp.array([0, 1, 0, 0], dtype), shape[0] // 4)


class LSTM(nn.Module):
    """One layer of long short-term memory with a forget gate (Gers, Schmidhuber & Cummins 2000).

        i, f, o, g = x W + h U + b   (one block of 4 H columns)
        c = sigmoid(f) c + sigmoid(i) tanh(g),   h = sigmoid(o) tanh(c)

    The bias b of the forget gate starts at 1.
    """

    hidden: int
    """Units H of the layer."""

    @nn.compact
    def __call__(self, state: LayerState, x: Float[Array, "B T F"]) -> tuple[LayerState, Float[Array, "B T H"]]:
        """Return the state after the sequence, and the output at each of its positions."""
        # One matrix product for all inputs x: only h U depends on the previous step.
        dense = nn.Dense(4 * self.hidden, kernel_init=uniform_init, bias_init=forget_bias_init, name="input")
        own = self.param("recurrent", uniform_init, (self.hidden, 4 * self.hidden), jnp.float32)
        gates = dense(rearrange(x, "b t f -> t b f"))
        state, outputs = recurrence(state, gates, own)
        return state, rearrange(outputs, "t b h -> b t h")


class Activations(NamedTuple):
    """Gates and cell of one step or of several, [*steps, B, H] each."""

    i: Array
    f: Array
    o: Array
    g: Array
    c: Array


def cell(
    state: LayerState, gates: Float[Array, "B gates"], recurrent: Float[Array, "H gates"]
) -> tuple[LayerState, Activations]:
    """Take one step of the recurrence, of which `gates` are the part x W + b of the four gates."""
    c, h = state
    i, f, o, g = jnp.split(gates + h @ recurrent, 4, axis=-1)
    i, f, o, g = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o), jnp.tanh(g)
    c = f * c + i * g
    return (c, o * jnp.tanh(c)), Activations(i, f, o, g, c)


@jax.custom_vjp
def recurrence(
    state: LayerState, gates: Float[Array, "T B gates"], recurrent: Float[Array, "H gates"]
) -> tuple[LayerState, Float[Array, "T B H"]]:
    """Return the state after all steps, and the output h of each.

    The gradient of the recurrent kernel is one matrix product over all steps after the scan, in place of a sum of T
    small ones inside it.
    """

    def step(state: LayerState, gates: Float[Array, "B gates"]) -> tuple[LayerState, Float[Array, "B H"]]:
        state, _ = cell(state, gates, recurrent)
        return state, state[1]

    return jax.lax.scan(step, state, gates)


Kept = tuple[LayerState, Float[Array, "T B H"], Activations, Float[Array, "H gates"]]
"""What the gradient needs: the first state, the outputs, the activations and the kernel."""


def recurrence_forward(
    state: LayerState, gates: Float[Array, "T B gates"], recurrent: Float[Array, "H gates"]
) -> tuple[tuple[LayerState, Float[Array, "T B H"]], Kept]:
    """Return `recurrence`, and what its gradient needs."""

    def step(state: LayerState, gates: Float[Array, "B gates"]) -> tuple[LayerState, tuple[Array, Activations]]:
        state, activations = cell(state, gates, recurrent)
        return state, (state[1], activations)

    after, (outputs, activations) = jax.lax.scan(step, state, gates)
    return (after, outputs), (state, outputs, activations, recurrent)


def recurrence_backward(
    kept: Kept, gradient: tuple[LayerState, Float[Array, "T B H"]]
) -> tuple[LayerState, Float[Array, "T B gates"], Float[Array, "H gates"]]:
    """Return the gradients of the first state, of the gates and of the kernel."""
    (c_0, h_0), outputs, activations, recurrent = kept
    d_after, d_outputs = gradient
    before = jnp.concatenate([c_0[None], activations.c[:-1]])

    def step(d_state: LayerState, kept: tuple[Activations, Array, Array]) -> tuple[LayerState, Array]:
        (i, f, o, g, c), c_before, d_output = kept
        d_c, d_h = d_state
        d_h += d_output
        tanh = jnp.tanh(c)
        d_c += d_h * o * (1 - tanh**2)
        parts = (d_c * g * i * (1 - i), d_c * c_before * f * (1 - f), d_h * tanh * o * (1 - o), d_c * i * (1 - g**2))
        d_gates = jnp.concatenate(parts, axis=-1)
        d_h = d_gates @ recurrent.T
        return (d_c * f, d_h), d_gates

    d_state, d_gates = jax.lax.scan(step, d_after, (activations, before, d_outputs), reverse=True)
    h = jnp.concatenate([h_0[None], outputs[:-1]])
    d_recurrent = jnp.einsum("tbh,tbg->hg", h, d_gates).astype(recurrent.dtype)
    return d_state, d_gates, d_recurrent


recurrence.defvjp(recurrence_forward, recurrence_backward)


class StackedLSTM(nn.Module):
    """Layers of LSTM; each reads the outputs of the layer below."""

    hidden: int
    """Units of each layer."""
    layers: int
    """Number of layers."""
    dropout: float = 0.0
    """Probability that an output is dropped, between layers and after the last layer."""

    @nn.compact
    def __call__(
        self, state: State, x: Float[Array, "B T F"], dropout_key: Key | None = None
    ) -> tuple[State, Float[Array, "B T H"]]:
        """Return the state after the sequence and the last layer's outputs; dropout is active only with a
        `dropout_key`.
        """
        after: list[LayerState] = []
        for index in range(self.layers):
            layer_state, x = LSTM(self.hidden, name=f"layer_{index}")(state[index], x)
            after.append(layer_state)
            if dropout_key is not None:
                x = nn.Dropout(self.dropout)(x, deterministic=False, rng=jax.random.fold_in(dropout_key, index))
        return tuple(after), x


class GRU(nn.Module):
    """One layer of gated recurrent units (Cho et al. 2014), which skips masked positions.

        r, u = sigmoid of x W + h U + b   (one block of H columns each)
        n = tanh(x W_n + b_n + r * (h U_n)),   h = u h + (1 - u) n

    A masked position leaves the state h unchanged.
    """

    hidden: int
    """Units H of the layer."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T F"], there: Bool[Array, "B T"]) -> Float[Array, "B H"]:
        """Return the state after the last position at which `there` is True, starting from a state of 0."""
        inputs = nn.Dense(3 * self.hidden, name="input")(x)
        recurrent = self.param("recurrent", orthogonal(), (self.hidden, 3 * self.hidden), jnp.float32)

        def step(
            h: Float[Array, "B H"], read: tuple[Float[Array, "B gates"], Bool[Array, " B"]]
        ) -> tuple[Float[Array, "B H"], None]:
            gates, there = read
            (from_r, from_u, from_n), (own_r, own_u, own_n) = (
                jnp.split(part, 3, axis=-1) for part in (gates, h @ recurrent)
            )
            r, u = jax.nn.sigmoid(from_r + own_r), jax.nn.sigmoid(from_u + own_u)
            after = u * h + (1 - u) * jnp.tanh(from_n + r * own_n)
            return jnp.where(there[:, None], after, h), None

        start = jnp.zeros((len(x), self.hidden), jnp.result_type(inputs, recurrent))
        state, _ = jax.lax.scan(step, start, (rearrange(inputs, "b t g -> t b g"), there.T))
        return state
