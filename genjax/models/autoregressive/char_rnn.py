"""Recurrent models of sequences: characters (Karpathy 2015), or real values by a mixture of Gaussians (Graves 2013).

    p(x) = prod_t p(x_t | x_<t),   p(x_t | x_<t) = head(V h_t + b),   h_t = LSTM(x_{t-1}, h_{t-1})

The same recurrent network serves both; its `Head` is the distribution of one element. h_0 = 0, and the input before
the first element is a start symbol: no character (a zero vector), or the mean of the values.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jaxtyping
import optax
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float, Shaped

from genjax.core import Model, Phase
from genjax.errors import ArgumentError
from genjax.losses.mixture import bounded_log_sigmas, gaussian_mixture_log_prob
from genjax.networks.recurrent import StackedLSTM, State, uniform_init, zero_state
from genjax.types import Batch, Key, Metrics, Params, PyTree, Scalar, Stats

Parameters = Float[Array, "*shape P"]
Elements = Shaped[Array, "*shape"]
Sequences = Shaped[Array, "B T"]
Keys = jaxtyping.Key[Array, " B"]


def char_rnn(
    vocabulary_size: int,
    *,
    hidden: int = 128,
    layers: int = 2,
    dropout: float = 0.0,
    temperature: float = 1.0,
    length: int = 200,
    optimizer: optax.GradientTransformation | None = None,
) -> Model:
    """Return a model of texts whose characters are the integers 0 to `vocabulary_size` - 1.

    `generate` draws `length` characters from probabilities^(1 / temperature); `make_model` describes batches, training
    and evaluation. Raises ValueError if `vocabulary_size` is below 2, `hidden`, `layers` or `length` below 1, `dropout`
    not in [0, 1), or `temperature` not above 0.
    """
    head = categorical(vocabulary_size, temperature)
    core = sequential(head, hidden=hidden, layers=layers, dropout=dropout)
    return make_model(core, length=length, optimizer=optimizer)


def series_rnn(
    *,
    components: int = 5,
    mean: float = 0.0,
    scale: float = 1.0,
    hidden: int = 128,
    layers: int = 1,
    dropout: float = 0.0,
    length: int = 200,
    optimizer: optax.GradientTransformation | None = None,
) -> Model:
    """Return a model of real-valued series, whose values follow mixtures of Gaussians given the values before them.

    `mean` and `scale` standardize the values that the network sees. `generate` draws `length` values;
    `make_model` describes batches, training and evaluation. Raises ValueError if `components`, `hidden`, `layers` or
    `length` is below 1, `scale` not above 0, or `dropout` not in [0, 1).
    """
    head = gaussian_mixture(components, mean, scale)
    core = sequential(head, hidden=hidden, layers=layers, dropout=dropout)
    return make_model(core, length=length, optimizer=optimizer)


def make_model(core: "Sequential", *, length: int, optimizer: optax.GradientTransformation | None = None) -> Model:
    """Return the model of batches with `sequence` [B, T].

    Training is truncated backpropagation through time: where `continues` [B] is true, a row continues the same row of
    the batch before it (`stats["carry"]`), without a gradient across the boundary; elsewhere, and in a batch without
    `continues`, the state starts at 0. The default optimizer is Karpathy's: RMSProp with step size 0.002 and decay
    0.95, each element of the gradient clipped to [-0.1, 0.1]; his limit is 5 for the sum over 50 characters.

    `evaluate` starts every row from the initial state, and returns the mean over its elements or, where the batch has
    `weight` [B, T], the weighted sum. `generate` draws the `length` elements that follow `prompt` [B, P]; without a
    prompt it draws one sequence from its beginning for each row of `sequence`.
    """
    if length < 1:
        raise ValueError(f"length={length} must be at least 1")

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        x = core.elements(batch["sequence"])
        carry, features = core.start(len(x)), core.head.features(x)
        return {"rnn": core.network.init(key, carry.state, features)["params"]}, {"carry": carry}

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        x = core.elements(batch["sequence"])
        carry = core.start(len(x))
        if "continues" in batch:
            carry = where_rows(batch["continues"], stats["carry"], carry)
        carry, parameters = conditionals(core, params["rnn"], carry, x, key)
        return -core.head.log_prob(parameters, x).mean(), ({}, {"carry": carry})

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        del stats, key
        x = core.elements(batch["sequence"])
        weight = batch.get("weight", jnp.full(x.shape, 1 / x.shape[1]))
        return core.head.metrics(-(weight * log_probs(core, params["rnn"], x)).sum(axis=1))

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        del stats
        prompt = batch["prompt"] if "prompt" in batch else batch["sequence"][:, :0]
        return continuation(core, params["rnn"], key, core.elements(prompt), length=length)[0]

    default = optax.chain(optax.clip(5 / 50), optax.rmsprop(2e-3, decay=0.95))
    phase = Phase("likelihood", loss, ("rnn",), optimizer or default)
    return Model(init, (phase,), evaluate, generate, kinds=dict.fromkeys(core.head.metrics(jnp.zeros(1)), "exact"))


def where_rows(condition: Bool[Array, " B"], these: PyTree, others: PyTree) -> PyTree:
    """Select the rows of `these` where the condition holds, and the rows of `others` elsewhere."""

    def choose(one: Array, other: Array) -> Array:
        return jnp.where(condition.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return jax.tree.map(choose, these, others)


class Head(NamedTuple):
    """Distribution of one element of a sequence, given by P parameters."""

    parameters: int
    """Number of parameters of one element, P."""
    before: float
    """Start symbol: the input before the first element."""
    dtype: type
    """Type of the elements."""
    features: Callable[[Sequences], Float[Array, "B T F"]]
    """Function from elements to inputs of the network."""
    log_prob: Callable[[Parameters, Elements], Elements]
    """Function from (parameters, elements) to log p of each element, in nats."""
    draw: Callable[[Key, Parameters], Elements]
    """Function from (key, parameters) to one random element."""
    metrics: Callable[[Float[Array, " B"]], Metrics]
    """Function from nats per element to the reported metrics, all of which are exact."""


def categorical(vocabulary_size: int, temperature: float = 1.0) -> Head:
    """Return a softmax over the characters 0 to `vocabulary_size` - 1; draws follow probabilities^(1 / temperature).

    Raises ValueError if there are fewer than two characters, or the temperature is not above 0.
    """
    if vocabulary_size < 2:
        raise ValueError(f"vocabulary_size={vocabulary_size} must be at least 2")
    if not 0 < temperature < math.inf:
        raise ArgumentError("temperature", temperature, " must be above 0 and finite")

    def log_prob(logits: Parameters, x: Elements) -> Array:
        return jnp.take_along_axis(jax.nn.log_softmax(logits), x[..., None], axis=-1)[..., 0]

    return Head(
        vocabulary_size,
        -1,  # its one-hot vector is zero
        jnp.int32,
        lambda x: jax.nn.one_hot(x, vocabulary_size, dtype=float),
        log_prob,
        lambda key, logits: jax.random.categorical(key, at_temperature(logits, temperature)).astype(jnp.int32),
        lambda nats: {"nats_per_character": nats, "bits_per_character": nats / math.log(2)},
    )


def at_temperature(logits: Parameters, temperature: float) -> Parameters:
    """Return logits of probabilities^(1 / temperature): the largest is 0, the others fall to -inf as it nears 0."""
    return (logits - logits.max(axis=-1, keepdims=True)) / max(temperature, COLDEST)


COLDEST = 1e-30
"""Lowest temperature that logits are divided by; a division by less could be 0 / 0 in float32."""


def gaussian_mixture(components: int, mean: float = 0.0, scale: float = 1.0) -> Head:
    """Return a mixture of Gaussians over real values x; inputs and mixture are standardized, (x - mean) / scale.

    Log densities in nats refer to x itself. Raises ValueError if there is no component or `scale` is not above
    0.
    """
    if components < 1:
        raise ArgumentError("components", components, " must be at least 1")
    if not 0 < scale < math.inf:
        raise ValueError(f"scale={scale} must be above 0 and finite")

    def draw(key: Key, parameters: Parameters) -> Array:
        component_key, noise_key = jax.random.split(key)
        logits, means, log_sigmas = jnp.split(parameters, 3)
        component = jax.random.categorical(component_key, logits)
        sigma = jnp.exp(bounded_log_sigmas(log_sigmas)[component])
        return mean + scale * (means[component] + sigma * jax.random.normal(noise_key, dtype=parameters.dtype))

    def log_prob(parameters: Parameters, x: Elements) -> Array:
        logits, means, log_sigmas = jnp.split(parameters, 3, axis=-1)
        return gaussian_mixture_log_prob(logits, means, log_sigmas, (x - mean) / scale) - math.log(scale)

    return Head(
        3 * components,
        mean,
        float,
        lambda x: ((x - mean) / scale)[..., None],
        log_prob,
        draw,
        lambda nats: {"nats_per_value": nats},
    )


class Network(nn.Module):
    """Recurrent network from the features of each element to the parameters of the next."""

    core: StackedLSTM
    parameters: int
    """Number of parameters of one element, P."""

    @nn.compact
    def __call__(
        self, state: State, features: Float[Array, "B T F"], dropout_key: Key | None = None
    ) -> tuple[State, Float[Array, "B T P"]]:
        """Return the state after the sequence, and the parameters at each of its positions."""
        state, h = self.core(state, features, dropout_key)
        head = nn.Dense(self.parameters, kernel_init=uniform_init, name="head")
        return state, head(h)


class Sequential(NamedTuple):
    """Recurrent network and the head that reads its outputs: a model without its weights."""

    network: Network
    head: Head

    def elements(self, x: Sequences) -> Sequences:
        """Return elements of any type of numbers in that of the head; float32 and float64 stay."""
        wide = self.head.dtype is float and x.dtype in (jnp.float32, jnp.float64)
        return x if wide else x.astype(self.head.dtype)

    def start(self, batch: int) -> "Carry":
        """Return the carry before the first element."""
        core = self.network.core
        state = zero_state(batch, hidden=core.hidden, layers=core.layers)
        return Carry(state, jnp.full(batch, self.head.before, self.head.dtype))

    def advance(
        self, params: PyTree, state: State, x: Sequences, dropout_key: Key | None = None
    ) -> tuple[State, Float[Array, "B T P"]]:
        """Return the network's state after `x`, and at each position the parameters of the element that follows."""
        return self.network.apply({"params": params}, state, self.head.features(x), dropout_key)  # pyright: ignore[reportReturnType]


class Carry(NamedTuple):
    """Summary of a sequence so far, which determines the distribution of its next element."""

    state: State
    """State of the network after all elements but the last."""
    last: Shaped[Array, " B"]
    """Last element, which is the network's next input."""


def sequential(head: Head, *, hidden: int, layers: int, dropout: float = 0.0) -> Sequential:
    """Make a network of `layers` LSTM layers of `hidden` units. Raises ValueError if a number is out of range."""
    if hidden < 1 or layers < 1:
        raise ValueError(f"hidden={hidden} and layers={layers} must be at least 1")
    if not 0 <= dropout < 1:
        raise ArgumentError("dropout", dropout, " must be at least 0 and below 1")
    return Sequential(Network(StackedLSTM(hidden, layers, dropout), head.parameters), head)


def conditionals(
    model: Sequential, params: PyTree, carry: Carry, x: Sequences, dropout_key: Key | None = None
) -> tuple[Carry, Float[Array, "B T P"]]:
    """Return the carry after `x`, and the parameters of the conditional of each of its elements."""
    before = jnp.concatenate([carry.last[:, None], x[:, :-1]], axis=1)
    state, parameters = model.advance(params, carry.state, before, dropout_key)
    return Carry(state, x[:, -1].astype(carry.last.dtype)), parameters


def log_probs(model: Sequential, params: PyTree, x: Sequences) -> Float[Array, "B T"]:
    """Return log p(x_t | x_<t) in nats of each element of the sequences `x`, from their beginning."""
    _, parameters = conditionals(model, params, model.start(len(x)), x)
    return model.head.log_prob(parameters, x)


def continuation(
    model: Sequential, params: PyTree, key: Key, prompt: Sequences, *, length: int
) -> tuple[Shaped[Array, "B length"], Float[Array, " B"]]:
    """Draw the elements that follow `prompt` [B, T], which may be empty; return them with their log-probability.

    The log-probability is the model's at temperature 1. Row i uses the key folded with i, so that a continuation
    does not depend on how many others are drawn.
    """
    carry = model.start(len(prompt))
    if prompt.shape[1]:
        carry, _ = conditionals(model, params, carry, prompt)
    keys = jax.vmap(lambda row: jax.random.split(jax.random.fold_in(key, row), length))(jnp.arange(len(prompt)))

    def step(carry: Carry, keys: Keys) -> tuple[Carry, tuple[Array, Array]]:
        state, parameters = model.advance(params, carry.state, carry.last[:, None])
        x = jax.vmap(model.head.draw)(keys, parameters[:, 0])
        return Carry(state, x), (x, model.head.log_prob(parameters[:, 0], x))

    _, (x, log_p) = jax.lax.scan(step, carry, keys.T)
    return x.T, log_p.sum(axis=0)
