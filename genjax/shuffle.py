"""Random numbers that stay the same in every version of NumPy: only raw words of a counter-based generator."""

import numpy as np
from jaxtyping import Float, Int


def permutation(size: int, *, seed: int = 0) -> Int[np.ndarray, " size"]:
    """A fixed order of `size` things: the ranks of random 64-bit words."""
    return np.argsort(np.random.Philox(key=seed).random_raw(size), kind="stable")


def epoch_permutation(size: int, *, seed: int, epoch: int) -> Int[np.ndarray, " size"]:
    """The order of `size` things that belongs to a training seed and an epoch."""
    words = np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, 1]).random_raw(size)
    return np.argsort(words, kind="stable")


def uniform(stream: int, index: int, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Uniform numbers in [0, 1) that belong to example `index` of stream `stream`, whatever else is read."""
    words = np.random.Philox(key=stream, counter=[0, index, 0, 0]).random_raw(int(np.prod(shape)))
    return ((words >> 11) * 2.0**-53).reshape(shape)
