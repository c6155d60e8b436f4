"""NADE: the neural autoregressive distribution estimator (Larochelle & Murray 2011; Uria et al. 2016, JMLR 17).

    p(x) = prod_d p(x_d | x_<d)                     (1)
    p(x_d = 1 | x_<d) = sigmoid(V_d . h_d + b_d)    (2)
    h_d = sigmoid(c + sum_{i<d} x_i W_i)            (3)

d counts pixels in the order in which they are generated, and so do the rows of W [D, H], V [D, H] and b [D].
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from einops import rearrange
from jax import Array
from jaxtyping import Float, Int

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.likelihood import bernoulli_log_prob, bits_per_dim
from genjax.models.completion import given_pixels, prefix_or_nan
from genjax.networks.start import frequency_logits
from genjax.types import Batch, Key, Metrics, Params, Scalar, Stats

CHUNK = 14
"""Pixels per masked matrix product: fastest of 7, 14 and 28 on a CPU at D=784, H=500."""


class Weights(NamedTuple):
    """Arrays of NADE, with rows in the order of generation."""

    W: Float[Array, "D H"]
    V: Float[Array, "D H"]
    b: Float[Array, " D"]
    c: Float[Array, " H"]


def nade(
    image_shape: tuple[int, int, int],
    *,
    hidden: int = 500,
    tied: bool = False,
    ordering: Sequence[int] | None = None,
    mean: Float[np.ndarray, "H W C"] | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Model:
    """Return a NADE of binary images.

    `ordering[d]` is the pixel (its index in the flattened image) that is generated at position d; None means raster
    order. `tied` shares V = W, a variant of the 2011 paper. `mean` holds the marginal probabilities of the pixels, from
    which the output biases start. The default optimizer is Adam with step size 0.001.

    `generate` draws images; if the batch has `known` [B, H, W, C] (0 or 1) it completes `image`: known pixels must
    be the first of the ordering, or ValueError is raised (under `jit`, the image is NaN instead). Raises ValueError
    if `hidden` is below 1 or `ordering` is no permutation of the pixels.
    """
    order = checked_ordering(ordering, int(np.prod(image_shape)))
    if hidden < 1:
        raise ArgumentError("hidden", hidden, " must be at least 1")

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        del batch
        marginals = np.full(order.size, 0.5) if mean is None else mean.reshape(-1)[order]
        return {"nade": init_weights(key, marginals, hidden=hidden, tied=tied)}, {}

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        del key
        nll = -log_prob(weights(params["nade"]), in_order(batch["image"], order))
        return nll.mean(), ({"bits_per_dim": bits_per_dim(nll.mean(), order.size)}, stats)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        del stats, key
        nll = -log_prob(weights(params["nade"]), in_order(batch["image"], order))
        return {"nll_nats": nll, "bits_per_dim": bits_per_dim(nll, order.size)}

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        del stats
        image, known = given_pixels(batch)
        first = in_order(known, order)
        x, _ = fill(weights(params["nade"]), key, in_order(image, order), first)
        return prefix_or_nan(batch, x, first)[:, np.argsort(order)].reshape(image.shape)

    phase = Phase("likelihood", loss, ("nade",), optimizer or optax.adam(1e-3))
    kinds = {"nll_nats": "exact", "bits_per_dim": "exact"}
    model = Model(init, (phase,), evaluate, generate, kinds=kinds, seeds_together=False)
    return with_inputs(model, image=Input(image_shape, "binary"))


def checked_ordering(ordering: Sequence[int] | None, dimensions: int) -> Int[np.ndarray, " D"]:
    """Return the ordering as an array, raster order for None. Raises ValueError if it is no permutation."""
    order = np.arange(dimensions) if ordering is None else np.asarray(ordering)
    if not np.array_equal(np.sort(order), np.arange(dimensions)):
        raise ArgumentError("ordering", order, f" must hold each of the {dimensions} pixels 0 to {dimensions - 1} once")
    return order


def in_order(image: Float[Array, "B H W C"], order: Int[np.ndarray, " D"]) -> Float[Array, "B D"]:
    """Flatten images to pixels in the order of generation."""
    return rearrange(image, "b h w c -> b (h w c)")[:, order]


def init_weights(key: Key, marginals: Float[np.ndarray, " D"], *, hidden: int, tied: bool) -> dict[str, Array]:
    """Return W, V ~ N(0, 0.01²), b = logit of the marginals clipped to [0.001, 0.999], and c = 0; no V if `tied`."""
    w_key, v_key = jax.random.split(key)
    params = {
        "W": 0.01 * jax.random.normal(w_key, (marginals.size, hidden)),
        "V": 0.01 * jax.random.normal(v_key, (marginals.size, hidden)),
        "b": jnp.asarray(frequency_logits(marginals), jnp.result_type(float)),
        "c": jnp.zeros(hidden),
    }
    return {name: array for name, array in params.items() if not (tied and name == "V")}


def weights(params: dict[str, Array]) -> Weights:
    """Return the trained variables as four arrays; V is W if they are tied."""
    return Weights(params["W"], params.get("V", params["W"]), params["b"], params["c"])


def parameter_count(dimensions: int, hidden: int, *, tied: bool = False) -> int:
    """Return the number of parameters: 2HD + D + H, or HD + D + H if V is tied to W."""
    return (1 if tied else 2) * hidden * dimensions + dimensions + hidden


def log_prob(weights: Weights, x: Float[Array, "B D"]) -> Float[Array, " B"]:
    """Return log p(x) in nats, equation (1)."""
    return bernoulli_log_prob(logits(weights, x), x).sum(-1)


def logits(weights: Weights, x: Float[Array, "B D"], *, chunk: int = CHUNK) -> Float[Array, "B D"]:
    """Return the logits of all conditionals, equations (2) and (3), in O(HD) operations per image.

    A scan over chunks of pixels carries a = c + sum_{i<d} x_i W_i; inside a chunk the sum is one matrix
    product with a strictly lower triangular mask, which is fast. For the gradient only the activation before each chunk
    is stored, and the recursion runs backwards (JMLR, algorithm 1).
    """
    dimensions = x.shape[1]
    padded = jax.tree.map(lambda rows: pad_rows(rows, chunk), (weights.W, weights.V, weights.b[:, None], x.T))
    W, V, b, x_rows = (rearrange(rows, "(n j) k -> n j k", j=chunk) for rows in padded)
    out = chunked_logits(W, V, b[..., 0], weights.c, rearrange(x_rows, "n j b -> n b j"))
    return rearrange(out, "n b j -> b (n j)")[:, :dimensions]


def pad_rows(rows: Float[Array, "D K"], chunk: int) -> Float[Array, "padded K"]:
    """Append rows of zeros up to a multiple of `chunk`."""
    return jnp.pad(rows, ((0, -len(rows) % chunk), (0, 0)))


class Chunk(NamedTuple):
    """Pixels of one step of the scan, and their rows of the weights."""

    W: Float[Array, "J H"]
    V: Float[Array, "J H"]
    b: Float[Array, " J"]
    x: Float[Array, "B J"]


def masked(x: Float[Array, "B J"]) -> Float[Array, "B J J"]:
    """Return one copy of `x` per pixel j: the pixels before j, and 0 from j on."""
    return x[:, None, :] * jnp.tril(jnp.ones((x.shape[1], x.shape[1]), x.dtype), -1)


def hidden_units(a: Float[Array, "B H"], chunk: Chunk) -> Float[Array, "B J H"]:
    """Return the hidden units h of each pixel of a chunk, equation (3), from the activation `a` before the chunk."""
    return jax.nn.sigmoid(a[:, None] + masked(chunk.x) @ chunk.W)


def forward(a: Float[Array, "B H"], chunk: Chunk) -> tuple[Array, tuple[Array, Array]]:
    """Take one step of the scan; return the next activation, the logits of the chunk, and its first activation."""
    logits = (hidden_units(a, chunk) * chunk.V).sum(-1) + chunk.b
    return a + chunk.x @ chunk.W, (logits, a)


def backward(da: Float[Array, "B H"], step: tuple[Chunk, Array, Array]) -> tuple[Array, Chunk]:
    """Take one step backwards: from the gradient of the next activation to those of this activation and the chunk."""
    chunk, a, g = step  # g: gradient of the chunk's logits [B, J]
    h = hidden_units(a, chunk)
    d_act = g[..., None] * chunk.V * h * (1 - h)
    d_W = jnp.einsum("bij,bih->jh", masked(chunk.x), d_act) + chunk.x.T @ da
    # Later pixels of its chunk see pixel j directly, pixels of later chunks through `a`.
    d_x = jnp.einsum("bih,jh,ij->bj", d_act, chunk.W, masked(jnp.ones_like(chunk.x[:1]))[0]) + da @ chunk.W.T
    d_V = jnp.einsum("bj,bjh->jh", g, h)
    return da + d_act.sum(1), Chunk(d_W, d_V, g.sum(0), d_x)


@jax.custom_vjp
def chunked_logits(
    W: Float[Array, "N J H"],
    V: Float[Array, "N J H"],
    b: Float[Array, "N J"],
    c: Float[Array, " H"],
    x: Float[Array, "N B J"],
) -> Float[Array, "N B J"]:
    """Return the logits of N chunks of J pixels, with a custom derivative that is a third faster on a CPU."""
    return chunked_logits_forward(W, V, b, c, x)[0]


def chunked_logits_forward(W: Array, V: Array, b: Array, c: Array, x: Array) -> tuple[Array, tuple[Chunk, Array]]:
    """Return the logits, and for the gradient the chunks with the activation before each."""
    chunks = Chunk(W, V, b, x)
    _, (logits, activations) = jax.lax.scan(forward, jnp.broadcast_to(c, (x.shape[1], c.size)), chunks)
    return logits, (chunks, activations)


def chunked_logits_backward(kept: tuple[Chunk, Array], g: Array) -> tuple[Array, ...]:
    """Return the gradients of W, V, b, c and x from the gradient `g` of the logits."""
    chunks, activations = kept
    dc, d = jax.lax.scan(backward, jnp.zeros_like(activations[0]), (chunks, activations, g), reverse=True)
    return d.W, d.V, d.b, dc.sum(0), d.x


chunked_logits.defvjp(chunked_logits_forward, chunked_logits_backward)


@functools.partial(jax.jit, static_argnames="count")
def sample(weights: Weights, key: Key, count: int) -> tuple[Float[Array, "B D"], Float[Array, " B"]]:
    """Draw `count` samples in the order of generation; return them with the log p of each that the sampler computed.

    O(HD) per sample: each pixel adds its row of W to the activation. Sample i uses the key folded with i, so that it
    does not depend on how many others are drawn.
    """
    unknown = jnp.zeros((count, weights.b.size))
    return fill(weights, key, unknown, unknown)


def fill(weights: Weights, key: Key, x: Float[Array, "B D"], known: Float[Array, "B D"]) -> tuple[Array, Array]:
    """Draw pixel after pixel, or take it from `x` where it is known; return the images and the log p of each."""
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(len(x)))
    uniform = jax.vmap(lambda key: jax.random.uniform(key, (x.shape[1],)))(keys)

    def pixel(carry: tuple[Array, Array], row: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        (a, log_p), (W, V, b, u, given, is_known) = carry, row
        logit = jax.nn.sigmoid(a) @ V + b
        drawn = (u < jax.nn.sigmoid(logit)).astype(x.dtype)
        value = jnp.where(is_known > 0, given, drawn)
        return (a + value[:, None] * W, log_p + bernoulli_log_prob(logit, value)), value

    start = (jnp.broadcast_to(weights.c, (len(x), weights.c.size)), jnp.zeros(len(x), jnp.result_type(x, weights.c)))
    (_, log_p), values = jax.lax.scan(pixel, start, (weights.W, weights.V, weights.b, uniform.T, x.T, known.T))
    return values.T, log_p
