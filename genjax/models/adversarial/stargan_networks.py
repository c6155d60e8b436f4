"""The networks of StarGAN (Choi et al. 2018, app. 7.2): a generator that reads a label beside the image, and a
discriminator with two heads, the score of a patch and the label of the image.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import variance_scaling
from jaxtyping import Array, Float

from genjax.networks.residual import Images, ResidualGenerator

SIZE = 4
"""Of the discriminator's strided kernels."""
SLOPE = 0.01
"""Of the leaky ReLU below 0."""
SMALLEST_SIDE = 2
"""Of the maps that the heads read, in the paper at 128x128."""

KERNEL_INIT = variance_scaling(1 / 3, "fan_in", "uniform")
"""Uniform up to 1 / sqrt(fan in), the default of the library that the authors' code is written with."""


class LabelledGenerator(nn.Module):
    """Images and labels to images in (0, 1): each number of a label becomes one more map, the same everywhere.

    A layer of reflection padding and instance normalization cannot see such a map (genjax/networks/residual.py): the
    generator must have zero padding, which shows its level at the edges.
    """

    generator: ResidualGenerator

    @nn.compact
    def __call__(self, images: Images, labels: Float[Array, "batch bits"]) -> Float[Array, "batch H W channels"]:
        """Images."""
        maps = jnp.broadcast_to(labels[:, None, None], (*images.shape[:3], labels.shape[-1]))
        return self.generator(jnp.concatenate([images, (maps + 1) / 2], axis=-1))  # inside a bit is 0 or 1, as here


def strided_layers(image_shape: tuple[int, int, int]) -> int:
    """How many layers halve the image until its smaller side is 2 or 3: 6 at 128x128, 2 at 8x8; at least 1."""
    return max(1, int(math.log2(min(image_shape[:2]) / SMALLEST_SIDE)))


class TwoHeads(nn.Module):
    """Images in [0, 1] to a score of each patch and the logits of each image's label; without normalization."""

    bits: int
    """Of a label."""
    filters: int = 64
    """Maps of the first layer; each next one has twice as many."""
    strided: int = 6
    """Layers, each of which halves height and width, rounded down."""

    @nn.compact
    def __call__(self, images: Images) -> tuple[Float[Array, "batch rows columns 1"], Float[Array, "batch bits"]]:
        """Scores and logits."""
        x = 2 * images - 1
        for index in range(self.strided):
            width = self.filters * 2**index
            x = nn.Conv(width, (SIZE,) * 2, 2, padding=1, kernel_init=KERNEL_INIT, name=f"conv_{index}")(x)
            x = jax.nn.leaky_relu(x, SLOPE)
        score = nn.Conv(1, (3, 3), padding=1, use_bias=False, kernel_init=KERNEL_INIT, name="score")(x)
        label = nn.Dense(self.bits, use_bias=False, kernel_init=KERNEL_INIT, name="label")(x.reshape(len(x), -1))
        return score, label
