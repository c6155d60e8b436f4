"""Networks of Progressive GAN (Karras et al. 2018, sec. 2 to 4, table 2), which grow by a block per level.

Level 0 has the smallest images; each further level doubles their height and width. At depth d all levels up to d are
in use; if d is not an integer, the next level is faded in with the weight alpha, the fractional part of d. The
parameters of all levels exist from the start. Images lie in [-1, 1] inside and outside the networks.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from einops import rearrange, reduce, repeat
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax.nn.initializers import normal, zeros
from jaxtyping import Array, Float

from genjax.errors import ArgumentError
from genjax.networks.conv import conv_general_dilated

SLOPE = 0.2
"""Negative slope of the leaky ReLU."""
GAIN = math.sqrt(2)
"""Gain of He's initialization."""
FIRST_GAIN = GAIN / 4
"""Gain of the generator's first layer, as in the authors' code."""
EPSILON = 1e-8
"""Constant added to mean squares and variances under a square root."""
MOMENTUM = 0.9
"""Decay of the running deviation."""

Depth = Float[Array, ""] | float
Features = Float[Array, "batch *shape"]
Kernel = Float[Array, "*window in_features out_features"]


def pixel_norm(x: Float[Array, "*batch C"]) -> Float[Array, "*batch C"]:
    """Return a / sqrt(mean over channels of a^2 + 1e-8) for the feature vector a of each pixel (sec. 4.2)."""
    return x * jax.lax.rsqrt((x**2).mean(axis=-1, keepdims=True) + EPSILON)


def minibatch_deviation(x: Float[Array, "batch H W C"], *, group: int = 0) -> Float[Array, " batch"]:
    """Return the standard deviation over a group of examples, averaged over features and pixels (sec. 3).

    A group is the complete batch if `group` is 0 or larger than the batch; else it is `group` examples whose numbers
    differ by multiples of batch / group, as in the authors' code. The deviation is sqrt(variance + 1e-8), so 1e-4 for
    equal examples. Raises ValueError if `group` does not divide the batch.
    """
    size = min(group, len(x)) or len(x)
    if len(x) % size:
        raise ArgumentError("group", group, f" must divide the batch, which has {len(x)} examples, or be 0")
    members = rearrange(x, "(member group) h w c -> member group h w c", member=size)
    deviation = jnp.sqrt(members.var(axis=0) + EPSILON).mean(axis=(1, 2, 3))
    return jnp.tile(deviation, size)


def doubled(images: Float[Array, "batch H W C"]) -> Float[Array, "batch height width C"]:
    """Upsample by 2, by repeating each pixel in both directions."""
    return repeat(images, "b h w c -> b (h 2) (w 2) c")


def halved(images: Float[Array, "batch H W C"]) -> Float[Array, "batch height width C"]:
    """Downsample by 2, to the mean of each 2x2 pixels, which undoes `doubled` exactly."""
    rows = reduce(images, "b (h 2) w c -> b h w c", "mean")  # two at a time: a + a is not rounded
    return reduce(rows, "b h (w 2) c -> b h w c", "mean")


def pyramid(images: Float[Array, "batch H W C"], level: int) -> list[Float[Array, "batch _ _ C"]]:
    """Return the images at all levels from 0 to `level`, which is the level of `images`."""
    levels = [images]
    for _ in range(level):
        levels.append(halved(levels[-1]))
    return levels[::-1]


def alpha(depth: Depth, level: int) -> Depth:
    """Return the weight in [0, 1] of level `level` >= 1 in the mix with the level below: 0 to 1 between two depths."""
    return jnp.clip(depth - (level - 1), 0.0, 1.0)


def mixed(old: Features, new: Features, weight: Depth) -> Features:
    """Return (1 - weight) old + weight new, which is exactly `old` at weight 0 and `new` at weight 1."""
    return (1 - weight) * old + weight * new


def faded(levels: Sequence[Float[Array, "batch _ _ C"]], depth: Depth) -> Float[Array, "batch _ _ C"]:
    """Return images of the last level's size, mixed from the images of all levels, from 0 on (fig. 2).

    At an integer depth they are the images of that level, upsampled as often as needed; between two levels they are
    mixed with the weight alpha.
    """
    shown = levels[0]
    for level, images in enumerate(levels[1:], start=1):
        shown = mixed(doubled(shown), images, alpha(depth, level))
    return shown


def equalized(kernel: Kernel, gain: float) -> Kernel:
    """Return kernel gain / sqrt(inputs of a unit): He's constant, applied at run time, not initially (sec. 4.1)."""
    return kernel * (gain / math.sqrt(math.prod(kernel.shape[:-1])))


class EqualizedDense(nn.Module):
    """Linear layer of the last axis with an equalized learning rate (sec. 4.1); on images, a 1x1 convolution."""

    features: int
    gain: float = GAIN

    @nn.compact
    def __call__(self, x: Float[Array, "*batch C"]) -> Float[Array, "*batch features"]:
        """Return [*batch, features]."""
        kernel = self.param("kernel", normal(1.0), (x.shape[-1], self.features), jnp.float32)
        return x @ equalized(kernel, self.gain) + self.param("bias", zeros, (self.features,), jnp.float32)


class EqualizedConv(nn.Module):
    """Convolution of 3x3 with an equalized learning rate (sec. 4.1); it keeps height and width."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch H W C"]) -> Float[Array, "batch H W features"]:
        """Return [batch, H, W, features]."""
        kernel = self.param("kernel", normal(1.0), (3, 3, x.shape[-1], self.features), jnp.float32)
        x, kernel = promote_dtype(x, equalized(kernel, GAIN))
        x = conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return x + self.param("bias", zeros, (self.features,), jnp.float32)


def leaky(x: Features) -> Features:
    """Apply the leaky ReLU of both networks."""
    return jax.nn.leaky_relu(x, SLOPE)


class Generator(nn.Module):
    """Generator from noise [batch, latents] to images of `level`: a linear layer, then two convolutions per level.

    A 1x1 convolution turns a level's features into its image. Pixel normalization is applied to the noise and after
    each convolution.
    """

    start: int
    """Height and width of the images of level 0."""
    channels: Sequence[int]
    """Channels of each level, from level 0 on."""
    image_channels: int
    level: int
    """Level of the images: their side is start * 2^level."""
    depth: Depth
    """Depth at which the levels are mixed."""

    @nn.compact
    def __call__(self, z: Float[Array, "batch latents"], train: bool = False) -> Float[Array, "batch H W C"]:
        """Return images [batch, start 2^level, start 2^level, image_channels]; their range is about [-1, 1]."""
        linear = EqualizedDense(self.start**2 * self.channels[0], FIRST_GAIN, name="linear")
        x = linear(pixel_norm(z)).reshape(-1, self.start, self.start, self.channels[0])
        x = self.conv(pixel_norm(leaky(x)), 0, 1)
        shown = [self.show(x, 0)]
        for level in range(1, self.level + 1):
            x = self.conv(self.conv(doubled(x), level, 0), level, 1)
            shown.append(self.show(x, level))
        return faded(shown, self.depth)

    def conv(self, x: Float[Array, "batch H W _"], level: int, index: int) -> Float[Array, "batch H W _"]:
        """Apply convolution number `index` of the level's block."""
        return pixel_norm(leaky(EqualizedConv(self.channels[level], name=f"conv_{level}_{index}")(x)))

    def show(self, x: Float[Array, "batch H W _"], level: int) -> Float[Array, "batch H W _"]:
        """Turn a level's features into an image."""
        return EqualizedDense(self.image_channels, 1.0, name=f"to_image_{level}")(x)


class MinibatchDeviation(nn.Module):
    """Append a channel that holds `minibatch_deviation` everywhere; outside training, its running mean."""

    group: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "batch H W C"], train: bool = False) -> Float[Array, "batch H W _"]:
        """Return [batch, H, W, C + 1]."""
        running = self.variable("batch_stats", "deviation", jnp.zeros, (), x.dtype)
        deviation = jnp.broadcast_to(running.value, (len(x),))
        if train:
            deviation = minibatch_deviation(x, group=self.group)
            running.value = MOMENTUM * running.value + (1 - MOMENTUM) * deviation.mean()
        channel = jnp.broadcast_to(deviation[:, None, None, None], (*x.shape[:3], 1))
        return jnp.concatenate([x, channel], axis=-1)


class Discriminator(nn.Module):
    """Discriminator that mirrors the generator: from images of `level` to a score [batch, 1], without an activation."""

    channels: Sequence[int]
    """Channels of each level, from level 0 on."""
    level: int
    """Level of the images."""
    depth: Depth
    """Depth at which the levels are mixed."""
    group: int = 0
    """Number of examples over which the minibatch deviation is taken; 0 for all examples of the batch."""

    @nn.compact
    def __call__(self, images: Float[Array, "batch H W C"], train: bool = False) -> Float[Array, "batch 1"]:
        """Return the score, [batch, 1]."""
        x = self.read(images, self.level)
        for level in range(self.level, 0, -1):
            images = halved(images)
            x = halved(self.conv(self.conv(x, self.channels[level], level, 0), self.channels[level - 1], level, 1))
            x = mixed(self.read(images, level - 1), x, alpha(self.depth, level))
        x = self.conv(MinibatchDeviation(self.group, name="deviation")(x, train), self.channels[0], 0, 0)
        x = leaky(EqualizedDense(self.channels[0], name="linear")(x.reshape(len(x), -1)))
        return EqualizedDense(1, 1.0, name="output")(x)

    def read(self, images: Float[Array, "batch H W _"], level: int) -> Float[Array, "batch H W _"]:
        """Turn images of a level into features of the level."""
        return leaky(EqualizedDense(self.channels[level], name=f"from_image_{level}")(images))

    def conv(
        self, x: Float[Array, "batch H W _"], channels: int, level: int, index: int
    ) -> Float[Array, "batch H W _"]:
        """Apply convolution number `index` of the level's block."""
        return leaky(EqualizedConv(channels, name=f"conv_{level}_{index}")(x))
