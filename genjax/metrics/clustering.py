"""Agreement between clusters that were found without labels and the classes."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment


def cluster_labels(
    probabilities: Float[np.ndarray, "N clusters"], labels: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " clusters"]:
    """Return the class of each cluster: that of the example with the greatest q(cluster|x) (Makhzani et al. 2015, sec.
    6).

    Use the examples of the validation split. Raises ValueError if there are none.
    """
    if not len(probabilities):
        raise ValueError("probabilities: needs one or more examples, got 0")
    return labels[probabilities.argmax(axis=0)]


def matched_labels(
    probabilities: Float[np.ndarray, "N clusters"], labels: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " clusters"]:
    """Return the one-to-one assignment of classes to clusters with the fewest errors (Kuhn 1955).

    Every example belongs to its most probable cluster. Clusters without a class, if there are more clusters than
    classes, get -1. Raises ValueError if there are no examples.
    """
    if not len(probabilities):
        raise ValueError("probabilities: needs one or more examples, got 0")
    clusters = probabilities.shape[1]
    counts = np.zeros((clusters, int(labels.max()) + 1), np.int64)
    np.add.at(counts, (probabilities.argmax(axis=1), labels), 1)
    matched = np.full(clusters, -1, np.int64)
    rows, columns = linear_sum_assignment(-counts)
    matched[rows] = columns
    return matched


def clustering_error(
    probabilities: Float[np.ndarray, "N clusters"],
    labels: Int[np.ndarray, " N"],
    label_of_cluster: Int[np.ndarray, " clusters"],
) -> float:
    """Fraction of examples whose most probable cluster has another class than theirs, in [0, 1]."""
    return float((label_of_cluster[probabilities.argmax(axis=1)] != labels).mean())
