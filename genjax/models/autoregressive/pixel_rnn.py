"""PixelRNN: Row LSTM and Diagonal BiLSTM (van den Oord, Kalchbrenner & Kavukcuoglu 2016, ICML).

    p(x) = prod_i p(x_i | x_<i)                                                                (1)
    p(x_i | x_<i) = p(x_i,R | x_<i) p(x_i,G | x_<i, x_i,R) p(x_i,B | x_<i, x_i,R, x_i,G)       (2)

Pixels are generated row by row. The network follows the paper's table 1: a 7x7 convolution with mask A, residual
recurrent layers, and twice a ReLU with a 1x1 convolution of mask B.
"""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from einops import rearrange
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.likelihood import bits_per_dim, sum_pixels
from genjax.models.autoregressive.pixels import Output, element_uniforms
from genjax.models.completion import given_pixels, prefix_or_nan
from genjax.networks.masked_conv import MaskedConv
from genjax.networks.pixel_recurrent import DiagonalBiLSTM, RowLSTM
from genjax.types import Batch, Key, Metrics, Params, Scalar, Stats

Layer = Literal["row", "diagonal"]

WINDOW = 7
"""Kernel size of the first convolution."""

Caches = tuple[Any, ...]
"""State of each recurrent layer after the pixels generated so far."""


class PixelRNN(nn.Module):
    """Network from centred images [B, H, W, C] to the parameters [B, H, W, C, P] of each element's conditional.

    Feature j of every layer belongs to image channel j % C.
    """

    layer: Layer
    features: int
    """Features h of the state of each LSTM; the outputs of the layers have 2 h features."""
    layers: int
    """Number of recurrent layers."""
    head_features: int
    """Number of features between the last two convolutions."""
    channels: int
    """Channels of the images, C."""
    parameters: int
    """Parameters of each element's conditional, P."""

    def setup(self) -> None:
        """Make the layers, first to last."""
        conv = functools.partial(MaskedConv, channels=self.channels, gain=1.0)
        recurrent = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}[self.layer]
        wide = 2 * self.features
        self.first = conv(wide, (WINDOW // 2 + 1, WINDOW), "A")
        self.recurrent = [recurrent(self.features, wide, self.channels) for _ in range(self.layers)]
        self.widen = [conv(wide, (1, 1), "B") for _ in range(self.layers)]
        self.head = [conv(self.head_features, (1, 1), "B"), conv(self.channels * self.parameters, (1, 1), "B")]

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C P"]:
        """Compute the parameters of all conditionals at once."""
        features = self.first(x)
        for recurrent, widen in zip(self.recurrent, self.widen, strict=True):
            features = features + widen(recurrent(features))
        return self.parameters_of(features)

    def parameters_of(self, features: Float[Array, "B H W F"]) -> Float[Array, "B H W C P"]:
        """Apply the last two convolutions, which return the parameters at each pixel."""
        for conv in self.head:
            features = conv(jax.nn.relu(features))
        return rearrange(features, "b r j (p c) -> b r j c p", c=self.channels)

    def start(self, batch: int, width: int) -> Caches:
        """Return the states of the layers before the first pixel."""
        return tuple(recurrent.start(batch, width) for recurrent in self.recurrent)

    def pixel(
        self, caches: Caches, window: Float[Array, "B 4 7 C"], column: Int[Array, ""]
    ) -> tuple[Caches, Float[Array, "B C P"]]:
        """Compute the parameters at one pixel, from the image around it and the states after the pixels before it.

        The parameters of a channel are valid once the window holds the channels before it, and the returned states
        once it holds all channels but the last.
        """
        features, kept = self.first(window, "window"), []
        for cache, recurrent, widen in zip(caches, self.recurrent, self.widen, strict=True):
            cache, h = recurrent.pixel(cache, features[:, 0, 0], column)
            features = features + widen(h[:, None, None])
            kept.append(cache)
        return tuple(kept), self.parameters_of(features)[:, 0, 0]

    def end_row(self, caches: Caches) -> Caches:
        """Return the states of the layers after the end of a row."""
        return tuple(recurrent.end_row(cache) for recurrent, cache in zip(self.recurrent, caches, strict=True))


def pixel_rnn(
    image_shape: tuple[int, int, int],
    *,
    layer: Layer = "diagonal",
    output: Output,
    features: int = 16,
    layers: int = 7,
    head_features: int | None = None,
    mean: Float[np.ndarray, "H W C"] | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Model:
    """Return a PixelRNN of Row LSTM or Diagonal BiLSTM layers for images whose elements have the distribution `output`.

    The defaults are the paper's best for binary MNIST; `head_features` is 2 `features` by default. `mean` is subtracted
    from the images that the network sees. The default optimizer is Adam with step size 0.001, and the norm of the
    gradient is clipped at 1.

    `generate` draws images; if the batch has `known` [B, H, W, C] (0 or 1) it completes `image`: known elements
    must be the first in raster order, or ValueError is raised (under `jit`, the image is NaN instead).
    Raises ValueError if a size is below 1, or `features` or `head_features` is no multiple of the channels.
    """
    network = make_network(
        image_shape[2], output, layer=layer, features=features, layers=layers, head_features=head_features
    )
    center = np.zeros(image_shape, np.float32) if mean is None else mean

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        del batch
        return {"pixel_rnn": network.init(key, jnp.zeros((1, *image_shape)))["params"]}, {}

    def nll(params: Params, image: Array) -> Array:
        return -sum_pixels(output.log_prob(conditionals(network, params, center, image), image))

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        del key
        mean_nll = nll(params, batch["image"]).mean()
        return mean_nll, ({"bits_per_dim": bits_per_dim(mean_nll, center.size)}, stats)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        del stats, key
        nats = nll(params, batch["image"])
        return {"nll_nats": nats, "bits_per_dim": bits_per_dim(nats, center.size)}

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Array:
        del stats
        image, known = given_pixels(batch)
        filled = fill(network, output, params, center, key, image, known)
        return prefix_or_nan(batch, filled, known.reshape(len(known), -1))

    default = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
    phase = Phase("likelihood", loss, ("pixel_rnn",), optimizer or default)
    kinds = {"nll_nats": "exact", "bits_per_dim": "exact"}
    model = Model(init, (phase,), evaluate, generate, kinds=kinds, seeds_together=False)
    return with_inputs(model, image=Input(image_shape, output.values))


def make_network(
    channels: int,
    output: Output,
    *,
    layer: Layer = "diagonal",
    features: int = 16,
    layers: int = 7,
    head_features: int | None = None,
) -> PixelRNN:
    """Make the network of `pixel_rnn`. Raises ValueError as `pixel_rnn` does."""
    head = 2 * features if head_features is None else head_features
    if layers < 1:
        raise ArgumentError("layers", layers, " must be at least 1")
    for name, size in (("features", features), ("head_features", head)):
        if size < 1 or size % channels:
            raise ValueError(f"{name}={size} must be a multiple of the channels, {channels}, and at least that")
    return PixelRNN(layer, features, layers, head, channels, output.parameters)


def conditionals(
    network: PixelRNN, params: Params, center: Float[np.ndarray, "H W C"], image: Float[Array, "B H W C"]
) -> Float[Array, "B H W C P"]:
    """Compute the parameters of each element's conditional."""
    return network.apply({"params": params["pixel_rnn"]}, image - center)  # pyright: ignore[reportReturnType]


@functools.partial(jax.jit, static_argnames=("network", "output"))
def fill(
    network: PixelRNN,
    output: Output,
    params: Params,
    center: Float[Array, "H W C"],
    key: Key,
    image: Float[Array, "B H W C"],
    known: Float[Array, "B H W C"],
) -> Float[Array, "B H W C"]:
    """Draw the images of `pixels.fill_by_passes` under the same key, with one update of each layer's state per element.

    Elements of `image` are kept where `known` is 1.
    """
    batch, height, width, channels = image.shape
    uniform, reach = element_uniforms(key, image), WINDOW // 2
    border = ((reach, 0), (reach, reach), (0, 0))
    around = jnp.pad(jnp.asarray(center, image.dtype), border)

    def apply(*args: Any, method: str) -> Any:
        return network.apply({"params": params["pixel_rnn"]}, *args, method=method)

    def element(row: Array, index: Array, carry: tuple[Array, Caches]) -> tuple[Array, Caches]:
        x, caches = carry
        column, channel = index // channels, index % channels
        window = jax.lax.dynamic_slice(x, (0, row, column, 0), (batch, reach + 1, WINDOW, channels))
        centers = jax.lax.dynamic_slice(around, (row, column, 0), (reach + 1, WINDOW, channels))
        caches, parameters = apply(caches, window - centers, column, method="pixel")
        position = (slice(None), row, column, channel)
        drawn = output.draw(parameters[:, channel], uniform[position])
        value = jnp.where(known[position] > 0, image[position], drawn)
        return x.at[:, row + reach, column + reach, channel].set(value), caches

    def fill_row(row: Array, carry: tuple[Array, Caches]) -> tuple[Array, Caches]:
        x, caches = jax.lax.fori_loop(0, width * channels, functools.partial(element, row), carry)
        return x, apply(caches, method="end_row")

    x = jnp.pad(jnp.zeros_like(image), ((0, 0), *border))
    x, _ = jax.lax.fori_loop(0, height, fill_row, (x, apply(batch, width, method="start")))
    return x[:, reach:, reach:-reach]
