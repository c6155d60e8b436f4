"""Networks of InfoGAN for MNIST (Chen et al. 2016, appendix C.1), for images whose sides are multiples of 4.

Convolutions have kernels of 4x4 and stride 2. Batch normalization follows every layer but each network's outputs and
the discriminator's first convolution. The discriminator and the recognition network both use `Trunk`. Images
lie in [0, 1].
"""

from collections.abc import Sequence

import jax
from flax import linen as nn
from jax.nn.initializers import normal
from jaxtyping import Array, Float

from genjax.networks.conv import Conv, ConvTranspose

KERNEL_SIZE = 4
STRIDE = 2
SLOPE = 0.1
"""Negative slope of the leaky ReLU, in the paper's table; the authors' code has 0.01."""
KERNEL_INIT = normal(0.02)
MOMENTUM = 0.9
"""Decay of the running statistics of batch normalization."""


def norm(train: bool, name: str) -> nn.BatchNorm:
    """Return batch normalization, with the batch's statistics in training, else with running statistics."""
    return nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, name=name)


class Generator(nn.Module):
    """Generator from noise and codes to images in (0, 1): two dense layers, two transposed convolutions."""

    image_shape: tuple[int, int, int]
    channels: tuple[int, int] = (128, 64)
    """Input channels of each transposed convolution."""
    hidden: int = 1024

    @nn.compact
    def __call__(self, z: Float[Array, "batch latents"], train: bool = False) -> Float[Array, "batch H W C"]:
        """Return images [batch, H, W, C]."""
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
        """Return a transposed convolution, which doubles height and width."""
        return ConvTranspose(
            channels,
            KERNEL_SIZE,
            STRIDE,
            kernel_init=KERNEL_INIT,
            use_bias=use_bias,
            name=name,
        )


class Trunk(nn.Module):
    """Common layers of the discriminator and the recognition network: two strided convolutions and a dense layer."""

    channels: tuple[int, int] = (64, 128)
    hidden: int = 1024

    @nn.compact
    def __call__(self, images: Float[Array, "batch H W C"], train: bool = False) -> Float[Array, "batch hidden"]:
        """Return features [batch, hidden]."""
        x = images
        for index, channels in enumerate(self.channels):
            conv = Conv(
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
    """Discriminator: the trunk, then a logit that is linear in its features."""

    channels: tuple[int, int] = (64, 128)
    hidden: int = 1024

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch H W C"], train: bool = False
    ) -> tuple[Float[Array, " batch"], Float[Array, "batch hidden"]]:
        """Return the logit and the features."""
        features = Trunk(self.channels, self.hidden, name="trunk")(images, train)
        return nn.Dense(1, kernel_init=KERNEL_INIT, name="logit")(features)[:, 0], features


class Recognition(nn.Module):
    """Recognition network Q(c|x) on the trunk's features: one more layer, then named linear outputs."""

    widths: Sequence[tuple[str, int]]
    """Pairs (name, width), one for each output."""
    hidden: int = 128

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch hidden"], train: bool = False
    ) -> dict[str, Float[Array, "batch _"]]:
        """Return the outputs by name, each [batch, width]."""
        x = nn.Dense(self.hidden, use_bias=False, kernel_init=KERNEL_INIT, name="hidden")(features)
        x = jax.nn.leaky_relu(norm(train, "norm")(x), SLOPE)
        return {name: nn.Dense(width, kernel_init=KERNEL_INIT, name=name)(x) for name, width in self.widths}
