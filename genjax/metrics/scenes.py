"""How far what stands in scenes is what was asked for."""

import numpy as np
from jaxtyping import Bool, Int

from genjax.data.scenes import COLOUR, DIGIT, PLACE, SIZE

Objects = Int[np.ndarray, "N 2 4"]

ATTRIBUTES = {"digit": DIGIT, "colour": COLOUR, "size": SIZE, "place": PLACE}


def agreement(found: Objects, asked: Objects) -> dict[str, Bool[np.ndarray, " N"]]:
    """For digit, colour, size and place: whether the values found in a scene are those asked for, in any order.

    And `scene`: whether the digits are, each with its own colour, size and place. Rows of -1 stand for no digit, which
    has to be asked for, too.
    """
    ours, theirs = ordered(found), ordered(asked)
    same = {
        name: (np.sort(found[:, :, column]) == np.sort(asked[:, :, column])).all(axis=1)
        for name, column in ATTRIBUTES.items()
    }
    return {**same, "scene": (ours == theirs).all(axis=(1, 2))}


def ordered(objects: Objects) -> Objects:
    """The two objects of each scene in the order of their places, which differ."""
    order = np.argsort(objects[:, :, PLACE], axis=1, kind="stable")
    return np.take_along_axis(objects, order[..., None], axis=1)
