"""Ranges of pixel values: images lie in [0, 1] outside the networks, and in [-1, 1] inside many of them."""

from jaxtyping import Array, Float


def signed(images: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Rescale pixel values from [0, 1] to [-1, 1]."""
    return 2 * images - 1


def unsigned(images: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Rescale pixel values from [-1, 1] to [0, 1]."""
    return (images + 1) / 2


SPAN = 2
"""Ratio of the lengths of [-1, 1] and [0, 1]: the factor by which differences of pixels grow under `signed`."""
