"""Arrays that metrics take: numbers of any real type, which are computed with in float64."""

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped


def reals(
    name: str, array: Shaped[Any, "*shape"], *, least: int = 1, finite: bool = True
) -> Float[np.ndarray, "*shape"]:
    """Return an array of floats, integers or booleans in float64.

    Raises ValueError, by this name, if the array holds anything else, fewer than `least` rows, or, unless `finite` is
    False, NaN or infinity, with the first index.
    """
    found = np.asarray(array)
    if found.dtype.name != "bfloat16" and found.dtype.kind not in "fiub":
        raise ValueError(f"{name}: is an array of {found.dtype}, must be of real numbers")
    wide = found.astype(np.float64)
    if wide.ndim < 1 or len(wide) < least:
        raise ValueError(f"{name}: needs {least} or more examples, has the shape {found.shape}")
    if finite and not np.isfinite(wide).all():
        first = tuple(map(int, np.argwhere(~np.isfinite(wide))[0]))
        raise ValueError(f"{name}: holds {wide[first]} at index {first}, must be finite")
    return wide
