"""Few labelled examples out of many."""

import numpy as np
from jaxtyping import Int

from genjax.data.shuffle import permutation


def balanced_rows(label: Int[np.ndarray, " N"], count: int, *, seed: int) -> Int[np.ndarray, " count"]:
    """Which `count` of the examples to take so that all classes are as frequent, at random under `seed`.

    Where `count` is no multiple of the number of classes, random ones have one example more. Raises ValueError where
    `count` is below the number of classes, or above what the rarest class allows.
    """
    classes, sizes = np.unique(label, return_counts=True)
    most = len(classes) * int(sizes.min())
    if not len(classes) <= count <= most:
        raise ValueError(
            f"{count} labels: must be from {len(classes)}, one for each class, to {most}, since the rarest class has "
            f"{sizes.min()} examples"
        )
    share, rest = divmod(count, len(classes))
    lucky = set(permutation(len(classes), seed=seed)[:rest].tolist())
    order = permutation(len(label), seed=seed)
    parts = [order[label[order] == one][: share + (place in lucky)] for place, one in enumerate(classes)]
    return np.concatenate(parts)
