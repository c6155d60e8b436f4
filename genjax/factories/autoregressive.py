"""Factories of image models with an exact likelihood; only the image shape is required, defaults follow the papers.

Each returns a `Model` for `genjax.train`. To choose networks, outputs and optimizers yourself, call the function of
the same name in genjax/models/autoregressive.
"""

import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.core import Input, Model
from genjax.errors import ArgumentError
from genjax.factories.wrap import (
    ImageShape,
    Mean,
    Rate,
    clipped_adam,
    fitted,
    on_batches,
    pixel_values,
    unchanged,
)
from genjax.models.autoregressive import eonade as eonade_model
from genjax.models.autoregressive import made as made_model
from genjax.models.autoregressive import nade as nade_model
from genjax.models.autoregressive import pixel_cnn as pixel_cnn_model
from genjax.models.autoregressive import pixel_rnn as pixel_rnn_model
from genjax.models.autoregressive import rnade as rnade_model
from genjax.models.autoregressive import tabular as tabular_model
from genjax.models.autoregressive.pixels import Output, bernoulli, categorical
from genjax.precision import Precision
from genjax.types import Batch, Key

MOST_COUNTED = 2**20
"""Default limit of the number of examples that a tabular model counts."""


def tabular(
    image_shape: ImageShape,
    *,
    contexts: Literal["ar", "2d", "2d-tied"] = "ar",
    k: int = 9,
    levels: int = 2,
    smoothing: float = 0.1,
    examples: int | None = None,
    precision: Precision = "float32",
) -> Model:
    """Return a model of counted conditional probabilities of each pixel given some earlier pixels.

    Args:
        image_shape: Height, width and channels.
        contexts: Pixels that a pixel depends on: the last `k` in raster order ("ar"), or the `k` nearest of twelve
            neighbours above and to the left, with a table for each pixel ("2d") or one for all ("2d-tied").
        k: Number of pixels in a context; 0 for independent pixels, 1 for a Markov chain.
        levels: Number of values of a pixel; 2 needs binary data, more need `dataset(..., levels=levels)`.
        smoothing: Number added to each count.
        examples: Number of examples to count; `data.train.size` counts each training image once, whatever `steps` is.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    pixels = math.prod(image_shape)
    if contexts == "ar":
        tables = tabular_model.ar_contexts(pixels, min(k, pixels - 1), levels=levels)
    else:
        offsets = tabular_model.OFFSETS[:k]
        tied = contexts == "2d-tied"
        tables = tabular_model.offset_contexts(image_shape[0], image_shape[1], offsets, levels=levels, tied=tied)
    most = min(MOST_COUNTED, (2**31 - 1) // pixels)
    model = tabular_model.tabular(tables, examples=most if examples is None else examples, smoothing=smoothing)
    return fitted(model, image_shape, pixel_values(levels), precision=precision)


def nade(
    image_shape: ImageShape,
    *,
    hidden: int = 500,
    tied: bool = False,
    ordering: Sequence[int] | None = None,
    mean: Mean = None,
    learning_rate: Rate = 1e-3,
    precision: Precision = "float32",
) -> Model:
    """Return NADE of binary images (Larochelle & Murray 2011).

    Args:
        image_shape: Height, width and channels.
        hidden: Number of hidden units.
        tied: Whether the weights into and out of the hidden units are the same.
        ordering: Indices of the flattened pixels in the order of generation; row by row by default.
        mean: Mean training image (`data.mean`), whose logits initialize the output biases.
        learning_rate: Learning rate of Adam.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    optimizer = optax.adam(learning_rate)
    model = nade_model.nade(image_shape, hidden=hidden, tied=tied, ordering=ordering, mean=mean, optimizer=optimizer)
    return fitted(model, image_shape, "binary", precision=precision)


def rnade(
    image_shape: ImageShape,
    *,
    hidden: int = 512,
    components: int = 10,
    levels: int | None = 256,
    mean: Mean = None,
    std: Mean = None,
    learning_rate: Rate = 1e-3,
    precision: Precision = "float32",
) -> Model:
    """Return RNADE of real-valued images: a mixture of Gaussians for each pixel (Uria, Murray & Larochelle 2013).

    Args:
        image_shape: Height, width and channels.
        hidden: Number of hidden units.
        components: Number of Gaussians per pixel.
        levels: Number K of values that the stored pixels have, 256 for bytes. Noise makes them continuous,
            (level + u) / K, since a density of a few values has no upper bound; None for data that are continuous.
        mean: Mean of each pixel, by which the data are standardized; one half by default.
        std: Standard deviation of each pixel; one half by default.
        learning_rate: Learning rate of Adam.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    middle = np.full(image_shape, 0.5, np.float32)
    model = rnade_model.rnade(
        image_shape,
        hidden=hidden,
        components=components,
        levels=levels,
        mean=middle if mean is None else mean,
        std=middle if std is None else std,
        optimizer=optax.adam(learning_rate),
    )
    return fitted(model if levels is None else dequantizing(model, levels), image_shape, precision=precision)


def dequantizing(model: Model, levels: int) -> Model:
    """Return the model of images made continuous by noise u: pixels of `levels` levels become (level + u) / levels."""
    if levels < 2:
        raise ArgumentError("levels", levels, " must be at least 2")

    def change(batch: Batch, key: Key) -> Batch:
        level = jnp.round(batch["image"] * (levels - 1))
        return {**batch, "image": (level + jax.random.uniform(key, level.shape)) / levels}

    return on_batches(model, change, unchanged)


def made(
    image_shape: ImageShape,
    *,
    hidden: Sequence[int] = (8000,),
    masks: int = 1,
    shuffle: bool = False,
    mean: Mean = None,
    learning_rate: Rate = 1e-3,
    precision: Precision = "float32",
) -> Model:
    """Return MADE, a masked autoencoder of binary images (Germain et al. 2015).

    Args:
        image_shape: Height, width and channels.
        hidden: Widths of the hidden layers.
        masks: Number of masks over the same weights.
        shuffle: Whether each mask has its own random ordering; a completion needs raster order.
        mean: Mean training image (`data.mean`), whose logits initialize the output biases.
        learning_rate: Learning rate of Adam.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    optimizer = optax.adam(learning_rate)
    model = made_model.made(image_shape, hidden=hidden, masks=masks, shuffle=shuffle, mean=mean, optimizer=optimizer)
    return fitted(model, image_shape, "binary", precision=precision)


def eonade(
    image_shape: ImageShape,
    *,
    hidden: Sequence[int] = (500, 500),
    orderings: int = 16,
    mean: Mean = None,
    learning_rate: Rate = 1e-3,
    precision: Precision = "float32",
) -> Model:
    """Return EoNADE of binary images: one network for all orderings (Uria, Murray & Larochelle 2014).

    Args:
        image_shape: Height, width and channels.
        hidden: Widths of the hidden layers.
        orderings: Number of orderings in the mixture that is evaluated, a power of 2 (up to 128 in the paper); the time
            of an evaluation is proportional to it.
        mean: Mean training image (`data.mean`), whose logits initialize the output biases.
        learning_rate: Learning rate of Adam.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    optimizer = optax.adam(learning_rate)
    model = eonade_model.eonade(image_shape, hidden=hidden, orderings=orderings, mean=mean, optimizer=optimizer)
    return fitted(model, image_shape, "binary", precision=precision)


def pixel_cnn(
    image_shape: ImageShape,
    *,
    gated: bool = False,
    features: int = 128,
    blocks: int = 15,
    levels: int = 2,
    classes: int = 0,
    mean: Mean = None,
    learning_rate: Rate = 1e-3,
    precision: Precision = "float32",
) -> Model:
    """Return PixelCNN, or with `gated` Gated PixelCNN (van den Oord et al. 2016).

    Args:
        image_shape: Height, width and channels.
        gated: Whether there are two stacks of gated layers, which have no blind spot.
        features: Channels of the hidden layers.
        blocks: Number of residual blocks or gated layers.
        levels: Number of values of a pixel: 2 needs binary data, 256 suits uint8 images.
        classes: Number of classes (`data.classes`) if images depend on a class label; 0 for images without labels.
        mean: Mean training image (`data.mean`), which is subtracted from the network's input.
        learning_rate: Learning rate of Adam, on gradients clipped at norm 1.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    model = pixel_cnn_model.pixel_cnn(
        image_shape,
        output=output_of(levels),
        gated=gated,
        features=features,
        blocks=blocks,
        classes=classes,
        mean=mean,
        optimizer=clipped_adam(learning_rate),
    )
    labels = {"label": Input((), f"classes-{classes}")} if classes else {}
    return fitted(model, image_shape, pixel_values(levels), **labels, precision=precision)


def pixel_rnn(
    image_shape: ImageShape,
    *,
    layer: Literal["row", "diagonal"] = "diagonal",
    features: int | None = None,
    layers: int = 7,
    levels: int = 2,
    mean: Mean = None,
    learning_rate: Rate = 1e-3,
    precision: Precision = "float32",
) -> Model:
    """Return a Row LSTM or a Diagonal BiLSTM of images (van den Oord, Kalchbrenner & Kavukcuoglu 2016).

    Args:
        image_shape: Height, width and channels.
        layer: Kind of recurrent layers, Row LSTM ("row") or Diagonal BiLSTM ("diagonal").
        features: Units of each LSTM, a multiple of the channels; by default the smallest multiple of at least 16.
        layers: Number of recurrent layers.
        levels: Number of values of a pixel: 2 needs binary data, 256 suits uint8 images.
        mean: Mean training image (`data.mean`), which is subtracted from the network's input.
        learning_rate: Learning rate of Adam, on gradients clipped at norm 1.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    channels = image_shape[2]
    model = pixel_rnn_model.pixel_rnn(
        image_shape,
        layer=layer,
        output=output_of(levels),
        features=-(-16 // channels) * channels if features is None else features,
        layers=layers,
        mean=mean,
        optimizer=clipped_adam(learning_rate),
    )
    return fitted(model, image_shape, pixel_values(levels), precision=precision)


def output_of(levels: int) -> Output:
    """Return the distribution of a pixel: Bernoulli where it is binary, else a softmax."""
    return bernoulli() if levels == 2 else categorical(levels)
