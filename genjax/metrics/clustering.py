"""Agreement between classes and clusters that were found without labels."""

import numpy as np
from jaxtyping import Int, Shaped
from scipy.optimize import linear_sum_assignment

from genjax.metrics.numbers import reals


def cluster_labels(
    probabilities: Shaped[np.ndarray, "N clusters"], labels: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " clusters"]:
    """Return the class of each cluster: the label of the example with the greatest q(cluster|x).

    Use examples of the validation split (Makhzani et al. 2015, sec. 6). Raises ValueError if there are no examples, or
    a probability is not finite.
    """
    return labels[reals("probabilities", probabilities).argmax(axis=0)]


def matched_labels(
    probabilities: Shaped[np.ndarray, "N clusters"], labels: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " clusters"]:
    """Return the one-to-one assignment of classes to clusters with the fewest errors (Kuhn 1955).

    Every example belongs to its most probable cluster. Clusters without a class, if there are more clusters than
    classes, get -1. Raises ValueError if there are no examples, a probability is not finite, or a label is below 0.
    """
    probabilities = reals("probabilities", probabilities)
    check_classes(labels)
    clusters = probabilities.shape[1]
    counts = np.zeros((clusters, int(labels.max()) + 1), np.int64)
    np.add.at(counts, (probabilities.argmax(axis=1), labels), 1)
    matched = np.full(clusters, -1, np.int64)
    rows, columns = linear_sum_assignment(-counts)
    matched[rows] = columns
    return matched


def clustering_error(
    probabilities: Shaped[np.ndarray, "N clusters"],
    labels: Int[np.ndarray, " N"],
    label_of_cluster: Int[np.ndarray, " clusters"],
) -> float:
    """Return the fraction, in [0, 1], of examples whose most probable cluster has a class other than their label.

    Raises ValueError if there are no examples, or a probability is not finite.
    """
    return float((label_of_cluster[reals("probabilities", probabilities).argmax(axis=1)] != labels).mean())


def check_classes(labels: Int[np.ndarray, " N"]) -> None:
    """Raise ValueError if a label is below 0, as for examples without a class."""
    if labels.min() < 0:
        raise ValueError(f"labels: hold {labels.min()}, must be classes from 0 on")
