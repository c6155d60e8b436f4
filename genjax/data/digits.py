"""Embedded data set: scikit-learn's 8x8 digits."""

import numpy as np

from genjax.data.dataset import Source, make_source, part, resident
from genjax.shuffle import permutation

TRAIN, VALIDATION = 1297, 200
"""Numbers of training and of validation examples."""
GREATEST = 16
"""Largest pixel value: pixels count the inked cells of a 4x4 block."""


def digits() -> Source:
    """Return the 1797 digits of 8x8 pixels and 17 grey values in a fixed order, split 1297 / 200 / 300."""
    import sklearn.datasets  # slow to import

    stored, label = sklearn.datasets.load_digits(return_X_y=True)
    order = permutation(len(stored))
    image = (stored / GREATEST).astype(np.float32).reshape(-1, 8, 8, 1)
    every = resident({"image": image[order], "label": label.astype(np.int32)[order]})
    held_out = TRAIN + VALIDATION
    train, validation, test = part(every, 0, TRAIN), part(every, TRAIN, held_out), part(every, held_out, every.size)
    return make_source("digits", train, validation, test, files={})
