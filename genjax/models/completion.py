"""Completion of images from known pixels: reading the known pixels of a batch, checking them, or refusing them."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import Float

from genjax.types import Batch


def refuse_known(batch: Batch) -> None:
    """Raise ValueError if the batch asks for completions of a model that cannot sample p(unknown | known)."""
    if "known" in batch:
        raise ValueError("known: this model draws whole images; an autoregressive one completes them, such as EoNADE")


def given_pixels(batch: Batch) -> tuple[Float[Array, "B H W C"], Float[Array, "B H W C"]]:
    """Return `image` with 0 instead of unknown pixels, and `known` as 0 and 1 in the dtype of the image.

    Both are 0 where the batch has no `known`. Raises ValueError if `known` is no array of the image's shape, or
    holds another value than 0 and 1 (or false and true). While values are not available yet (under `jit`), invalid
    values make `known` NaN instead, and so the images that are completed with it.
    """
    image = batch["image"]
    if "known" not in batch:
        return jnp.zeros_like(image), jnp.zeros_like(image)
    known: Any = batch["known"]
    dtype = getattr(known, "dtype", None)
    if dtype is None or not any(jnp.issubdtype(dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating)):
        raise ValueError(f"known: {type(known).__name__} of {dtype} must be an array of 0 and 1, or of booleans")
    if known.shape != image.shape:
        raise ValueError(f"known: shape {known.shape} must be that of image, {image.shape}")
    valid = jnp.all((known == 0) | (known == 1))
    if not isinstance(valid, Tracer) and not valid:
        strange = np.asarray(known)[~np.isin(known, (0, 1))]
        raise ValueError(f"known: holds {strange.flat[0]}, and must hold 0 (not known) and 1 only")
    return jnp.where(known == 1, image, 0), jnp.where(valid, known, jnp.nan).astype(image.dtype)


def prefix_or_nan(batch: Batch, filled: Array, known_in_order: Float[Array, "B D"]) -> Array:
    """Return `filled` if the known elements are the first of the ordering; the others are then exact samples.

    Raises ValueError if they are not, or, while values are not available yet (under `jit`), returns NaN. Nothing is
    checked where the batch has no `known`: XLA would compute the check of as many zeros while it compiles.
    """
    if "known" not in batch:
        return filled
    prefix = (known_in_order[:, 1:] <= known_in_order[:, :-1]).all()
    if not isinstance(prefix, Tracer) and not prefix:
        raise ValueError(
            "known: the model completes what follows a prefix of its ordering; here a known pixel follows an unknown "
            "one"
        )
    return jnp.where(prefix, filled, jnp.nan)
