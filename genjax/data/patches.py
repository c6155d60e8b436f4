"""Images as puzzles: a few key patches of each image, or all pieces of a jigsaw, without their positions.

Lee et al. (2018) take as key patches the three boxes that EdgeBox finds most likely to contain an object. Here key
patches are squares of one size, and the variance of their pixels replaces EdgeBox: of the squares on a grid with a
spacing of half their side, those with the largest variance are chosen, no two of which overlap. Of squares with equal
variance the first is chosen, row by row.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from genjax.data.dataset import Dataset
from genjax.errors import ArgumentError
from genjax.types import Batch, Key

Images = Float[Array, "batch H W C"]
Chosen = Int[Array, "batch parts"]
"""Numbers of the chosen windows of each image."""


class Windows(NamedTuple):
    """Rectangles of one size on a grid, row by row."""

    corners: Int[np.ndarray, "windows 2"]
    """First row and first column of each window."""
    size: tuple[int, int]
    """Height and width of a window."""
    step: tuple[int, int]
    """Distance in rows and in columns from one window to the next."""

    @property
    def overlaps(self) -> Bool[np.ndarray, "windows windows"]:
        """Mask of the pairs of windows that have a pixel in common; each window overlaps with itself."""
        near = np.abs(self.corners[:, None] - self.corners) < self.size
        return np.asarray(near.all(axis=-1))


def squares(image_shape: tuple[int, int, int], side: int) -> Windows:
    """Return the squares of this side whose corners lie on a grid of half the side, rounded down.

    Raises ValueError where the side is below 2 or larger than the image.
    """
    height, width, _ = image_shape
    if not 2 <= side <= min(height, width):
        raise ArgumentError("side", side, f" must be from 2 to {min(height, width)}, of images of {height}x{width}")
    return grid(height, width, size=(side, side), step=(side // 2, side // 2))


def pieces(image_shape: tuple[int, int, int], cut: int) -> Windows:
    """Return the cut x cut pieces of an image.

    Raises ValueError where `cut` is below 2 or does not divide height and width.
    """
    height, width, _ = image_shape
    if cut < 2 or height % cut or width % cut:
        raise ValueError(f"cut={cut} must be at least 2 and divide the sides of images of {height}x{width}")
    size = height // cut, width // cut
    return grid(height, width, size=size, step=size)


def grid(height: int, width: int, *, size: tuple[int, int], step: tuple[int, int]) -> Windows:
    """Return all windows that lie within an image."""
    first, last = (
        np.arange(0, length - own + 1, far) for length, own, far in zip((height, width), size, step, strict=True)
    )
    rows, columns = np.meshgrid(first, last, indexing="ij")
    return Windows(np.stack([rows.ravel(), columns.ravel()], axis=1), size, step)


def room(image_shape: tuple[int, int, int], side: int) -> int:
    """Return how many key patches every image allows in the worst case.

    A chosen square excludes all squares less than a side away, a block of rows and columns of the grid.
    """
    step = side // 2
    blocked = 2 * (-(-side // step) - 1) + 1
    rows, columns = ((length - side) // step + 1 for length in image_shape[:2])
    return -(-rows // blocked) * -(-columns // blocked)


def window_sums(values: Float[Array, "batch H W"], windows: Windows) -> Float[Array, "batch windows"]:
    """Return the sum over each window."""
    sums = jax.lax.reduce_window(values, 0.0, jax.lax.add, (1, *windows.size), (1, *windows.step), "VALID")
    return sums.reshape(len(values), -1)


def key_windows(images: Images, windows: Windows, count: int) -> Chosen:
    """Return the `count` windows with the largest variance, chosen one after another without overlap."""
    total, squared = (window_sums(values.sum(axis=-1), windows) for values in (images, images**2))
    size = math.prod(windows.size) * images.shape[-1]
    variance = size * squared - total**2  # variance * size^2, exact where pixels are multiples of a power of 2
    overlaps, free = jnp.asarray(windows.overlaps), jnp.ones(variance.shape, bool)
    chosen = []
    for _ in range(count):
        best = jnp.where(free, variance, -jnp.inf).argmax(axis=1)
        chosen.append(best)
        free &= ~overlaps[best]
    return jnp.stack(chosen, axis=1)


def shuffled_windows(key: Key, images: Images, windows: Windows) -> Chosen:
    """Return all windows, in a random order for each image."""
    keys = jax.random.split(key, len(images))
    return jax.vmap(lambda one: jax.random.permutation(one, len(windows.corners)))(keys)


def cut_out(images: Images, windows: Windows, chosen: Chosen) -> Batch:
    """Return `patches` [B, parts, h, w, C], `mask` [B, H, W, 1], 1 on the patches and else 0, and `place` [B, parts].

    `place` is the position of each patch, the number of its window, which the model does not see.
    """
    corners = jnp.asarray(windows.corners)[chosen]
    return {
        "patches": cut_patches(images, corners, windows.size),
        "mask": union(images, corners, windows.size),
        "place": chosen,
    }


def cut_patches(
    images: Images, corners: Int[Array, "batch parts 2"], size: tuple[int, int]
) -> Float[Array, "batch parts h w C"]:
    """Return the pixels in the rectangles of one size with these corners."""

    def patch(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (*size, image.shape[-1]))

    return jax.vmap(jax.vmap(patch, (None, 0)))(images, corners)


def union(images: Images, corners: Int[Array, "batch parts 2"], size: tuple[int, int]) -> Float[Array, "batch H W 1"]:
    """Return the mask that is 1 at pixels in any of an image's rectangles, else 0."""
    pixels = jnp.moveaxis(jnp.indices(images.shape[1:3]), 0, -1)
    from_corner = pixels - corners[:, :, None, None]
    inside = ((from_corner >= 0) & (from_corner < jnp.asarray(size))).all(axis=-1)
    return inside.any(axis=1)[..., None].astype(images.dtype)


def with_key_patches(data: Dataset, *, side: int, count: int) -> Dataset:
    """Return the data with `count` key patches of each image, those of largest variance first (`cut_out`).

    Raises ValueError where the side is out of range, or an image may not have `count` of them without overlap.
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
    """Return the data with all pieces of a cut x cut puzzle of each image, shuffled; the mask is 1 everywhere.

    Raises ValueError where `cut` is below 2 or does not divide height and width.
    """
    windows = pieces(data.image_shape, cut)
    return with_puzzle(data, windows, lambda key, images: shuffled_windows(key, images, windows))


def with_puzzle(data: Dataset, windows: Windows, choose: Callable[[Key, Images], Chosen]) -> Dataset:
    """Return the data with the patches cut from the windows that `choose(key, images)` returns."""

    def load(raw: Mapping[str, Array], key: Key) -> Batch:
        image_key, puzzle_key = jax.random.split(key)
        batch = data.load(raw, image_key)
        return {**batch, **cut_out(batch["image"], windows, choose(puzzle_key, batch["image"]))}

    return data._replace(load=load)
