"""Networks of Lee et al. (2018), from patches without positions to an image and a mask of where the patches lie.

One encoder reads each patch, resized to the size of the image, and its activations are summed over the patches in every
layer, so that the output does not depend on the order of the patches. One decoder turns the sums into the mask. Another
decoder turns the sums, the first decoder's activations and the noise into the image. Layers are those of DCGAN
(dcgan_networks.py), for the same sizes of images.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from einops import rearrange, reduce
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.errors import ArgumentError
from genjax.models.adversarial.dcgan_networks import KERNEL_INIT, SLOPE, StridedConvs, halvings, norm, transpose
from genjax.networks.conv import Conv
from genjax.networks.images import unsigned

Patches = Float[Array, "batch parts h w C"]
Maps = Float[Array, "batch _ _ _"]

WIDEST = 8
"""Most channels of a layer, in multiples of the first layer's."""


def capped_channels(image_shape: tuple[int, int, int], filters: int) -> tuple[int, ...]:
    """Return the channels of each strided layer, the first layer first: filters 2^min(3, i), as in the authors' code.

    Raises ValueError if `filters` is below 1, or the images have a size that DCGAN's networks do not reach.
    """
    if filters < 1:
        raise ArgumentError("filters", filters, " must be at least 1")
    return tuple(filters * min(2**layer, WIDEST) for layer in range(halvings(image_shape)))


class PartEncoder(nn.Module):
    """Encoder of patches: DCGAN's convolutions and one with a kernel as large as its input, summed over patches."""

    image_shape: tuple[int, int, int]
    """Height, width and channels to which a patch is resized."""
    channels: Sequence[int]
    """Channels of each convolution, from the first to the last."""
    features: int
    """Channels of the last convolution, the length of the encoding."""

    @nn.compact
    def __call__(
        self, patches: Patches, train: bool = False
    ) -> tuple[tuple[Maps, ...], Float[Array, "batch features"]]:
        """Return the summed activations of each convolution, the largest first, and the summed encodings."""
        parts = patches.shape[1]
        whole = jax.image.resize(patches, (*patches.shape[:2], *self.image_shape), "bilinear")
        maps = StridedConvs(self.channels, name="convs")(rearrange(whole, "b p h w c -> (b p) h w c"), train)
        last = Conv(self.features, maps[-1].shape[1:3], padding="VALID", kernel_init=KERNEL_INIT, name="code")
        code = jax.nn.leaky_relu(last(maps[-1]), SLOPE)
        *sums, total = (reduce(one, "(b p) h w c -> b h w c", "sum", p=parts) for one in (*maps, code))
        return tuple(sums), total[:, 0, 0]


class SkipDecoder(nn.Module):
    """Decoder from a vector to activations of the smallest size, then one transposed convolution per upsampling by 2.

    At each size the activations are concatenated with a skip connection of the same size.
    """

    channels: Sequence[int]
    """Channels at each size before the concatenation, the smallest size first."""
    outputs: int
    """Channels of the output."""

    @nn.compact
    def __call__(
        self, vector: Float[Array, "batch inputs"], skips: Sequence[Maps], train: bool = False
    ) -> tuple[Float[Array, "batch H W outputs"], tuple[Maps, ...]]:
        """Return logits, and the activations of each size with their skip connection, the smallest first."""
        height, width = skips[0].shape[1:3]
        linear = nn.Dense(height * width * self.channels[0], use_bias=False, kernel_init=KERNEL_INIT, name="linear")
        x = jax.nn.relu(norm(train, "norm")(linear(vector))).reshape(-1, height, width, self.channels[0])
        joined = [jnp.concatenate([x, skips[0]], axis=-1)]
        for index, (channels, skip) in enumerate(zip(self.channels[1:], skips[1:], strict=True)):
            x = jax.nn.relu(norm(train, f"norm_{index}")(transpose(channels, index)(joined[-1])))
            joined.append(jnp.concatenate([x, skip], axis=-1))
        return transpose(self.outputs, len(self.channels) - 1, use_bias=True)(joined[-1]), tuple(joined)


class Generator(nn.Module):
    """Generator from patches in [0, 1], in any order, and noise to an image in [0, 1] and a mask of the patches."""

    image_shape: tuple[int, int, int]
    """Height, width and channels of the image."""
    channels: Sequence[int]
    """Channels of the encoder's convolutions, from the first to the last."""
    features: int
    """Length of the encoding of the patches."""

    @nn.compact
    def __call__(
        self, patches: Patches, z: Float[Array, "batch latents"], train: bool = False
    ) -> tuple[Float[Array, "batch H W C"], Float[Array, "batch H W 1"]]:
        """Return the image, (tanh + 1) / 2, and the mask, a sigmoid output that does not depend on the noise."""
        encoder = PartEncoder(self.image_shape, self.channels, self.features, name="encoder")
        sums, code = encoder(patches, train)
        mask_logits, maps = self.decoder(1, "mask")(code, sums[::-1], train)
        image, _ = self.decoder(self.image_shape[-1], "image")(jnp.concatenate([code, z], axis=-1), maps, train)
        return unsigned(jnp.tanh(image)), jax.nn.sigmoid(mask_logits)

    def decoder(self, outputs: int, name: str) -> SkipDecoder:
        """Return the decoder of the mask or of the image."""
        return SkipDecoder(self.channels[::-1], outputs, name=name)
