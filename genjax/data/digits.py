"""Embedded data set: scikit-learn's 8x8 digits."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from genjax.data.dataset import Source, make_source, part, resident
from genjax.shuffle import permutation

TRAIN, VALIDATION = 1297, 200
"""Numbers of training and of validation examples."""
GREATEST = 16
"""Largest pixel value: pixels count the inked cells of a 4x4 block."""


def digits() -> Source:
    """Return the 1797 digits of 8x8 pixels and 17 grey values in a fixed order, split 1297 / 200 / 300."""
    stored, label = stored_digits()
    order = permutation(len(stored))
    image = (stored / GREATEST).astype(np.float32).reshape(-1, 8, 8, 1)
    every = resident({"image": image[order], "label": label.astype(np.int32)[order]})
    held_out = TRAIN + VALIDATION
    train, validation, test = part(every, 0, TRAIN), part(every, TRAIN, held_out), part(every, held_out, every.size)
    return make_source("digits", train, validation, test, files={})


def stored_digits() -> tuple[Float[np.ndarray, "1797 64"], Int[np.ndarray, " 1797"]]:
    """Return the pixels and labels of `sklearn.datasets.load_digits`.

    They are read from scikit-learn's file where it is found, since scikit-learn takes longer to import than a small
    model to train.
    """
    found = find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        file = Path(folder) / "datasets/data/digits.csv.gz"
        if file.exists():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1].astype(int)
    import sklearn.datasets

    stored, label = sklearn.datasets.load_digits(return_X_y=True)
    return stored, label
