"""Multi-scale structural similarity of two images (Wang, Simoncelli & Bovik 2003), and the diversity of a set by it."""

from typing import NamedTuple

import numpy as np
from einops import reduce
from jaxtyping import Float
from scipy.ndimage import correlate1d

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, from fine to coarse (Wang et al. 2003, sec. 3.2)."""

WINDOW, SIGMA = 11, 1.5
"""Side and standard deviation in pixels of the Gaussian window."""

LUMINANCE, CONTRAST = 0.01**2, 0.03**2
"""C1 = (K1 L)^2 and C2 = (K2 L)^2, with the range of pixels L = 1."""

Images = Float[np.ndarray, "n H W C"]
Others = Float[np.ndarray, "m h w c"]
"""Images whose shape is not that of `Images` beside them, or is checked."""
PerChannel = Float[np.ndarray, "n C"]


class Diversity(NamedTuple):
    """An estimate, and how it was made."""

    value: float
    """The mean MS-SSIM of pairs: 1 where all images are the same."""
    protocol: str
    """The numbers of images, pairs and scales, the window and the seed."""


def diversity(images: Images, *, pairs: int = 10_000, window: int = WINDOW, seed: int = 0) -> Diversity:
    """The mean `ms_ssim` of random pairs of different images in [0, 1] (Odena et al. 2017, sec. 4.2).

    Lower is more diverse, but noise is the most diverse of all: hold it against that of real images of the same size,
    under the same protocol. Raises ValueError where there are fewer than two images or no pairs.
    """
    if len(images) < 2 or pairs < 1:
        raise ValueError(f"images: {len(images)}, must be two or more, and pairs={pairs} at least 1")
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(images), pairs)
    second = (first + rng.integers(1, len(images), pairs)) % len(images)
    value = float(ms_ssim(images[first], images[second], window=window).mean())
    scales = f"{scale_count(images.shape[1:3], window)} of {len(WEIGHTS)} scales"
    protocol = f"MS-SSIM, {pairs} pairs of {len(images)} images, {scales}, {window}x{window} window, seed {seed}"
    return Diversity(value, protocol)


def ms_ssim(x: Images, y: Others, *, window: int = WINDOW) -> Float[np.ndarray, " n"]:
    """l_M^w_M prod_j cs_j^w_j of each pair of images in [0, 1] (Wang et al. 2003, eq. 7); 1 where they are equal.

    Scales are halved by means of 2x2 pixels, as many of the five as keep the image as large as the window, and their
    weights w are scaled to sum to 1: 28x28 pixels have two, and only numbers with the same scales compare. Each channel
    has its own, and the result is their mean. Below 0, a mean contrast-structure term counts as 0.

    Raises ValueError where the shapes differ, or the window is even or larger than the images.
    """
    if x.shape != y.shape or window % 2 == 0 or not 1 <= window <= min(x.shape[1:3]):
        raise ValueError(f"x {x.shape} and y {y.shape} must be of one shape, window={window} odd and not larger")
    weights = np.array(WEIGHTS[: scale_count(x.shape[1:3], window)])
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    product = np.ones((len(x), x.shape[3]))
    for index, weight in enumerate(weights / weights.sum()):
        whole, structure = similarity(x, y, window)
        last = index == len(weights) - 1
        product *= (whole if last else structure).clip(0) ** weight
        if not last:
            x, y = downsampled(x), downsampled(y)
    return product.mean(axis=1)


def scale_count(sides: tuple[int, ...], window: int) -> int:
    """How many scales keep both sides at least as large as the window, five at most; an odd side is the last."""
    count, sides = 1, tuple(sides)
    while count < len(WEIGHTS) and all(side % 2 == 0 and side // 2 >= window for side in sides):
        count, sides = count + 1, tuple(side // 2 for side in sides)
    return count


def downsampled(images: Images) -> Others:
    """Each block of 2x2 pixels as one, their mean."""
    return reduce(images, "n (h f) (w g) c -> n h w c", "mean", f=2, g=2)


def similarity(x: Images, y: Images, window: int) -> tuple[PerChannel, PerChannel]:
    """The means over pixels of l cs (that is, of SSIM) and of cs (Wang et al. 2003, eqs. 1 to 6)."""
    mean_x, mean_y = windowed(x, window), windowed(y, window)
    variance_x, variance_y = windowed(x * x, window) - mean_x**2, windowed(y * y, window) - mean_y**2
    covariance = windowed(x * y, window) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + LUMINANCE) / (mean_x**2 + mean_y**2 + LUMINANCE)
    structure = (2 * covariance + CONTRAST) / (variance_x + variance_y + CONTRAST)
    return (luminance * structure).mean(axis=(1, 2)), structure.mean(axis=(1, 2))


def windowed(images: Images, window: int) -> Others:
    """The Gaussian-weighted mean around each pixel whose window lies within the image."""
    reach = window // 2
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * SIGMA**2))
    for axis in (1, 2):
        images = correlate1d(images, weights / weights.sum(), axis=axis)
    return images[:, reach : images.shape[1] - reach, reach : images.shape[2] - reach]
