"""The networks of InfoGAN for MNIST (Chen et al. 2016, appendix C.1), for images whose sides are multiples of 4.

Kernels of 4x4 with stride 2, batch normalization after all layers but the first and the last of a network. The
discriminator and the recognition network share all layers but their last ones. Images lie in [0, 1].
"""

from collections.abc import Sequence

import jax
from flax import linen as nn
from jax.nn.initializers import normal
from jaxtyping import Array, Float

from genjax.networks.conv import ConvTranspose, Implementation

KERNEL_SIZE = 4
STRIDE = 2
SLOPE = 0.1
"""Of the leaky ReLU below 0, in the paper's table; the authors' code has 0.01."""
KERNEL_INIT = normal(0.02)
MOMENTUM = 0.9
"""What running statistics keep in a step."""


def norm(train: bool, name: str) -> nn.BatchNorm:
    """Batch normalization: by the batch in training, else by running statistics."""
    return nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, name=name)


class Generator(nn.Module):
    """Noise and codes to images in (0, 1): two dense layers, two transposed convolutions."""

    image_shape: tuple[int, int, int]
    channels: tuple[int, int] = (128, 64)
    hidden: int = 1024
    implementation: Implementation = "auto"

    @nn.compact
    def __call__(self, z: Float[Array, "batch latents"], train: bool = False) -> Float[Array, "batch H W C"]:
        """Images."""
        height, width = (side // STRIDE**2 for side in self.image_shape[:2])
        wide, narrow = self.channels
        for name, features in (("hidden", self.hidden), ("maps", height * width * wide)):
            z = nn.Dense(features, use_bias=False, kernel_init=KERNEL_INIT, name=name)(z)
            z = jax.nn.relu(norm(train, f"{name}_norm")(z))
        x = z.reshape(-1, height, width, wide)
        x = self.transpose(narrow, use_bias=False, name="transpose_0")(x)
        x = jax.nn.relu(norm(train, "transpose_norm")(x))
        return jax.nn.sigmoid(self.transpose(self.image_shape[-1], use_bias=True, name="transpose_1")(x))

    def transpose(self, channels: int, *, use_bias: bool, name: str) -> ConvTranspose:
        """A transposed convolution."""
        return ConvTranspose(
            channels,
            KERNEL_SIZE,
            STRIDE,
            kernel_init=KERNEL_INIT,
            use_bias=use_bias,
            implementation=self.implementation,
            name=name,
        )


class Trunk(nn.Module):
    """What both of the generator's judges make of images first."""

    channels: tuple[int, int] = (64, 128)
    hidden: int = 1024

    @nn.compact
    def __call__(self, images: Float[Array, "batch H W C"], train: bool = False) -> Float[Array, "batch hidden"]:
        """Features [batch, hidden]."""
        x = images
        for index, channels in enumerate(self.channels):
            conv = nn.Conv(
                channels,
                (KERNEL_SIZE,) * 2,
                strides=STRIDE,
                use_bias=not index,
                kernel_init=KERNEL_INIT,
                name=f"conv_{index}",
            )
            x = conv(x)
            x = jax.nn.leaky_relu(norm(train, f"norm_{index}")(x) if index else x, SLOPE)
        x = nn.Dense(self.hidden, use_bias=False, kernel_init=KERNEL_INIT, name="hidden")(x.reshape(len(x), -1))
        return jax.nn.leaky_relu(norm(train, "hidden_norm")(x), SLOPE)


class Discriminator(nn.Module):
    """The trunk, and a logit that is linear in its features."""

    channels: tuple[int, int] = (64, 128)
    hidden: int = 1024

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch H W C"], train: bool = False
    ) -> tuple[Float[Array, " batch"], Float[Array, "batch hidden"]]:
        """The logit and the features."""
        features = Trunk(self.channels, self.hidden, name="trunk")(images, train)
        return nn.Dense(1, kernel_init=KERNEL_INIT, name="logit")(features)[:, 0], features


class Recognition(nn.Module):
    """Q(c|x) of the trunk's features: named linear outputs of one more layer."""

    widths: Sequence[tuple[str, int]]
    hidden: int = 128

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch hidden"], train: bool = False
    ) -> dict[str, Float[Array, "batch _"]]:
        """Output name -> [batch, width]."""
        x = nn.Dense(self.hidden, use_bias=False, kernel_init=KERNEL_INIT, name="hidden")(features)
        x = jax.nn.leaky_relu(norm(train, "norm")(x), SLOPE)
        return {name: nn.Dense(width, kernel_init=KERNEL_INIT, name=name)(x) for name, width in self.widths}
