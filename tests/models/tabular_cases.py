"""Small tabular models, images for them, and a count in plain Python."""

import collections
import math

import numpy as np

from genjax.models.autoregressive.tabular import OFFSETS, ar_contexts, offset_contexts

HEIGHT, WIDTH = 2, 3
PIXELS = HEIGHT * WIDTH
ORDERING = (4, 0, 3, 5, 1, 2)
NEAR = OFFSETS[:4]


def before(ordering, k):
    """The k pixels generated just before each pixel, as flat indices; None where there is none."""
    return {
        pixel: [ordering[at - back] if at >= back else None for back in range(1, k + 1)]
        for at, pixel in enumerate(ordering)
    }


def neighbours(offsets):
    """The pixels at the offsets from each pixel; None outside the image."""
    inside = {(row, column): row * WIDTH + column for row in range(HEIGHT) for column in range(WIDTH)}
    return {pixel: [inside.get((row + y, column + x)) for y, x in offsets] for (row, column), pixel in inside.items()}


RASTER = tuple(range(PIXELS))
CASES = {
    "independent": (ar_contexts(PIXELS, 0), before(RASTER, 0), False),
    "markov": (ar_contexts(PIXELS, 1), before(RASTER, 1), False),
    "ar-3 in an order": (ar_contexts(PIXELS, 3, ordering=ORDERING), before(ORDERING, 3), False),
    "full": (ar_contexts(PIXELS, PIXELS - 1), before(RASTER, PIXELS - 1), False),
    "2d": (offset_contexts(HEIGHT, WIDTH, NEAR), neighbours(NEAR), False),
    "2d, tied": (offset_contexts(HEIGHT, WIDTH, NEAR, tied=True), neighbours(NEAR), True),
    "ternary ar-2": (ar_contexts(PIXELS, 2, levels=3), before(RASTER, 2), False),
    "ternary 2d, tied": (offset_contexts(HEIGHT, WIDTH, NEAR, levels=3, tied=True), neighbours(NEAR), True),
}


def random_values(count, levels, key=0):
    """Correlated pixels: every other image is one of three, and the rest are noise."""
    rng = np.random.default_rng(key)
    values = rng.integers(0, levels, (count, PIXELS))
    values[::2] = rng.integers(0, levels, (3, PIXELS))[rng.integers(0, 3, len(values[::2]))]
    return values.astype(np.int32)


def to_image(values, levels):
    return (values.reshape(-1, HEIGHT, WIDTH, 1) / (levels - 1)).astype(np.float32)


def counted_by_hand(train, test, neighbours, tied, levels, smoothing):
    """The NLL of each test image, straight from the definition."""

    def context(x, pixel):
        return (None if tied else pixel, *(0 if other is None else x[other] for other in neighbours[pixel]))

    counts = collections.Counter((context(x, pixel), x[pixel]) for x in train.tolist() for pixel in neighbours)

    def conditional(x, pixel):
        seen = [counts[context(x, pixel), value] for value in range(levels)]
        return (seen[x[pixel]] + smoothing) / (sum(seen) + levels * smoothing)

    return np.array([-sum(math.log(conditional(x, pixel)) for pixel in neighbours) for x in test.tolist()])
