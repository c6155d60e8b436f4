"""Points with a known density: mixtures of Gaussians on a ring or on a grid in the plane."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from genjax.data.dataset import Dataset, Split, arrays_sha256
from genjax.errors import check_positive
from genjax.shuffle import uniform

SIZES = (50_000, 5_000, 5_000)
"""Numbers of points for training, validation and test."""


class Mixture(NamedTuple):
    """Mixture of equally likely isotropic Gaussians that all have the same standard deviation `std`."""

    name: str
    means: Float[np.ndarray, "K D"]
    """Mean of each Gaussian."""
    std: float
    """Standard deviation, the same in all directions."""


def ring(modes: int = 8, *, radius: float = 2.0, std: float = 0.02) -> Mixture:
    """Return Gaussians at equal distances on a circle (Metz et al. 2017: 8 on a radius of 2)."""
    check_positive(modes=modes, radius=radius, std=std)
    angles = 2 * math.pi * np.arange(modes) / modes
    return Mixture("ring", radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), std)


def grid(side: int = 5, *, spacing: float = 2.0, std: float = 0.05) -> Mixture:
    """Return Gaussians on a square grid centred on 0 (Srivastava et al. 2017: 5 x 5 at a distance of 2)."""
    check_positive(side=side, spacing=spacing, std=std)
    ticks = spacing * (np.arange(side) - (side - 1) / 2)
    return Mixture("grid", np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2), std)


MIXTURES = {"ring": ring, "grid": grid}
"""Functions that return the mixtures, by name."""


def points(mixture: Mixture, count: int, *, stream: int = 0) -> Float[np.ndarray, "count D"]:
    """Return the first `count` points of a random stream that is the same on every machine."""
    components, dimension = mixture.means.shape
    chosen = (uniform(13, stream, (count,)) * components).astype(np.int64)
    noise = ndtri(uniform(14, stream, (count, dimension)) * (1 - 2**-53) + 2**-54)
    return mixture.means[chosen] + mixture.std * noise


def mixture_dataset(mixture: Mixture) -> Dataset:
    """Return 50 000 / 5 000 / 5 000 points of the mixture as `point` [N, D]."""
    parts = [{"point": points(mixture, size, stream=n).astype("<f4")} for n, size in enumerate(SIZES)]
    splits = [
        Split(size, lambda rows, one=one: {"point": one["point"][rows]}, one)
        for size, one in zip(SIZES, parts, strict=True)
    ]
    return Dataset(mixture.name, "points", *splits, load=lambda raw, key: dict(raw), sha256=arrays_sha256(*parts))
