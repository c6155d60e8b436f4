"""Convolutions over an image that see nothing of what comes later in raster order, in pixels and in their channels."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax.nn.initializers import zeros
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Kind = Literal["A", "B"]


def causal_mask(
    kernel_height: int, kernel_width: int, in_features: int, out_features: int, *, channels: int, kind: Kind
) -> Float[np.ndarray, "kh kw in_features out_features"]:
    """1 where a kernel may look (van den Oord, Kalchbrenner & Kavukcuoglu 2016, section 3.4), else 0.

    All rows above the centre and what is left of it in its own row are seen. At the centre, feature j belongs to
    channel j % channels, in the input as in the output: kind "A" sees the channels before its own, "B" its own too.
    Raises ValueError where a side of the kernel is even.
    """
    if kernel_height % 2 == 0 or kernel_width % 2 == 0:
        raise ValueError(f"kernel_height={kernel_height} and kernel_width={kernel_width} must be odd")
    row, column = kernel_height // 2, kernel_width // 2
    given = (np.arange(in_features) % channels)[:, None]
    asking = np.arange(out_features) % channels
    mask = np.zeros((kernel_height, kernel_width, in_features, out_features), np.float32)
    mask[:row] = 1
    mask[row, :column] = 1
    mask[row, column] = given < asking if kind == "A" else given <= asking
    return mask


class MaskedConv(nn.Module):
    """A convolution under `causal_mask`: one matrix product over the places that the mask leaves.

    [batch, H, W, in_features] to [batch, H, W, features] with padding "SAME"; "VALID" gives the places where the kernel
    lies within the input, so that a window as large as the kernel gives the convolution at its centre.
    """

    features: int
    kernel_size: tuple[int, int]
    kind: Kind
    channels: int
    dtype: DTypeLike | None = None
    """Of the computation; by default that of the inputs and the parameters."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch H W in_features"], padding: Literal["SAME", "VALID"] = "SAME"
    ) -> Float[Array, "batch height width features"]:
        """The convolution, with a bias."""
        kh, kw = self.kernel_size
        mask = causal_mask(kh, kw, x.shape[-1], self.features, channels=self.channels, kind=self.kind)
        rows = mask.reshape(-1, self.features)
        kernel = self.param("kernel", lambda key: masked_normal(key, rows).reshape(mask.shape))
        bias = self.param("bias", zeros, (self.features,))
        x, kernel, bias = promote_dtype(x, kernel * mask, bias, dtype=self.dtype)
        if padding == "SAME":
            x = jnp.pad(x, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))
        height, width = x.shape[1] - kh + 1, x.shape[2] - kw + 1
        seen = np.argwhere(mask.any(axis=(2, 3)))
        patches = [x[:, row : row + height, column : column + width] for row, column in seen]
        weights = [kernel[row, column] for row, column in seen]
        return jnp.concatenate(patches, axis=-1) @ jnp.concatenate(weights) + bias


def masked_normal(
    key: Array, mask: Float[np.ndarray, "*places n out_features"]
) -> Float[Array, "*places n out_features"]:
    """N(0, 1 / s) where the mask is 1 and 0 elsewhere, s the number of inputs n that an output sees on average."""
    return jax.random.normal(key, mask.shape) * mask / math.sqrt(max(mask.sum(axis=-2).mean(), 1))
