"""A picture of samples of many systems, drawn from trained runs: python -m experiments.gallery RUNS --out gallery.png.

RUNS are run directories, or folders of them. Each system of images has one panel. It shows samples if the model draws
from noise, else test images with the model's outputs (reconstructions, translations) below them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from jaxtyping import Float
from matplotlib.figure import Figure

from genjax.pictures.drawing import drawn_of
from genjax.pictures.figures import first_test_batch, tile
from genjax.runs.directory import RESULT, RunError
from genjax.runs.restore import Restored, restore_run
from genjax.runs.session import configure, user_errors

ROWS, COLUMNS = 3, 7
"""Numbers of rows and columns of images in a panel."""

PANELS = 4
"""Number of panels in a row of the picture."""


def gallery(runs: Annotated[tuple[Path, ...], tyro.conf.Positional], *, out: Path, key: int = 0) -> None:
    """Draw samples of every run of images into one picture.

    Args:
        runs: Run directories, or folders that contain run directories.
        out: PNG file to write.
        key: Seed of the random numbers.
    """
    if out.suffix != ".png":
        raise RunError(f"--out {out} must end in .png", exit_code=2)
    panels: dict[str, np.ndarray] = {}
    for directory in run_directories(runs):
        run = restore_run(directory)
        if "image" in run.experiment.data.train.first():
            panels[run.config.name] = panel(run, jax.random.key(key))
    if not panels:
        raise RunError("no run of images among those that were given")
    out.parent.mkdir(parents=True, exist_ok=True)
    picture(panels).savefig(out, dpi=110)
    print(f"{len(panels)} systems: {out}")


def run_directories(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the finished runs among these directories and directly inside them, sorted by name."""
    for path in paths:
        inside = [path] if (path / RESULT).exists() else sorted(folder.parent for folder in path.glob(f"*/{RESULT}"))
        if not inside:
            raise RunError(f"{path} holds no finished run")
        yield from inside


def panel(run: Restored, key: jax.Array) -> Float[np.ndarray, "height width C"]:
    """Return one image that shows the images of one system side by side."""
    params, stats = run.chosen(run.seeds[0])
    model = run.experiment.model
    count = ROWS * COLUMNS if model.draws else COLUMNS
    batch = first_test_batch(run.experiment.data, count)
    generated = drawn_of(model, params, stats, batch, count, key)
    if model.draws:
        return tile(np.clip(generated, 0, 1), COLUMNS)
    return tile(np.clip(paired(np.asarray(batch["image"]), generated), 0, 1), COLUMNS)


def paired(
    images: Float[np.ndarray, "N H W C"], generated: Float[np.ndarray, "N h w c"]
) -> Float[np.ndarray, "M H W c"]:
    """Return a row of images, then a row of the model's outputs for them, with the channels of the outputs."""
    return np.concatenate([np.broadcast_to(images, (*images.shape[:3], generated.shape[-1])), generated])


def picture(panels: dict[str, np.ndarray]) -> Figure:
    """Return a figure with all panels, each with the name of its system as its title."""
    rows = -(-len(panels) // PANELS)
    figure = Figure(figsize=(3 * PANELS, 1.65 * rows), layout="constrained")
    axes = list(figure.subplots(rows, PANELS, squeeze=False).flat)
    for one in axes:
        one.set_axis_off()
    for (name, mosaic), one in zip(sorted(panels.items()), axes, strict=False):
        one.imshow(mosaic.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        one.set_title(name, fontsize=9)
    return figure


if __name__ == "__main__":
    configure()
    with user_errors():
        tyro.cli(gallery, prog="python -m experiments.gallery", description=__doc__)
