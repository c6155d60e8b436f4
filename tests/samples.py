"""Comparison of discrete samples that two programs draw from the same random numbers."""

import numpy as np


def assert_same_samples(ours, theirs):
    """Check that all samples are equal, or all but one.

    Two programs round a probability differently on some machines. Where a uniform number falls between the two
    roundings, which happens about once in a million draws, one sample differs from that element on.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    differing = (ours != theirs).reshape(len(ours), -1).any(axis=1)
    assert differing.sum() <= 1, f"{differing.sum()} of {len(ours)} samples differ"
