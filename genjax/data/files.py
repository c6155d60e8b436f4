"""The user's own images: a folder of PNG and JPEG files, or an .npz file."""

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from genjax.data.dataset import DataError, Examples, Source, Split, make_source, part, resident
from genjax.errors import ArgumentError, MissingPathError
from genjax.shuffle import permutation

SUFFIXES = (".png", ".jpg", ".jpeg")
"""Suffixes of image files."""
UNREAD = (".bmp", ".gif", ".heic", ".tif", ".tiff", ".webp")
"""Suffixes of image files in formats that are refused, so that none is left out without a word."""
FORMATS = ("PNG", "JPEG")
"""Formats that PIL may use to decode image files."""
CHANNELS = {"1": 1, "L": 1, "P": 3, "RGB": 3}
"""Number of channels of a decoded image by PIL's mode: bits, grey, palette, colour."""

ORIENTATION = 0x0112
"""EXIF tag by which a camera or a viewer turns an image."""
TURNED = (5, 6, 7, 8)
"""Values of this tag under which height and width are exchanged."""

SPLITS = ("train", "validation", "test")
"""Names of the sub-folders, or arrays, that divide the images into splits."""


def folder(path: Path, *, more: Examples | None = None) -> Source:
    """Return the PNG and JPEG images under `path`, all of one shape; the sorted names of their sub-folders are the
    labels.

    Sub-folders train, validation and test are the splits; without them, a fixed permutation of the sorted names is
    split 80 / 10 / 10 %. The data have labels if no image lies directly in the folder (or in the folder of a split).
    Hidden files are ignored. `more` has further arrays, whose rows are in the order of `image_names`.

    Raises FileNotFoundError if there is no folder, ValueError with the path of an image that cannot be used.
    """
    check_folder(path)
    names = image_names(path)
    divided = is_divided(path, names)
    every = folder_split(path, names, divided=divided, more=more)
    if divided:
        splits = tuple(
            chosen(every, np.flatnonzero([name.startswith(f"{split}/") for name in names])) for split in SPLITS
        )
    else:
        splits = tenths(str(path), chosen(every, permutation(every.size)))
    return make_source(path.resolve().name, *splits, files={name: path / name for name in names})


def check_folder(path: Path) -> None:
    """Raise FileNotFoundError if there is no folder."""
    if not path.is_dir():
        kind = "a file, must be a folder of images or an .npz file" if path.exists() else "no such folder"
        raise MissingPathError("dataset", str(path), f": {kind}")


def folder_split(path: Path, names: list[str], *, divided: bool, more: Examples | None = None) -> Split:
    """Return the split of the images with these names, in this order; an image is read only when it is used."""
    shape = common_shape([path / name for name in names])
    label = folder_labels([name.partition("/")[2] for name in names] if divided else names)
    beside = {**({} if label is None else {"label": label}), **(more or {})}

    def read(indices: np.ndarray) -> Examples:
        image = np.stack([read_image(path / names[index], shape) for index in indices])
        return {"image": image, **{name: array[indices] for name, array in beside.items()}}

    return Split(len(names), read, None)


class Named(NamedTuple):
    """Images in the user's own order, and the name of each."""

    split: Split
    names: list[str]


def all_images(path: Path, part_name: str) -> Named:
    """Return all images of a folder by their names, or of an .npz file by their rows (`file.npz[3]`), in order.

    If the images are divided into train, validation and test, only those of the part called `part_name` are returned.
    Raises the errors of `folder` and `npz`.
    """
    if path.suffix == ".npz":
        arrays = npz_arrays(path)
        image, label = ("image", "label") if "image" in arrays else (part_name, f"{part_name}_label")
        if image not in arrays:
            raise ArgumentError("dataset", str(path), f": has the arrays {sorted(arrays)}; needs image, or {part_name}")
        split = resident(examples(path, arrays, image, label))
        return Named(split, [f"{path}[{row}]" for row in range(split.size)])
    check_folder(path)
    names = image_names(path)
    divided = is_divided(path, names)
    every = folder_split(path, names, divided=divided)
    rows = [row for row, name in enumerate(names) if not divided or name.startswith(f"{part_name}/")]
    return Named(chosen(every, np.array(rows)), [str(path / names[row]) for row in rows])


def chosen(split: Split, rows: Int[np.ndarray, " N"]) -> Split:
    """Return the examples `rows` of a split, in this order."""
    return Split(len(rows), lambda indices: split.read(rows[indices]), None)


def is_divided(path: Path, names: Sequence[str]) -> bool:
    """Return whether the images are in sub-folders train, validation and test.

    Raises ValueError if there is a train or a test folder, but an image is elsewhere or one of the three has no image.
    """
    tops = {name.partition("/")[0] for name in names if "/" in name}
    if not tops & {"train", "test"}:
        return False
    if tops != set(SPLITS) or any("/" not in name for name in names):
        raise ArgumentError(
            "dataset",
            str(path),
            f": has images in {', '.join(sorted(tops))}; a folder with train or test must have "
            f"all its images in {', '.join(SPLITS)}",
        )
    return True


def image_names(path: Path) -> list[str]:
    """Return the sorted names of the images under `path`, relative to `path`; links to folders are followed."""
    files = sorted(visible_files(path, set()))
    if unread := [file for file in files if file.suffix.lower() in UNREAD]:
        raise ArgumentError(
            "dataset", str(path), f": {path / unread[0]} must be a PNG or JPEG image; convert it, or move it elsewhere"
        )
    names = sorted(file.as_posix() for file in files if file.suffix.lower() in SUFFIXES)
    if not names:
        raise ArgumentError("dataset", str(path), f": no images in the folder ({', '.join(SUFFIXES)})")
    return names


def visible_files(path: Path, above: set[Path], inside: Path = Path()) -> Iterator[Path]:
    """Yield the files under `path`, relative to it, without hidden ones; a link to a folder `above` itself is left."""
    real = path.resolve()
    if real in above:
        return
    for entry in path.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from visible_files(entry, above | {real}, inside / entry.name)
        else:
            yield inside / entry.name


def folder_labels(names: Sequence[str]) -> Int[np.ndarray, " N"] | None:
    """Return the index of each image's sub-folder in sorted order, or None if an image is in no sub-folder.

    Sub-folders that are all called by numbers, such as 0 to 11, are sorted as numbers.
    """
    if any("/" not in name for name in names):
        return None
    folders = [name.partition("/")[0] for name in names]
    numbered = all(folder.isascii() and folder.isdigit() for folder in folders)
    numbered = numbered and len(set(map(int, folders))) == len(set(folders))  # 1 and 01 are two folders
    classes = [int(folder) for folder in folders] if numbered else folders
    return np.unique(classes, return_inverse=True)[1].astype(np.int32)


def common_shape(files: Sequence[Path]) -> tuple[int, int, int]:
    """Return the height, width and channels of all images, from the headers; ValueError names an image that differs."""
    first = header_shape(files[0])
    for file in files[1:]:
        if (shape := header_shape(file)) != first:
            raise ValueError(f"{file}: image of shape {shape}; all must have one shape, and {files[0]} has {first}")
    return first


def header_shape(file: Path) -> tuple[int, int, int]:
    """Return the height, width and channels that the header of an image file declares."""
    import PIL.Image

    with readable(file), warnings.catch_warnings():
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)  # PIL refuses at twice the size
        with PIL.Image.open(file, formats=FORMATS) as image:
            mode, sides = image.mode, (image.height, image.width)
            # Pillow would decode a whole PNG to look for a tag after its pixels.
            told = image.format == "JPEG" or {"exif", "xmp", "XML:com.adobe.xmp"} & image.info.keys()
            turned = told and image.getexif().get(ORIENTATION) in TURNED
            several = getattr(image, "n_frames", 1) > 1
            transparent = "transparency" in image.info
    if mode not in CHANNELS or transparent:
        kind = f"{mode} with transparent pixels" if transparent else mode
        raise ValueError(f"{file}: image of mode {kind}, must be one of {', '.join(CHANNELS)} (no transparency)")
    if several:
        raise ValueError(f"{file}: holds several images, such as an animation; must hold one")
    height, width = sides[::-1] if turned else sides
    return height, width, CHANNELS[mode]


def read_image(file: Path, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "H W C"]:
    """Decode one image, turned as its EXIF tag says; `shape` is the shape that its header declares."""
    import PIL.Image
    import PIL.ImageOps

    with readable(file), PIL.Image.open(file, formats=FORMATS) as image:
        upright = PIL.ImageOps.exif_transpose(image)
        if (upright.height, upright.width) != shape[:2]:
            raise ValueError("a tag after its pixels turns it; save it without the tag, or turned")
        return np.asarray(upright.convert("L" if shape[-1] == 1 else "RGB")).reshape(shape)


@contextlib.contextmanager
def readable(file: Path) -> Iterator[None]:
    """Convert all errors of PIL about a damaged or suspiciously large file into a DataError with the file's path."""
    import PIL.Image

    bomb = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)
    try:
        yield
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, *bomb) as error:
        raise DataError(f"{file}: cannot be read as a PNG or JPEG image: {error}") from error


def npz(path: Path) -> Source:
    """Return images of the arrays `train`, `validation` and `test`, or of `image`, split 80 / 10 / 10 % in a fixed
    order.

    Images are [N, H, W] or [N, H, W, C], uint8 or bool, or floats in [0, 1]. Labels are optional integers [N]: `label`
    with `image`, else `train_label`, `validation_label` and `test_label`. Pickled objects are never unpickled.

    Raises FileNotFoundError if there is no file, ValueError for any other content.
    """
    arrays = npz_arrays(path)
    if "image" in arrays:
        every = resident(examples(path, arrays, "image", "label"))
        order = permutation(every.size)
        splits = tenths(str(path), resident(every.read(order)))
    elif missing := [name for name in SPLITS if name not in arrays]:
        raise ArgumentError(
            "dataset",
            str(path),
            f": has the arrays {sorted(arrays)} and lacks {', '.join(missing)}; needs {', '.join(SPLITS)}, or image",
        )
    else:
        splits = tuple(resident(examples(path, arrays, name, f"{name}_label")) for name in SPLITS)
    check_alike(path, splits)
    return make_source(path.stem, *splits, files={path.name: path})


def npz_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name."""
    if not path.is_file():
        raise MissingPathError("dataset", str(path), ": no such file")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file}
    except Exception as error:  # a damaged file may raise almost any error
        raise ArgumentError("dataset", str(path), f": not an .npz file of plain arrays ({error})") from error


def examples(path: Path, arrays: Mapping[str, np.ndarray], name: str, label: str) -> Examples:
    """Check and return the images called `name`, and their labels if there are any."""
    image = unit_images(f"dataset={str(path)!r}: {name}", arrays[name])
    if label not in arrays:
        return {"image": image}
    labels = arrays[label]
    if labels.shape != (len(image),) or not np.issubdtype(labels.dtype, np.integer):
        kind = f"{labels.dtype} {labels.shape}"
        raise ArgumentError("dataset", str(path), f": {label} is {kind}, must be integers of shape ({len(image)},)")
    if labels.min() < 0 or labels.max() >= 2**31:
        raise ArgumentError(
            "dataset",
            str(path),
            f": {label} has values from {labels.min()} to {labels.max()}; must be classes from 0 on, below 2^31",
        )
    return {"image": image, "label": labels.astype(np.int32)}


def unit_images(origin: str, images: np.ndarray) -> UInt8[np.ndarray, "N H W C"] | Float[np.ndarray, "N H W C"]:
    """Return images as uint8, or as float32 in [0, 1], with a channel axis; ValueError for other values or shapes."""
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(f"{origin} has shape {images.shape}, must be [N, H, W] or [N, H, W, C] and not empty")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.dtype in (np.uint8, np.bool_):
        return images.astype(np.uint8)
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"{origin} is {images.dtype}, must be uint8, bool, or floats in [0, 1]")
    least, greatest = images.min(), images.max()  # NaN if any pixel is NaN, which fails the comparison
    if not (least >= 0 and greatest <= 1):
        raise ValueError(f"{origin} has values from {least} to {greatest}, floats must be in [0, 1]")
    return images.astype(np.float32)


def check_alike(path: Path, splits: Sequence[Split]) -> None:
    """Raise ValueError unless all splits have images of one shape and type, and all or none have labels."""
    kinds = [describe(split.first()) for split in splits]
    if len(set(kinds)) > 1:
        raise ArgumentError("dataset", str(path), f": {', '.join(SPLITS)} must be alike, they hold {'; '.join(kinds)}")


def describe(one: Examples) -> str:
    """Return a description of the arrays of one example: names, shapes and dtypes."""
    return ", ".join(f"{name} {array.dtype} {array.shape[1:]}" for name, array in one.items())


def tenths(origin: str, split: Split) -> tuple[Split, Split, Split]:
    """Split examples into 80 % for training, 10 % for validation and 10 % for the test, at least one each."""
    if split.size < len(SPLITS):
        raise ArgumentError(
            "dataset", origin, f": {split.size} images, needs at least {len(SPLITS)}, one for each split"
        )
    tenth = max(1, split.size // 10)
    held_out = split.size - 2 * tenth
    test = split.size - tenth
    return part(split, 0, held_out), part(split, held_out, test), part(split, test, split.size)
