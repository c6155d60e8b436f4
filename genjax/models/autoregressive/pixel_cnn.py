"""PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016) and Gated PixelCNN (van den Oord et al. 2016b).

    p(x) = prod_i p(x_i,R | x_<i) p(x_i,G | x_<i, x_i,R) p(x_i,B | x_<i, x_i,R, x_i,G)

i counts pixels row by row. All conditionals of an image come of one pass through masked convolutions
(genjax/networks/masked_conv.py); sampling goes element by element, with the rows that each layer needs in a cache.
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
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Float

from genjax.core import Model, Phase
from genjax.losses.likelihood import bits_per_dim, sum_pixels
from genjax.models.autoregressive.pixels import Output, element_uniforms, given_pixels, prefix_or_nan
from genjax.networks.masked_conv import (
    ConditionEncoder,
    HorizontalStack,
    PixelCNN,
    Position,
    VerticalStack,
    next_row,
    shifted_down,
    with_pixel,
)
from genjax.types import Batch, Key, Metrics, Params, PyTree, Scalar, Stats


class Networks(NamedTuple):
    """What a PixelCNN is made of; its parameters have the same names."""

    pixels: PixelCNN | HorizontalStack
    """The row so far, and what `above` says, to parameters [B, H, W, C, P]: `PixelCNN` or `HorizontalStack`."""
    above: VerticalStack | None = None
    """The rows above: `VerticalStack`, or nothing, where `pixels` sees them itself."""
    condition: ConditionEncoder | None = None
    """A given image [B, H, W, Cc] to features [B, H, W, features]."""

    def named(self) -> dict[str, nn.Module]:
        """Those that there are, by name."""
        return {name: network for name, network in self._asdict().items() if network is not None}


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
    dtype: DTypeLike | None = None,
    mean: Float[np.ndarray, "H W C"] | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Model:
    """PixelCNN, or with `gated` Gated PixelCNN, of images whose elements are distributed as `output` says.

    With `classes` each block adds a vector that belongs to `label` [B] in the batch (2016b, equation 4); with
    `condition_channels` it adds a map made of `condition` [B, H, W, Cc], values in [0, 1] (equation 5). `dtype` is that
    of the computation (such as bfloat16); parameters and likelihoods stay as they are. `mean` is the mean image, which
    is taken off what the network sees: so a convolution can tell where in the image it is. The default optimizer is
    Adam with step size 0.001.

    `generate` draws images; where the batch has `known` [B, H, W, C] (0 or 1) it completes `image`: known elements must
    be the first, row by row, or ValueError is raised (under `jit`: the image is NaN).
    Raises ValueError where a number is out of range, and later where the batch has no label or condition that the model
    needs, or one of a wrong shape.
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
        dtype=dtype,
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
        return prefix_or_nan(filled, known.reshape(len(known), -1))

    phase = Phase("likelihood", loss, tuple(networks.named()), optimizer or optax.adam(1e-3))
    return Model(init, (phase,), evaluate, generate)


def make_networks(
    channels: int,
    output: Output,
    *,
    features: int,
    blocks: int,
    gated: bool,
    first_kernel: int = 7,
    kernel: int = 3,
    conditional: bool = False,
    dtype: DTypeLike | None = None,
) -> Networks:
    """The networks of `pixel_cnn`; `conditional` where there is a condition. Raises ValueError as said there."""
    check_at_least(1, blocks=blocks)
    check_at_least(channels, features=features)  # else a channel would have no map
    check_kernels(first_kernel, kernel)
    sizes: Any = {
        "features": features,
        "blocks": blocks,
        "first_kernel": first_kernel,
        "kernel": kernel,
        "dtype": dtype,
    }
    return Networks(
        pixels=(HorizontalStack if gated else PixelCNN)(channels, output.parameters, **sizes),
        above=VerticalStack(**sizes) if gated else None,
        condition=ConditionEncoder(features, dtype) if conditional else None,
    )


def check_at_least(least: int, **sizes: int) -> None:
    """Raise ValueError where a size is smaller."""
    for name, value in sizes.items():
        if value < least:
            raise ValueError(f"{name}={value} must be at least {least}")


def check_kernels(first_kernel: int, kernel: int) -> None:
    """Raise ValueError where a kernel has no centre, or the first sees no neighbour."""
    for name, size, least in (("first_kernel", first_kernel, 3), ("kernel", kernel, 1)):
        if size < least or size % 2 == 0:
            raise ValueError(f"{name}={size} must be odd and at least {least}")


class Given(NamedTuple):
    """What a batch has to give beside the image; ValueError names what is missing, of a wrong shape or out of range.

    A label out of range whose value is not known yet (under `jit`) gives NaN.
    """

    image_shape: tuple[int, int, int]
    classes: int
    condition_channels: int

    def label(self, batch: Batch) -> Float[Array, "B classes"] | None:
        """The label, one-hot; None for a model without classes."""
        if not self.classes:
            return None
        label = checked(batch, "label", (len(batch["image"]),))
        valid = (label >= 0) & (label < self.classes)
        if not isinstance(label, Tracer) and not valid.all():
            raise ValueError(f"batch['label']: {label[~valid][0]} must be from 0 to {self.classes - 1}")
        one_hot = jax.nn.one_hot(label, self.classes, dtype=batch["image"].dtype)
        return jnp.where(valid[:, None], one_hot, jnp.nan)

    def condition(self, batch: Batch) -> Float[Array, "B H W Cc"] | None:
        """The given image; None for a model without."""
        if not self.condition_channels:
            return None
        height, width, _ = self.image_shape
        return checked(batch, "condition", (len(batch["image"]), height, width, self.condition_channels))


def checked(batch: Batch, name: str, shape: tuple[int, ...]) -> Array:
    """An entry of the batch; ValueError where it is missing or of another shape."""
    if name not in batch:
        raise ValueError(f"{name}: the model needs it, of shape {shape}; the batch has {', '.join(sorted(batch))}")
    if batch[name].shape != shape:
        raise ValueError(f"{name}: shape {batch[name].shape} must be {shape}")
    return batch[name]


def init_params(networks: Networks, key: Key, given: Given, batch: Batch) -> Params:
    """The parameters of each network, under a key of its own."""
    pixels_key, above_key, condition_key = jax.random.split(key, 3)
    image, above = batch["image"], None
    params: dict[str, PyTree] = {}
    if networks.condition is not None:
        params["condition"] = networks.condition.init(condition_key, given.condition(batch))
    context = context_of(networks, params, given, batch)
    if networks.above is not None:
        above, params["above"] = networks.above.init_with_output(above_key, image, context)
    return {**params, "pixels": networks.pixels.init(pixels_key, image, above, context)}


def context_of(networks: Networks, params: Params, given: Given, batch: Batch) -> Float[Array, "B h w K"] | None:
    """What every block is told: the label, as one vector for all pixels, and features of the given image."""
    label, condition = given.label(batch), given.condition(batch)
    vector = None if label is None else label[:, None, None, :]
    if networks.condition is None or condition is None:
        return vector
    features: Any = networks.condition.apply(params["condition"], centred(condition, GREY))
    if vector is None:
        return features
    return jnp.concatenate([features, jnp.broadcast_to(vector, (*features.shape[:3], vector.shape[-1]))], axis=-1)


Center = Float[np.ndarray | Array, "#rows #columns #channels"]

GREY = np.full((1, 1, 1), 0.5, np.float32)
"""The center of images whose mean is not known."""


def centred(image: Float[Array, "B H W C"], center: Center) -> Float[Array, "B H W C"]:
    """2 (image - center): from [0, 1] to [-1, 1] at GREY, so that the zeros around are neither black nor white."""
    return 2 * (image - center)


def conditionals(
    networks: Networks,
    params: Params,
    image: Float[Array, "B H W C"],
    context: Float[Array, "B h w K"] | None,
    center: Center = GREY,
) -> Float[Array, "B H W C P"]:
    """The parameters of the conditional of each element."""
    x, above = centred(image, center), None
    if networks.above is not None:
        above = networks.above.apply(params["above"], shifted_down(x), context)
    return networks.pixels.apply(params["pixels"], x, above, context)  # pyright: ignore[reportReturnType]


class Canvas(NamedTuple):
    """What a sampler carries: the image so far, and the caches of the networks."""

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
    """Draw element after element, or take it from `image` where it is known; the same as `fill_by_passes`.

    Each element costs one value of every map of `networks.pixels`, and each row one row of `networks.above`: the rows
    that their kernels look back on are in caches (Ramachandran et al. 2017).
    """
    batch, height, width, channels = image.shape
    uniform = element_uniforms(key, image)
    centers = jnp.broadcast_to(jnp.asarray(center, image.dtype), (1, height, width, channels))
    if context is not None:
        context = jnp.broadcast_to(context, (batch, height, width, context.shape[-1]))

    def apply(name: str, caches: PyTree, *inputs: PyTree, place: Position) -> tuple[PyTree, PyTree]:
        variables = {**params[name], "cache": caches[name]}
        network: Any = networks.named()[name]
        out, changed = network.apply(variables, *inputs, place, mutable=["cache"])
        return out, {**caches, name: changed["cache"]}

    def row(y: Array, canvas: Canvas) -> Canvas:
        row_context = rows_at(context, y)
        above, caches = None, next_row(canvas.caches)
        if networks.above is not None:
            previous = jnp.where(y > 0, centred(rows_at(canvas.image, y - 1), rows_at(centers, y - 1)[0]), 0)
            above, caches = apply("above", caches, previous, row_context, place="row")

        def element(index: Array, canvas: Canvas) -> Canvas:
            column, channel = index // channels, index % channels
            pixel = columns_at(rows_at(canvas.image, y), column)
            here, middle = columns_at((above, row_context), column), columns_at(rows_at(centers, y), column)[0]
            parameters, caches = apply("pixels", canvas.caches, centred(pixel, middle), *here, place=column)
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


def rows_at(maps: PyTree, y: Array | int) -> PyTree:
    """Row y of each map, [B, 1, W, features]."""
    return jax.tree.map(lambda map: jax.lax.dynamic_slice_in_dim(map, y, 1, axis=1), maps)


def columns_at(maps: PyTree, column: Array | int) -> PyTree:
    """One column of each map, [B, H, 1, features]."""
    return jax.tree.map(lambda map: jax.lax.dynamic_slice_in_dim(map, column, 1, axis=2), maps)


def empty_caches(
    networks: Networks, params: Params, image: Float[Array, "B H W C"], context: Float[Array, "B H W K"] | None
) -> PyTree:
    """The caches of the networks that have them, before the first row."""

    def shapes() -> PyTree:
        row, row_context, above, caches = rows_at(image, 0), rows_at(context, 0), None, {}
        if networks.above is not None:
            above, caches["above"] = networks.above.apply(params["above"], row, row_context, "row", mutable=["cache"])
        _, caches["pixels"] = networks.pixels.apply(params["pixels"], row, above, row_context, "row", mutable=["cache"])
        return {name: cache["cache"] for name, cache in caches.items()}

    return jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), jax.eval_shape(shapes))
