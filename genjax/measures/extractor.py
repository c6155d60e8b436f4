"""A named extractor of features: a small convolutional classifier, trained on the data's own training split.

Distances between sets of images are computed from features, and mean nothing without the name of the extractor. The
usual network was trained on photographs, and its weights are not available here. This extractor is `classifier` in
genjax/models/latent/classifier.py on a convolutional encoder, trained for a fixed number of steps under a fixed seed.
It is trained anew whenever it is needed, on the digits in seconds. Its name ends in a hash of its parameters: one
machine always gives the same parameters, another machine may give others, and then the name differs.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from genjax.core import Model
from genjax.data.dataset import Dataset, arrays_sha256
from genjax.data.feed import make_feed
from genjax.data.labels import class_count
from genjax.evaluation import EVALUATION_BATCH, evaluation_key, make_split_values, map_batches
from genjax.models.latent.autoencoder import scaled_strides
from genjax.models.latent.classifier import classifier
from genjax.networks.conv_stacks import ConvEncoder
from genjax.training import init_seeds, iterate, seed
from genjax.types import Params

CHANNELS = (16, 32)
"""Channels of the convolutions, whose strides are computed by `scaled_strides`."""

FEATURES = 64
"""Width of the last hidden layer, whose outputs are the extracted features."""

STEPS = 1500
"""Number of training steps."""
BATCH = 100
"""Number of training examples per step."""
LEARNING_RATE = 1e-3
"""Initial learning rate of Adam, before its cosine decay."""
SEED = 0
"""Seed of the initialization and of the order of the data."""

Images = Float[np.ndarray, "N H W C"]


class Extractor(NamedTuple):
    """Trained classifier whose hidden layer extracts features from images in [0, 1]."""

    name: str
    """Name of the extractor: data set, training steps, test error and hash of the parameters."""
    sha256: str
    """First eight digits of the hash of the parameters."""
    features: Callable[[Images], Float[np.ndarray, "N F"]]
    """Function that returns the outputs of the last hidden layer for images."""
    probabilities: Callable[[Images], Float[np.ndarray, "N classes"]]
    """Function that returns the class probabilities p(y|x) of images."""
    test_error: float
    """Error rate of the classifier on the test split, in [0, 1]."""


def train_extractor(data: Dataset, *, steps: int = STEPS) -> Extractor:
    """Train the classifier on the training split. Raises ValueError if the data have fewer than two classes."""
    classes = class_count(data)
    if classes < 2:
        raise ValueError(f"data {data.name!r}: an extractor needs labels of two classes or more, got {classes}")
    encoder = ConvEncoder(CHANNELS, FEATURES, strides=scaled_strides(data.image_shape, len(CHANNELS)))
    model = classifier(encoder, classes, optimizer=optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, steps)))
    params = trained(model, data, steps)
    errors = make_split_values(model.evaluate, data.load)(params, {}, data.test, evaluation_key())["error_rate"]
    error, sha256 = float(errors.mean()), params_sha256(params)
    name = f"a classifier of {data.name} ({data.protocol}), {steps} steps, test error {error:.4f} [{sha256}]"
    return Extractor(name, sha256, make_features(model, params), make_probabilities(model, params, classes), error)


def trained(model: Model, data: Dataset, steps: int) -> Params:
    """Return the parameters after `steps` training steps."""
    feed = make_feed(data.train, data.load, (SEED,), min(BATCH, data.train.size))
    state = seed(init_seeds(model, feed, (SEED,)), 0)
    for _, last, _ in iterate(model, feed, state, steps):
        state = last
    return state.params


def params_sha256(params: Params) -> str:
    """Return the first eight digits of the hash of all parameter arrays with their names."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return arrays_sha256({jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}, {}, {})[:8]


def make_features(model: Model, params: Params) -> Callable[[Images], Float[np.ndarray, "N F"]]:
    """Return a function that computes the features of any number of images."""
    embed = model.embed
    if embed is None:
        raise ValueError("model: has no features (`embed` is None)")
    return in_batches(jax.jit(lambda images: embed(params, {}, {"image": images})))


def make_probabilities(
    model: Model, params: Params, classes: int
) -> Callable[[Images], Float[np.ndarray, "N classes"]]:
    """Return a function that computes p(y|x) for all classes y of any number of images.

    The probability of a class is exp of minus its cross-entropy; the network is applied only once for all classes.
    """

    @jax.jit
    def probabilities(images: jax.Array) -> jax.Array:
        def cross_entropy(label: jax.Array) -> jax.Array:
            batch = {"image": images, "label": jnp.full(len(images), label)}
            return model.evaluate(params, {}, batch, evaluation_key())["cross_entropy_nats"]

        return jnp.exp(-jax.vmap(cross_entropy, out_axes=1)(jnp.arange(classes)))

    return in_batches(probabilities)


def in_batches(function: Callable[[jax.Array], jax.Array]) -> Callable[[Images], np.ndarray]:
    """Apply `function` to any number of images in batches of one shape, so that it is compiled only once."""

    def whole(images: Images) -> np.ndarray:
        batches = map_batches(lambda _, rows: function(jnp.asarray(images[rows])), len(images), EVALUATION_BATCH)
        return np.concatenate(list(batches))

    return whole
