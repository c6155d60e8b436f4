"""Parzen log-likelihood of a model's samples, with two baselines that are needed to interpret it.

The baselines are training images and k-means centres in place of samples, under the same protocol (Theis et al. 2016).
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from genjax.data.dataset import Dataset, Split, read_batch
from genjax.metrics.parzen import parzen
from genjax.shuffle import permutation

VALIDATION = 1000
"""Largest number of validation images on which the bandwidth is selected (Goodfellow et al. 2014)."""

NAMES = ("parzen_nats", "parzen_standard_error_nats", "parzen_training_images_nats", "parzen_kmeans_nats")
"""Names of the numbers that `parzen_numbers` returns, in order."""


def parzen_numbers(data: Dataset, split: Split, samples: Float[np.ndarray, "M D"]) -> dict[str, float]:
    """Return Parzen log-likelihoods of a split: under samples, with its standard error, and under both baselines.

    The baselines are as many training images as there are samples, and as many k-means centres, but at most half as
    many centres as training images. All numbers are in nats.
    """
    validation = images_of(data, data.validation, np.arange(min(data.validation.size, VALIDATION)))
    test = images_of(data, split, np.arange(split.size))
    training = images_of(data, data.train, permutation(data.train.size))
    centres = kmeans_centres(training, min(len(samples), len(training) // 2))
    ours, true, kmeans = (parzen(one, validation, test) for one in (samples, training[: len(samples)], centres))
    return dict(zip(NAMES, (ours.nats, ours.standard_error, true.nats, kmeans.nats), strict=True))


def images_of(data: Dataset, split: Split, indices: Int[np.ndarray, " N"]) -> Float[np.ndarray, "N D"]:
    """Return the images of `split` at `indices` as a model sees them, each as a flat vector."""
    return np.asarray(read_batch(split, indices, data.load)["image"]).reshape(len(indices), -1)


def kmeans_centres(images: Float[np.ndarray, "N D"], count: int) -> Float[np.ndarray, "count D"]:
    """Return the centres of scikit-learn's mini-batch k-means, initialized with images."""
    from sklearn.cluster import MiniBatchKMeans  # slow to import

    kmeans: Any = MiniBatchKMeans(count, init="random", batch_size=max(1024, 2 * count), max_iter=10, random_state=0)
    return kmeans.set_params(n_init=1).fit(images).cluster_centers_
