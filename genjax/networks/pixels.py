"""Ranges of pixels: images lie in [0, 1] outside of a network, and many networks work on [-1, 1]."""

from jaxtyping import Array, Float


def signed(images: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Map pixels from [0, 1] to [-1, 1]."""
    return 2 * images - 1


def unit(images: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Map pixels from [-1, 1], such as outputs of tanh, to [0, 1]; the inverse of `signed`."""
    return (images + 1) / 2
