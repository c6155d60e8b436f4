"""MADE: a masked autoencoder whose outputs are the conditionals of its inputs (Germain et al. 2015).

    p(x) = prod_d p(x_d | x_<d),   p(x_d = 1 | x_<d) = sigmoid(output d of a masked network)

One pass gives all conditionals. Several masks over the same weights are several models: their ensemble is the mixture
p(x) = (1/M) sum_m p_m(x).
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.nn.initializers import constant, zeros
from jaxtyping import Float, Int

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.likelihood import bernoulli_log_prob, bits_per_dim, flat_pixels, log_mean_exp
from genjax.models.autoregressive.nade import checked_ordering
from genjax.models.autoregressive.pixels import bernoulli, element_uniforms
from genjax.models.completion import given_pixels, prefix_or_nan
from genjax.networks.masked import Activation, Degrees, MaskedMLP, spread_degrees
from genjax.networks.start import frequency_logits
from genjax.shuffle import permutation
from genjax.types import Batch, Key, Metrics, Params, PyTree, Scalar, Stats

MOST_UNITS = 10**8
"""Largest number of hidden units times masks, whose degrees are numbered on the host before there is a model."""


def made(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (500,),
    masks: int = 1,
    ordering: Sequence[int] | None = None,
    shuffle: bool = False,
    direct: bool = True,
    activation: Activation = jax.nn.relu,
    mean: Float[np.ndarray, "H W C"] | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Model:
    """Return a MADE of binary images, with hidden layers of the widths `hidden`.

    Each training step draws one of the `masks` under its key (the paper cycles through them); the masks themselves
    never change. `ordering[d]` is the pixel (its index in the flattened image) that is generated at position d; None
    means raster order. With `shuffle` each mask has its own random ordering instead. `direct` connects inputs to
    outputs. `mean` holds the marginal probabilities of the pixels, from which the output biases start. The default
    optimizer is Adam with step size 0.001.

    `evaluate` returns the exact -log p(x) of the mixture of all masks. `generate` draws a mask for each image, then its
    pixels one after another. If the batch has `known` [B, H, W, C] (0 or 1) it completes `image`, and draws the mask
    from its posterior given the known pixels: these must be the first of every mask's ordering, or ValueError is raised
    (under `jit`, the image is NaN instead). Raises ValueError if a layer or `masks` is below 1, `ordering` is no
    permutation of the pixels, or both `ordering` and `shuffle` are given.
    """
    size = int(np.prod(image_shape))
    check_sizes(hidden, masks)
    orders = mask_orderings(size, masks, ordering, shuffle=shuffle)
    every = stacked_degrees(orders, hidden)
    bias = zeros if mean is None else constant(frequency_logits(mean.reshape(-1)))
    network = MaskedMLP(hidden, activation=activation, direct=direct, bias_init=bias)

    def log_probs(params: Params, degrees: Degrees, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
        return bernoulli_log_prob(jnp.asarray(network.apply({"params": params["made"]}, x, degrees)), x)

    def mask_log_probs(params: Params, x: Float[Array, "B D"], counted: Float[Array, "B D"]) -> Float[Array, "M B"]:
        return jax.lax.map(lambda degrees: (log_probs(params, degrees, x) * counted).sum(-1), every)

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        del batch
        return {"made": network.init(key, jnp.zeros((1, size)), mask_of(every, 0))["params"]}, {}

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        degrees = mask_of(every, jax.random.randint(key, (), 0, masks))
        nll = -log_probs(params, degrees, flat_pixels(batch["image"])).sum(-1).mean()
        return nll, ({"bits_per_dim": bits_per_dim(nll, size)}, stats)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        del stats, key
        x = flat_pixels(batch["image"])
        nll = -log_mean_exp(mask_log_probs(params, x, jnp.ones_like(x)), axis=0)
        return {"nll_nats": nll, "bits_per_dim": bits_per_dim(nll, size)}

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        del stats
        image, known = given_pixels(batch)
        x, is_known = flat_pixels(image), flat_pixels(known)
        mask_key, pixel_key = jax.random.split(key)
        mask = draw_masks(mask_key, mask_log_probs(params, x, is_known))
        uniform = flat_pixels(element_uniforms(pixel_key, image))
        filled = fill(params["made"], mask_of(every, mask), uniform, x, is_known, activation=activation)
        known_in_orders = is_known[:, np.stack(orders)].reshape(-1, size)
        return prefix_or_nan(batch, filled, known_in_orders).reshape(image.shape)

    phase = Phase("likelihood", loss, ("made",), optimizer or optax.adam(1e-3))
    kinds = {"nll_nats": "exact", "bits_per_dim": "exact"}
    model = Model(init, (phase,), evaluate, generate, kinds=kinds, seeds_together=False)
    return with_inputs(model, image=Input(image_shape, "binary"))


def check_sizes(hidden: Sequence[int], masks: int) -> None:
    """Raise ValueError if a layer or the number of masks is below 1."""
    if min(hidden, default=0) < 1:
        raise ArgumentError("hidden", tuple(hidden), " must hold at least one layer, each of at least 1 unit")
    if masks < 1:
        raise ArgumentError("masks", masks, " must be at least 1")
    if sum(hidden) * masks > MOST_UNITS:
        raise ArgumentError("hidden", tuple(hidden), f" with {masks} masks are more units than {MOST_UNITS}, the most")


def mask_orderings(
    size: int, masks: int, ordering: Sequence[int] | None, *, shuffle: bool
) -> list[Int[np.ndarray, " D"]]:
    """Return the ordering of the pixels for each mask: the same for all, or with `shuffle` a random one for each."""
    if shuffle and ordering is not None:
        raise ValueError("ordering: with shuffle=True each mask has a random one of its own; give one of the two")
    return [permutation(size, seed=mask) if shuffle else checked_ordering(ordering, size) for mask in range(masks)]


def stacked_degrees(orders: Sequence[Int[np.ndarray, " D"]], hidden: Sequence[int]) -> Degrees:
    """Return the degrees of one mask for each of `orders`, [M, units] per layer; they depend on the arguments alone."""
    each = [spread_degrees(order, hidden, seed=mask) for mask, order in enumerate(orders)]
    return tuple(np.stack(layer) for layer in zip(*each, strict=True))


def mask_of(every: Degrees, mask: int | Int[Array, "*B"]) -> Degrees:
    """Select the degrees of one mask by its number, or of one mask for each example."""
    return tuple(jnp.asarray(layer)[mask] for layer in every)


def draw_masks(key: Key, log_probs: Float[Array, "M B"]) -> Int[Array, " B"]:
    """Draw a mask for each example, with probability proportional to exp(`log_probs`).

    Example i uses the key folded with i.
    """
    keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.arange(log_probs.shape[1]))
    return jax.vmap(jax.random.categorical)(keys, log_probs.T)


@functools.partial(jax.jit, static_argnames="activation")
def fill(
    params: PyTree,
    degrees: Degrees,
    uniform: Float[Array, "B D"],
    x: Float[Array, "B D"],
    known: Float[Array, "B D"],
    *,
    activation: Activation,
) -> Float[Array, "B D"]:
    """Draw pixel after pixel, each example under its own mask, or take the pixel from `x` where it is `known`.

    The result equals D passes through the network, but each step computes only what its pixel changes: the pixel at
    position t adds its row of the first kernel to the units of degree t or more, and units of degree t, which no later
    pixel changes, are added to the layer above.
    """
    positions, *hidden = degrees  # [B, D], and [B, units] per hidden layer
    layers = [params[f"hidden_{index}"] for index in range(1, len(hidden) + 1)]
    columns = params["output"]["kernel"].T
    direct = params["direct"]["kernel"].T if "direct" in params else jnp.zeros((x.shape[1], 1), x.dtype)
    rows = jnp.arange(len(x))

    def pixel(carry: tuple[list[Array], Array], step: tuple[Array, Array]) -> tuple[tuple[list[Array], Array], None]:
        (activations, drawn), (position, index) = carry, step
        seen = jnp.where(hidden[-1] < position, activation(activations[-1]), 0)
        logit = params["output"]["bias"][index] + (seen * columns[index]).sum(-1) + (drawn * direct[index]).sum(-1)
        value = bernoulli().draw(logit[:, None], uniform[rows, index])
        value = jnp.where(known[rows, index] > 0, x[rows, index], value)
        change = value[:, None] * layers[0]["kernel"][index]
        after = []
        for layer, (a, degree) in enumerate(zip(activations, hidden, strict=True)):
            if layer:
                final = jnp.where(hidden[layer - 1] == position, activation(after[-1]), 0)
                change = final @ layers[layer]["kernel"]
            after.append(a + jnp.where(degree >= position, change, 0))
        return (after, drawn.at[rows, index].set(value)), None

    dtype = jnp.result_type(x, layers[0]["bias"])
    start = [jnp.broadcast_to(layer["bias"], (len(x), layer["bias"].size)).astype(dtype) for layer in layers]
    steps = (jnp.arange(1, x.shape[1] + 1), jnp.argsort(positions, axis=1).T)
    (_, drawn), _ = jax.lax.scan(pixel, (start, jnp.zeros_like(x)), steps)
    return drawn
