import numpy as np
import pytest
import scipy.ndimage
import scipy.special
import scipy.stats

from genjax.metrics.patches import SIZE, cut, downsampled, laplacian_pyramid, normalized, patch_distance, upsampled
from genjax.metrics.sliced_wasserstein import sliced_wasserstein, unit_vectors

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 3)), RNG.normal(0.3, 2, (50, 3))


def test_in_one_dimension_it_is_scipys():
    found = sliced_wasserstein(X[:, :1], Y[:, :1], directions=3)
    np.testing.assert_allclose(found.value, scipy.stats.wasserstein_distance(X[:, 0], Y[:, 0]), rtol=1e-12)
    assert found.protocol == "sliced Wasserstein-1, 50 points each, 3 directions, seed 0"


def test_it_is_the_mean_of_scipys_along_its_directions(monkeypatch):
    monkeypatch.setattr("genjax.metrics.sliced_wasserstein.CHUNK", 4)
    vectors = unit_vectors(np.random.default_rng(5), 3, 6)
    np.testing.assert_allclose((vectors**2).sum(0), 1)
    each = [scipy.stats.wasserstein_distance(X @ u, Y @ u) for u in vectors.T]
    np.testing.assert_allclose(sliced_wasserstein(X, Y, directions=6, seed=5).value, np.mean(each), rtol=1e-10)


def test_a_shift_by_v_is_the_mean_of_v_along_a_direction():
    """E|u.v| = |v| Gamma(d / 2) / (sqrt(pi) Gamma((d + 1) / 2)) over unit vectors u in d dimensions."""
    v = np.array([1.0, -2.0, 2.0])
    expected = 3 * scipy.special.gamma(1.5) / (np.sqrt(np.pi) * scipy.special.gamma(2))
    found = sliced_wasserstein(X, X + v, directions=20_000).value
    assert abs(found - expected) < 4 * 3 / np.sqrt(12 * 20_000)  # |u.v| / |v| is uniform on [0, 1] in three dimensions


def test_it_does_not_see_the_order_of_points():
    assert sliced_wasserstein(X, X[::-1].copy()).value < 1e-12
    np.testing.assert_allclose(sliced_wasserstein(X, Y).value, sliced_wasserstein(Y, X).value)


IMAGES = RNG.random((6, 32, 16, 2)).astype(np.float32)


def test_a_pyramids_levels_add_up_to_the_image():
    fine, middle, coarse = laplacian_pyramid(IMAGES, 7 - 3)
    assert [level.shape[1:3] for level in (fine, middle, coarse)] == [(32, 16), (16, 8), (8, 4)]
    np.testing.assert_allclose(fine + upsampled(middle + upsampled(coarse)), IMAGES, atol=1e-6)
    assert len(laplacian_pyramid(IMAGES, 16)) == 1
    assert [level.shape[1] for level in laplacian_pyramid(np.zeros((1, 28, 28, 1), np.float32), 7)] == [28, 14, 7]


def test_the_filters_are_those_of_the_authors_code():
    """A 5x5 binomial kernel with a mirror at the border, down by every second pixel, up by zeros and 4 times it."""
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])[None, :, :, None] / 256
    down = scipy.ndimage.convolve(IMAGES, kernel, mode="mirror")[:, ::2, ::2]
    np.testing.assert_allclose(downsampled(IMAGES), down, atol=1e-6)
    sparse = np.zeros((6, 64, 32, 2), np.float32)
    sparse[:, ::2, ::2] = IMAGES
    np.testing.assert_allclose(upsampled(IMAGES), scipy.ndimage.convolve(sparse, 4 * kernel, mode="mirror"), atol=1e-6)
    np.testing.assert_allclose(upsampled(np.ones((1, 4, 4, 1), np.float32)), 1, atol=1e-6)


def test_patches_are_cut_where_they_are_asked_for():
    rows, columns = RNG.integers(0, 26, (6, 3)), RNG.integers(0, 10, (6, 3))
    patches = cut(IMAGES, rows, columns)
    assert patches.shape == (18, 2, SIZE, SIZE)
    for image, number in [(0, 0), (2, 1), (5, 2)]:
        row, column = rows[image, number], columns[image, number]
        expected = IMAGES[image, row : row + 7, column : column + 7]
        np.testing.assert_array_equal(patches[image * 3 + number], expected.transpose(2, 0, 1))


def swd(real, fake, **options):
    return patch_distance(real, fake, split="test", patches=20, directions=30, **options)


def smooth(count, width, seed):
    """Images of noise through a Gaussian filter of this width."""
    noise = np.random.default_rng(seed).normal(size=(count, 32, 32, 1))
    return scipy.ndimage.gaussian_filter(noise, (0, width, width, 0)).astype(np.float32)


def test_a_set_is_at_distance_0_of_itself_and_levels_are_named():
    found = swd(IMAGES, IMAGES, smallest=8)
    assert found.value == pytest.approx(0, abs=1e-6)
    assert found.levels == pytest.approx({32: 0, 16: 0}, abs=1e-6)
    assert found.protocol == (
        "sliced Wasserstein-1 of 7x7 patches, 6 real images (test) and 6 generated ones, levels of height 32, 16, "
        "20 patches of an image, 30 directions, seed 0"
    )


def test_contrast_and_brightness_do_not_count_and_texture_does():
    real = smooth(60, 1.0, 0)
    assert swd(real, 3 * real + 2).value < 1e-4
    same, other = swd(real, smooth(60, 1.0, 1)), swd(real, smooth(60, 3.0, 1))
    assert other.levels[32] > 3 * same.levels[32]
    np.testing.assert_allclose(other.value, np.mean(list(other.levels.values())), rtol=1e-6)


def test_a_channel_without_variance_is_finite():
    black = np.zeros((4, 16, 16, 1), np.float32)
    assert swd(black, black).value == pytest.approx(0, abs=1e-6)
    assert np.isfinite(swd(black, smooth(4, 1.0, 0)[:, :16, :16]).value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sliced_wasserstein(X, Y[:3]), r"x \(50, 3\) and y \(3, 3\) must have one shape"),
        (lambda: sliced_wasserstein(X, Y, directions=0), "directions=0 at least 1"),
        (lambda: swd(IMAGES, IMAGES[:2]), r"real \(6, 32, 16, 2\) and fake \(2, 32, 16, 2\) must have one shape"),
        (lambda: swd(IMAGES[:, :6], IMAGES[:, :6]), "7 x 7 pixels or more"),
        (lambda: swd(IMAGES, IMAGES, smallest=6), "smallest=6 must be at least 7"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_contrast_and_brightness_of_each_channel_do_not_count():
    """Each channel has a deviation of its own, so that another cast of colour is at distance 0."""
    fake = IMAGES * np.float32([0.5, 4]) + np.float32([1, -2])
    found = swd(IMAGES, fake, smallest=8).levels
    assert found == pytest.approx({32: 0, 16: 0}, abs=1e-4)
    patches = cut(fake, *(np.zeros((6, 1), int),) * 2)
    channels = normalized(patches, 0.0).reshape(6, 2, -1)
    np.testing.assert_allclose(channels.mean(axis=(0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(channels.std(axis=(0, 2)), 1, rtol=1e-5)
