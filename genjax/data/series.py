"""Time series of real values: a simulated oscillation with known likelihood, or a file."""

import csv
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

LARGEST = 1e15
"""Largest absolute value: the square of a larger one leaves the range in which float32 is safe."""

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

    The values of a .csv file are in its last column, and its first line may be a header; columns of integers need one,
    since they could be numbers with commas. Raises FileNotFoundError if
    there is no file, and ValueError unless it holds at least 20 finite numbers that are not all the same and that
    float32 tells apart.
    """
    if not path.is_file():
        raise MissingPathError("series", str(path), ": no such file")
    try:
        x = np.load(path) if path.suffix == ".npy" else read_csv(path)
    except Exception as error:  # a damaged file may raise almost any error
        raise ArgumentError("series", str(path), f" cannot be read as numbers: {error}") from error
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub" or x.ndim != 1 or len(x) < PARTS:
        kind = f"{x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else "several arrays"
        raise ArgumentError("series", str(path), f" is {kind}; needs one axis of at least {PARTS} real numbers")
    x = x.astype(np.float64)
    if not np.isfinite(x).all() or x.min() == x.max():
        raise ArgumentError("series", str(path), ": values must be finite and not all the same")
    check_precision(path, x)
    return cut(path.stem, x)


def check_precision(path: Path, x: Values) -> None:
    """Raise ValueError if float32 cannot hold the values, or rounds them by a thousandth of their spread or more."""
    with np.errstate(over="ignore"):
        rounded = x.astype(np.float32).astype(np.float64)
    if abs(x).max() > LARGEST or not np.abs(rounded - x).max() < 1e-3 * x.std():
        raise ArgumentError(
            "series",
            str(path),
            f": float32 cannot tell values from {x.min():g} to {x.max():g} apart; subtract their mean ({x.mean():.6g}) "
            f"and divide them by their deviation ({x.std():.6g})",
        )


def read_csv(path: Path) -> Values:
    """Return the last column of a .csv file, whose first line may be a header."""
    rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if any(map(str.strip, row))]
    header = bool(rows) and not is_number(rows[0][-1])
    if unlike := next((number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])), None):
        raise ValueError(f"row {unlike} has {len(rows[unlike - 1])} columns, and the first row {len(rows[0])}")
    if not header and rows and len(rows[0]) > 1 and all(cell.strip().isdigit() for row in rows for cell in row[1:]):
        raise ValueError(
            f"{','.join(rows[0])!r} may be {len(rows[0])} columns, or a number with commas; give columns a header, or "
            "write numbers with a decimal point and without thousands separators"
        )
    values = rows[1:] if header else rows
    if bad := next((number for number, row in enumerate(values, 1 + header) if not is_number(row[-1])), None):
        raise ValueError(f"row {bad} ends in {values[bad - 1 - header][-1]!r}; needs numbers with a decimal point")
    return np.array([float(row[-1]) for row in values])


def is_number(cell: str) -> bool:
    """Return whether a cell of a table is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def cut(name: str, x: Values) -> Series:
    """Split a series into its first 90, the next 5 and the last 5 %, as float32."""
    x = x.astype("<f4")
    held_out = len(x) // PARTS
    train, validation = len(x) - 2 * held_out, len(x) - held_out
    return Series(name, x[:train], x[train:validation], x[validation:], hashlib.sha256(x.tobytes()).hexdigest())
