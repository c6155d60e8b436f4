"""How far samples are from real images at each of several sizes: sliced Wasserstein distances, and that of patches."""

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
"""Images of a comparison, at most."""
COMPARED_BYTES = 2**30

PATCHES, DIRECTIONS = 32, 128
"""Of each image and of the sphere; the paper's 128 and 512 take sixteen times as long."""

Images = Float[np.ndarray, "N H W C"]


def distance_names(sides: Sequence[int]) -> list[str]:
    """What `make_distances` measures: `swd_` and the side for each, `patch_distance` where patches fit, and anchors."""
    names = [f"swd_{side}" for side in sides] + (["patch_distance"] if max(sides) >= SIZE else [])
    return names + [f"real_{name}" for name in names]


def make_distances(model: Model, data: Dataset, sides: Sequence[int]) -> Measure:
    """The distances of samples to the first real images of a split, and of as many training images to them.

    `sides` divide that of the images, which is the last.
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
    """Between two sets of as many images: sliced Wasserstein-1 distances at each side, and that of patches."""
    found = {f"swd_{side}": sliced_wasserstein(points(real, side), points(fake, side)).value for side in sides}
    if max(sides) >= SIZE:
        found["patch_distance"] = patches_apart(real, fake, split="this split").value
    return found


def patches_apart(real: Images, fake: Images, *, split: str) -> PatchDistance:
    """`patch_distance` down to the smallest images that have a patch, of a number of patches that a CPU bears."""
    return patch_distance(real, fake, split=split, smallest=SIZE, patches=PATCHES, directions=DIRECTIONS)


def points(images: Images, side: int) -> Float[np.ndarray, "N d"]:
    """The images shrunk to a side, each as a row."""
    factor = images.shape[1] // side
    return reduce(images, "n (h f) (w g) c -> n (h w c)", "mean", f=factor, g=factor)
