"""Features of complete splits and linear probes on them, by one protocol for every model that has features."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from genjax.core import Model
from genjax.data.dataset import Dataset, Load, Split, part
from genjax.data.labels import has_labels
from genjax.evaluation import Measure, evaluation_key, map_split
from genjax.losses.likelihood import flat_pixels
from genjax.losses.reconstruction import mean_squared_error
from genjax.mesh import mesh_of, over_examples
from genjax.metrics.probe import Labelled, linear_probe
from genjax.programs import shared
from genjax.types import Batch, Embed, Key, Params, Stats

PCA_IMAGES = 50_000
"""Largest number of training images to which PCA is fitted: the first images are used."""

PROBED = 10_000
"""Largest number of training examples to which a probe is fitted: the first examples are used."""


class Features(NamedTuple):
    """Features of the examples of a split, in order, and their labels if the data have labels."""

    features: Float[np.ndarray, "N F"]
    label: Int[np.ndarray, " N"] | None


FeaturesOf = Callable[[Params, Stats, Split], Features]
"""Function of (params, stats, split) that returns the features of all examples of the split."""


@shared
def make_embed(embed: Embed, load: Load, mesh: Mesh | None) -> Callable[..., jax.Array]:
    """Return the jitted function of (params, stats, raw examples, key) that gives features, on a mesh."""

    @jax.jit
    def embed_raw(params: Params, stats: Stats, raw: Mapping[str, jax.Array], key: Key) -> jax.Array:
        load_key, _ = jax.random.split(key)
        return over_examples(mesh, lambda raw: embed(params, stats, load(raw, load_key)), raw)

    return embed_raw


def make_features(embed: Embed, load: Load) -> FeaturesOf:
    """Return a function that applies `embed` to a complete split; `load` gets the same keys as in every evaluation."""

    def features_of(params: Params, stats: Stats, split: Split) -> Features:
        embed_raw = make_embed(embed, load, mesh_of(params))

        def features_and_label(raw: Mapping[str, jax.Array], key: Key) -> Mapping[str, jax.Array]:
            label = {"label": raw["label"]} if "label" in raw else {}
            return {"features": embed_raw(params, stats, raw, key), **label}

        found = map_split(features_and_label, split, key=evaluation_key())
        return Features(found["features"], found.get("label"))

    return features_of


def features_function(model: Model) -> Embed:
    """Return `model.embed`; raises ValueError if the model has no features."""
    if model.embed is None:
        raise ValueError("model: has no features (`embed` is None)")
    return model.embed


def pixels(params: Params, stats: Stats, batch: Batch) -> jax.Array:
    """Return the pixels of images as their features."""
    return flat_pixels(batch["image"])


def fit_pca(data: Dataset, components: int) -> Params:
    """Return the mean of the training images and their first `components` principal components, or all if fewer."""
    from sklearn.decomposition import PCA  # slow to import

    images = make_features(pixels, data.load)({}, {}, first(data.train, PCA_IMAGES)).features
    pca = PCA(min(components, *images.shape), random_state=0).fit(images)
    return {"mean": jnp.asarray(pca.mean_), "components": jnp.asarray(pca.components_)}


def principal(params: Params, stats: Stats, batch: Batch) -> jax.Array:
    """Return the coordinates of images along the principal components of `fit_pca`."""
    return (flat_pixels(batch["image"]) - params["mean"]) @ params["components"].T


def principal_images(params: Params, stats: Stats, batch: Batch) -> jax.Array:
    """Return images reconstructed from their principal components; pixels may leave [0, 1]."""
    flat = principal(params, stats, batch) @ params["components"] + params["mean"]
    return flat.reshape(batch["image"].shape)


def principal_mse(params: Params, stats: Stats, batch: Batch) -> jax.Array:
    """Return the mean squared error per pixel of `principal_images`, [batch, 1]."""
    return mean_squared_error(principal_images(params, stats, batch), batch["image"])[:, None]


def first(split: Split, count: int) -> Split:
    """Return the first `count` examples of a split, or all if it has fewer."""
    return part(split, 0, min(count, split.size))


def make_probe(embed: Embed, data: Dataset, *, name: str = "probe_error") -> Measure:
    """Return a measure of the error rate of a linear probe (genjax/metrics/probe.py) on a split, named `name`.

    The probe is fitted to the first 10 000 training examples, and validation examples select its penalty. The measure
    is empty if the data have no labels.
    """
    features_of = make_features(embed, data.load)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        if not has_labels(data):
            return {}
        parts = [features_of(params, stats, one) for one in (first(data.train, PROBED), data.validation, split)]
        train, validation, test = (Labelled(one.features, np.asarray(one.label)) for one in parts)
        return {name: linear_probe(train, validation, test)}

    return measure
