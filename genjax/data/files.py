"""Images of one's own: a folder of PNG and JPEG files, or an .npz file."""

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from genjax.data.dataset import Examples, Source, Split, make_source, part, resident
from genjax.data.shuffle import permutation

SUFFIXES = (".png", ".jpg", ".jpeg")
CHANNELS = {"1": 1, "L": 1, "P": 3, "RGB": 3}
"""By PIL's mode: bits, grey, palette, colour."""

SPLITS = ("train", "validation", "test")


def folder(path: Path) -> Source:
    """The PNG and JPEG images under `path`, all of one shape; their sub-folders' names, sorted, are the labels.

    A fixed permutation of the sorted names is split 80 / 10 / 10 %. There are labels where no image lies in `path`
    itself. Hidden files are left out.

    Raises FileNotFoundError where there is no folder, ValueError where an image cannot be used (with its path).
    """
    if not path.is_dir():
        raise FileNotFoundError(f"dataset={str(path)!r}: no such folder")
    names = image_names(path)
    order = permutation(len(names))
    files = [path / names[index] for index in order]
    shape = common_shape(files)
    label = folder_labels(names)[order]

    def read(indices: np.ndarray) -> Examples:
        image = np.stack([read_image(files[index], shape) for index in indices])
        return {"image": image} | ({"label": label[indices]} if len(label) else {})

    splits = tenths(str(path), Split(len(files), read, None))
    return make_source(path.resolve().name, *splits, files={name: path / name for name in names})


def image_names(path: Path) -> list[str]:
    """The images under `path`, relative to it, sorted."""
    found = (file.relative_to(path) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    names = sorted(file.as_posix() for file in found if not any(part.startswith(".") for part in file.parts))
    if not names:
        raise ValueError(f"dataset={str(path)!r}: no images in the folder ({', '.join(SUFFIXES)})")
    return names


def folder_labels(names: Sequence[str]) -> Int[np.ndarray, "N"]:
    """The number of each image's sub-folder, or nothing where an image lies in none."""
    folders = [name.rpartition("/")[0] for name in names]
    return np.unique(folders, return_inverse=True)[1].astype(np.int32)
