"""Measurements and pictures of an adversarial autoencoder: codes and the prior, clusters, samples, styles."""

import functools
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.data.labels import has_labels, labels_of
from genjax.evaluation import Measure, make_split_values
from genjax.measures.baselines import parzen_numbers
from genjax.metrics.clustering import cluster_labels, clustering_error
from genjax.metrics.mmd import Kernel, unbiased_mmd2
from genjax.models.latent import aae_networks
from genjax.models.priors import Prior
from genjax.pictures.drawing import drawn
from genjax.pictures.figures import Figures, beside, first_test_images, image_grid, scatter
from genjax.types import Batch, Key, Metrics, Params, Stats

Task = Literal["none", "semi-supervised", "clustering"]

MMD_SAMPLES = 5000
"""Largest number of codes, and of prior samples, that `code_mmd2` compares."""


class Parts(NamedTuple):
    """Model, networks, prior, data and task of a run, from which its metrics and figures are computed."""

    model: Model
    networks: aae_networks.Networks
    prior: Prior
    data: Dataset
    task: Task
    labels: int
    encode: "Encode"


def prior_samples(prior: Prior, count: int, key: Key) -> Float[np.ndarray, "count latents"]:
    """Return `count` samples of the prior, from all classes if it has classes."""
    return np.asarray(jax.jit(lambda key: prior.sample(key, count, None))(key))


Encode = Callable[[Params, Stats, Split, Key], Mapping[str, np.ndarray]]
"""Function of (params, stats, split, key) that returns `codes` [N, latents], samples of q(z|x), and, if the encoder has
an output y, `label` [N, classes], q(y|x), of all examples in order."""


def make_encode(networks: aae_networks.Networks, data: Dataset) -> Encode:
    """Return the function that encodes a split; it compiles once for all seeds and splits."""

    def encode(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        encoding = aae_networks.encode(networks, params, stats, batch["image"])
        label = {} if encoding.label is None else {"label": encoding.label}
        return {"codes": encoding.sample(key), **label}

    return make_split_values(encode, data.load)


def make_measure(parts: Parts, kernel: Kernel, parzen_samples: int) -> Measure:
    """Return the measure of `code_mmd2`, `cluster_error_rate` (clusters and labels) and Parzen (samples above 0)."""

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        code_key, prior_key, sample_key = jax.random.split(key, 3)
        seen = parts.encode(params, stats, split, code_key)
        codes = seen["codes"][:MMD_SAMPLES]
        targets = prior_samples(parts.prior, len(codes), prior_key)
        found = {"code_mmd2": unbiased_mmd2(codes, targets, kernel).value}
        if parts.task == "clustering" and has_labels(parts.data):
            found["cluster_error_rate"] = clustering_error(
                seen["label"], labels_of(split), class_of_cluster(parts, params, stats)
            )
        if parzen_samples:
            samples = drawn(parts.model, parts.data, params, stats, parzen_samples, sample_key)
            found |= parzen_numbers(parts.data, split, samples.reshape(parzen_samples, -1))
        return found

    return measure


def class_of_cluster(parts: Parts, params: Params, stats: Stats) -> Int[np.ndarray, " clusters"]:
    """Return the class of each cluster: the label of the validation image with the greatest q(y|x)."""
    validation = parts.data.validation
    seen = parts.encode(params, stats, validation, jax.random.key(0))
    return cluster_labels(seen["label"], labels_of(validation))


ROWS = 8
"""Number of rows of a grid of samples."""


def make_figures(parts: Parts) -> Figures:
    """Return the figures: samples, reconstructions, two-dimensional codes next to the prior, and, with y, styles."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        sample_key, code_key, prior_key, style_key = jax.random.split(key, 4)
        images = first_test_images(parts.data, 32)
        rebuilt = jax.jit(functools.partial(aae_networks.reconstruct, parts.networks))(params, stats, images)
        pictures = {
            "samples": samples_grid(parts, params, stats, sample_key),
            "reconstructions": image_grid(beside(images, rebuilt), columns=8, title="original, reconstruction"),
        }
        if parts.networks.latents == 2:
            codes = parts.encode(params, stats, parts.data.test, code_key)["codes"]
            pictures["codes"] = codes_and_prior(parts, codes, prior_key)
        if parts.networks.classes:
            pictures["styles"] = style_grid(parts, params, style_key)
        return pictures

    return figures


def samples_grid(parts: Parts, params: Params, stats: Stats, key: Key) -> Figure:
    """Return a grid of decoder means at samples of the prior; one column per class if labels have shaped the prior."""
    shaped = parts.prior.classes > 0 and parts.labels > 0 and parts.task == "none"
    columns = parts.prior.classes if shaped else ROWS
    batch: dict[str, np.ndarray] = {"image": np.zeros((ROWS * columns, *parts.data.image_shape), np.float32)}
    if shaped:
        batch["label"] = np.tile(np.arange(columns, dtype=np.int32), ROWS)
    samples = jax.jit(parts.model.generate)(params, stats, batch, key)
    title = "decoder means at prior samples" + (", a column per class" if shaped else "")
    return image_grid(np.asarray(samples), columns=columns, title=title)


def style_grid(parts: Parts, params: Params, key: Key) -> Figure:
    """Return a grid of decoder means: each row has one z of the prior, each column one value of y."""
    columns = parts.networks.classes

    @jax.jit
    def images(params: Params, key: Key) -> jax.Array:
        z = jnp.repeat(parts.prior.sample(key, ROWS, None), columns, axis=0)
        return aae_networks.decode(parts.networks, params, z, jnp.tile(jnp.eye(columns), (ROWS, 1)))

    what = "class" if parts.task == "semi-supervised" else "cluster"
    drawn = np.asarray(images(params, key))
    return image_grid(drawn, columns=columns, title=f"a row per style z, a column per {what} y")


def codes_and_prior(parts: Parts, codes: Float[np.ndarray, "N 2"], key: Key) -> Figure:
    """Return scatter plots of the codes of test images, coloured by class, and of as many prior samples."""
    labels = labels_of(parts.data.test) if has_labels(parts.data) else None
    classes = parts.prior.classes
    slots = np.arange(len(codes), dtype=np.int32) % classes if classes and parts.labels else None
    samples = np.asarray(jax.jit(lambda key, slots: parts.prior.sample(key, len(codes), slots))(key, slots))
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    scatter(left, codes, labels)
    scatter(right, samples, slots)
    for axes, title in ((left, "codes of test images"), (right, "samples of the prior")):
        axes.set_aspect("equal")
        axes.set_title(title, fontsize=9)
    if labels is not None and len(np.unique(labels)) <= 20:
        handles = left.get_legend_handles_labels()
        figure.legend(*handles, loc="outside right center", fontsize=7, markerscale=2, title="class", title_fontsize=7)
    return figure
