"""PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016) and Gated PixelCNN (van den Oord et al. 2016b).

    p(x) = prod_i p(x_i,R | x_<i) p(x_i,G | x_<i, x_i,R) p(x_i,B | x_<i, x_i,R, x_i,G)

i counts pixels row by row. One pass through masked convolutions (genjax/networks/masked_conv.py) computes all
conditionals of an image; sampling goes element by element, with the rows that each layer needs in a cache.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from genjax.core import Input, Model, Phase, with_inputs
from genjax.losses.likelihood import bits_per_dim, sum_pixels
from genjax.models.autoregressive.pixel_cnn_networks import (
    GREY,
    Center,
    Given,
    Networks,
    centred,
    check_at_least,
    conditionals,
    context_of,
    init_params,
    make_networks,
)
from genjax.models.autoregressive.pixels import Output, element_uniforms
from genjax.models.completion import given_pixels, prefix_or_nan
from genjax.networks.masked_conv import Position, next_row, with_pixel
from genjax.types import Batch, Key, Metrics, Params, PyTree, Scalar, Stats


def pixel_cnn(
    image_shape: tuple[int, int, int],
    *,
    output: Output,
    features: int = 128,
    blocks: int = 15,
    gated: bool = False,
    first_kernel: int = 7,
    kernel: int = 3,
    classes: int = 0,
    condition_channels: int = 0,
    mean: Float[np.ndarray, "H W C"] | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Model:
    """Return a PixelCNN, or with `gated` a Gated PixelCNN, of images whose elements have the distribution `output`.

    With `classes` each block adds a learned vector of the class `label` [B] (2016b, equation 4); with
    `condition_channels` each block adds features of the image `condition` [B, H, W, Cc] in [0, 1] (equation 5). `mean`
    is the mean image, which is subtracted from the images that the network sees, so that a convolution can tell its
    position in the image. The default optimizer is Adam with step size 0.001.

    `generate` draws images; if the batch has `known` [B, H, W, C] (0 or 1) it completes `image`: known elements must
    be the first, row by row, or ValueError is raised (under `jit`, the image is NaN instead).
    Raises ValueError if a number is out of range, and later if the batch lacks a label or condition that the
    model needs, or has one of a wrong shape.
    """
    check_at_least(0, classes=classes, condition_channels=condition_channels)
    networks = make_networks(
        image_shape[2],
        output,
        features=features,
        blocks=blocks,
        gated=gated,
        first_kernel=first_kernel,
        kernel=kernel,
        conditional=condition_channels > 0,
    )
    dimensions = math.prod(image_shape)
    given, center = Given(image_shape, classes, condition_channels), GREY if mean is None else mean

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        return init_params(networks, key, given, batch), {}

    def nll_nats(params: Params, batch: Batch) -> Float[Array, " B"]:
        context = context_of(networks, params, given, batch)
        parameters = conditionals(networks, params, batch["image"], context, center)
        return -sum_pixels(output.log_prob(parameters, batch["image"]))

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        del key
        nll = nll_nats(params, batch).mean()
        return nll, ({"bits_per_dim": bits_per_dim(nll, dimensions)}, stats)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        del stats, key
        nll = nll_nats(params, batch)
        return {"nll_nats": nll, "bits_per_dim": bits_per_dim(nll, dimensions)}

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        del stats
        image, known = given_pixels(batch)
        context = context_of(networks, params, given, batch)
        filled = fill(networks, output, params, key, image, known, context, center)
        return prefix_or_nan(batch, filled, known.reshape(len(known), -1))

    phase = Phase("likelihood", loss, networks.names(), optimizer or optax.adam(1e-3))
    kinds = {"nll_nats": "exact", "bits_per_dim": "exact"}
    model = Model(init, (phase,), evaluate, generate, kinds=kinds, seeds_together=False)
    return with_inputs(model, image=Input(image_shape, output.values), **given.inputs())


class Canvas(NamedTuple):
    """State of the sampler: the image so far, and the caches of the networks."""

    image: Float[Array, "B H W C"]
    caches: PyTree


@functools.partial(jax.jit, static_argnames=("networks", "output"))
def fill(
    networks: Networks,
    output: Output,
    params: Params,
    key: Key,
    image: Float[Array, "B H W C"],
    known: Float[Array, "B H W C"],
    context: Float[Array, "B h w K"] | None,
    center: Center = GREY,
) -> Float[Array, "B H W C"]:
    """Draw element after element, or take it from `image` where it is known; the same as `pixels.fill_by_passes`.

    For each element every layer of `networks.pixels` is computed at one pixel, and for each row every layer of
    `networks.above` at one row: the earlier rows that their kernels reach are in caches (Ramachandran et al. 2017).
    """
    batch, height, width, channels = image.shape
    uniform = element_uniforms(key, image)
    centers = jnp.broadcast_to(jnp.asarray(center, image.dtype), (1, height, width, channels))
    if context is not None:
        context = jnp.broadcast_to(context, (batch, height, width, context.shape[-1]))

    def row(y: Array, canvas: Canvas) -> Canvas:
        row_context = rows_at(context, y)
        above, caches = None, next_row(canvas.caches)
        if networks.above is not None:
            previous = jnp.where(y > 0, centred(rows_at(canvas.image, y - 1), rows_at(centers, y - 1)[0]), 0)
            above, caches["above"] = with_cache(
                networks.above, params["above"], caches["above"], previous, row_context, position="row"
            )

        def element(index: Array, canvas: Canvas) -> Canvas:
            column, channel = index // channels, index % channels
            pixel = columns_at(rows_at(canvas.image, y), column)
            here, middle = columns_at((above, row_context), column), columns_at(rows_at(centers, y), column)[0]
            caches = dict(canvas.caches)
            parameters, caches["pixels"] = with_cache(
                networks.pixels, params["pixels"], caches["pixels"], centred(pixel, middle), *here, position=column
            )
            drawn = output.draw(parameters[:, 0, 0, channel], uniform[:, y, column, channel])
            value = jnp.where(known[:, y, column, channel] > 0, image[:, y, column, channel], drawn)
            pixel = pixel.at[:, 0, 0, channel].set(value)
            caches["pixels"] = with_pixel(
                caches["pixels"], centred(pixel, middle), column, networks.pixels.first_kernel
            )
            return Canvas(jax.lax.dynamic_update_slice(canvas.image, pixel, (0, y, column, 0)), caches)

        return jax.lax.fori_loop(0, width * channels, element, Canvas(canvas.image, caches))

    caches = empty_caches(networks, params, image, context)
    return jax.lax.fori_loop(0, height, row, Canvas(jnp.zeros_like(image), caches)).image


def with_cache(
    network: nn.Module, params: PyTree, cache: PyTree, *inputs: PyTree, position: Position
) -> tuple[PyTree, PyTree]:
    """Apply a network at one row or column; return its output and its new cache."""
    out: Any
    out, changed = network.apply({**params, "cache": cache}, *inputs, position, mutable=["cache"])
    return out, changed["cache"]


def rows_at(arrays: PyTree, y: Array | int) -> PyTree:
    """Return row y of each array, [B, 1, W, features]."""
    return jax.tree.map(lambda array: jax.lax.dynamic_slice_in_dim(array, y, 1, axis=1), arrays)


def columns_at(arrays: PyTree, column: Array | int) -> PyTree:
    """Return one column of each array, [B, H, 1, features]."""
    return jax.tree.map(lambda array: jax.lax.dynamic_slice_in_dim(array, column, 1, axis=2), arrays)


def empty_caches(
    networks: Networks, params: Params, image: Float[Array, "B H W C"], context: Float[Array, "B H W K"] | None
) -> PyTree:
    """Return the caches of the networks before the first row, filled with 0."""

    def shapes() -> PyTree:
        row, row_context, above, caches = rows_at(image, 0), rows_at(context, 0), None, {}
        if networks.above is not None:
            above, caches["above"] = networks.above.apply(params["above"], row, row_context, "row", mutable=["cache"])
        _, caches["pixels"] = networks.pixels.apply(params["pixels"], row, above, row_context, "row", mutable=["cache"])
        return {name: cache["cache"] for name, cache in caches.items()}

    return jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), jax.eval_shape(shapes))
