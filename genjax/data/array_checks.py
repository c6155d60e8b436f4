"""Checks of a user's own arrays, with errors that say how to fix an array that cannot be trained on."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Num

from genjax.data.files import unit_images

COLOURS = (1, 3)
"""Numbers of channels of grey and of colour images."""


def checked_images(name: str, images: Any) -> Num[np.ndarray, "N H W C"]:
    """Return images as uint8, or as float32 in [0, 1], with a channel axis.

    `name` is the argument's name in errors. Raises ValueError for an array that holds no images, or values that are
    neither bytes nor numbers in [0, 1].
    """
    array = np.asarray(images)
    check_numbers(name, array)
    check_shape(name, array)
    check_values(name, array)
    return unit_images(name, array)


def check_numbers(name: str, images: np.ndarray) -> None:
    """Raise ValueError where the elements are not bytes, booleans or floats."""
    if images.dtype.kind == "O":
        raise ValueError(
            f"{name} is an array of Python objects, such as images of different sizes; bring all of them to one shape "
            "[height, width, channels] and pass np.stack(list_of_images)"
        )
    if images.dtype.kind in "iu" and images.dtype != np.uint8:
        raise ValueError(
            f"{name} is {images.dtype}; pass {name}.astype(np.uint8) where its values are 0 to 255, else floats in "
            "[0, 1]"
        )
    if images.dtype.kind not in "biuf":
        raise ValueError(f"{name} is {images.dtype}; pass uint8 values from 0 to 255, or real floats in [0, 1]")


def check_shape(name: str, images: np.ndarray) -> None:
    """Raise ValueError where the axes are not [N, H, W] or [N, H, W, C] with one or three channels."""
    if images.ndim not in (3, 4):
        raise ValueError(
            f"{name} has shape {images.shape}; pass [N, H, W] or [N, H, W, C], such as {name}.reshape(-1, 28, 28) for "
            f"rows of 784 pixels, or {name}[None] for a single image"
        )
    if 0 in images.shape:
        raise ValueError(f"{name} has shape {images.shape} and is empty; pass at least one image")
    if images.ndim == 4 and images.shape[3] not in COLOURS:
        advice = "use one channel (grey) or three (red, green, blue)"
        if images.shape[1] in COLOURS:
            advice = f"channels come last: pass {name}.transpose(0, 2, 3, 1)"
        elif images.shape[3] == 4:
            advice = f"drop the alpha channel: pass {name}[..., :3]"
        raise ValueError(f"{name} has shape {images.shape}, so {images.shape[3]} channels; {advice}")


def check_values(name: str, images: np.ndarray) -> None:
    """Raise ValueError where floats are not finite or lie outside [0, 1]."""
    if images.dtype.kind != "f":
        return
    if not np.isfinite(images).all():
        first = tuple(map(int, np.argwhere(~np.isfinite(images))[0]))
        raise ValueError(
            f"{name}{list(first)} is {images[first]}; replace or drop values that are not finite, such as by "
            f"np.nan_to_num({name})"
        )
    least, greatest = float(images.min()), float(images.max())
    if least >= 0 and greatest <= 1:
        return
    advice = f"scale them: ({name} - {name}.min()) / ({name}.max() - {name}.min())"
    if least >= 0 and greatest <= 255:
        advice = f"divide by 255: pass {name} / 255, or {name}.astype(np.uint8)"
    elif least >= -1 and greatest <= 1:
        advice = f"bring [-1, 1] to [0, 1]: pass ({name} + 1) / 2"
    raise ValueError(f"{name} has values from {least:g} to {greatest:g}, and floats must lie in [0, 1]; {advice}")


def checked_labels(name: str, labels: Any, count: int) -> Int[np.ndarray, " N"]:
    """Return class numbers 0, 1, 2, ... of `count` images as int32.

    Raises ValueError where there are not `count` labels, or they are not integers from 0 on.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] > 1:
        raise ValueError(
            f"{name} has shape {array.shape}; pass one class number for each image, such as {name}.argmax(axis=1)"
        )
    if array.shape != (count,):
        raise ValueError(f"{name} has shape {array.shape}; there are {count} images, pass one class number for each")
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} is {array.dtype}; pass integers from 0 on, such as np.unique({name}, return_inverse=True)[1]"
        )
    if array.min() < 0 or array.max() >= 2**31:
        raise ValueError(
            f"{name} has values from {array.min()} to {array.max()}; number the classes from 0 on, such as by "
            f"np.unique({name}, return_inverse=True)[1]"
        )
    return array.astype(np.int32)


def checked_known(known: Any, shape: tuple[int, ...]) -> Bool[np.ndarray, "N H W C"]:
    """Return the mask of known pixels of images of shape [N, H, W, C], from an array that broadcasts to this shape.

    Raises ValueError for any other shape, or values other than 0 and 1.
    """
    array = np.asarray(known)
    if array.shape in (shape[1:3], shape[:3]):
        array = array[..., None]
    try:
        wide = np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"known has shape {array.shape}; pass 0 and 1 for each pixel, of shape {shape}") from None
    if not ((wide == 0) | (wide == 1)).all():
        raise ValueError("known must hold 1 where a pixel is known and 0 elsewhere")
    return wide.astype(bool)
