"""Sliced Wasserstein distance between patches of images at several scales (Karras et al. 2018, sec. 5)."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.ndimage import correlate1d

from genjax.metrics.features import counts
from genjax.metrics.sliced_wasserstein import mean_distance, unit_vectors

BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
"""The low-pass filter of the pyramid along each axis."""

SIZE = 7
"""Side of a patch."""

Images = Float[np.ndarray, "n H W C"]
Others = Float[np.ndarray, "m h w c"]
"""Images whose shape is not that of `Images` beside them, or is checked."""


class PatchDistance(NamedTuple):
    """Estimates without a unit, and how they were made. The paper reports them times 1000."""

    value: float
    """The mean over levels."""
    levels: Mapping[int, float]
    """By the height of the level's images: the finest details first, what is left after them last."""
    protocol: str
    """The numbers of images, patches and directions, the split, the levels and the seed."""


def patch_distance(
    real: Images,
    fake: Others,
    *,
    split: str,
    smallest: int = 16,
    patches: int = 128,
    directions: int = 512,
    seed: int = 0,
) -> PatchDistance:
    """The sliced Wasserstein distance between 7x7 patches of each level of the Laplacian pyramids of two sets.

    From each level of each image `patches` patches are cut; each set's patches are brought to mean 0 and variance 1 in
    each channel, so that contrast and colour cast do not count. Image i of both sets is cut at the same places, and the
    distance of a set to itself is 0. Levels end where they would be below `smallest` pixels high or wide, or a side is
    odd. Raises ValueError where the sets are not of one shape, or too small for a patch.

    Args:
        real: Real images; as many as generated ones. The paper has 16 384.
        fake: Generated images, in the same range.
        split: Of the data, that the real images are of.
        smallest: Side of the smallest level, at least 7.
        patches: Of each image and level.
        directions: Random unit vectors, along which patches are compared.
        seed: Of places and directions.
    """
    if real.shape != fake.shape or min(real.shape) < 1 or min(real.shape[1:3]) < SIZE:
        raise ValueError(
            f"real {real.shape} and fake {fake.shape} must be of one shape, {SIZE} x {SIZE} pixels or more"
        )
    if smallest < SIZE or min(patches, directions) < 1:
        raise ValueError(f"smallest={smallest} must be at least {SIZE}, patches={patches}, directions={directions} 1")
    pairs = zip(*(laplacian_pyramid(images.astype(np.float32), smallest) for images in (real, fake)), strict=True)
    levels = {
        ours.shape[1]: level_distance(ours, theirs, patches, directions, np.random.default_rng((seed, ours.shape[1])))
        for ours, theirs in pairs
    }
    drawn = f"{patches} patches of an image, {directions} directions, seed {seed}"
    sides = f"levels of height {', '.join(map(str, levels))}"
    protocol = f"sliced Wasserstein-1 of {SIZE}x{SIZE} patches, {counts(len(real), len(fake), split)}, {sides}, {drawn}"
    return PatchDistance(float(np.mean(list(levels.values()))), levels, protocol)


def level_distance(real: Images, fake: Images, patches: int, directions: int, rng: np.random.Generator) -> float:
    """The distance at one level."""
    height, width, channels = real.shape[1:]
    rows, columns = (rng.integers(0, side - SIZE + 1, (len(real), patches)) for side in (height, width))
    ours, theirs = (normalized(cut(images, rows, columns)) for images in (real, fake))
    return mean_distance(ours, theirs, unit_vectors(rng, SIZE * SIZE * channels, directions))


def cut(images: Images, rows: np.ndarray, columns: np.ndarray) -> Float[np.ndarray, "N C s t"]:
    """The patches whose first pixels are at `rows` and `columns` [images, patches] of each image."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (SIZE, SIZE), axis=(1, 2))
    return windows[np.arange(len(images))[:, None], rows, columns].reshape(-1, *windows.shape[3:])


def normalized(patches: Float[np.ndarray, "N C s t"]) -> Float[np.ndarray, "N d"]:
    """Mean 0 and variance 1 in each channel, over all patches and pixels; a channel without variance is 0. Flat."""
    centred = patches - patches.mean(axis=(0, 2, 3), keepdims=True)
    deviation = centred.std(axis=(0, 2, 3), keepdims=True)
    return (centred / np.where(deviation > 0, deviation, 1)).reshape(len(patches), -1)


def laplacian_pyramid(images: Images, smallest: int) -> list[Others]:
    """What each halving of the images loses, and last what is left (Burt & Adelson 1983), from fine to coarse."""
    levels = [images]
    while all(side % 2 == 0 and side // 2 >= smallest for side in levels[-1].shape[1:3]):
        levels.append(downsampled(levels[-1]))
    return [fine - upsampled(coarse) for fine, coarse in itertools.pairwise(levels)] + levels[-1:]


def downsampled(images: Images) -> Others:
    """Every second row and column after the low-pass filter."""
    return smoothed(images)[:, ::2, ::2]


def upsampled(images: Images) -> Others:
    """Zeros between rows and columns, then the low-pass filter."""
    count, height, width, channels = images.shape
    sparse = np.zeros((count, 2 * height, 2 * width, channels), images.dtype)
    sparse[:, ::2, ::2] = images
    return 4 * smoothed(sparse)


def smoothed(images: Images) -> Images:
    """The binomial filter along rows and columns; the border is a mirror."""
    return correlate1d(correlate1d(images, BINOMIAL, axis=1, mode="mirror"), BINOMIAL, axis=2, mode="mirror")
