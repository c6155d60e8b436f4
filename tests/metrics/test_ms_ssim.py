import numpy as np
import pytest
import scipy.ndimage
from scipy.signal import convolve2d

from genjax.metrics.ms_ssim import WEIGHTS, diversity, ms_ssim, scale_count

RNG = np.random.default_rng(0)


def images(count, height, width, channels=1, seed=0):
    noise = np.random.default_rng(seed).random((count, height, width, channels))
    return scipy.ndimage.gaussian_filter(noise, (0, 1, 1, 0)).astype(np.float32)


def oracle(x, y, window, scales):
    """Wang et al. (2003), equations 1 to 7, of two images [H, W], with a window in two dimensions."""
    axis = np.arange(window) - window // 2
    kernel = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    c1, c2 = 0.01**2, 0.03**2
    result = 1.0
    for scale in range(scales):

        def mean(image):
            return convolve2d(image, kernel, mode="valid")

        mu_x, mu_y = mean(x), mean(y)
        var_x, var_y, cov = mean(x**2) - mu_x**2, mean(y**2) - mu_y**2, mean(x * y) - mu_x * mu_y
        deviations = np.sqrt(np.maximum(var_x * var_y, 0))
        luminance = (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
        contrast = (2 * deviations + c2) / (var_x + var_y + c2)
        structure = (cov + c2 / 2) / (deviations + c2 / 2)
        parts = contrast * structure
        if scale == scales - 1:
            parts = parts * luminance
        result *= max(parts.mean(), 0) ** weights[scale]
        x, y = (convolve2d(image, np.full((2, 2), 0.25), mode="valid")[::2, ::2] for image in (x, y))
    return result


@pytest.mark.parametrize(("side", "window", "scales"), [(28, 11, 2), (16, 7, 2), (64, 3, 5), (8, 7, 1)])
def test_it_is_the_papers_formula(side, window, scales):
    x, y = images(3, side, side, 2), 0.5 * images(3, side, side, 2) + 0.5 * images(3, side, side, 2, seed=1)
    expected = [
        np.mean([oracle(a[..., c].astype(float), b[..., c].astype(float), window, scales) for c in range(2)])
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(ms_ssim(x, y, window=window), expected, rtol=1e-6)
    assert scale_count((side, side), window) == scales
    assert 0.1 < min(expected) < max(expected) < 0.99


def test_equal_images_have_1_and_opposite_ones_0():
    x = images(4, 28, 20)
    np.testing.assert_allclose(ms_ssim(x, x), 1, rtol=1e-12)
    np.testing.assert_array_equal(ms_ssim(x, 1 - x), 0)
    np.testing.assert_allclose(ms_ssim(x, x[::-1].copy()), ms_ssim(x[::-1].copy(), x), rtol=1e-12)


def test_scales_end_at_odd_sides_and_at_five():
    assert [scale_count((side, 1000), 3) for side in (7, 14, 30, 512)] == [1, 2, 2, 4]
    assert scale_count((512, 512), 3) == 5


def test_diversity_is_the_mean_over_pairs_of_different_images():
    """Of two images there is one pair; of one image many times, no diversity."""
    pair = images(2, 16, 16)
    found = diversity(pair, pairs=7)
    np.testing.assert_allclose(found.value, ms_ssim(pair[:1], pair[1:])[0], rtol=1e-12)
    assert found.protocol == "MS-SSIM, 7 pairs of 2 images, 1 of 5 scales, 11x11 window, seed 0"
    np.testing.assert_allclose(diversity(np.repeat(pair[:1], 5, axis=0), pairs=9).value, 1)
    assert diversity(images(20, 16, 16), pairs=50).value < 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ms_ssim(x, x[:1]), r"x \(2, 16, 16, 1\) and y \(1, 16, 16, 1\) must have one shape"),
        (lambda x: ms_ssim(x, x, window=4), "window=4 must be odd"),
        (lambda x: ms_ssim(x, x, window=17), "window=17 must be odd and not larger"),
        (lambda x: diversity(x[:1]), r"images: needs 2 or more examples, has the shape \(1, 16, 16, 1\)"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(images(2, 16, 16))
