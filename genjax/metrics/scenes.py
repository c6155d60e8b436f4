"""Agreement between the digits found in scenes and the digits that their captions name."""

import numpy as np
from jaxtyping import Bool, Int

Objects = Int[np.ndarray, "N 2 4"]
"""Attributes of the two digits of each scene, as indices in the order of `ATTRIBUTES`; -1 for an absent second
digit."""

ATTRIBUTES = ("digit", "colour", "size", "place")
"""Names of the columns of `Objects`; place is the position of the digit."""


def agreement(found: Objects, asked: Objects) -> dict[str, Bool[np.ndarray, " N"]]:
    """Return for each attribute whether the two values found in a scene are the two expected values, in any order.

    There is one array [N] for each of digit, colour, size and place (the position), and an array `scene` that is True
    if both digits are right, each with its own colour, size and position. An absent digit (-1) must match as well.
    """
    same = {
        name: (np.sort(found[:, :, column]) == np.sort(asked[:, :, column])).all(axis=1)
        for column, name in enumerate(ATTRIBUTES)
    }
    return {**same, "scene": (by_place(found) == by_place(asked)).all(axis=(1, 2))}


def by_place(objects: Objects) -> Objects:
    """Return the two objects of each scene sorted by position, in which they always differ."""
    order = np.argsort(objects[:, :, ATTRIBUTES.index("place")], axis=1, kind="stable")
    return np.take_along_axis(objects, order[..., None], axis=1)
