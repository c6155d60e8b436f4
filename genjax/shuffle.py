"""Random numbers that stay the same in every version of NumPy: they use only raw words of a counter-based generator."""

import numpy as np
from jaxtyping import Float, Int


def permutation(size: int, *, seed: int = 0) -> Int[np.ndarray, " size"]:
    """Return a fixed order of `size` items for this seed: the ranks of random 64-bit words."""
    return np.argsort(np.random.Philox(key=seed).random_raw(size), kind="stable")


def epoch_permutation(size: int, *, seed: int, epoch: int) -> Int[np.ndarray, " size"]:
    """Return the order of `size` items for this training seed and epoch."""
    words = np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, 1]).random_raw(size)
    return np.argsort(words, kind="stable")


def uniform(stream: int, index: int, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Return uniform numbers in [0, 1) for example `index` of `stream`, whichever other examples are read."""
    words = np.random.Philox(key=stream, counter=[0, index, 0, 0]).random_raw(int(np.prod(shape)))
    return ((words >> 11) * 2.0**-53).reshape(shape)
