"""Data sets by name: the embedded digits, any TFDS image set, a folder of images, an .npz file."""

from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from genjax.data.binarize import BINARY_PROTOCOLS, Binarization, present
from genjax.data.dataset import Dataset, Source, shrunk
from genjax.data.digits import digits
from genjax.data.files import folder, npz
from genjax.data.tfds import tfds_images
from genjax.errors import ArgumentError


def load_dataset(
    name: str, *, data_dir: str | Path | None = None, binarization: Binarization = "static", shrink: int = 1
) -> Dataset:
    """Load the images called `name` in three splits, with pixels binarized as `binarization` says (`binarize.present`).

    Args:
        name: "digits" (8x8, embedded); the name of a TFDS image set; the path of a folder of PNG and JPEG images or
            of an .npz file. A path ends in .npz, is absolute, or starts with "." or "~".
        data_dir: TFDS directory that holds the prepared set; nothing is downloaded then. By default TFDS's own
            directory, where TFDS downloads and prepares a set that is missing.
        binarization: static, dynamic, threshold or none.
        shrink: Side of the blocks of pixels that are averaged to one pixel; the name then ends in the image size.

    Raises:
        FileNotFoundError: The path, or the prepared data set, does not exist.
        ValueError: The name is unknown, or the data are damaged, unsuitable, or cannot be binarized in this way.
    """
    return present(shrunk(source(name, data_dir), shrink), binarization)


def source(name: str, data_dir: str | Path | None) -> Source:
    """Return the images called `name` as they are stored."""
    path = Path(name).expanduser()
    if name == "digits":
        return digits()
    if path.suffix == ".npz":
        return npz(path)
    if path.is_absolute() or name.startswith(".") or path.is_file():
        return folder(path)
    return tfds_images(name, data_dir)


def require_binary(dataset: Dataset) -> None:
    """Raise ValueError unless all pixels are 0 or 1."""
    if dataset.protocol in BINARY_PROTOCOLS:
        return
    if dataset.image_shape[2] > 1:
        raise ValueError(
            f"the model needs binary pixels, and those of {dataset.name!r} are in colour; use a model of real values, "
            "such as a VAE with likelihood='gaussian', or of levels, such as tables or PixelCNN with levels=8"
        )
    raise ArgumentError(
        "binarization",
        "none",
        f": the model needs binary pixels, and those of {dataset.name!r} are {dataset.protocol}; "
        f"use one of {', '.join(BINARY_PROTOCOLS[:-1])} or {BINARY_PROTOCOLS[-1]}",
    )


def mean_image(dataset: Dataset, *, chunk: int = 1000) -> Float[np.ndarray, "H W C"]:
    """Return the mean training image under the data's protocol; "dynamic" pixels are sampled once under a fixed key."""

    @jax.jit
    def total(raw: dict[str, jax.Array], key: jax.Array) -> jax.Array:
        return dataset.load(raw, key)["image"].sum(axis=0)

    total_image = np.zeros(dataset.image_shape, np.float64)
    for start in range(0, dataset.train.size, chunk):
        examples = dataset.train.read(np.arange(start, min(start + chunk, dataset.train.size)))
        total_image += np.asarray(total(dict(examples), jax.random.fold_in(jax.random.key(0), start)))
    return (total_image / dataset.train.size).astype(np.float32)
