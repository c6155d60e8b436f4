"""The networks of Lee et al. (2018): patches without positions to a whole image, and to a mask of where they lie.

One encoder reads each patch, resized to the size of the image, and its maps are summed over the patches at every size:
what follows cannot know which patch came first. One decoder makes the mask of the sums, another one the image of the
same, of the first one's maps, and of noise. Layers are those of DCGAN (dcgan.py), for the same sizes of images.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from einops import rearrange, reduce
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.models.adversarial.dcgan_networks import KERNEL_INIT, SLOPE, StridedConvs, halvings, norm, transpose

Patches = Float[Array, "batch parts h w C"]
Maps = Float[Array, "batch _ _ _"]

WIDEST = 8
"""No layer has more maps than this many times the first."""


def capped_channels(image_shape: tuple[int, int, int], filters: int) -> tuple[int, ...]:
    """The maps of each halving of an image, the largest first: filters 2^min(3, i), as in the authors' code.

    Raises ValueError where `filters` is below 1, or the images are of no size that DCGAN's networks reach.
    """
    if filters < 1:
        raise ValueError(f"filters={filters} must be at least 1")
    return tuple(filters * min(2**layer, WIDEST) for layer in range(halvings(image_shape)))


class PartEncoder(nn.Module):
    """DCGAN's convolutions on each patch, and a last one that is as large as their maps; all summed over patches."""

    image_shape: tuple[int, int, int]
    channels: Sequence[int]
    features: int

    @nn.compact
    def __call__(
        self, patches: Patches, train: bool = False
    ) -> tuple[tuple[Maps, ...], Float[Array, "batch features"]]:
        """The sums of the maps, the largest first, and of the vectors that the last convolution gives."""
        parts = patches.shape[1]
        whole = jax.image.resize(patches, (*patches.shape[:2], *self.image_shape), "bilinear")
        maps = StridedConvs(self.channels, name="convs")(rearrange(whole, "b p h w c -> (b p) h w c"), train)
        last = nn.Conv(self.features, maps[-1].shape[1:3], padding="VALID", kernel_init=KERNEL_INIT, name="code")
        code = jax.nn.leaky_relu(last(maps[-1]), SLOPE)
        *sums, total = (reduce(one, "(b p) h w c -> b h w c", "sum", p=parts) for one in (*maps, code))
        return tuple(sums), total[:, 0, 0]


class SkipDecoder(nn.Module):
    """A vector to maps of the smallest size, and from there on one transposed convolution per doubling.

    At each size the maps stand beside others of this size, the skip connection.
    """

    channels: Sequence[int]
    """Of the maps that stand beside a skip connection, the smallest first."""
    outputs: int

    @nn.compact
    def __call__(
        self, vector: Float[Array, "batch inputs"], skips: Sequence[Maps], train: bool = False
    ) -> tuple[Float[Array, "batch H W outputs"], tuple[Maps, ...]]:
        """Logits, and the maps of each size beside its skip connection, the smallest first, as `skips` are."""
        height, width = skips[0].shape[1:3]
        linear = nn.Dense(height * width * self.channels[0], use_bias=False, kernel_init=KERNEL_INIT, name="linear")
        x = jax.nn.relu(norm(train, "norm")(linear(vector))).reshape(-1, height, width, self.channels[0])
        joined = [jnp.concatenate([x, skips[0]], axis=-1)]
        for index, (channels, skip) in enumerate(zip(self.channels[1:], skips[1:], strict=True)):
            x = jax.nn.relu(norm(train, f"norm_{index}")(transpose(channels, index)(joined[-1])))
            joined.append(jnp.concatenate([x, skip], axis=-1))
        return transpose(self.outputs, len(self.channels) - 1, use_bias=True)(joined[-1]), tuple(joined)


class Generator(nn.Module):
    """Patches in [0, 1], in any order, and noise to an image in [0, 1] and a mask of where they lie in it."""

    image_shape: tuple[int, int, int]
    channels: Sequence[int]
    """Of the encoder's convolutions, the largest first."""
    features: int
    """Of the encoder's last one."""

    @nn.compact
    def __call__(
        self, patches: Patches, z: Float[Array, "batch latents"], train: bool = False
    ) -> tuple[Float[Array, "batch H W C"], Float[Array, "batch H W 1"]]:
        """The image, (tanh + 1) / 2, and the mask, a sigmoid, which no noise reaches."""
        encoder = PartEncoder(self.image_shape, self.channels, self.features, name="encoder")
        sums, code = encoder(patches, train)
        mask_logits, maps = self.decoder(1, "mask")(code, sums[::-1], train)
        image, _ = self.decoder(self.image_shape[-1], "image")(jnp.concatenate([code, z], axis=-1), maps, train)
        return (jnp.tanh(image) + 1) / 2, jax.nn.sigmoid(mask_logits)

    def decoder(self, outputs: int, name: str) -> SkipDecoder:
        """The decoder of the mask or of the image."""
        return SkipDecoder(self.channels[::-1], outputs, name=name)
