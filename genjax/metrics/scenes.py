"""Agreement between the digits that are found in scenes and the digits that were asked for."""

import numpy as np
from jaxtyping import Bool, Int

Objects = Int[np.ndarray, "N 2 4"]
"""The two digits of each scene by their `ATTRIBUTES`, as indices; a row of -1 if a scene has one digit only."""

ATTRIBUTES = ("digit", "colour", "size", "place")
"""Columns of `Objects`."""


def agreement(found: Objects, asked: Objects) -> dict[str, Bool[np.ndarray, " N"]]:
    """For each attribute, whether the two values found in a scene are the two asked for, in any order.

    Returns one array [N] for each of digit, colour, size and place, and one named `scene` that is True if both digits
    are right, each with its own colour, size and place. An absent digit (-1) has to be asked for like any other.
    """
    same = {
        name: (np.sort(found[:, :, column]) == np.sort(asked[:, :, column])).all(axis=1)
        for column, name in enumerate(ATTRIBUTES)
    }
    return {**same, "scene": (by_place(found) == by_place(asked)).all(axis=(1, 2))}


def by_place(objects: Objects) -> Objects:
    """The two objects of each scene sorted by place, which is never the same for both."""
    order = np.argsort(objects[:, :, ATTRIBUTES.index("place")], axis=1, kind="stable")
    return np.take_along_axis(objects, order[..., None], axis=1)
