"""Pictures: grids of images, learning curves."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from experiments.experiment import Figures
from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.types import Key, Params, Stats

INCHES_PER_IMAGE = 0.6

FRAME = 0.3
"""The grey of the lines between images: neither ink nor paper."""

HIDDEN = 0.6
"""The grey of a pixel that is not shown."""


def image_grid(images: Float[np.ndarray, "N H W C"], *, columns: int, title: str = "") -> Figure:
    """Images in [0, 1], row by row."""
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


def tile(images: Float[np.ndarray, "N H W C"], columns: int) -> Float[np.ndarray, "height width C"]:
    """One image made of all `images`, a line of one pixel around each; a last row that is not full is filled up."""
    framed = np.pad(images, ((0, -len(images) % columns), (0, 0), (0, 0), (0, 0)), constant_values=FRAME)
    framed = np.pad(framed, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=FRAME)
    mosaic = rearrange(framed, "(rows columns) h w c -> (rows h) (columns w) c", columns=columns)
    return np.pad(mosaic, ((1, 0), (1, 0), (0, 0)), constant_values=FRAME)


Curve = Sequence[tuple[int, float]]
"""(step, value) pairs."""


def learning_curves(curves: Mapping[str, Mapping[int, Curve]]) -> Figure:
    """One panel per metric, three in a row, one line per seed."""
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


def completion_grid(
    images: Float[np.ndarray, "N H W C"], known: Float[np.ndarray, "H W C"], completions: Float[np.ndarray, "M H W C"]
) -> Figure:
    """One row per image: the image, what of it is known, and its M / N completions."""
    each = len(completions) // len(images)
    rows = completions.reshape(len(images), each, *images.shape[1:])
    shown = np.where(known > 0, images, HIDDEN)
    grid = np.concatenate([images[:, None], shown[:, None], rows], axis=1).reshape(-1, *images.shape[1:])
    return image_grid(grid, columns=each + 2, title="image, what is known, completions")


def samples_and_completions(model: Model, data: Dataset, order: Int[np.ndarray, " D"]) -> Figures:
    """Samples, and completions of test images of which the first half of the ordering is known."""
    known = np.isin(np.arange(len(order)), order[: len(order) // 2]).astype(np.float32).reshape(data.image_shape)

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        generate = jax.jit(model.generate)
        samples_key, completions_key = jax.random.split(key)
        samples = generate(params, stats, {"image": jnp.zeros((64, *data.image_shape))}, samples_key)
        images = test_images(data, 8)
        batch = {
            "image": jnp.repeat(images, 6, axis=0),
            "known": jnp.broadcast_to(known, (6 * len(images), *known.shape)),
        }
        completions = generate(params, stats, batch, completions_key)
        return {
            "samples": image_grid(np.asarray(samples), columns=8, title="samples"),
            "completions": completion_grid(np.asarray(images), known, np.asarray(completions)),
        }

    return figures


def test_images(data: Dataset, count: int) -> Float[jax.Array, "N H W C"]:
    """The first images of the test split, as the protocol shows them."""
    return test_batch(data, min(count, data.test.size))["image"]


def test_batch(data: Dataset, count: int) -> dict[str, jax.Array]:
    """The first `count` examples of the test split, again from the first where it has fewer, with all that is given."""
    examples = data.test.read(np.arange(count) % data.test.size)
    return dict(data.load({name: jnp.asarray(array) for name, array in examples.items()}, jax.random.key(0)))
