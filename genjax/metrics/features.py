"""Features of real and of generated images: what the distances between two sets of images are taken of.

Numbers compare only where the extractor, the numbers of images and the split are the same; so these stand in the
protocol of each. An extractor has a name, and no metric here bears the name of one that has another.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class FeatureSets(NamedTuple):
    """Features of two sets of images by one extractor."""

    real: Float[np.ndarray, "n d"]
    fake: Float[np.ndarray, "m d"]
    extractor: str
    """Its name, with what tells it from all others, such as a hash of its parameters."""
    split: str
    """Of the data, that the real images are of."""

    def protocol(self, metric: str) -> str:
        """`metric` in words, and what it was measured on."""
        return f"{metric}, features of {self.extractor}, {counts(len(self.real), len(self.fake), self.split)}"

    def in_float64(self) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "m d"]]:
        """Both sets; ValueError where one has fewer than two examples, or holds NaN or infinity."""
        for name, features in (("real", self.real), ("fake", self.fake)):
            if len(features) < 2 or not np.isfinite(features).all():
                raise ValueError(f"{name}: features {features.shape}, must be finite and of two or more images")
        return np.asarray(self.real, np.float64), np.asarray(self.fake, np.float64)


class Distance(NamedTuple):
    """An estimate, and how it was made."""

    value: float
    protocol: str
    """The extractor if there is one, the numbers of real and generated images, and the split of the real ones."""


def counts(real: int, fake: int, split: str) -> str:
    """The numbers of images in words."""
    return f"{real} real images ({split}) and {fake} generated ones"
