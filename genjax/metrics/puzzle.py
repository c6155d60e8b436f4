"""Quality of puzzle solutions: overlap of masks, and positions of pieces."""

import itertools
import math

import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Float, Int
from scipy.optimize import linear_sum_assignment

THRESHOLD = 0.5
"""Value above which a pixel belongs to a mask."""

Masks = Float[Array | np.ndarray, "batch H W 1"]
Images = Float[np.ndarray, "N H W C"]
Pieces = Float[np.ndarray, "N pieces h w C"]
Positions = Int[np.ndarray, "N pieces"]
"""Position index of each piece, counted row by row."""


def mask_iou(predicted: Masks, mask: Masks) -> Float[Array | np.ndarray, " batch"]:
    """Intersection over union of the pixels above one half, in [0, 1]; 1 if both masks are empty."""
    ours, theirs = predicted > THRESHOLD, mask > THRESHOLD
    both, either = ((one).sum(axis=(1, 2, 3)) for one in (ours & theirs, ours | theirs))
    return (both + (either == 0)) / (either + (either == 0))


def cells(images: Images, cut: int) -> Pieces:
    """Cut each image into cut x cut pieces, row by row."""
    return rearrange(images, "n (r h) (q w) c -> n (r q) h w c", r=cut, q=cut)


def placements(pieces: Pieces, images: Images, cut: int) -> Positions:
    """Position of each piece in an image: the one-to-one assignment to the image's cells with the least
    squared error.
    """
    return np.stack([assigned(*pair) for pair in zip(pieces, cells(images, cut), strict=True)])


def assigned(
    pieces: Float[np.ndarray, "pieces h w C"], targets: Float[np.ndarray, "pieces h w C"]
) -> Int[np.ndarray, " pieces"]:
    """Position of each piece of one puzzle, by least squared error."""
    errors = ((pieces[:, None] - targets[None]) ** 2).sum(axis=(2, 3, 4), dtype=np.float64)
    return linear_sum_assignment(errors)[1]


def solved(found: Positions, position: Positions) -> dict[str, float]:
    """Fraction of pieces at the right position, and fraction of puzzles without a misplaced piece."""
    right: Bool[np.ndarray, "N pieces"] = found == position
    return {"piece_accuracy": float(right.mean()), "jigsaw_accuracy": float(right.all(axis=1).mean())}


def chance(cut: int) -> dict[str, float]:
    """Expected accuracies of a random assignment: 1 / cut^2 of the pieces and 1 / (cut^2)! of the puzzles."""
    return {"piece_accuracy": 1 / cut**2, "jigsaw_accuracy": 1 / math.factorial(cut**2)}


def ceiling(images: Images, cut: int) -> dict[str, float]:
    """Expected accuracies of an assignment that knows the images, but cannot tell equal pieces apart.

    Of m equal pieces, one is expected at its position, and all of them with probability 1 / m!.
    """
    known = [equal_pieces(one) for one in cells(images, cut)]
    return {
        "piece_accuracy": float(np.mean([len(counts) / cut**2 for counts in known])),
        "jigsaw_accuracy": float(np.mean([1 / math.prod(map(math.factorial, counts)) for counts in known])),
    }


def equal_pieces(pieces: Float[np.ndarray, "pieces h w C"]) -> list[int]:
    """Number of pieces of each distinct content."""
    kinds = sorted(piece.tobytes() for piece in pieces)
    return [len(list(group)) for _, group in itertools.groupby(kinds)]
