"""Time series of real values: a simulated oscillation with known likelihood, or a file."""

import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from genjax.errors import ArgumentError, MissingPathError
from genjax.shuffle import uniform

PERIOD = 20.0
"""Period of the oscillation in steps."""
DAMPING = 0.9
"""Factor by which the oscillation shrinks in one step."""
KICK = 1.0
"""Absolute value of both means of the noise, -KICK and KICK."""
NOISE = 0.25
"""Standard deviation of the noise around each mean."""
LENGTH = 40_000
"""Length of the simulated series."""
BURN_IN = 1000
"""Number of first values that are discarded, so that the initial values have no influence."""
PARTS = 20
"""Inverse of the fraction of a series used for validation, and of that used for the test: one part in twenty each."""

Values = Float[np.ndarray, " _"]


class Series(NamedTuple):
    """Time series in three parts: training, validation and test."""

    name: str
    train: Values
    validation: Values
    test: Values
    sha256: str
    """SHA-256 of all values as little-endian float32."""


def oscillation(length: int = LENGTH) -> Series:
    """Simulate a pendulum that is pushed to either side in each step, x_t = a x_{t-1} + b x_{t-2} + e_t.

    a = 2 d cos(2 pi / P) and b = -d² with period P and damping d. The noise e_t is an equal mixture of two Gaussians
    with means -1 and 1 and standard deviation 0.25, so that the density of the next value has two peaks.
    """
    a, b = coefficients()
    total = length + BURN_IN
    side = np.where(uniform(11, 0, (total,)) < 0.5, -KICK, KICK)
    kicks = side + NOISE * ndtri(uniform(12, 0, (total,)) * (1 - 2**-53) + 2**-54)
    x = np.zeros(total + 2)
    for t in range(total):
        x[t + 2] = a * x[t + 1] + b * x[t] + kicks[t]
    return cut("oscillation", x[-length:])


def coefficients() -> tuple[float, float]:
    """Return the coefficients a and b of the oscillation."""
    return 2 * DAMPING * math.cos(2 * math.pi / PERIOD), -(DAMPING**2)


def oscillation_log_prob(x: Values) -> Values:
    """Return log p(x_t | x_{t-2}, x_{t-1}) of the oscillation in nats, for all values except the first two."""
    a, b = coefficients()
    kicks = x[2:] - a * x[1:-1] - b * x[:-2]
    sides = np.stack([kicks - KICK, kicks + KICK]) / NOISE
    return np.logaddexp(*(-0.5 * sides**2)) - math.log(2 * NOISE * math.sqrt(2 * math.pi))


def load_series(path: Path) -> Series:
    """Load a series from an .npy file, or from a text file with one number per line.

    The values of a .csv file are in its last column, and its first line may be a header. Raises FileNotFoundError if
    there is no file, and ValueError unless it holds at least 20 finite numbers that are not all the same.
    """
    if not path.is_file():
        raise MissingPathError("series", str(path), ": no such file")
    try:
        x = np.load(path) if path.suffix == ".npy" else read_csv(path)
        x = np.asarray(x, np.float64)
    except (ValueError, EOFError, IndexError) as error:
        raise ArgumentError("series", str(path), f" cannot be read as numbers: {error}") from error
    if x.ndim != 1 or len(x) < PARTS:
        raise ArgumentError("series", str(path), f" has shape {x.shape}; needs one axis of at least {PARTS}")
    if not np.isfinite(x).all() or x.min() == x.max():
        raise ArgumentError("series", str(path), ": values must be finite and not all the same")
    return cut(path.stem, x)


def read_csv(path: Path) -> Values:
    """Return the last column of a .csv file, whose first line may be a header."""
    rows = [line.split(",")[-1].strip() for line in path.read_text().splitlines() if line.strip()]
    try:
        float(rows[0])
    except ValueError:
        rows = rows[1:]
    return np.array([float(row) for row in rows])


def cut(name: str, x: Values) -> Series:
    """Split a series into its first 90, the next 5 and the last 5 %, as float32."""
    x = x.astype("<f4")
    held_out = len(x) // PARTS
    train, validation = len(x) - 2 * held_out, len(x) - held_out
    return Series(name, x[:train], x[train:validation], x[validation:], hashlib.sha256(x.tobytes()).hexdigest())
