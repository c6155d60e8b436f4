"""Save features of images to a file: python -m genjax embed RUN --out features.npz.

Features are the codes of an autoencoder, the means of q(z|x) of a model with a distribution over codes, the channels of
a DCGAN's discriminator, the inputs of an InfoGAN's Q, and the outputs of text to image's image encoder.

    python -m genjax embed RUN --out features.npz                             the run's own test images
    python -m genjax embed RUN --out features.npz --split train
    python -m genjax embed RUN --out mine.npz --images ./photos more.npz      your own images

Your own images are given as for --dataset: a folder of PNG and JPEG images, or an .npz file with `image`; if it is
divided into train, validation and test, --split names the part. They must have the height, width and channels of the
run's images, and are binarized in the same way. In Python:

    file = np.load("features.npz")
    file["features"]        [N, F] float32, one row per image
    file["label"]           [N], if all images have labels: those of the .npz file, or numbers of the sub-folders
    file["name"]            [N], for your own images: the path of each, or file.npz[row]

Rows are in the order of the split, of the sorted paths of a folder and of the rows of an .npz file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from genjax.data.binarize import present
from genjax.data.dataset import Dataset, Source, in_memory
from genjax.data.files import Named, all_images
from genjax.errors import NamedArgumentError
from genjax.measures.features import Features, FeaturesOf, features_function, make_features
from genjax.runs.config import option_of
from genjax.runs.directory import RunError
from genjax.runs.restore import Restored, restore_run

Part = Literal["train", "validation", "test"]


def embed(
    directory: Annotated[Path, tyro.conf.Positional],
    *,
    out: Path,
    images: tuple[Path, ...] = (),
    split: Part = "test",
    seed: int | None = None,
    data_dir: Path | None = None,
) -> None:
    """Save the features of images under a trained model.

    Args:
        directory: Run directory of a model that has features.
        out: The .npz file to write.
        images: Folders and .npz files of images; by default the images of the run's own data.
        split: Split of the run's data, or of your own images if they are divided into splits.
        seed: Training seed whose parameters are used; by default the run's first.
        data_dir: TFDS directory, if it differs from that of the training.
    """
    if out.suffix != ".npz":
        raise RunError(f"--out {out} must end in .npz", exit_code=2)
    run = restore_run(directory, data_dir=data_dir)
    check_features(run)
    seed = run.seed(seed)
    arrays = own_features(run, seed, split) if not images else features_of_files(run, seed, images, split)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, **arrays)  # pyright: ignore[reportArgumentType] (no array is called allow_pickle)
    kinds = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    print(f"features of {run.config.name} after {run.done} steps: {kinds} in {out}")


def check_features(run: Restored) -> None:
    """Raise RunError if the run's model has no features."""
    if run.experiment.model.embed is None:
        raise RunError(f"{run.config.name} has no features: its model has no `embed`")


def own_features(run: Restored, seed: int, split: Part) -> dict[str, np.ndarray]:
    """Return the features of a split of the run's own data."""
    data = run.experiment.data
    return as_arrays(features_with(run, data)(*run.chosen(seed), getattr(data, split)))


def features_with(run: Restored, data: Dataset) -> FeaturesOf:
    """Return the function that computes the run's features of a split of `data`."""
    return make_features(features_function(run.experiment.model), data.load)


def as_arrays(found: Features) -> dict[str, np.ndarray]:
    """Return the features, and the labels if there are any, by the names under which they are saved."""
    return {"features": found.features} | ({} if found.label is None else {"label": found.label})


def features_of_files(run: Restored, seed: int, paths: Sequence[Path], split: Part) -> dict[str, np.ndarray]:
    """Return the features of a user's own images, path by path, with labels only if all images have labels."""
    parts: list[dict[str, np.ndarray]] = []
    for path in paths:
        try:
            named = all_images(path.expanduser(), split)
            data = presented(run, path, named)
        except (ValueError, OSError) as error:
            rest = (
                error.message if isinstance(error, NamedArgumentError) and error.argument == "dataset" else f": {error}"
            )
            raise RunError(f"--images {path}{rest}", exit_code=2) from error
        arrays = as_arrays(features_with(run, data)(*run.chosen(seed), data.test))
        parts.append({**arrays, "name": np.array(named.names)})
    common = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in common}


def presented(run: Restored, path: Path, named: Named) -> Dataset:
    """Return the images as a data set, binarized like the run's data; ValueError if the shapes of images differ."""
    shape, expected = named.split.first()["image"].shape[1:], run.experiment.data.image_shape
    if shape != expected:
        raise ValueError(f"images of shape {shape}, must be {expected} as those of the run")
    split = in_memory(named.split)
    return present(Source(path.name, split, split, split, ""), option_of(run.config, "binarization", flag="--images"))
