"""Networks of StarGAN (Choi et al. 2018, app. 7.2).

The generator reads a label with the image; the discriminator has two heads, the score of a patch and the label of the
image.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import variance_scaling
from jaxtyping import Array, Float

from genjax.networks.conv import Conv
from genjax.networks.images import signed, unsigned
from genjax.networks.residual import Images, ResidualGenerator

SIZE = 4
"""Height and width of the discriminator's strided kernels."""
SLOPE = 0.01
"""Negative slope of the leaky ReLU."""
SMALLEST_SIDE = 2
"""Height and width of the activations that the heads read, in the paper for images of 128x128."""

KERNEL_INIT = variance_scaling(1 / 3, "fan_in", "uniform")
"""Uniform initializer up to 1 / sqrt(fan in), the default of the library that the authors' code is written with."""


class LabelledGenerator(nn.Module):
    """Generator from images and labels to images in (0, 1): each number of a label becomes one more constant channel.

    A layer of reflection padding and instance normalization cannot see a constant channel
    (genjax/networks/residual.py). The generator must have zero padding, which shows the constant at the edges.
    """

    generator: ResidualGenerator

    @nn.compact
    def __call__(self, images: Images, labels: Float[Array, "batch numbers"]) -> Float[Array, "batch H W channels"]:
        """Return the translated images."""
        constant = jnp.broadcast_to(labels[:, None, None], (*images.shape[:3], labels.shape[-1]))
        return self.generator(jnp.concatenate([images, unsigned(constant)], axis=-1))  # the generator undoes `unsigned`


def strided_layers(image_shape: tuple[int, int, int]) -> int:
    """Return the number of downsamplings to 2 or 3 pixels of the smaller side: 6 at 128x128, 2 at 8x8; at least 1."""
    return max(1, int(math.log2(min(image_shape[:2]) / SMALLEST_SIDE)))


class TwoHeads(nn.Module):
    """Discriminator from images in [0, 1] to patch scores and logits of the image's label, without normalization."""

    bits: int
    """Bits of a label."""
    filters: int = 64
    """Channels of the first layer; each next layer has twice as many."""
    strided: int = 6
    """Number of strided layers, each of which downsamples by 2, rounded down."""

    @nn.compact
    def __call__(self, images: Images) -> tuple[Float[Array, "batch rows columns 1"], Float[Array, "batch bits"]]:
        """Return the scores and the logits."""
        x = signed(images)
        for index in range(self.strided):
            width = self.filters * 2**index
            x = Conv(width, (SIZE,) * 2, 2, padding=1, kernel_init=KERNEL_INIT, name=f"conv_{index}")(x)
            x = jax.nn.leaky_relu(x, SLOPE)
        score = Conv(1, (3, 3), padding=1, use_bias=False, kernel_init=KERNEL_INIT, name="score")(x)
        label = nn.Dense(self.bits, use_bias=False, kernel_init=KERNEL_INIT, name="label")(x.reshape(len(x), -1))
        return score, label
