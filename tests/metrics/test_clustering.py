import itertools

import numpy as np
import pytest

from genjax.metrics.clustering import cluster_labels, clustering_error, matched_labels

Q = np.array([[0.6, 0.4, 0.0], [0.1, 0.2, 0.7], [0.9, 0.0, 0.1], [0.3, 0.5, 0.2]])


def test_a_cluster_has_the_class_of_its_surest_example():
    """Column by column the greatest are of examples 2, 3 and 1."""
    np.testing.assert_array_equal(cluster_labels(Q, np.array([4, 5, 6, 7])), [6, 7, 5])


def test_the_error_counts_examples_whose_cluster_has_another_class():
    """The most probable clusters are 0, 2, 0 and 1, whose classes are 6, 5, 6 and 7: the first is wrong."""
    assert clustering_error(Q, np.array([4, 5, 6, 7]), np.array([6, 7, 5])) == pytest.approx(0.25)


def test_it_needs_an_example():
    with pytest.raises(ValueError, match="needs 1 or more examples"):
        cluster_labels(Q[:0], np.zeros(0, int))


def test_matched_labels_are_the_best_of_all_permutations():
    rng = np.random.default_rng(3)
    probabilities, labels = rng.random((40, 4)), rng.integers(0, 4, 40)
    found = matched_labels(probabilities, labels)
    assert sorted(found) == [0, 1, 2, 3]
    errors = [clustering_error(probabilities, labels, np.array(order)) for order in itertools.permutations(range(4))]
    assert clustering_error(probabilities, labels, found) == pytest.approx(min(errors))


def test_clusters_without_a_class_of_their_own_are_always_wrong():
    probabilities = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    found = matched_labels(probabilities, np.array([0, 0, 0, 1, 1, 1]))
    np.testing.assert_array_equal(found, [0, 1, -1])
    with pytest.raises(ValueError, match="needs 1 or more"):
        matched_labels(np.zeros((0, 2)), np.zeros(0, np.int64))
