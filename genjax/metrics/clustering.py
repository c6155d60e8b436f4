"""How well clusters found without labels agree with the classes."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment


def cluster_labels(
    probabilities: Float[np.ndarray, "N clusters"], labels: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " clusters"]:
    """The class of each cluster: that of the example with the greatest q(cluster|x) (Makhzani et al. 2015, sec. 6).

    The examples are those of the validation split. Raises ValueError where there is none.
    """
    if not len(probabilities):
        raise ValueError("probabilities: needs one or more examples, got 0")
    return labels[probabilities.argmax(axis=0)]


def matched_labels(
    probabilities: Float[np.ndarray, "N clusters"], labels: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " clusters"]:
    """The class of each cluster, no two alike: the assignment by which most examples are right (Kuhn 1955).

    An example is in its most probable cluster. -1 for clusters that are left over where classes are fewer. Raises
    ValueError where there is no example.
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
    """How often the class of an example's most probable cluster is not its own, in [0, 1]."""
    return float((label_of_cluster[probabilities.argmax(axis=1)] != labels).mean())
