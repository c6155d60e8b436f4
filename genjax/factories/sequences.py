"""Factories of models of sequences: texts, and series of real values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from genjax.capabilities import Writer
from genjax.core import Model
from genjax.data.text import decode, encode
from genjax.errors import check_positive
from genjax.factories.wrap import Rate
from genjax.models.autoregressive import char_rnn as char_rnn_model
from genjax.precision import Precision, with_precision
from genjax.types import Key, Params


def char_rnn(
    vocabulary: str,
    *,
    hidden: int = 128,
    layers: int = 2,
    dropout: float = 0.0,
    learning_rate: Rate = 2e-3,
    precision: Precision = "float32",
) -> Model:
    """Return an LSTM that reads and writes a text character by character (Karpathy 2015).

    Args:
        vocabulary: Characters of the text, sorted (`data.vocabulary`).
        hidden: LSTM units in each layer.
        layers: Number of layers.
        dropout: Probability that an output of a layer is dropped in training.
        learning_rate: Learning rate of RMSProp with decay 0.95, on gradients clipped elementwise at 0.1.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    if not vocabulary or list(vocabulary) != sorted(set(vocabulary)):
        raise ValueError("vocabulary: must be different characters in sorted order, such as data.vocabulary")
    optimizer = optax.chain(optax.clip(0.1), optax.rmsprop(learning_rate, decay=0.95))

    def model(temperature: float = 1.0, length: int = 200) -> Model:
        made = char_rnn_model.char_rnn(
            len(vocabulary),
            hidden=hidden,
            layers=layers,
            dropout=dropout,
            temperature=temperature,
            length=length,
            optimizer=optimizer,
        )
        return with_precision(made, precision)

    def write(params: Params, prompt: str, temperature: float, length: int, key: Key) -> str:
        batch: dict[str, Array] = {"prompt": jnp.asarray(encode(prompt, vocabulary))[None]}
        drawn = jax.jit(model(temperature, length).generate)(params, {}, batch, key)
        return decode(np.asarray(drawn[0]), vocabulary)

    return model()._replace(capabilities=(Writer(write, vocabulary),))


def series_rnn(
    *,
    components: int = 5,
    mean: float = 0.0,
    scale: float = 1.0,
    hidden: int = 128,
    layers: int = 1,
    length: int = 200,
    learning_rate: Rate = 2e-3,
    precision: Precision = "float32",
) -> Model:
    """Return an LSTM of series of real values: given the values before it, each follows a mixture of Gaussians.

    Args:
        components: Number of Gaussians in the mixture.
        mean: Mean of the values, by which they are standardized.
        scale: Standard deviation of the values, by which they are standardized.
        hidden: LSTM units in each layer.
        layers: Number of layers.
        length: Number of values in a sample.
        learning_rate: Learning rate of RMSProp with decay 0.95, on gradients clipped elementwise at 0.1.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    check_positive(scale=scale)
    model = char_rnn_model.series_rnn(
        components=components,
        mean=mean,
        scale=scale,
        hidden=hidden,
        layers=layers,
        length=length,
        optimizer=optax.chain(optax.clip(0.1), optax.rmsprop(learning_rate, decay=0.95)),
    )
    return with_precision(model, precision)
