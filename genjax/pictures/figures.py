"""Figures: grids of images, learning curves, scatter plots, receptive fields."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from einops import rearrange
from jaxtyping import Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset, read_batch
from genjax.types import Key, Params, Stats


class Movie(NamedTuple):
    """Moving picture: a figure and the function that draws each frame on it."""

    figure: Figure
    draw: Callable[[int], None]
    """Function that draws the frame with the given number, from 0, on the figure."""
    frames: int


Picture = Figure | Movie | str

Figures = Callable[[Params, Stats, Key], Mapping[str, Picture]]
"""Function of (params, stats, key) of one trained seed that returns pictures or texts (such as samples) by file
name."""


Images = Float[np.ndarray | jax.Array, "N H W C"]

LogProbs = Callable[[Float[jax.Array, "B H W C"]], Float[jax.Array, "B H W C"]]

INCHES_PER_IMAGE = 0.6

INCHES_PER_LETTER = 0.085
"""Width of a letter of a caption, in inches."""

LETTERS = 40
"""Largest number of letters in a line of a caption."""

FRAME = 0.3
"""Grey level of the lines between images, distinct from black and white."""

HIDDEN = 0.6
"""Grey level of an unknown pixel."""

DRAWN = 64
"""Number of samples in a grid, and of images that a model of pixels draws or completes at once."""


def image_grid(images: Float[np.ndarray, "N H W C"], *, columns: int, title: str = "") -> Figure:
    """Draw a grid of images in [0, 1], row by row."""
    mosaic = tile(images, columns)
    rows = -(-len(images) // columns)
    figure = Figure(
        figsize=(columns * INCHES_PER_IMAGE + 0.2, rows * INCHES_PER_IMAGE + (0.5 if title else 0.2)),
        layout="constrained",
    )
    axes = figure.add_subplot()
    axes.imshow(mosaic.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=8)
    return figure


def captioned_grid(images: Float[np.ndarray, "rows columns H W C"], captions: Sequence[str], *, title: str) -> Figure:
    """Draw a row of images next to each caption; a long caption is broken into lines."""
    rows, columns, height = images.shape[:3]
    lines = [[part for line in caption.splitlines() for part in textwrap.wrap(line, LETTERS)] for caption in captions]
    letters = max(len(line) for caption in lines for line in caption)
    width = columns * INCHES_PER_IMAGE + letters * INCHES_PER_LETTER + 0.3
    figure = Figure(figsize=(width, rows * INCHES_PER_IMAGE + 0.5), layout="constrained")
    axes = figure.add_subplot()
    mosaic = tile(images.reshape(-1, *images.shape[2:]), columns)
    axes.imshow(mosaic.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_yticks(
        [1 + (height + 1) * row + height / 2 for row in range(rows)],
        ["\n".join(caption) for caption in lines],
        fontsize=7,
    )
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    axes.set_title(title, fontsize=8)
    return figure


def tile(images: Float[np.ndarray, "N H W C"], columns: int) -> Float[np.ndarray, "height width C"]:
    """Return one image that shows all `images` in a grid with grey lines of one pixel; grey fills the last row up."""
    framed = np.pad(images, ((0, -len(images) % columns), (0, 0), (0, 0), (0, 0)), constant_values=FRAME)
    framed = np.pad(framed, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=FRAME)
    mosaic = rearrange(framed, "(rows columns) h w c -> (rows h) (columns w) c", columns=columns)
    return np.pad(mosaic, ((1, 0), (1, 0), (0, 0)), constant_values=FRAME)


Curve = Sequence[tuple[int, float]]
"""Learning curve as (step, value) pairs."""


def learning_curves(curves: Mapping[str, Mapping[int, Curve]]) -> Figure:
    """Draw one panel per metric, three in a row, with one line per seed."""
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for (metric, seeds), axes in zip(curves.items(), panels, strict=False):
        for seed, curve in seeds.items():
            marker = "." if len(curve) < 20 else None
            axes.plot(*zip(*curve, strict=True), linewidth=1, marker=marker, label=f"seed {seed}")
        axes.set_title(metric, fontsize=9)
        axes.set_xlabel("step")
        if len(seeds) > 1:
            axes.legend(fontsize=7)
    for axes in list(panels):
        axes.set_axis_off()
    return figure


def code_scatter(
    codes: Float[np.ndarray, "N 2"], label: Int[np.ndarray, " N"] | None, *, title: str, names: tuple[str, str]
) -> Figure:
    """Draw one dot per code, coloured by its label if there are labels; `names` are the names of the two axes."""
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.add_subplot()
    scatter(axes, codes, label)
    if label is not None and len(np.unique(label)) <= 20:
        axes.legend(fontsize=7, markerscale=2.5, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.set_xlabel(names[0], fontsize=8)
    axes.set_ylabel(names[1], fontsize=8)
    axes.set_title(title, fontsize=9)
    return figure


def scatter(axes: Axes, points: Float[np.ndarray, "N 2"], label: Int[np.ndarray, " N"] | None) -> None:
    """Draw one dot per point, coloured by its label if there are labels."""
    for number, one in enumerate([None] if label is None else np.unique(label)):
        rows = slice(None) if one is None else label == one
        colour = "0.4" if one is None else colormaps["tab10" if number < 10 else "tab20"](number % 20)
        axes.scatter(*points[rows].T, s=6, linewidths=0, color=colour, label=None if one is None else str(one))


def completion_grid(
    images: Float[np.ndarray, "N H W C"], known: Float[np.ndarray, "H W C"], completions: Float[np.ndarray, "M H W C"]
) -> Figure:
    """Draw one row per image: the image, its known pixels, and its M / N completions."""
    each = len(completions) // len(images)
    rows = completions.reshape(len(images), each, *images.shape[1:])
    shown = np.where(known > 0, images, HIDDEN)
    grid = np.concatenate([images[:, None], shown[:, None], rows], axis=1).reshape(-1, *images.shape[1:])
    return image_grid(grid, columns=each + 2, title="image, known pixels, completions")


def samples_and_completions(model: Model, data: Dataset, order: Int[np.ndarray, " D"]) -> Figures:
    """Return the figures of a model of pixels: samples, and completions of the first half of test images.

    `order` is the ordering of the pixels, whose first half is known.
    """
    known = np.isin(np.arange(len(order)), order[: len(order) // 2]).astype(np.float32).reshape(data.image_shape)

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        complete = make_complete(model, params, stats)
        samples_key, completions_key = jax.random.split(key)
        images = np.asarray(first_test_images(data, 8))
        completions = complete(np.repeat(images, 6, axis=0), known, completions_key)
        return {
            "samples": samples_figure(complete, data, samples_key),
            "completions": completion_grid(images, known, completions),
        }

    return figures


Complete = Callable[[Float[np.ndarray, "N H W C"], Float[np.ndarray, "H W C"], Key], Float[np.ndarray, "N H W C"]]
"""Function of (images, known, key) that keeps the `known` pixels (1) of at most `DRAWN` images and draws the others."""


def make_complete(model: Model, params: Params, stats: Stats) -> Complete:
    """Return the completion of images by a model of pixels; where no pixel is known it draws samples.

    Each call runs the same program on `DRAWN` images, so that samples and completions are compiled once.
    """
    generate = jax.jit(model.generate)

    def complete(
        images: Float[np.ndarray, "N H W C"], known: Float[np.ndarray, "H W C"], key: Key
    ) -> Float[np.ndarray, "N H W C"]:
        filled_up = np.resize(images, (DRAWN, *images.shape[1:]))
        batch = {"image": filled_up, "known": np.broadcast_to(known, filled_up.shape)}
        return np.asarray(generate(params, stats, batch, key))[: len(images)]

    return complete


def samples_figure(complete: Complete, data: Dataset, key: Key) -> Figure:
    """Draw a grid of samples, which are completions of images without a known pixel."""
    images = np.zeros((DRAWN, *data.image_shape), np.float32)
    return image_grid(complete(images, images[0], key), columns=8, title="samples")


def beside(images: Images, reconstructions: Images) -> Float[np.ndarray, "M H W C"]:
    """Return the images, each followed by its reconstruction."""
    return np.stack([images, reconstructions], axis=1).reshape(-1, *images.shape[1:])


def seen_by_the_centre(log_probs: LogProbs, images: Float[jax.Array, "B H W C"]) -> Float[np.ndarray, "H W"]:
    """Return the mean of |d log p(central pixel | earlier pixels) / d pixel| over images, summed over channels.

    `log_probs(seen)` is the log-probability of each element of `images` if the network sees the pixels `seen`.
    """
    row, column = images.shape[1] // 2, images.shape[2] // 2
    derivative = jax.jit(jax.grad(lambda seen: log_probs(seen)[:, row, column].sum()))(images)
    return np.abs(np.asarray(derivative)).mean(axis=0).sum(axis=-1)


DECADES = 4
"""Number of decades of the logarithmic scale of a receptive field."""


def receptive_field(strength: Float[np.ndarray, "H W"]) -> Figure:
    """Draw how strongly the central pixel's conditional depends on each pixel, and on which pixels it never depends."""
    height, width = strength.shape
    centre = (height // 2) * width + width // 2
    earlier = (np.arange(strength.size) < centre).reshape(strength.shape)
    seen = strength > 0
    scaled = np.log10(np.where(seen, strength, 1) / (strength.max() or 1))  # 0 if no unit is active
    scale = Normalize(-DECADES, 0)
    picture = colormaps["Blues"](scale(scaled))[..., :3]
    picture[~seen] = 0.85
    picture[earlier & ~seen] = (0.9, 0.45, 0.35)
    picture[height // 2, width // 2] = 0
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(
        f"the black pixel sees {int((earlier & seen).sum())} of {int(earlier.sum())} earlier pixels\n"
        "red: never seen; grey: itself or later",
        fontsize=8,
    )
    bar = figure.colorbar(ScalarMappable(scale, colormaps["Blues"]), ax=axes, shrink=0.7)
    bar.set_label("log10 |gradient| / greatest", fontsize=7)
    return figure


def first_test_images(data: Dataset, count: int) -> Float[jax.Array, "N H W C"]:
    """Return the first images of the test split, under the data's protocol (binary, in levels, ...)."""
    return first_test_batch(data, min(count, data.test.size))["image"]


def first_test_batch(data: Dataset, count: int) -> dict[str, jax.Array]:
    """Return the first `count` examples of the test split as a batch, repeated if there are fewer."""
    return dict(read_batch(data.test, np.arange(count) % data.test.size, data.load))
