"""RNADE: the real-valued neural autoregressive density estimator (Uria, Murray & Larochelle 2013).

    p(x) = prod_d p(x_d | x_<d),   p(x_d | x_<d) = sum_k alpha_dk N(x_d | mu_dk, sigma_dk^2)
    a_1 = c,   a_{d+1} = a_d + x_d W_d,   h_d = ReLU(rho_d a_d)
    alpha_d = softmax(V^alpha_d h_d + b^alpha_d)
    mu_d = V^mu_d h_d + b^mu_d
    sigma_d = exp(V^sigma_d h_d + b^sigma_d)

d counts pixels in the order in which they are generated, and so do the rows of all arrays. x is standardized: each
pixel minus its mean, divided by its standard deviation.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from einops import rearrange
from jax import Array
from jaxtyping import Float

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.likelihood import bits_per_dim
from genjax.losses.mixture import bounded_log_sigmas, gaussian_mixture_log_prob, scale_gradient
from genjax.models.autoregressive.nade import checked_ordering, in_order, masked
from genjax.models.completion import given_pixels, prefix_or_nan
from genjax.types import Batch, Key, Metrics, Params, Scalar, Stats

CHUNK = 16
"""Pixels per masked matrix product."""

SPREAD = 2.0
"""Half-width of the range that the untrained components of a pixel cover, in its standard deviations."""


class Weights(NamedTuple):
    """Arrays of RNADE, with rows in the order of generation; the P = 3 K columns are alpha, mu and sigma in turn."""

    W: Float[Array, "D H"]
    V: Float[Array, "D H P"]
    b: Float[Array, "D P"]
    c: Float[Array, " H"]
    rho: Float[Array, " D"]


class Mixture(NamedTuple):
    """Mixture of K Gaussians for each element, over standardized values."""

    logits: Float[Array, "*shape K"]
    means: Float[Array, "*shape K"]
    log_sigmas: Float[Array, "*shape K"]

    def log_prob(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Return the log density of each element, in nats."""
        return gaussian_mixture_log_prob(self.logits, self.means, self.log_sigmas, x)

    def draw(self, uniform: Float[Array, "*shape"], normal: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Draw an exact sample: the component by `uniform` in [0, 1), then the value in it by `normal` ~ N(0, 1)."""
        cumulative = jnp.cumsum(jax.nn.softmax(self.logits), axis=-1)
        component = (cumulative[..., :-1] <= uniform[..., None] * cumulative[..., -1:]).sum(axis=-1, keepdims=True)
        mean = jnp.take_along_axis(self.means, component, axis=-1)[..., 0]
        log_sigma = jnp.take_along_axis(bounded_log_sigmas(self.log_sigmas), component, axis=-1)[..., 0]
        return mean + jnp.exp(log_sigma) * normal


def rnade(
    image_shape: tuple[int, int, int],
    *,
    hidden: int = 512,
    components: int = 10,
    ordering: Sequence[int] | None = None,
    scaled_means: bool = True,
    levels: int | None = None,
    mean: Float[np.ndarray, "H W C"] | None = None,
    std: Float[np.ndarray, "H W C"] | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Model:
    """Return an RNADE of real-valued images: a mixture of `components` Gaussians for each pixel, from `hidden` units.

    `ordering[d]` is the pixel (its index in the flattened image) that is generated at position d; None means raster
    order. `mean` and `std` standardize each pixel (defaults 0 and 1). `scaled_means` multiplies the gradient of each
    mean by the standard deviation of its component, as the paper does. The default optimizer is Adam with step size
    0.001.

    `evaluate` returns `nll_nats`, the negative log density of the image before standardization: it may be negative, and
    compares with densities of the same values only. With `levels` = K the values must be K levels made continuous,
    (level + u) / K with u uniform in [0, 1); `evaluate` then adds `bits_per_dim` of the levels, (nll_nats / D + log K)
    / log 2, whose mean over u is an upper bound (Theis, van den Oord & Bethge 2016).

    `generate` draws images, in which some values may lie outside the range of the data; if the batch has `known`
    [B, H, W, C] (0 or 1) it completes `image`: known pixels must be the first of the ordering, or ValueError is raised
    (under `jit`, the image is NaN instead).
    Raises ValueError if `hidden` or `components` is below 1, `ordering` is no permutation of the pixels, `mean` or
    `std` is not finite or not of the image's shape, or `std` is not above 0.
    """
    order = checked_ordering(ordering, math.prod(image_shape))
    check_sizes(hidden, components, levels)
    shift, scale = standardization(image_shape, mean, std)
    shift, scale = shift.reshape(-1)[order], scale.reshape(-1)[order]

    def standardized(image: Float[Array, "B H W C"]) -> Float[Array, "B D"]:
        x = in_order(image, order)
        return (x - shift.astype(x.dtype)) / scale.astype(x.dtype)

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        del batch
        return {"rnade": init_weights(key, order.size, hidden=hidden, components=components)._asdict()}, {}

    def nll_nats(params: Params, image: Array) -> Float[Array, " B"]:
        x = standardized(image)
        densities = log_prob(Weights(**params["rnade"]), x, scaled_means=scaled_means)
        return np.log(scale).sum().astype(x.dtype) - densities  # change of variables: each pixel was divided by its std

    def bits(nll: Array) -> Metrics:
        return {} if levels is None else {"bits_per_dim": bits_per_dim(nll + order.size * math.log(levels), order.size)}

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        del key
        nll = nll_nats(params, batch["image"]).mean()
        return nll, (bits(nll), stats)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        del stats, key
        nll = nll_nats(params, batch["image"])
        return {"nll_nats": nll, **bits(nll)}

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        del stats
        image, known = given_pixels(batch)
        first = in_order(known, order)
        x, _ = fill(Weights(**params["rnade"]), key, standardized(image), first)
        values = prefix_or_nan(batch, x * scale.astype(x.dtype) + shift.astype(x.dtype), first)
        drawn = values[:, np.argsort(order)].reshape(image.shape)
        return jnp.where((known > 0) & ~jnp.isnan(drawn), image, drawn)  # known values exactly as given

    phase = Phase("likelihood", loss, ("rnade",), optimizer or optax.adam(1e-3))
    kinds = {"nll_nats": "exact"} if levels is None else {"nll_nats": "exact", "bits_per_dim": "elbo"}
    model = Model(init, (phase,), evaluate, generate, kinds=kinds, seeds_together=False)
    return with_inputs(model, image=Input(image_shape, "real" if levels is None else "unit"))


def check_sizes(hidden: int, components: int, levels: int | None) -> None:
    """Raise ValueError if a number is too small."""
    if hidden < 1 or components < 1:
        raise ValueError(f"hidden={hidden} and components={components} must be at least 1")
    if levels is not None and levels < 2:
        raise ArgumentError("levels", levels, " must be at least 2")


def standardization(
    image_shape: tuple[int, int, int], mean: np.ndarray | None, std: np.ndarray | None
) -> tuple[Float[np.ndarray, "H W C"], Float[np.ndarray, "H W C"]]:
    """Return mean and standard deviation of each pixel in float64, by default 0 and 1; ValueError as in `rnade`."""
    shift = np.zeros(image_shape) if mean is None else np.asarray(mean, np.float64)
    scale = np.ones(image_shape) if std is None else np.asarray(std, np.float64)
    for name, array in (("mean", shift), ("std", scale)):
        if array.shape != tuple(image_shape) or not np.isfinite(array).all():
            raise ValueError(f"{name}: shape {array.shape} must be the image's, {image_shape}, and all values finite")
    if not (scale > 0).all():
        raise ValueError(f"std: the smallest is {scale.min()}, and each must be above 0; add noise to constant pixels")
    return shift, scale


def init_weights(key: Key, dimensions: int, *, hidden: int, components: int) -> Weights:
    """Return W, V ~ N(0, 0.01²), c = 0, rho = 1, and b for components of equal weight with evenly spread means.

    The means cover `SPREAD` standard deviations to either side, and each sigma starts at the distance between two of
    them: b^sigma is the log of the distance (in the authors' code b^sigma is the distance itself, so that sigma starts
    at its exponential).
    """
    w_key, v_key = jax.random.split(key)
    distance = 2 * SPREAD / (components + 1)
    means = distance * np.arange(1, components + 1) - SPREAD
    b = np.concatenate([np.zeros(components), means, np.full(components, math.log(distance))])
    return Weights(
        W=0.01 * jax.random.normal(w_key, (dimensions, hidden)),
        V=0.01 * jax.random.normal(v_key, (dimensions, hidden, 3 * components)),
        b=jnp.tile(jnp.asarray(b, jnp.result_type(float)), (dimensions, 1)),
        c=jnp.zeros(hidden),
        rho=jnp.ones(dimensions),
    )


def parameter_count(dimensions: int, hidden: int, components: int) -> int:
    """Return the number of parameters: HD + 3KHD + 3KD + H + D."""
    return dimensions * hidden * (1 + 3 * components) + 3 * components * dimensions + hidden + dimensions


def log_prob(weights: Weights, x: Float[Array, "B D"], *, scaled_means: bool = False) -> Float[Array, " B"]:
    """Return log p(x) in nats of standardized values.

    `scaled_means` leaves the value unchanged and multiplies the gradient of each mean by the standard deviation of its
    component.
    """
    mixture = conditionals(weights, x)
    if scaled_means:
        sigmas = jnp.exp(bounded_log_sigmas(mixture.log_sigmas))
        mixture = mixture._replace(means=scale_gradient(mixture.means, sigmas))
    return mixture.log_prob(x).sum(-1)


def conditionals(weights: Weights, x: Float[Array, "B D"], *, chunk: int = CHUNK) -> Mixture:
    """Return the mixtures of all conditionals, [B, D, K], in O(HDK) operations per image.

    A scan over chunks of pixels carries a = c + sum_{i<d} x_i W_i; inside a chunk the sum is one matrix product with a
    strictly lower triangular mask. For the gradient only the activation before each chunk is stored, and the rest is
    computed anew.
    """
    dimensions = x.shape[1]
    rows = Chunk(weights.W, weights.V, weights.b, weights.rho, x.T)
    chunks = jax.tree.map(lambda array: in_chunks(array, chunk), rows)
    start = jnp.broadcast_to(weights.c, (len(x), weights.c.size))
    _, parameters = jax.lax.scan(jax.checkpoint(chunk_step), start, chunks)
    return mixture_of(rearrange(parameters, "n b j p -> b (n j) p")[:, :dimensions])


class Chunk(NamedTuple):
    """Pixels of one step of the scan, and their rows of the weights."""

    W: Float[Array, "J H"]
    V: Float[Array, "J H P"]
    b: Float[Array, "J P"]
    rho: Float[Array, " J"]
    x: Float[Array, "J B"]


def in_chunks(rows: Float[Array, "D ..."], chunk: int) -> Float[Array, "N J ..."]:
    """Split rows into chunks of J = `chunk`; the last chunk is padded with zeros."""
    padded = jnp.pad(rows, ((0, -len(rows) % chunk), *((0, 0) for _ in rows.shape[1:])))
    return padded.reshape(-1, chunk, *rows.shape[1:])


def chunk_step(a: Float[Array, "B H"], chunk: Chunk) -> tuple[Array, Float[Array, "B J P"]]:
    """Take one step of the scan; return the next activation, and the parameters of the chunk's mixtures."""
    x = chunk.x.T
    h = jax.nn.relu(chunk.rho[:, None] * (a[:, None] + masked(x) @ chunk.W))
    return a + x @ chunk.W, jnp.einsum("bjh,jhp->bjp", h, chunk.V) + chunk.b


def mixture_of(parameters: Float[Array, "*shape P"]) -> Mixture:
    """Split parameters into logits, means and log sigmas."""
    return Mixture(*jnp.split(parameters, 3, axis=-1))


@functools.partial(jax.jit, static_argnames="count")
def sample(weights: Weights, key: Key, count: int) -> tuple[Float[Array, "B D"], Float[Array, " B"]]:
    """Draw `count` standardized samples in the order of generation; return them with their log densities.

    O(HDK) per sample: each pixel adds its row of W, times the value drawn, to the activation. Sample i uses the key
    folded with i, so that it does not depend on how many others are drawn.
    """
    unknown = jnp.zeros((count, weights.rho.size))
    return fill(weights, key, unknown, unknown)


def fill(weights: Weights, key: Key, x: Float[Array, "B D"], known: Float[Array, "B D"]) -> tuple[Array, Array]:
    """Draw pixel after pixel, or take it from `x` where it is known; return the images and the log p of each."""
    uniform, normal = noise(key, x)

    def pixel(carry: tuple[Array, Array], row: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        (a, log_p), (W, V, b, rho, u, z, given, is_known) = carry, row
        mixture = mixture_of(jax.nn.relu(rho * a) @ V + b)
        value = jnp.where(is_known > 0, given, mixture.draw(u, z))
        return (a + value[:, None] * W, log_p + mixture.log_prob(value)), value

    start = (jnp.broadcast_to(weights.c, (len(x), weights.c.size)), jnp.zeros(len(x), jnp.result_type(x, weights.c)))
    rows = (weights.W, weights.V, weights.b, weights.rho, uniform.T, normal.T, x.T, known.T)
    (_, log_p), values = jax.lax.scan(pixel, start, rows)
    return values.T, log_p


def noise(key: Key, x: Float[Array, "B D"]) -> tuple[Float[Array, "B D"], Float[Array, "B D"]]:
    """Draw a uniform and a normal number for each element; sample i uses the key folded with i."""

    def of_sample(index: Array) -> tuple[Array, Array]:
        uniform_key, normal_key = jax.random.split(jax.random.fold_in(key, index))
        size = x.shape[1:]
        return jax.random.uniform(uniform_key, size, x.dtype), jax.random.normal(normal_key, size, x.dtype)

    return jax.vmap(of_sample)(jnp.arange(len(x)))
