"""A named extractor of features: a small convolutional classifier, trained on the data's own training split.

Distances between sets of images are taken of features, and mean nothing without the name of what extracts them. The
usual network was trained on photographs and its weights are not here; this one is `classifier` in
genjax/models/latent/autoencoder.py on a convolutional encoder, trained for a fixed number of steps under a fixed seed.
Its name ends in a hash of its parameters. It is trained anew where it is needed, on the digits in seconds: the same
machine gives the same parameters, another one may not, and then the name says so.
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
from genjax.evaluation import EVALUATION_BATCH, evaluation_key, make_split_values, padded_batches
from genjax.models.latent.autoencoder import scaled_strides
from genjax.models.latent.classifier import classifier
from genjax.networks.conv import ConvEncoder
from genjax.training import init_seeds, iterate, seed
from genjax.types import Params

CHANNELS = (16, 32)
"""Maps of its convolutions, with strides by `scaled_strides`."""

FEATURES = 64
"""Its last hidden layer: what it extracts."""

STEPS = 1500
BATCH = 100
LEARNING_RATE = 1e-3
SEED = 0

Images = Float[np.ndarray, "N H W C"]


class Extractor(NamedTuple):
    """What it makes of images in [0, 1], as the data's protocol shows them."""

    name: str
    """The data, how it was trained, and the hash."""
    sha256: str
    """Of the parameters, the first eight digits."""
    features: Callable[[Images], Float[np.ndarray, "N F"]]
    probabilities: Callable[[Images], Float[np.ndarray, "N classes"]]
    test_error: float
    """Its own error rate on the test split."""


def train_extractor(data: Dataset, *, steps: int = STEPS) -> Extractor:
    """Train the classifier on the training split. Raises ValueError where there are fewer than two classes."""
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
    """The parameters after `steps` steps."""
    feed = make_feed(data.train, data.load, (SEED,), min(BATCH, data.train.size))
    state = seed(init_seeds(model, feed, (SEED,)), 0)
    for _, last, _ in iterate(model, feed, state, steps):
        state = last
    return state.params


def params_sha256(params: Params) -> str:
    """The first eight digits of the hash of all arrays with their names."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return arrays_sha256({jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}, {}, {})[:8]


def make_features(model: Model, params: Params) -> Callable[[Images], Float[np.ndarray, "N F"]]:
    """The codes of the classifier's encoder."""
    embed = model.embed
    if embed is None:
        raise ValueError("model: it has no features (`embed` is None)")
    return in_batches(jax.jit(lambda images: embed(params, {}, {"image": images})))


def make_probabilities(
    model: Model, params: Params, classes: int
) -> Callable[[Images], Float[np.ndarray, "N classes"]]:
    """p(y|x) of all classes y: exp of minus the cross-entropy of each, with the network applied once."""

    @jax.jit
    def probabilities(images: jax.Array) -> jax.Array:
        def cross_entropy(label: jax.Array) -> jax.Array:
            batch = {"image": images, "label": jnp.full(len(images), label)}
            return model.evaluate(params, {}, batch, evaluation_key())["cross_entropy_nats"]

        return jnp.exp(-jax.vmap(cross_entropy, out_axes=1)(jnp.arange(classes)))

    return in_batches(probabilities)


def in_batches(function: Callable[[jax.Array], jax.Array]) -> Callable[[Images], np.ndarray]:
    """`function` of any number of images, with one compiled shape."""

    def whole(images: Images) -> np.ndarray:
        batches = padded_batches(len(images), EVALUATION_BATCH)
        return np.concatenate([np.asarray(function(jnp.asarray(images[rows]))) for rows in batches])[: len(images)]

    return whole
