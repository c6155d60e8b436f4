"""Images as puzzles: a few key patches of each, or all pieces of it, without their positions.

Lee et al. (2018) take as key patches the three boxes that EdgeBox finds most likely to hold an object. Here they are
squares of one size, and in place of EdgeBox stands the variance of their pixels: of the squares that half-overlap on a
grid, those with the largest variance, no two of which overlap. Where variances are equal the first square counts, row
by row.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import reduce
from jaxtyping import Array, Bool, Float, Int

from genjax.data.dataset import Dataset
from genjax.types import Batch, Key

Images = Float[Array, "batch H W C"]
Chosen = Int[Array, "batch parts"]
"""The numbers of windows."""


class Windows(NamedTuple):
    """Rectangles of one size in an image."""

    corners: Int[np.ndarray, "windows 2"]
    """First row and first column of each."""
    size: tuple[int, int]
    """Height and width."""

    @property
    def overlaps(self) -> Bool[np.ndarray, "windows windows"]:
        """Which have a pixel in common, each with itself."""
        near = np.abs(self.corners[:, None] - self.corners) < self.size
        return np.asarray(near.all(axis=-1))


def squares(image_shape: tuple[int, int, int], side: int) -> Windows:
    """The squares of this side whose corners lie on a grid of half of it, rounded down.

    Raises ValueError where the side is below 2 or above the image's.
    """
    height, width, _ = image_shape
    if not 2 <= side <= min(height, width):
        raise ValueError(f"side={side} must be from 2 to {min(height, width)}, of images of {height}x{width}")
    return Windows(grid(height - side + 1, width - side + 1, step=(side // 2, side // 2)), (side, side))


def pieces(image_shape: tuple[int, int, int], cut: int) -> Windows:
    """The cut x cut pieces of an image. Raises ValueError where the cut is below 2 or does not divide its sides."""
    height, width, _ = image_shape
    if cut < 2 or height % cut or width % cut:
        raise ValueError(f"cut={cut} must be at least 2 and divide the sides of images of {height}x{width}")
    size = height // cut, width // cut
    return Windows(grid(height, width, step=size), size)


def grid(height: int, width: int, *, step: tuple[int, int]) -> Int[np.ndarray, "points 2"]:
    """Rows and columns below height and width, so many apart, row by row."""
    rows, columns = np.meshgrid(np.arange(0, height, step[0]), np.arange(0, width, step[1]), indexing="ij")
    return np.stack([rows.ravel(), columns.ravel()], axis=1)


def room(image_shape: tuple[int, int, int], side: int) -> int:
    """How many key patches an image has, whichever are taken first.

    A square has no room for others that are less than a side away: on the grid, a block of so many rows and columns.
    """
    step = side // 2
    blocked = 2 * (-(-side // step) - 1) + 1
    rows, columns = ((length - side) // step + 1 for length in image_shape[:2])
    return -(-rows // blocked) * -(-columns // blocked)


def contents(images: Images, windows: Windows) -> Float[Array, "batch windows h w C"]:
    """What every window shows."""
    height, width = windows.size
    shown = [images[:, row : row + height, column : column + width] for row, column in windows.corners.tolist()]
    return jnp.stack(shown, axis=1)


def key_windows(images: Images, windows: Windows, count: int) -> Chosen:
    """The `count` windows with the largest variance, one after another, none of which overlaps with one before it."""
    shown = contents(images, windows)
    total, squared = (reduce(values, "b n h w c -> b n", "sum") for values in (shown, shown**2))
    size = np.prod(shown.shape[2:])
    variance = size * squared - total**2  # times size^2: without rounding where pixels are multiples of a power of 2
    overlaps, free = jnp.asarray(windows.overlaps), jnp.ones(variance.shape, bool)
    chosen = []
    for _ in range(count):
        best = jnp.where(free, variance, -jnp.inf).argmax(axis=1)
        chosen.append(best)
        free &= ~overlaps[best]
    return jnp.stack(chosen, axis=1)


def shuffled_windows(key: Key, images: Images, windows: Windows) -> Chosen:
    """All windows, in an order of its own for each image."""
    keys = jax.random.split(key, len(images))
    return jax.vmap(lambda one: jax.random.permutation(one, len(windows.corners)))(keys)


def cut_out(images: Images, windows: Windows, chosen: Chosen) -> Batch:
    """`patches` [B, parts, h, w, C], `mask` [B, H, W, 1], which is 1 where a patch lies and else 0, and `place`.

    `place` [B, parts] has the number of each patch's window: the model does not see it.
    """
    patches = jnp.take_along_axis(contents(images, windows), chosen[..., None, None, None], axis=1)
    covered = jnp.asarray(coverage(windows, (images.shape[1], images.shape[2])))
    mask = covered[chosen].any(axis=1)[..., None].astype(images.dtype)
    return {"patches": patches, "mask": mask, "place": chosen}


def coverage(windows: Windows, size: tuple[int, int]) -> Bool[np.ndarray, "windows H W"]:
    """Which pixels of an image of this size lie in each window."""
    pixels = np.moveaxis(np.indices(size), 0, -1)
    from_corner = pixels - windows.corners[:, None, None]
    return np.asarray(((from_corner >= 0) & (from_corner < windows.size)).all(axis=-1))


def with_key_patches(data: Dataset, *, side: int, count: int) -> Dataset:
    """The data whose batches have `count` key patches of each image, in the order of their variance (`cut_out`).

    Raises ValueError where the side is out of range, or an image has not so many.
    """
    windows = squares(data.image_shape, side)
    most = room(data.image_shape, side)
    if not 1 <= count <= most:
        height, width, _ = data.image_shape
        raise ValueError(
            f"count={count} must be from 1 to {most}: so many patches of {side}x{side} that do not overlap has each "
            f"image of {height}x{width}"
        )
    return with_puzzle(data, windows, lambda key, images: key_windows(images, windows, count))


def with_jigsaw(data: Dataset, cut: int) -> Dataset:
    """The data whose batches have all pieces of a cut x cut puzzle of each image, shuffled; the mask is 1 everywhere.

    Raises ValueError where the cut is below 2 or does not divide height and width.
    """
    windows = pieces(data.image_shape, cut)
    return with_puzzle(data, windows, lambda key, images: shuffled_windows(key, images, windows))


def with_puzzle(data: Dataset, windows: Windows, choose: Callable[[Key, Images], Chosen]) -> Dataset:
    """The data whose batches have the windows that `choose` gives for a key and images."""

    def load(raw: Mapping[str, Array], key: Key) -> Batch:
        image_key, puzzle_key = jax.random.split(key)
        batch = data.load(raw, image_key)
        return {**batch, **cut_out(batch["image"], windows, choose(puzzle_key, batch["image"]))}

    return data._replace(load=load)
