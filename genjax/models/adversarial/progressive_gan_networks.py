"""The networks of Progressive GAN (Karras et al. 2018, sec. 2 to 4, table 2), which grow by a block per level.

Level 0 has the smallest images, each next level twice their height and width. At depth d all levels up to d are there;
where d is no whole number, the next level is faded in with the weight alpha, what d is above the level before it. All
levels' weights are there from the start. Images lie in [-1, 1] inside and outside.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from einops import rearrange, reduce, repeat
from flax import linen as nn
from jax.nn.initializers import normal, zeros
from jaxtyping import Array, Float

SLOPE = 0.2
"""Of the leaky ReLU below 0."""
GAIN = math.sqrt(2)
"""Of He's initialization."""
FIRST_GAIN = GAIN / 4
"""Of the generator's first layer, as in the authors' code."""
EPSILON = 1e-8
MOMENTUM = 0.9
"""What the running deviation keeps in a step."""

Depth = Float[Array, ""] | float
Maps = Float[Array, "batch *shape"]
Kernel = Float[Array, "*window in_features out_features"]


def pixel_norm(x: Float[Array, "*batch C"]) -> Float[Array, "*batch C"]:
    """Each pixel a as a / sqrt(mean over channels of a^2 + 1e-8), whose mean square is 1 (sec. 4.2)."""
    return x * jax.lax.rsqrt((x**2).mean(axis=-1, keepdims=True) + EPSILON)


def minibatch_deviation(x: Float[Array, "batch H W C"], *, group: int = 0) -> Float[Array, " batch"]:
    """The deviation of each feature and pixel over a group of examples, mean over features and pixels (sec. 3).

    A group is the whole batch where `group` is 0 or more than there are; else `group` examples, those whose numbers
    differ by multiples of batch / group, as in the authors' code. It is sqrt(variance + 1e-8), and so 1e-4 for equal
    examples. Raises ValueError where the groups do not divide the batch.
    """
    size = min(group, len(x)) or len(x)
    if len(x) % size:
        raise ValueError(f"group={group} must divide the batch, which has {len(x)} examples, or be 0")
    members = rearrange(x, "(member group) h w c -> member group h w c", member=size)
    deviation = jnp.sqrt(members.var(axis=0) + EPSILON).mean(axis=(1, 2, 3))
    return jnp.tile(deviation, size)


def doubled(images: Float[Array, "batch H W C"]) -> Float[Array, "batch height width C"]:
    """Each pixel as 2x2."""
    return repeat(images, "b h w c -> b (h 2) (w 2) c")


def halved(images: Float[Array, "batch H W C"]) -> Float[Array, "batch height width C"]:
    """The mean of each 2x2 pixels, exactly the pixel where `doubled` made them of one."""
    rows = reduce(images, "b (h 2) w c -> b h w c", "mean")  # of two at a time: a + a has no rounding
    return reduce(rows, "b h (w 2) c -> b h w c", "mean")


def pyramid(images: Float[Array, "batch H W C"], level: int) -> list[Float[Array, "batch _ _ C"]]:
    """The images at levels 0 to `level`, which is their own."""
    sizes = [images]
    for _ in range(level):
        sizes.append(halved(sizes[-1]))
    return sizes[::-1]


def alpha(depth: Depth, level: int) -> Depth:
    """The weight of a level at a depth, in [0, 1]; level 0 is always there."""
    return jnp.clip(depth - (level - 1), 0.0, 1.0)


def mixed(old: Maps, new: Maps, weight: Depth) -> Maps:
    """(1 - weight) old + weight new, exactly one of the two at weights of 0 and 1."""
    return (1 - weight) * old + weight * new


def faded(sizes: Sequence[Float[Array, "batch _ _ C"]], depth: Depth) -> Float[Array, "batch _ _ C"]:
    """Images of the last level's size, of which `sizes` has what each level from 0 on makes of them (fig. 2).

    At a whole depth they are those of that level, doubled until they have the size; between two, a mixture.
    """
    shown = sizes[0]
    for level, images in enumerate(sizes[1:], start=1):
        shown = mixed(doubled(shown), images, alpha(depth, level))
    return shown


def equalized(kernel: Kernel, gain: float) -> Kernel:
    """The kernel times gain / sqrt(inputs of a unit): He's constant at run time and not at the start (sec. 4.1)."""
    return kernel * (gain / math.sqrt(math.prod(kernel.shape[:-1])))


class EqualizedDense(nn.Module):
    """A linear layer of the last axis; on images a 1x1 convolution."""

    features: int
    gain: float = GAIN

    @nn.compact
    def __call__(self, x: Float[Array, "*batch C"]) -> Float[Array, "*batch features"]:
        """[*batch, features]."""
        kernel = self.param("kernel", normal(1.0), (x.shape[-1], self.features))
        return x @ equalized(kernel, self.gain) + self.param("bias", zeros, (self.features,))


class EqualizedConv(nn.Module):
    """A 3x3 convolution that keeps height and width."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch H W C"]) -> Float[Array, "batch H W features"]:
        """[batch, H, W, features]."""
        kernel = self.param("kernel", normal(1.0), (3, 3, x.shape[-1], self.features))
        dimensions = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, equalized(kernel, GAIN), (1, 1), "SAME", dimension_numbers=dimensions)
        return x + self.param("bias", zeros, (self.features,))


def leaky(x: Maps) -> Maps:
    """The leaky ReLU of both networks."""
    return jax.nn.leaky_relu(x, SLOPE)


class Generator(nn.Module):
    """Noise [batch, latents] to images of `level`: a linear layer, then two convolutions per level.

    What a level shows is linear in its maps; pixel normalization is of the noise and after each convolution.
    """

    start: int
    """Side of the images of level 0."""
    channels: Sequence[int]
    """Of the maps of each level, from 0 on."""
    image_channels: int
    level: int
    depth: Depth

    @nn.compact
    def __call__(self, z: Float[Array, "batch latents"], train: bool = False) -> Float[Array, "batch H W C"]:
        """Images [batch, start 2^level, start 2^level, image_channels], about [-1, 1]."""
        linear = EqualizedDense(self.start**2 * self.channels[0], FIRST_GAIN, name="linear")
        x = linear(pixel_norm(z)).reshape(-1, self.start, self.start, self.channels[0])
        x = self.conv(pixel_norm(leaky(x)), 0, 1)
        shown = [self.show(x, 0)]
        for level in range(1, self.level + 1):
            x = self.conv(self.conv(doubled(x), level, 0), level, 1)
            shown.append(self.show(x, level))
        return faded(shown, self.depth)

    def conv(self, x: Float[Array, "batch H W _"], level: int, index: int) -> Float[Array, "batch H W _"]:
        """A convolution of the level's block."""
        return pixel_norm(leaky(EqualizedConv(self.channels[level], name=f"conv_{level}_{index}")(x)))

    def show(self, x: Float[Array, "batch H W _"], level: int) -> Float[Array, "batch H W _"]:
        """The image of a level's maps."""
        return EqualizedDense(self.image_channels, 1.0, name=f"to_image_{level}")(x)


class MinibatchDeviation(nn.Module):
    """The maps, and one more that has `minibatch_deviation` everywhere; outside training its running mean."""

    group: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "batch H W C"], train: bool = False) -> Float[Array, "batch H W _"]:
        """[batch, H, W, C + 1]."""
        running = self.variable("batch_stats", "deviation", jnp.zeros, (), x.dtype)
        deviation = jnp.broadcast_to(running.value, (len(x),))
        if train:
            deviation = minibatch_deviation(x, group=self.group)
            running.value = MOMENTUM * running.value + (1 - MOMENTUM) * deviation.mean()
        map_of = jnp.broadcast_to(deviation[:, None, None, None], (*x.shape[:3], 1))
        return jnp.concatenate([x, map_of], axis=-1)


class Discriminator(nn.Module):
    """The generator's mirror: images of `level` to one output that no activation bounds."""

    channels: Sequence[int]
    level: int
    depth: Depth
    group: int = 0
    """Of the minibatch deviation."""

    @nn.compact
    def __call__(self, images: Float[Array, "batch H W C"], train: bool = False) -> Float[Array, "batch 1"]:
        """The output, [batch, 1]."""
        x = self.read(images, self.level)
        for level in range(self.level, 0, -1):
            images = halved(images)
            x = halved(self.conv(self.conv(x, self.channels[level], level, 0), self.channels[level - 1], level, 1))
            x = mixed(self.read(images, level - 1), x, alpha(self.depth, level))
        x = self.conv(MinibatchDeviation(self.group, name="deviation")(x, train), self.channels[0], 0, 0)
        x = leaky(EqualizedDense(self.channels[0], name="linear")(x.reshape(len(x), -1)))
        return EqualizedDense(1, 1.0, name="output")(x)

    def read(self, images: Float[Array, "batch H W _"], level: int) -> Float[Array, "batch H W _"]:
        """A level's maps of its images."""
        return leaky(EqualizedDense(self.channels[level], name=f"from_image_{level}")(images))

    def conv(
        self, x: Float[Array, "batch H W _"], channels: int, level: int, index: int
    ) -> Float[Array, "batch H W _"]:
        """A convolution of the level's block."""
        return leaky(EqualizedConv(channels, name=f"conv_{level}_{index}")(x))
