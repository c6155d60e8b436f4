"""Sliced Wasserstein distance between patches of images at several scales (Karras et al. 2018, sec. 5)."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from genjax.metrics.features import counts
from genjax.metrics.numbers import reals
from genjax.metrics.sliced_wasserstein import mean_distance, unit_vectors

BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
"""Low-pass filter of the pyramid, applied along each axis."""

SIZE = 7
"""Side of a patch in pixels."""

Images = Float[np.ndarray, "n H W C"]
Others = Float[np.ndarray, "m h w c"]
"""Images whose shape may differ from the `Images` in the same signature, or is checked in the function."""


class PatchDistance(NamedTuple):
    """Sliced Wasserstein distances of patches (no unit; the paper reports them times 1000), and their protocol."""

    value: float
    """Mean of the distance over the levels of the pyramid."""
    levels: Mapping[int, float]
    """Distance at each level, by the height of the level's images, from the finest to the coarsest level."""
    protocol: str
    """Numbers of images, patches and directions, the split, the levels and the seed."""


def patch_distance(
    real: Shaped[np.ndarray, "n H W C"],
    fake: Shaped[np.ndarray, "m h w c"],
    *,
    split: str,
    smallest: int = 16,
    patches: int = 128,
    directions: int = 512,
    seed: int = 0,
) -> PatchDistance:
    """Return the sliced Wasserstein distance of 7x7 patches at each level of the Laplacian pyramids of two image sets.

    `patches` patches are cut from each level of each image. The patches of each set are normalized to mean 0 and
    variance 1 in each channel, so that contrast and colour cast have no effect. Image i of both sets is cut at the same
    positions, so the distance of a set to itself is 0. The pyramid ends before a level would be below `smallest` pixels
    high or wide, or where a side is odd. Raises ValueError if the sets differ in shape, or the images are smaller than
    a patch, or a pixel is not finite.

    Args:
        real: Real images, as many as generated ones. The paper uses 16 384.
        fake: Generated images, in the same range.
        split: Name of the split that the real images are from, for the protocol.
        smallest: Side of the smallest level, at least 7.
        patches: Number of patches of each image and level.
        directions: Number of random unit vectors along which patches are compared.
        seed: Seed of the positions of patches and of the directions.
    """
    if real.shape != fake.shape or min(real.shape) < 1 or min(real.shape[1:3]) < SIZE:
        raise ValueError(
            f"real {real.shape} and fake {fake.shape} must have one shape, with {SIZE} x {SIZE} pixels or more"
        )
    if smallest < SIZE or min(patches, directions) < 1:
        raise ValueError(f"smallest={smallest} must be at least {SIZE}, patches={patches}, directions={directions} 1")
    real, fake = (reals(name, images).astype(np.float32) for name, images in (("real", real), ("fake", fake)))
    pairs = zip(laplacian_pyramid(real, smallest), laplacian_pyramid(fake, smallest), strict=True)
    levels = {}
    for ours, theirs in pairs:
        rng = np.random.default_rng((seed, ours.shape[1]))
        levels[ours.shape[1]] = level_distance(ours, theirs, patches, directions, rng, rounding(real), rounding(fake))
    drawn = f"{patches} patches of an image, {directions} directions, seed {seed}"
    sides = f"levels of height {', '.join(map(str, levels))}"
    protocol = f"sliced Wasserstein-1 of {SIZE}x{SIZE} patches, {counts(len(real), len(fake), split)}, {sides}, {drawn}"
    return PatchDistance(float(np.mean(list(levels.values()))), levels, protocol)


def rounding(images: Images) -> float:
    """Return a deviation below which the details of images are rounding errors of their float32 pixels."""
    return float(1e-5 * np.abs(images).max())


def level_distance(
    real: Images, fake: Images, patches: int, directions: int, rng: np.random.Generator, *flat: float
) -> float:
    """Return the distance between the patches of one level; `flat` are deviations of a channel without details."""
    height, width, channels = real.shape[1:]
    rows, columns = (rng.integers(0, side - SIZE + 1, (len(real), patches)) for side in (height, width))
    ours, theirs = (
        normalized(cut(images, rows, columns), least) for images, least in zip((real, fake), flat, strict=True)
    )
    return mean_distance(ours, theirs, unit_vectors(rng, SIZE * SIZE * channels, directions))


def cut(images: Images, rows: np.ndarray, columns: np.ndarray) -> Float[np.ndarray, "N C s t"]:
    """Return the patches whose upper left pixels are at `rows` and `columns` [images, patches] of each image."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (SIZE, SIZE), axis=(1, 2))
    return windows[np.arange(len(images))[:, None], rows, columns].reshape(-1, *windows.shape[3:])


def normalized(patches: Float[np.ndarray, "N C s t"], least: float) -> Float[np.ndarray, "N d"]:
    """Return patches, flattened, with each channel normalized to mean 0 and variance 1 over all patches and pixels.

    A channel whose deviation is not above `least` becomes 0.
    """
    centred = patches - patches.mean(axis=(0, 2, 3), keepdims=True)
    deviation = centred.std(axis=(0, 2, 3), keepdims=True)
    return np.where(deviation > least, centred / np.where(deviation > 0, deviation, 1), 0).reshape(len(patches), -1)


def laplacian_pyramid(images: Images, smallest: int) -> list[Others]:
    """Return the Laplacian pyramid (Burt & Adelson 1983): details lost by each downsampling, then the last image."""
    levels = [images]
    while all(side % 2 == 0 and side // 2 >= smallest for side in levels[-1].shape[1:3]):
        levels.append(downsampled(levels[-1]))
    return [fine - upsampled(coarse) for fine, coarse in itertools.pairwise(levels)] + levels[-1:]


def downsampled(images: Images) -> Others:
    """Return every second row and column of the low-pass filtered images."""
    return smoothed(images)[:, ::2, ::2]


def upsampled(images: Images) -> Others:
    """Return the images with zeros inserted between rows and columns, low-pass filtered."""
    count, height, width, channels = images.shape
    sparse = np.zeros((count, 2 * height, 2 * width, channels), images.dtype)
    sparse[:, ::2, ::2] = images
    return 4 * smoothed(sparse)


def smoothed(images: Images) -> Images:
    """Return the images after the binomial filter along rows and columns, with mirrored borders."""
    from scipy.ndimage import correlate1d  # slow to import

    return correlate1d(correlate1d(images, BINOMIAL, axis=1, mode="mirror"), BINOMIAL, axis=2, mode="mirror")
