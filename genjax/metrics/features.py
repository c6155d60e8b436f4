"""Features of real and of generated images, from which distances between the two sets are computed.

Distances are comparable only for the same extractor, numbers of images and split, so every result states these in its
protocol. No metric here has the name of a published metric, which uses another extractor.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from genjax.metrics.numbers import reals


class FeatureSets(NamedTuple):
    """Features of real and of generated images by one extractor."""

    real: Shaped[np.ndarray, "n d"]
    fake: Shaped[np.ndarray, "m d"]
    extractor: str
    """Name of the extractor, including a unique mark such as a hash of its parameters."""
    split: str
    """Name of the split of the data that the real images are from."""

    def protocol(self, metric: str) -> str:
        """Return the protocol of `metric`: extractor, numbers of images and split."""
        return f"{metric}, features of {self.extractor}, {counts(len(self.real), len(self.fake), self.split)}"

    def in_float64(self) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "m d"]]:
        """Return both sets in float64; ValueError if one has fewer than two examples, is not finite, or they differ."""
        real, fake = reals("real", self.real, least=2), reals("fake", self.fake, least=2)
        if real.shape[1:] != fake.shape[1:]:
            raise ValueError(f"real {real.shape} and fake {fake.shape}: must have equally many features")
        return real, fake


class Distance(NamedTuple):
    """Distance between two sets of images, and the protocol by which it was measured."""

    value: float
    protocol: str
    """Names of metric and extractor, numbers of real and generated images, and split of the real images."""


def counts(real: int, fake: int, split: str) -> str:
    """Return a description of the numbers of real and of generated images."""
    return f"{real} real images ({split}) and {fake} generated ones"
