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
"""Memory for the images that are compared; large images are compared in smaller numbers."""

PATCHES, DIRECTIONS = 32, 128
"""Patches per image and directions of the patch distance; the paper's 128 and 512 take sixteen times as long."""

Images = Float[np.ndarray, "N H W C"]


def distance_names(sides: Sequence[int]) -> list[str]:
    """Names of the numbers that `make_distances` measures.

    `swd_` with each side, `patch_distance` if the images are large enough for a patch, and the baseline `real_...` of
    each.
    """
    names = [f"swd_{side}" for side in sides] + (["patch_distance"] if max(sides) >= SIZE else [])
    return names + [f"real_{name}" for name in names]


def make_distances(model: Model, data: Dataset, sides: Sequence[int]) -> Measure:
    """Return a measure of the distances between samples and the first real images of a split.

    The baselines `real_...` are the same distances with as many training images in place of the samples. Each of
    `sides` divides the side of the images, which is the last of them.
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
    """Distances between two equally large sets of images: sliced Wasserstein-1 at each side, and the patch distance."""
    found = {f"swd_{side}": sliced_wasserstein(points(real, side), points(fake, side)).value for side in sides}
    if max(sides) >= SIZE:
        found["patch_distance"] = patches_apart(real, fake, split="this split").value
    return found


def patches_apart(real: Images, fake: Images, *, split: str) -> PatchDistance:
    """`patch_distance` with levels down to the size of a patch, and few enough patches for a CPU."""
    return patch_distance(real, fake, split=split, smallest=SIZE, patches=PATCHES, directions=DIRECTIONS)


def points(images: Images, side: int) -> Float[np.ndarray, "N d"]:
    """Shrink the images to a side by averaging blocks of pixels, and flatten them."""
    factor = images.shape[1] // side
    return reduce(images, "n (h f) (w g) c -> n (h w c)", "mean", f=factor, g=factor)
