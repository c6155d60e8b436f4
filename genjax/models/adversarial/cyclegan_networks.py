"""PatchGAN: a discriminator with a score for each patch of an image (Isola et al. 2017; Zhu et al. 2017, app. 7.2).

At 256x256: C64, C128 and C256 of stride 2, C512 of stride 1, and a convolution to one channel, all with kernels of 4x4,
which give patches of 70x70.
"""

import math

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.networks.conv import Conv
from genjax.networks.images import signed
from genjax.networks.residual import KERNEL_INIT, Images, instance_norm

SIZE = 4
"""Height and width of a kernel."""
SLOPE = 0.2
"""Negative slope of the leaky ReLU."""
LEAST_SCORED = 3
"""Smallest height and width for which the two layers of stride 1 return a score."""
WIDEST = 8
"""Most channels of a layer, in multiples of the first layer's."""


def strided_layers(image_shape: tuple[int, int, int]) -> int:
    """Return the number of layers of stride 2: 3 at 256x256, one more or less for twice or half that side.

    The side of a patch is then about 0.27 of the image's, but at least 7 pixels.
    """
    return max(0, round(math.log2(min(image_shape[:2]) / 32)))


def patch_side(strided: int) -> int:
    """Return the side in pixels of the patch that one score sees: 7, 16, 34, 70, 142, ... for 0, 1, 2, ... layers."""
    side = 1 + 2 * (SIZE - 1)
    for _ in range(strided):
        side = 2 * side + SIZE - 2
    return side


class PatchDiscriminator(nn.Module):
    """Discriminator from images in [0, 1] to one score per patch of side `patch_side`.

    The image outside its patch changes a score only through the statistics of instance normalization.
    """

    filters: int = 64
    """Channels of the first layer; each next layer has twice as many, up to eight times those of the first."""
    strided: int = 3
    """Number of layers of stride 2, which are followed by one of stride 1 and the scores."""
    normalized: bool = True
    """Whether all layers but the first have instance normalization."""

    @nn.compact
    def __call__(self, images: Images) -> Float[Array, "batch rows columns 1"]:
        """Return the scores, higher for images that look real."""
        x = signed(images)
        for index in range(self.strided + 1):
            normalized = self.normalized and index > 0
            x = Conv(
                self.filters * min(2**index, WIDEST),
                (SIZE,) * 2,
                strides=2 if index < self.strided else 1,
                padding=1,
                use_bias=not normalized,
                kernel_init=KERNEL_INIT,
                name=f"conv_{index}",
            )(x)
            x = jax.nn.leaky_relu(instance_norm(x) if normalized else x, SLOPE)
        return Conv(1, (SIZE,) * 2, padding=1, kernel_init=KERNEL_INIT, name="score")(x)
