import numpy as np
import pytest

from genjax.metrics.clustering import cluster_labels, clustering_error

Q = np.array([[0.6, 0.4, 0.0], [0.1, 0.2, 0.7], [0.9, 0.0, 0.1], [0.3, 0.5, 0.2]])


def test_a_cluster_has_the_class_of_its_surest_example():
    """Column by column the greatest are of examples 2, 3 and 1."""
    np.testing.assert_array_equal(cluster_labels(Q, np.array([4, 5, 6, 7])), [6, 7, 5])


def test_the_error_counts_examples_whose_cluster_has_another_class():
    """The most probable clusters are 0, 2, 0 and 1, whose classes are 6, 5, 6 and 7: the first is wrong."""
    assert clustering_error(Q, np.array([4, 5, 6, 7]), np.array([6, 7, 5])) == 0.25


def test_it_needs_an_example():
    with pytest.raises(ValueError, match="one or more examples"):
        cluster_labels(Q[:0], np.zeros(0, int))
