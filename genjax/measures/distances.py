"""Distances between samples and real images at several image sizes: sliced Wasserstein distance and patch distance."""

from collections.abc import Sequence

import numpy as np
from einops import reduce
from jaxtyping import Float

from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.evaluation import Measure
from genjax.measures.baselines import images_of
from genjax.metrics.patches import SIZE, PatchDistance, patch_distance
from genjax.metrics.sliced_wasserstein import sliced_wasserstein
from genjax.pictures.drawing import drawn
from genjax.types import Key, Params, Stats

COMPARED = 2000
"""Largest number of images that are compared."""
COMPARED_BYTES = 2**30
"""Largest memory, in bytes, of the images that are compared: fewer large images are compared."""

PATCHES, DIRECTIONS = 32, 128
"""Numbers of patches per image and of directions of the patch distance; the paper's 128 and 512 take 16 times as
long."""

Images = Float[np.ndarray, "N H W C"]


def make_distances(model: Model, data: Dataset, sides: Sequence[int]) -> Measure:
    """Return a measure of the distances between samples and the first real images of a split.

    The baselines `real_...` are the same distances with as many training images in place of the samples. Each of
    `sides` divides the side of the images, which is the last element of `sides`.
    """

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        fitting = COMPARED_BYTES // (4 * int(np.prod(data.image_shape)))
        count = max(1, min(COMPARED, fitting, split.size, data.train.size))
        real, other = (
            images_of(data, one, np.arange(count)).reshape(count, *data.image_shape) for one in (split, data.train)
        )
        ours = distances(real, drawn(model, data, params, stats, count, key), sides)
        return {**ours, **{f"real_{name}": value for name, value in distances(real, other, sides).items()}}

    return measure


def distances(real: Images, fake: Images, sides: Sequence[int]) -> dict[str, float]:
    """Return the sliced Wasserstein-1 distance at each side, and the patch distance, of two image sets of one size."""
    found = {f"swd_{side}": sliced_wasserstein(points(real, side), points(fake, side)).value for side in sides}
    if max(sides) >= SIZE:
        found["patch_distance"] = patches_apart(real, fake, split="this split").value
    return found


def patches_apart(real: Images, fake: Images, *, split: str) -> PatchDistance:
    """Return `patch_distance` with levels down to the size of a patch, and with few enough patches for a CPU."""
    return patch_distance(real, fake, split=split, smallest=SIZE, patches=PATCHES, directions=DIRECTIONS)


def points(images: Images, side: int) -> Float[np.ndarray, "N d"]:
    """Return images shrunk to `side` x `side` pixels by averaging blocks of pixels, and flattened."""
    factor = images.shape[1] // side
    return reduce(images, "n (h f) (w g) c -> n (h w c)", "mean", f=factor, g=factor)
