"""How well a puzzle is solved: masks that overlap, and pieces that lie where they belong."""

import itertools
import math

import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Float, Int
from scipy.optimize import linear_sum_assignment

THRESHOLD = 0.5
"""From which value on a pixel of a mask counts as one of it."""

Masks = Float[Array | np.ndarray, "batch H W 1"]
Images = Float[np.ndarray, "N H W C"]
Pieces = Float[np.ndarray, "N pieces h w C"]
Places = Int[np.ndarray, "N pieces"]


def mask_iou(predicted: Masks, mask: Masks) -> Float[Array | np.ndarray, " batch"]:
    """Intersection over union of the pixels that are above one half, in [0, 1]; 1 where both masks are empty."""
    ours, theirs = predicted > THRESHOLD, mask > THRESHOLD
    both, either = ((one).sum(axis=(1, 2, 3)) for one in (ours & theirs, ours | theirs))
    return (both + (either == 0)) / (either + (either == 0))


def cells(images: Images, cut: int) -> Pieces:
    """The cut x cut pieces of each image, row by row."""
    return rearrange(images, "n (r h) (q w) c -> n (r q) h w c", r=cut, q=cut)


def placements(pieces: Pieces, images: Images, cut: int) -> Places:
    """Where each piece belongs in an image: the one-to-one assignment to its cells with the least squared error."""
    return np.stack([assigned(*pair) for pair in zip(pieces, cells(images, cut), strict=True)])


def assigned(
    pieces: Float[np.ndarray, "pieces h w C"], places: Float[np.ndarray, "pieces h w C"]
) -> Int[np.ndarray, " pieces"]:
    """The place of each piece."""
    errors = ((pieces[:, None] - places[None]) ** 2).sum(axis=(2, 3, 4), dtype=np.float64)
    return linear_sum_assignment(errors)[1]


def solved(found: Places, place: Places) -> dict[str, float]:
    """The share of pieces in their places, and that of puzzles without a misplaced piece."""
    right: Bool[np.ndarray, "N pieces"] = found == place
    return {"piece_accuracy": float(right.mean()), "jigsaw_accuracy": float(right.all(axis=1).mean())}


def chance(cut: int) -> dict[str, float]:
    """What a random assignment gets in the mean: 1 / cut^2 of the pieces, and 1 / (cut^2)! of the puzzles."""
    return {"piece_accuracy": 1 / cut**2, "jigsaw_accuracy": 1 / math.factorial(cut**2)}


def ceiling(images: Images, cut: int) -> dict[str, float]:
    """What an assignment gets in the mean that knows each image, but not which of several equal pieces is which.

    m equal pieces have in the mean one of them in its place, and all of them with probability 1 / m!.
    """
    known = [equal_pieces(one) for one in cells(images, cut)]
    return {
        "piece_accuracy": float(np.mean([len(counts) / cut**2 for counts in known])),
        "jigsaw_accuracy": float(np.mean([1 / math.prod(map(math.factorial, counts)) for counts in known])),
    }


def equal_pieces(pieces: Float[np.ndarray, "pieces h w C"]) -> list[int]:
    """How many pieces there are of each kind."""
    kinds = sorted(piece.tobytes() for piece in pieces)
    return [len(list(group)) for _, group in itertools.groupby(kinds)]
