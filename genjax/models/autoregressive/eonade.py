"""EoNADE: one network for all orderings of the pixels (Uria, Murray & Larochelle 2014; Uria et al. 2016, section 4).

For any set of observed pixels, m_i = 1 where pixel i is observed, the network gives the conditional of every other
pixel:

    h^1 = relu(c^1 + (m * x) W + m F),   h^l = relu(c^l + h^(l-1) W^l),   p(x_i = 1 | x_m, m) = sigmoid(V_i . h^L + b_i)

Under an ordering o of the pixels it is a model p_o(x) = prod_d p(x_{o_d} | x_{o_<d}), and K orderings are a mixture of
K models. With one hidden layer this is an orderless NADE, with several layers DeepNADE.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from einops import rearrange, reduce
from jax import Array
from jax.nn.initializers import he_normal
from jaxtyping import Float, Int

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.likelihood import bernoulli_log_prob, bits_per_dim, flat_pixels, log_mean_exp
from genjax.models.autoregressive.nade import CHUNK, masked, pad_rows
from genjax.models.autoregressive.pixels import bernoulli, element_uniforms
from genjax.models.completion import given_pixels
from genjax.networks.start import frequency_logits
from genjax.shuffle import permutation
from genjax.types import Batch, Evaluate, Key, Metrics, Params, PyTree, Scalar, Stats


def eonade(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (500,),
    orderings: int = 1,
    mean: Float[np.ndarray, "H W C"] | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Model:
    """Return an EoNADE of binary images, with ReLU layers of the widths `hidden`.

    Training minimizes `order_agnostic_nll` with one random set of observed pixels per image. `orderings` is the
    number K of fixed random orderings (`fixed_orderings`), a power of two, in the mixture that is evaluated and
    sampled. `mean` holds the marginal probabilities of the pixels, from which the output biases start. The default
    optimizer is Adam with step size 0.001.

    `evaluate` is exact: `nll_nats` of the mixture of K orderings, and `nll_k_orderings_nats` for k = 1, 2, 4, ... below
    K: the mean over the K / k mixtures of k consecutive orderings, so for k = 1 the mean over orderings. `evaluate`
    takes K D passes through all layers but the first.

    `generate` draws an ordering for each image, then its pixels one after another. If the batch has `known`
    [B, H, W, C] (0 or 1), any pixels of `image`, it completes `image`: known pixels come first, and the others follow
    in the order of the ordering drawn. The completion is exact for that ordering.
    Raises ValueError if a layer is below 1, or `orderings` is no power of two.
    """
    size = int(np.prod(image_shape))
    if min(hidden, default=0) < 1:
        raise ArgumentError("hidden", tuple(hidden), " must hold at least one layer, each of at least 1 unit")
    if orderings < 1 or orderings & (orderings - 1):
        raise ArgumentError("orderings", orderings, " must be a power of two")
    orders = fixed_orderings(size, orderings)

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        del batch
        marginals = np.full(size, 0.5) if mean is None else mean.reshape(-1)
        return {"eonade": init_weights(key, marginals, hidden)}, {}

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        nll = objective(params["eonade"], flat_pixels(batch["image"]), key).mean()
        return nll, ({"bits_per_dim": bits_per_dim(nll, size)}, stats)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        del stats, key
        x = flat_pixels(batch["image"])
        log_probs = jax.lax.map(functools.partial(log_prob, params["eonade"], x=x), orders)
        nll = -log_mean_exp(log_probs, axis=0)
        return {"nll_nats": nll, "bits_per_dim": bits_per_dim(nll, size), **smaller_mixtures(log_probs)}

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        del stats
        image, known = given_pixels(batch)
        order_key, pixel_key = jax.random.split(key)
        is_known = flat_pixels(known)
        order = known_first(draw_orders(order_key, orders, len(image)), is_known)
        uniform = flat_pixels(element_uniforms(pixel_key, image))
        filled = fill(params["eonade"], order, uniform, flat_pixels(image), is_known).reshape(image.shape)
        return jnp.where(jnp.isnan(known), jnp.nan, filled)

    phase = Phase("likelihood", loss, ("eonade",), optimizer or optax.adam(1e-3))
    names = ("nll_nats", "bits_per_dim", *map(mixture_name, smaller_sizes(orderings)))
    model = Model(init, (phase,), evaluate, generate, kinds=dict.fromkeys(names, "exact"))
    return with_inputs(model, image=Input(image_shape, "binary"))


def fixed_orderings(size: int, count: int) -> Int[np.ndarray, "K D"]:
    """Return `count` fixed random orderings, independent of `count`: row k holds pixels in the order of generation."""
    return np.stack([permutation(size, seed=index) for index in range(count)])


def init_weights(key: Key, marginals: Float[np.ndarray, " D"], hidden: Sequence[int]) -> dict[str, PyTree]:
    """Return He-initialized W, F and deeper kernels, V ~ N(0, 0.01²), b = logit of the marginals, other biases 0."""
    w_key, f_key, v_key, *deeper = jax.random.split(key, 3 + len(hidden) - 1)
    initializer = he_normal()
    return {
        "W": initializer(w_key, (marginals.size, hidden[0])),
        "F": initializer(f_key, (marginals.size, hidden[0])),
        "c": jnp.zeros(hidden[0]),
        "deeper": [
            {"W": initializer(key, (below, above)), "c": jnp.zeros(above)}
            for key, below, above in zip(deeper, hidden[:-1], hidden[1:], strict=True)
        ],
        "V": 0.01 * jax.random.normal(v_key, (marginals.size, hidden[-1])),
        "b": jnp.asarray(frequency_logits(marginals), jnp.result_type(float)),
    }


def last_hidden(params: PyTree, a: Float[Array, "*B first"]) -> Float[Array, "*B last"]:
    """Compute the last hidden layer from the activations of the first."""
    h = jax.nn.relu(a)
    for layer in params["deeper"]:
        h = jax.nn.relu(h @ layer["W"] + layer["c"])
    return h


def logits(params: PyTree, x: Float[Array, "B D"], observed: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Return the logit of every pixel given the `observed` pixels (marked by 1), at which it has no meaning."""
    a = (x * observed) @ params["W"] + observed @ params["F"] + params["c"]
    return last_hidden(params, a) @ params["V"].T + params["b"]


def order_agnostic_nll(log_probs: Float[Array, "B D"], observed: Float[Array, "B D"]) -> Float[Array, " B"]:
    """Return J = D / (D - d) sum over unobserved pixels of -log p(x_i | x_m, m), in nats; d pixels are observed.

    If d is uniform on 0, ..., D - 1 and the observed set uniform among the sets of size d, the expectation of J is the
    mean of -log p_o(x) over all D! orderings (JMLR, section 4, where d counts from 1).
    """
    dimensions = observed.shape[1]
    return -dimensions / (dimensions - observed.sum(-1)) * (log_probs * (1 - observed)).sum(-1)


def draw_observed(key: Key, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Draw for each example a number d of observed pixels, uniform on 0, ..., D - 1, and a uniform set of that size.

    Returns 1 for observed pixels and 0 for the others. One pixel, drawn uniformly, is not observed. Each of the others
    is observed with a probability p that is drawn for the example from U(0, 1), so that their number is uniform:
    the integral of Binomial(d; D - 1, p) over p is 1 / D for every d. This needs no sorting. The sets of the first
    examples do not depend on how many others are drawn.
    """
    word_key, pixel_key = jax.random.split(key)
    count, dimensions = x.shape
    words = jax.random.bits(word_key, (count, dimensions + 1), jnp.uint32)
    unobserved = jax.random.randint(pixel_key, (count, 1), 0, dimensions)
    return ((words[:, 1:] < words[:, :1]) & (jnp.arange(dimensions) != unobserved)).astype(x.dtype)


def objective(params: PyTree, x: Float[Array, "B D"], key: Key) -> Float[Array, " B"]:
    """Draw a set of observed pixels for each example, and return its `order_agnostic_nll`."""
    observed = draw_observed(key, x)
    return order_agnostic_nll(bernoulli_log_prob(logits(params, x, observed), x), observed)


def make_estimate(draws: int) -> Evaluate:
    """Return the evaluation, in `draws` passes, of `nll_estimate_nats`, unbiased for the mean over orderings."""

    def estimate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        del stats
        one = functools.partial(objective, params["eonade"], flat_pixels(batch["image"]))
        return {"nll_estimate_nats": jax.lax.map(one, jax.random.split(key, draws)).mean(0)}

    return estimate


class Chunk(NamedTuple):
    """Consecutive pixels of an ordering, and their rows of the weights."""

    W: Float[Array, "J H"]
    F: Float[Array, "J H"]
    V: Float[Array, "J last"]
    b: Float[Array, "J 1"]
    x: Float[Array, "J B"]


def log_prob(params: PyTree, order: Int[Array, " D"], x: Float[Array, "B D"]) -> Float[Array, " B"]:
    """Return log p_o(x) in nats under the ordering `order`; `x` is in raster order."""
    return bernoulli_log_prob(ordered_logits(params, order, x), x[:, order]).sum(-1)


def ordered_logits(
    params: PyTree, order: Int[Array, " D"], x: Float[Array, "B D"], *, chunk: int = CHUNK
) -> Float[Array, "B D"]:
    """Return the logit of each pixel given the pixels before it in `order`, in that order.

    A scan over chunks of pixels carries the activation of the first layer; inside a chunk the activation is one matrix
    product with a strictly lower triangular mask, and deeper layers are products of [B chunk, H] with their weights.
    """
    rows = (params["W"], params["F"], params["V"], params["b"][:, None], x.T)
    chunks = [rearrange(pad_rows(row[order], chunk), "(n j) k -> n j k", j=chunk) for row in rows]

    def step(a: Float[Array, "B H"], chunk: Chunk) -> tuple[Array, Array]:
        x_rows = chunk.x.T
        flags = jnp.cumsum(chunk.F, axis=0) - chunk.F
        h = last_hidden(params, a[:, None] + masked(x_rows) @ chunk.W + flags)
        out = (h * chunk.V).sum(-1) + chunk.b[:, 0]
        return a + x_rows @ chunk.W + reduce(chunk.F, "j h -> h", "sum"), out

    _, out = jax.lax.scan(step, jnp.broadcast_to(params["c"], (len(x), params["c"].size)), Chunk(*chunks))
    return rearrange(out, "n b j -> b (n j)")[:, : x.shape[1]]


def smaller_sizes(orderings: int) -> list[int]:
    """Return the sizes of the smaller mixtures: 1, 2, 4, ... below the number of orderings."""
    return [2**power for power in range(orderings.bit_length() - 1)]


def mixture_name(orderings: int) -> str:
    """Return the name of the metric of mixtures of this number of orderings."""
    return f"nll_{orderings}_ordering{'' if orderings == 1 else 's'}_nats"


def smaller_mixtures(log_probs: Float[Array, "K B"]) -> dict[str, Float[Array, " B"]]:
    """Return -log p of mixtures of k = 1, 2, 4, ... < K orderings, mean over the K / k disjoint mixtures."""

    def mean_nll(k: int) -> Float[Array, " B"]:
        return -log_mean_exp(rearrange(log_probs, "(n k) b -> n k b", k=k), axis=1).mean(0)

    return {mixture_name(k): mean_nll(k) for k in smaller_sizes(len(log_probs))}


def draw_orders(key: Key, orders: Int[np.ndarray, "K D"], count: int) -> Int[Array, "B D"]:
    """Draw one of `orders` for each of `count` samples; sample i uses the key folded with i."""
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(count))
    return jnp.asarray(orders)[jax.vmap(lambda key: jax.random.randint(key, (), 0, len(orders)))(keys)]


def known_first(order: Int[Array, "B D"], known: Float[Array, "B D"]) -> Int[Array, "B D"]:
    """Put the known pixels at the front of each ordering; known and unknown pixels keep their relative order."""
    unknown = 1 - jnp.take_along_axis(known, order, axis=1)
    return jnp.take_along_axis(order, jnp.argsort(unknown, axis=1, stable=True), axis=1)


@jax.jit
def fill(
    params: PyTree,
    order: Int[Array, "B D"],
    uniform: Float[Array, "B D"],
    x: Float[Array, "B D"],
    known: Float[Array, "B D"],
) -> Float[Array, "B D"]:
    """Draw pixel after pixel, each example in its own order, or take the pixel from `x` where it is `known`.

    Each pixel adds its rows of W and F to the activation of the first layer; deeper layers are computed anew.
    """
    examples = jnp.arange(len(x))

    def pixel(a: Float[Array, "B H"], index: Int[Array, " B"]) -> tuple[Array, Array]:
        logit = (last_hidden(params, a) * params["V"][index]).sum(-1) + params["b"][index]
        drawn = bernoulli().draw(logit[:, None], uniform[examples, index])
        value = jnp.where(known[examples, index] > 0, x[examples, index], drawn)
        return a + value[:, None] * params["W"][index] + params["F"][index], value

    start = jnp.broadcast_to(params["c"], (len(x), params["c"].size))
    _, values = jax.lax.scan(pixel, start, order.T)
    return jnp.take_along_axis(values.T, jnp.argsort(order, axis=1), axis=1)
