"""Features of real and of generated images, from which distances between the two sets are computed.

Distances are comparable only for the same extractor, numbers of images and split, so every result states them in its
protocol. None of these metrics has the name of a published metric that uses another extractor.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class FeatureSets(NamedTuple):
    """Features of real and of generated images by one extractor."""

    real: Float[np.ndarray, "n d"]
    fake: Float[np.ndarray, "m d"]
    extractor: str
    """Name of the extractor, with a unique mark such as a hash of its parameters."""
    split: str
    """Split of the data that the real images are from."""

    def protocol(self, metric: str) -> str:
        """Describe how `metric` was measured: extractor, numbers of images and split."""
        return f"{metric}, features of {self.extractor}, {counts(len(self.real), len(self.fake), self.split)}"

    def in_float64(self) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "m d"]]:
        """Return both sets in float64; ValueError if one has fewer than two examples, or holds NaN or infinity."""
        for name, features in (("real", self.real), ("fake", self.fake)):
            if len(features) < 2 or not np.isfinite(features).all():
                raise ValueError(f"{name}: features {features.shape}, must be finite and have two or more rows")
        return np.asarray(self.real, np.float64), np.asarray(self.fake, np.float64)


class Distance(NamedTuple):
    """Distance between two sets of images and the protocol behind it."""

    value: float
    protocol: str
    """Extractor, numbers of real and generated images, and the split of the real images."""


def counts(real: int, fake: int, split: str) -> str:
    """Describe the numbers of real and of generated images."""
    return f"{real} real images ({split}) and {fake} generated ones"
