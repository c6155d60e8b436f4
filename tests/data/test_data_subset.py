import numpy as np
import pytest

from genjax.data.subset import balanced_rows

LABEL = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 5], [40, 12, 30, 25]))


@pytest.mark.parametrize(("count", "sizes"), [(4, [1] * 4), (20, [5] * 4), (48, [12] * 4), (22, [5, 5, 6, 6])])
def test_classes_are_as_frequent_as_they_can_be(count, sizes):
    rows = balanced_rows(LABEL, count, seed=3)
    assert len(set(rows.tolist())) == count
    assert sorted(np.unique(LABEL[rows], return_counts=True)[1].tolist()) == sizes


def test_rows_follow_the_seed_and_all_are_taken_by_some():
    drawn = [balanced_rows(LABEL, 20, seed=seed) for seed in range(60)]
    np.testing.assert_array_equal(drawn[3], balanced_rows(LABEL, 20, seed=3))
    assert set(drawn[3].tolist()) != set(drawn[4].tolist())
    assert len(np.unique(np.concatenate(drawn))) == len(LABEL)
    luckiest = [np.bincount(LABEL[balanced_rows(LABEL, 5, seed=seed)]).argmax() for seed in range(60)]
    assert set(luckiest) == {0, 1, 2, 5}


@pytest.mark.parametrize("count", [3, 49])
def test_what_cannot_be_balanced_is_refused(count):
    with pytest.raises(ValueError, match=f"{count} labels: must be from 4.* to 48, .* has 12"):
        balanced_rows(LABEL, count, seed=0)
