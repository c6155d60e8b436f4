"""How far samples are from real images at each of several sizes: sliced Wasserstein distances, and that of patches."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from einops import reduce
from jaxtyping import Float

from experiments.anchors import images_of
from experiments.experiment import Measure
from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.metrics.patches import SIZE, patch_distance
from genjax.metrics.sliced_wasserstein import sliced_wasserstein
from genjax.types import Key, Params, Stats

COMPARED = 2000
"""Images of a comparison, at most."""
COMPARED_BYTES = 2**30

CHUNK = 100
"""Samples per program call."""

PATCHES, DIRECTIONS = 32, 128
"""Of `patch_distance`; the paper's 128 and 512 take sixteen times as long."""

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
        ours = distances(real, drawn_in_parts(model, data, params, stats, count, key), sides)
        return {**ours, **{f"real_{name}": value for name, value in distances(real, other, sides).items()}}

    return measure


def drawn_in_parts(model: Model, data: Dataset, params: Params, stats: Stats, count: int, key: Key) -> Images:
    """Samples [count, H, W, C]."""
    batch, generate = {"image": jnp.zeros((min(count, CHUNK), *data.image_shape))}, jax.jit(model.generate)
    parts = [generate(params, stats, batch, jax.random.fold_in(key, n)) for n in range(-(-count // CHUNK))]
    return np.concatenate([np.asarray(part) for part in parts])[:count]


def distances(real: Images, fake: Images, sides: Sequence[int]) -> dict[str, float]:
    """Between two sets of as many images: sliced Wasserstein-1 distances at each side, and that of patches."""
    found = {f"swd_{side}": sliced_wasserstein(points(real, side), points(fake, side)).value for side in sides}
    if max(sides) >= SIZE:
        drawn = {"smallest": SIZE, "patches": PATCHES, "directions": DIRECTIONS}
        found["patch_distance"] = patch_distance(real, fake, split="test", **drawn).value
    return found


def points(images: Images, side: int) -> Float[np.ndarray, "N d"]:
    """The images shrunk to a side, each as a row."""
    factor = images.shape[1] // side
    return reduce(images, "n (h f) (w g) c -> n (h w c)", "mean", f=factor, g=factor)
