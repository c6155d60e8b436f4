"""PatchGAN: a discriminator with a score for each patch of an image (Isola et al. 2017; Zhu et al. 2017, app. 7.2).

At 256x256: C64, C128 and C256 of stride 2, C512 of stride 1, and a convolution to one map, all 4x4: patches of 70x70.
"""

import math

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.networks.residual import KERNEL_INIT, Images, instance_norm

SIZE = 4
"""Of a kernel."""
SLOPE = 0.2
"""Of the leaky ReLU below 0."""
LEAST_SCORED = 3
"""Side of the smallest maps of which the two layers of stride 1 make a score."""
WIDEST = 8
"""No layer has more maps than this many times the first."""


def strided_layers(image_shape: tuple[int, int, int]) -> int:
    """How many layers have stride 2: 3 at 256x256, one more or less where the side is twice as large or half.

    The side of a patch is then about 0.27 of the image's, but at least 7 pixels.
    """
    return max(0, round(math.log2(min(image_shape[:2]) / 32)))


def patch_side(strided: int) -> int:
    """The side of the patch that a score is of: 7, 16, 34, 70, 142, ... pixels."""
    side = 1 + 2 * (SIZE - 1)
    for _ in range(strided):
        side = 2 * side + SIZE - 2
    return side


class PatchDiscriminator(nn.Module):
    """Images in [0, 1] to one score per patch, whose side is `patch_side`; beyond it only normalization reaches."""

    filters: int = 64
    """Maps of the first layer; each next one has twice as many, up to eight times."""
    strided: int = 3
    """Layers of stride 2, before one of stride 1."""
    normalized: bool = True
    """Whether maps go through instance normalization, but the first layer's."""

    @nn.compact
    def __call__(self, images: Images) -> Float[Array, "batch rows columns 1"]:
        """Scores."""
        x = 2 * images - 1
        for index in range(self.strided + 1):
            normalized = self.normalized and index > 0
            x = nn.Conv(
                self.filters * min(2**index, WIDEST),
                (SIZE,) * 2,
                strides=2 if index < self.strided else 1,
                padding=1,
                use_bias=not normalized,
                kernel_init=KERNEL_INIT,
                name=f"conv_{index}",
            )(x)
            x = jax.nn.leaky_relu(instance_norm(x) if normalized else x, SLOPE)
        return nn.Conv(1, (SIZE,) * 2, padding=1, kernel_init=KERNEL_INIT, name="score")(x)
