"""Numbers of any real type and memory order: a metric gives what it gives of float64, or refuses them."""

import ml_dtypes
import numpy as np
import pytest

from genjax.metrics import clustering, latent, modes, ms_ssim, parzen, puzzle, sliced_wasserstein
from genjax.metrics.class_score import class_score
from genjax.metrics.detection import auroc
from genjax.metrics.features import FeatureSets
from genjax.metrics.frechet import frechet_distance
from genjax.metrics.kernel_distance import kernel_distance
from genjax.metrics.mmd import cubic_kernel, rbf_at_median, unbiased_mmd2
from genjax.metrics.patches import patch_distance
from genjax.metrics.precision_recall import precision_recall
from genjax.metrics.probe import Labelled, linear_probe

TYPES = (np.uint8, np.int8, np.int16, np.int64, np.float16, ml_dtypes.bfloat16, np.float32)
RNG = np.random.default_rng(0)
POINTS, OTHERS = (RNG.integers(0, 100, (12, 3)) for _ in range(2))
IMAGES, GENERATED = (RNG.integers(0, 2, (6, 12, 12, 1)) for _ in range(2))
CLASSES = np.arange(12) % 3
ONE_HOT = np.eye(3)[RNG.integers(0, 3, 12)]


def sets(x, y):
    return FeatureSets(x, y, "x", "test")


METRICS = {
    "Frechet": (lambda x, y: frechet_distance(sets(x, y)).value, (POINTS, OTHERS)),
    "kernel": (lambda x, y: kernel_distance(sets(x, y)).value, (POINTS, OTHERS)),
    "precision": (lambda x, y: precision_recall(sets(x, y))[:2], (POINTS, OTHERS)),
    "MMD": (lambda x, y: unbiased_mmd2(x, y, cubic_kernel()).value, (POINTS, OTHERS)),
    "median": (lambda x: rbf_at_median(x).name, (POINTS,)),
    "sliced": (lambda x, y: sliced_wasserstein.sliced_wasserstein(x, y).value, (POINTS, OTHERS)),
    "patches": (lambda x, y: patch_distance(x, y, split="test", smallest=7).value, (IMAGES, GENERATED)),
    "MS-SSIM": (ms_ssim.ms_ssim, (IMAGES, GENERATED)),
    "diversity": (lambda x: ms_ssim.diversity(x, pairs=9).value, (IMAGES,)),
    "Parzen": (lambda x, y: parzen.parzen(x, y, y, bandwidths=(8.0, 16.0))[:3], (POINTS, OTHERS)),
    "modes": (lambda x, y: modes.mode_coverage(x, y, 9.0)[:2], (POINTS, OTHERS)),
    "grid": (lambda x, y: modes.grid_divergence(x[:, :2], y[:, :2], 9.0, limit=100.0).nats, (POINTS, OTHERS)),
    "class score": (lambda x: class_score(x, classifier="c").value, (ONE_HOT,)),
    "cluster labels": (lambda x: clustering.cluster_labels(x, CLASSES[: len(x)]), (POINTS,)),
    "matched labels": (lambda x: clustering.matched_labels(x, CLASSES[: len(x)]), (POINTS,)),
    "clustering error": (lambda x: clustering.clustering_error(x, CLASSES[: len(x)], np.arange(3)), (POINTS,)),
    "active units": (lambda x: latent.active_units(x, threshold=800.0), (POINTS,)),
    "placements": (lambda x, y: puzzle.placements(x.reshape(6, 4, 6, 6, 1), y, 2), (IMAGES, GENERATED)),
    "ceiling": (lambda x: list(puzzle.ceiling(x, 2).values()), (IMAGES,)),
    "mask IoU": (puzzle.mask_iou, (IMAGES, GENERATED)),
    "AUROC": (auroc, (POINTS.ravel(), OTHERS.ravel())),
    "probe": (lambda x: linear_probe(*[Labelled(x, CLASSES[: len(x)])] * 3), (POINTS,)),
}
"""Metric, and arrays whose numbers all types hold."""

FINITE = [name for name in METRICS if name not in ("modes", "grid", "mask IoU", "AUROC")]
"""Metrics of finite numbers; the others say in their docstrings what they make of infinity."""


def equal(name, found, expected):
    if isinstance(found, str):
        assert found == expected
    else:  # patches are computed in float32
        np.testing.assert_allclose(found, expected, rtol=1e-6 if name == "patches" else 1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_of_any_type_of_numbers_is_that_of_float64(name):
    metric, arrays = METRICS[name]
    expected = metric(*(array.astype(np.float64) for array in arrays))
    for kind in TYPES:
        equal(name, metric(*(array.astype(kind) for array in arrays)), expected)
    equal(name, metric(*(np.asfortranarray(array) for array in arrays)), expected)
    equal(name, metric(*(np.repeat(array, 2, axis=0)[::2] for array in arrays)), expected)
    if max(array.max() for array in arrays) == 1:
        equal(name, metric(*(array.astype(bool) for array in arrays)), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", FINITE)
def test_a_metric_refuses_what_is_not_finite(name, bad):
    metric, arrays = METRICS[name]
    for index in range(len(arrays)):
        broken = [array.astype(np.float64) for array in arrays]
        broken[index].flat[4] = bad
        with pytest.raises(ValueError, match=r"index|NaN"):
            metric(*broken)


def test_a_mask_that_holds_nan_has_no_iou():
    masks = IMAGES.astype(float)
    masks[2, 3, 3] = np.nan
    for pair in ((masks, GENERATED), (GENERATED, masks)):
        assert np.isnan(puzzle.mask_iou(*pair)).tolist() == [False, False, True, False, False, False]


@pytest.mark.parametrize("name", [name for name in METRICS if name not in ("AUROC", "probe", "mask IoU", "placements")])
def test_a_metric_of_nothing_says_so(name):
    metric, arrays = METRICS[name]
    for index in range(len(arrays)):
        empty = [array[:0] if place == index else array for place, array in enumerate(arrays)]
        with pytest.raises(ValueError, match=r"needs \d or more examples|must have one shape"):
            metric(*empty)


def test_a_constant_channel_of_patches_is_no_noise():
    """Of one colour everywhere, whatever rounding makes of its details: as far away as 0 is."""
    rng = np.random.default_rng(1)
    real = rng.random((20, 28, 28, 3)).astype(np.float32)
    flat = np.broadcast_to(np.float32([0.3, 0.6, 0.1]), real.shape)
    found, black = (patch_distance(real, one, split="test", smallest=7) for one in (flat, np.zeros_like(real)))
    assert found.value == pytest.approx(black.value, rel=1e-3)
    assert 0.5 < found.value < 1.2


def test_the_diversity_of_many_pairs_is_their_mean(monkeypatch):
    images = np.random.default_rng(2).random((5, 12, 12, 1))
    whole = ms_ssim.diversity(images, pairs=23).value
    monkeypatch.setattr(ms_ssim, "PAIRS", 4)
    assert ms_ssim.diversity(images, pairs=23).value == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("images", [IMAGES * 255, IMAGES * 2 - 1])
def test_pixels_outside_of_the_unit_interval_are_refused(images):
    with pytest.raises(ValueError, match=r"x: pixels from -?\d+ to \d+, must be in \[0, 1\]"):
        ms_ssim.ms_ssim(images, images)


def test_a_set_is_its_own_manifold_wherever_it_lies():
    """Points that stand four times each lie on the surfaces of balls of radius 0."""
    points = np.repeat(np.random.default_rng(3).normal(size=(30, 64)), 4, axis=0)
    assert precision_recall(sets(points, points))[:2] == (1, 1)
    other = np.random.default_rng(4).normal(size=(50, 64))
    near, far = precision_recall(sets(points, other)), precision_recall(sets(points + 2.0**20, other + 2.0**20))
    assert near[:2] == far[:2]
