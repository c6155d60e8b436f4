"""Factory of Progressive GAN, whose networks and images grow."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import optax

from genjax.capabilities import Feeder
from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.feed import Feed
from genjax.data.growth import Stage, doublings, growing, growing_feed, starts, steps_until_grown
from genjax.errors import ArgumentError
from genjax.factories.wrap import ImageShape, Rate, averaged, fitted, on_batches, unchanged
from genjax.losses.adversarial import wasserstein_with_drift
from genjax.models.adversarial import progressive_gan as progressive_gan_model
from genjax.models.adversarial.gan import Optimizers
from genjax.precision import Precision
from genjax.types import Batch, Key


class Growth(NamedTuple):
    """Schedule by which the images of a Progressive GAN grow to their full size."""

    start: int | None = None
    """Side of the smallest images in pixels; by default 4, 5, 6 or 7, whichever times a power of 2 is the full side."""
    fade_images: int = 800_000
    """Number of training images during which a level is faded in."""
    stable_images: int = 800_000
    """Number of training images at a level after its fade-in, before the next level begins."""
    batch_size: int = 16
    """Number of images per training batch."""


def progressive_gan(
    image_shape: ImageShape,
    *,
    growth: Growth = Growth(),  # noqa: B008 (a value)
    latents: int = 512,
    channels: int = 512,
    channels_times_side: int = 16384,
    average: float = 0.999,
    learning_rate: Rate = 1e-3,
    precision: Precision = "float32",
) -> Model:
    """Return a Progressive GAN, whose networks and training images grow (Karras et al. 2018).

    Args:
        image_shape: Height, width and channels; height and width are equal, `growth.start` times a power of 2.
        growth: Schedule of the growth, and the batch size; `genjax.train` accepts no other batch size.
        latents: Number of dimensions of the noise.
        channels: Largest number of channels of a level.
        channels_times_side: Largest product of a level's channels and its side: larger images have fewer channels.
        average: Decay of the running average of the generator's weights, which draws the samples; 0 for no average.
        learning_rate: Learning rate of Adam with b1 = 0 and b2 = 0.99.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    start = smallest_side(image_shape) if growth.start is None else growth.start
    levels = doublings(image_shape, start)
    sizes = (growth.batch_size,) * (levels + 1)
    stages = growing(sizes, fade=growth.fade_images, stable=growth.stable_images)
    adam = optax.adam(learning_rate, b1=0.0, b2=0.99)
    model = progressive_gan_model.progressive_gan(
        image_shape,
        optimizers=Optimizers(adam, adam),
        sizes=progressive_gan_model.Sizes(start, latents, channels, channels_times_side),
        adversarial=wasserstein_with_drift(),
        restarts=starts(stages)[1:],
    )

    def full_size(batch: Batch, key: Key) -> Batch:
        del key
        return batch if "depth" in batch else {**batch, "depth": jnp.full(len(batch["image"]), float(levels))}

    model = on_batches(averaged(model, average), full_size, unchanged)
    return fitted(model, image_shape, precision=precision)._replace(capabilities=(growing_feeder(stages, levels),))


def smallest_side(image_shape: ImageShape) -> int:
    """Return the images' height, divided by 2 as long as it is even and at least 8."""
    side = image_shape[0]
    while side >= 8 and side % 2 == 0:
        side //= 2
    return side


def growing_feeder(stages: Sequence[Stage], levels: int) -> Feeder:
    """Return the capability to feed growing images, with the batch sizes of `stages`."""

    def feed(data: Dataset, seeds: Sequence[int], batch_size: int | None) -> Feed:
        if batch_size not in (None, stages[0].batch_size):
            raise ArgumentError(
                "batch_size",
                batch_size,
                f": that of a growing model is {stages[0].batch_size}; pass "
                f"growth=genjax.Growth(batch_size={batch_size}) to genjax.progressive_gan instead",
            )
        return growing_feed(data.train, data.load, seeds, stages, levels=levels)

    return Feeder(feed, steps_until_grown(stages))
