"""Quality of puzzle solutions: overlap of masks, and positions of pieces."""

import itertools
import math

import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Float, Int, Shaped
from scipy.optimize import linear_sum_assignment

from genjax.metrics.numbers import reals

THRESHOLD = 0.5
"""Value above which a pixel belongs to a mask."""

Masks = Shaped[Array | np.ndarray, "batch H W 1"]
Images = Float[np.ndarray, "N H W C"]
Pieces = Float[np.ndarray, "N pieces h w C"]
Positions = Int[np.ndarray, "N pieces"]
"""Position of each piece: index of its cell, counted row by row."""


def mask_iou(predicted: Masks, mask: Masks) -> Float[Array | np.ndarray, " batch"]:
    """Return the intersection over union of the pixels above one half, in [0, 1]; 1 if both are empty, NaN for NaN."""
    ours, theirs = predicted > THRESHOLD, mask > THRESHOLD
    both, either = ((one).sum(axis=(1, 2, 3)) for one in (ours & theirs, ours | theirs))
    missing = 0 * (predicted.sum(axis=(1, 2, 3)) + mask.sum(axis=(1, 2, 3)))  # NaN where a mask holds it
    return (both + (either == 0)) / (either + (either == 0)) + missing


def cells(images: Images, cut: int) -> Pieces:
    """Return the cut x cut pieces of each image, row by row."""
    return rearrange(images, "n (r h) (q w) c -> n (r q) h w c", r=cut, q=cut)


def placements(
    pieces: Shaped[np.ndarray, "N pieces h w C"], images: Shaped[np.ndarray, "N H W C"], cut: int
) -> Positions:
    """Return the position of each piece: the one-to-one assignment to an image's cells of least squared error.

    Raises ValueError if there are no images, or a pixel is not finite.
    """
    pieces, images = reals("pieces", pieces), reals("images", images)
    return np.stack([assigned(*pair) for pair in zip(pieces, cells(images, cut), strict=True)])


def assigned(
    pieces: Float[np.ndarray, "pieces h w C"], targets: Float[np.ndarray, "pieces h w C"]
) -> Int[np.ndarray, " pieces"]:
    """Return the position of each piece of one puzzle, by the assignment with the least squared error."""
    errors = ((pieces[:, None] - targets[None]) ** 2).sum(axis=(2, 3, 4))
    return linear_sum_assignment(errors)[1]


def solved(found: Positions, position: Positions) -> dict[str, float]:
    """Return the fraction of pieces at their right position, and of puzzles without a misplaced piece."""
    right: Bool[np.ndarray, "N pieces"] = found == position
    return {"piece_accuracy": float(right.mean()), "jigsaw_accuracy": float(right.all(axis=1).mean())}


def chance(cut: int) -> dict[str, float]:
    """Return the expected accuracies of a random assignment: 1 / cut^2 for pieces and 1 / (cut^2)! for puzzles."""
    return {"piece_accuracy": 1 / cut**2, "jigsaw_accuracy": 1 / math.factorial(cut**2)}


def ceiling(images: Shaped[np.ndarray, "N H W C"], cut: int) -> dict[str, float]:
    """Return the expected accuracies of an assignment that knows the images, but cannot tell equal pieces apart.

    Of m equal pieces, one is at its position on average, and all of them are with probability 1 / m!. Raises ValueError
    if there are no images.
    """
    images = reals("images", images)
    known = [equal_pieces(one) for one in cells(images, cut)]
    return {
        "piece_accuracy": float(np.mean([len(counts) / cut**2 for counts in known])),
        "jigsaw_accuracy": float(np.mean([1 / math.prod(map(math.factorial, counts)) for counts in known])),
    }


def equal_pieces(pieces: Float[np.ndarray, "pieces h w C"]) -> list[int]:
    """Return the sizes of the groups of equal pieces."""
    kinds = sorted(piece.tobytes() for piece in pieces)
    return [len(list(group)) for _, group in itertools.groupby(kinds)]
