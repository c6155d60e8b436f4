"""Translate images to another domain: python -m genjax translate RUN IMAGES... --to NAME --out DIR.

RUN is a run of an experiment that translates images, such as cyclegan or stargan. IMAGES are PNG and JPEG files, or
folders of them with their sub-folders; all must have the height, width and channels of the images that the run was
trained on, after its --shrink if it had one. Each translated image is written to DIR under the file's own name, as
.png; sub-folders are kept.

    python -m genjax translate RUN ./photos --to paintings --out ./translated
    python -m genjax translate RUN a.png b.png --to paintings --out ./translated
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from jaxtyping import Float

from genjax.capabilities import Translator
from genjax.data.files import header_shape, image_names, read_image
from genjax.errors import ArgumentError
from genjax.evaluation import map_batches
from genjax.runs.directory import RunError
from genjax.runs.restore import restore_run

WHITE = 255

CHUNK = 16
"""Number of images per call of the compiled program."""


def translate(
    directory: Annotated[Path, tyro.conf.Positional],
    images: Annotated[tuple[Path, ...], tyro.conf.Positional],
    *,
    to: str,
    out: Path,
    seed: int | None = None,
    data_dir: Path | None = None,
) -> None:
    """Translate images with a trained model.

    Args:
        directory: Run directory.
        images: PNG and JPEG files, and folders of them.
        to: Target domain, by its name in the run.
        out: Folder for the translated images.
        seed: Training seed whose parameters are used; by default the run's first.
        data_dir: TFDS directory, if it differs from that of the training.
    """
    run = restore_run(directory, data_dir=data_dir)
    translator = run.experiment.capability(Translator)
    if translator is None:
        raise RunError(f"{run.config.name} does not translate images; runs of cyclegan and stargan do", exit_code=2)
    seed = run.seed(seed)
    shape = shape_to_read(translator, to)
    pairs = targets(images, out.expanduser())
    check_images([source for source, _ in pairs], shape, to)
    params, stats = run.chosen(seed)
    made = jax.jit(lambda images: translator.translate(params, stats, images, to))
    batches = map_batches(
        lambda _, rows: made(read_images([pairs[row][0] for row in rows], shape)), len(pairs), min(CHUNK, len(pairs))
    )
    for (_, target), image in zip(pairs, itertools.chain.from_iterable(batches), strict=True):
        save_image(target, image)
    print(f"{len(pairs)} images to {to} by {run.config.name} after {run.done} steps: {out}")


def shape_to_read(translator: Translator, to: str) -> tuple[int, int, int]:
    """Return the shape of images that can be translated to the domain `to`; RunError if the domain is unknown."""
    if to not in translator.shapes:
        raise RunError(f"--to {to}: no domain of this run; it has {', '.join(translator.shapes)}", exit_code=2)
    return translator.shapes[to]


def targets(paths: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Return pairs of an image file and the file for its translation; RunError if two translations share a file."""
    pairs = [(file, out / name.with_suffix(".png")) for path in paths for file, name in files_of(path.expanduser())]
    if not pairs:
        raise RunError("give one or more images, or folders of images", exit_code=2)
    taken: dict[Path, Path] = {}
    for source, target in pairs:
        if target in taken:
            raise RunError(f"{taken[target]} and {source} would both become {target}", exit_code=2)
        taken[target] = source
    sources = {source.resolve() for source, _ in pairs}
    if over := [target for target in taken if target.resolve() in sources]:
        raise RunError(f"--out {out}: {over[0]} is one of the images; give another folder", exit_code=2)
    return pairs


def files_of(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the image files of a folder, or the file itself, each with its path below the folder."""
    if path.is_file():
        yield path, Path(path.name)
        return
    if not path.is_dir():
        raise RunError(f"{path}: no such file or folder", exit_code=2)
    try:
        yield from ((path / name, Path(name)) for name in image_names(path))
    except ArgumentError as error:
        raise RunError(f"{error.value}{error.message}", exit_code=2) from error


def check_images(files: Sequence[Path], shape: tuple[int, int, int], to: str) -> None:
    """Raise RunError, with the path, if an image cannot be read or has another shape."""
    for file in files:
        try:
            found = header_shape(file)
        except ValueError as error:
            raise RunError(error, exit_code=2) from error
        if found != shape:
            raise RunError(f"{file}: image of shape {found}, must be {shape} to be translated to {to}", exit_code=2)


def read_images(files: Sequence[Path], shape: tuple[int, int, int]) -> Float[np.ndarray, "N H W C"]:
    """Return the images of these files in [0, 1]; RunError, with the path, if an image is damaged."""
    try:
        return np.stack([read_image(file, shape) for file in files]).astype(np.float32) / WHITE
    except ValueError as error:
        raise RunError(error, exit_code=2) from error


def save_image(path: Path, image: Float[np.ndarray, "H W C"]) -> None:
    """Save an image in [0, 1] as PNG."""
    import PIL.Image

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (WHITE * image).round().astype(np.uint8)
    PIL.Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
