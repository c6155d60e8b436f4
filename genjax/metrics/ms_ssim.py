"""Multi-scale structural similarity of images (Wang, Simoncelli & Bovik 2003), and a set's diversity measured by it."""

from typing import NamedTuple

import numpy as np
from einops import reduce
from jaxtyping import Float, Shaped

from genjax.metrics.numbers import reals

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, from fine to coarse (Wang et al. 2003, sec. 3.2)."""

WINDOW, SIGMA = 11, 1.5
"""Side and standard deviation of the Gaussian window, in pixels."""

LUMINANCE, CONTRAST = 0.01**2, 0.03**2
"""Constants C1 = (K1 L)^2 and C2 = (K2 L)^2 for a pixel range L of 1."""

Images = Float[np.ndarray, "n H W C"]
Others = Float[np.ndarray, "m h w c"]
"""Images whose shape may differ from the `Images` in the same signature, or is checked in the function."""
PerChannel = Float[np.ndarray, "n C"]
"""One number for each image and channel."""


TOLERANCE = 1e-3
"""How far pixels may lie outside of [0, 1]."""

PAIRS = 100
"""Number of pairs of images that are compared at a time."""


class Diversity(NamedTuple):
    """Diversity of a set of images, and the protocol by which it was measured."""

    value: float
    """Mean MS-SSIM of pairs of images: 1 if all images are the same."""
    protocol: str
    """Numbers of images, pairs and scales, the window and the seed."""


def diversity(
    images: Shaped[np.ndarray, "n H W C"], *, pairs: int = 10_000, window: int = WINDOW, seed: int = 0
) -> Diversity:
    """Return the mean `ms_ssim` of random pairs of different images in [0, 1] (Odena et al. 2017, sec. 4.2).

    A lower value means more diversity, but noise is most diverse: compare with real images of the same size under the
    same protocol. Raises ValueError if there are fewer than two images, or no pairs, and as `ms_ssim` does.
    """
    images = in_unit("images", images, least=2)
    if pairs < 1:
        raise ValueError(f"pairs={pairs} must be at least 1")
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(images), pairs)
    second = (first + rng.integers(1, len(images), pairs)) % len(images)
    chunks = [slice(start, start + PAIRS) for start in range(0, pairs, PAIRS)]
    values = [ms_ssim(images[first[chunk]], images[second[chunk]], window=window) for chunk in chunks]
    value = float(np.concatenate(values).mean())
    scales = f"{scale_count(images.shape[1:3], window)} of {len(WEIGHTS)} scales"
    protocol = f"MS-SSIM, {pairs} pairs of {len(images)} images, {scales}, {window}x{window} window, seed {seed}"
    return Diversity(value, protocol)


def ms_ssim(
    x: Shaped[np.ndarray, "n H W C"], y: Shaped[np.ndarray, "m h w c"], *, window: int = WINDOW
) -> Float[np.ndarray, " n"]:
    """Return MS-SSIM, l_M^w_M prod_j cs_j^w_j, of each pair of images in [0, 1] (Wang et al. 2003, eq. 7); 1 if equal.

    Each scale has half the height and width of the previous scale, by averages of 2x2 pixels. Only the scales, of five,
    at which the image is at least as large as the window are used, two for images of 28x28 pixels, and their weights w
    are rescaled to sum to 1. Only numbers with the same scales are comparable. The result is the mean over channels. A
    negative mean contrast-structure term counts as 0.

    Raises ValueError if the shapes differ, the window is even or larger than the images, or a pixel is not in [0, 1].
    """
    if x.shape != y.shape or window % 2 == 0 or not 1 <= window <= min(x.shape[1:3]):
        raise ValueError(f"x {x.shape} and y {y.shape} must have one shape, window={window} must be odd and not larger")
    weights = np.array(WEIGHTS[: scale_count(x.shape[1:3], window)])
    x, y = in_unit("x", x), in_unit("y", y)
    product = np.ones((len(x), x.shape[3]))
    for index, weight in enumerate(weights / weights.sum()):
        whole, structure = similarity(x, y, window)
        last = index == len(weights) - 1
        product *= (whole if last else structure).clip(0) ** weight
        if not last:
            x, y = downsampled(x), downsampled(y)
    return product.mean(axis=1)


def in_unit(name: str, images: Shaped[np.ndarray, "n H W C"], *, least: int = 1) -> Images:
    """Return images in float64; ValueError if a pixel is not in [0, 1]."""
    found = reals(name, images, least=least)
    if not -TOLERANCE <= found.min() <= found.max() <= 1 + TOLERANCE:
        raise ValueError(f"{name}: pixels from {found.min():.6g} to {found.max():.6g}, must be in [0, 1]")
    return found


def scale_count(sides: tuple[int, ...], window: int) -> int:
    """Return the number of scales, at most five: the sides stay at least `window`, and even before the last scale."""
    count, sides = 1, tuple(sides)
    while count < len(WEIGHTS) and all(side % 2 == 0 and side // 2 >= window for side in sides):
        count, sides = count + 1, tuple(side // 2 for side in sides)
    return count


def downsampled(images: Images) -> Others:
    """Return the images with each block of 2x2 pixels replaced by its mean."""
    return reduce(images, "n (h f) (w g) c -> n h w c", "mean", f=2, g=2)


def similarity(x: Images, y: Images, window: int) -> tuple[PerChannel, PerChannel]:
    """Return the means over pixels of l cs (which is SSIM) and of cs (Wang et al. 2003, eqs. 1 to 6)."""
    mean_x, mean_y = windowed(x, window), windowed(y, window)
    variance_x, variance_y = windowed(x * x, window) - mean_x**2, windowed(y * y, window) - mean_y**2
    covariance = windowed(x * y, window) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + LUMINANCE) / (mean_x**2 + mean_y**2 + LUMINANCE)
    structure = (2 * covariance + CONTRAST) / (variance_x + variance_y + CONTRAST)
    return (luminance * structure).mean(axis=(1, 2)), structure.mean(axis=(1, 2))


def windowed(images: Images, window: int) -> Others:
    """Return the Gaussian-weighted mean around each pixel whose window lies within the image."""
    from scipy.ndimage import correlate1d  # slow to import

    reach = window // 2
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * SIGMA**2))
    for axis in (1, 2):
        images = correlate1d(images, weights / weights.sum(), axis=axis)
    return images[:, reach : images.shape[1] - reach, reach : images.shape[2] - reach]
