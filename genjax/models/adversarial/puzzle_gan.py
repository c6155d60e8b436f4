"""Holistic image generation from key local patches (Lee, Yun, Choi, Yoo, Yang & Oh 2018), Puzzle-GAN for short.

A generator reads a few patches of an image x, without their positions, and noise z. It returns a whole image G and a
mask M^ of where in it the patches lie, which is to be the union M of the boxes that they were cut from; there G is to
be x. A discriminator tells G from real images. It is also shown what is neither: a part of one real image in another.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.core import Model, Phase
from genjax.losses.adversarial import discriminator_loss, nonsaturating_generator_loss
from genjax.losses.reconstruction import absolute_error, mean_absolute_error
from genjax.metrics.puzzle import mask_iou
from genjax.models.adversarial.dcgan_networks import Discriminator
from genjax.models.adversarial.gan import Optimizers, drawn_noise
from genjax.models.adversarial.puzzle_gan_networks import Generator, capped_channels
from genjax.models.completion import refuse_known
from genjax.models.priors import Prior, uniform
from genjax.networks.named import applied, applied_batch, split_variables
from genjax.types import Batch, Evaluate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Masks = Float[Array, "batch H W 1"]
Logits = Float[Array, " batch"]


class Networks(NamedTuple):
    """What the model is made of. Both networks are called with `train`, and keep batch statistics where they have."""

    generator: nn.Module
    """(patches [batch, parts, h, w, C], noise [batch, latents], train) to images and masks [batch, H, W, 1]."""
    discriminator: nn.Module
    """(images, train) to a logit [batch, 1]."""
    prior: Prior
    """Of the noise; without classes."""


class Weights(NamedTuple):
    """Of the terms of the generator's loss; the first two are multiplied by the schedule."""

    mask: float = 1.0
    appearance: float = 1.0
    game: float = 1.0


WEIGHTS = Weights()
"""The paper's."""


def weight_schedule(first: float, last: float, moves: int) -> optax.Schedule:
    """From `first` at the generator's first move to `last` at its last one, in equal factors.

    Raises ValueError where a weight is not above 0, or `moves` is below 1.
    """
    if not (first > 0 and last > 0) or moves < 1:
        raise ValueError(f"first={first} and last={last} must be above 0 and moves={moves} at least 1")
    return optax.exponential_decay(first, max(moves - 1, 1), last / first)


def puzzle_gan(
    image_shape: tuple[int, int, int],
    networks: Networks,
    *,
    optimizers: Optimizers,
    schedule: optax.Schedule,
    weights: Weights = WEIGHTS,
    composites: bool = True,
    discriminator_moves: int = 2,
) -> Model:
    """A Puzzle-GAN on `image`, `patches` [B, parts, h, w, C] and `mask` [B, H, W, 1], 1 where the patches lie, else 0.

    The phase discriminator moves in every step, the phase generator in every step whose number is a multiple of
    `discriminator_moves`, after it. `schedule` gives the weight of mask and appearance at the generator's moves,
    counted from 0; stats["moves"] is their number. Where M is 1 everywhere, `composites` must be False: they would be
    real images.

    `evaluate` gives mask_iou, of the pixels above one half; mask_error, the mean of |M^ - M|; part_error, the mean of
    |G - x| where M is 1; real_logit and fake_logit. `generate` gives G of the batch's patches: it depends on these, the
    key and the place in the batch. All are by running statistics.

    Raises ValueError where the networks do not fit `image_shape` or each other, or a number is out of range.
    """
    check_numbers(weights, discriminator_moves)
    check_networks(networks, image_shape)

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        params, stats = init_networks(networks, key, batch["image"], batch["patches"])
        return params, {**stats, "moves": jnp.zeros((), jnp.int32)}

    return Model(
        init=init,
        phases=(
            Phase(
                "discriminator",
                discriminator_phase_loss(networks, composites=composites),
                ("discriminator",),
                optimizers.discriminator,
            ),
            Phase(
                "generator",
                generator_phase_loss(networks, weights, schedule),
                ("generator",),
                optimizers.generator,
                every=discriminator_moves,
            ),
        ),
        evaluate=make_evaluate(networks),
        generate=lambda params, stats, batch, key: restored(networks, params, stats, batch, key)[0],
    )


def check_numbers(weights: Weights, discriminator_moves: int) -> None:
    """Raise ValueError where one is out of range."""
    for name, weight in weights._asdict().items():
        if not weight >= 0:
            raise ValueError(f"weights: {name}={weight} must be at least 0")
    if discriminator_moves < 1:
        raise ValueError(f"discriminator_moves={discriminator_moves} must be at least 1")


def init_networks(
    networks: Networks, key: Key, images: Images, patches: Float[Array, "batch parts h w C"]
) -> tuple[Params, Stats]:
    """Fresh variables of both networks, and their running statistics."""
    generator_key, discriminator_key = jax.random.split(key)
    z = jnp.zeros((1, networks.prior.dimension))
    return split_variables(
        {
            "generator": networks.generator.init(generator_key, patches[:1], z),
            "discriminator": networks.discriminator.init(discriminator_key, images[:1]),
        }
    )


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes of images, masks and logits."""
    if networks.prior.classes:
        raise ValueError(f"prior: must be without classes, got {networks.prior.classes}")

    def outputs(key: Key) -> tuple[Images, Array, Array]:
        images = jnp.zeros((1, *image_shape))
        params, stats = init_networks(networks, key, images, images[:, None])
        made, mask = applied(networks, "generator", params, stats, images[:, None], drawn_noise(networks.prior, key, 1))
        return made, mask, applied(networks, "discriminator", params, stats, images)

    found = jax.eval_shape(outputs, jax.random.key(0))
    allowed = image_shape, (*image_shape[:2], 1), (1,)
    names = "generator returns images", "generator returns masks", "discriminator returns"
    for name, output, shape in zip(names, found, allowed, strict=True):
        if output.shape[1:] != shape:
            raise ValueError(f"networks: the {name} {output.shape[1:]}, must be {shape}")


def composite(part: Images, background: Images, mask: Masks) -> Images:
    """`part` where the mask is 1, `background` where it is 0."""
    return part * mask + background * (1 - mask)


def discriminator_phase_loss(networks: Networks, *, composites: bool) -> Loss:
    """-log D(x) - log(1 - D(G)), and -log(1 - D) of two composites with the next image of the batch, in x's mask.

    The one has a part of the next image in x, the other a part of x in the next image. Mean over the batch; images of
    each kind are normalized apart.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        real, mask = batch["image"], batch["mask"]
        fake, _, _ = restored_batch(networks, params, stats, batch, key)
        real_logits, moved = logits_batch(networks, params, stats, real)
        fake_logits, _ = logits_batch(networks, params, stats, fake)
        total = discriminator_loss(real_logits, fake_logits).mean()
        metrics = {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()}
        if composites:
            other = jnp.roll(real, 1, axis=0)
            for name, images in (
                ("other_part_logit", composite(other, real, mask)),
                ("other_background_logit", composite(real, other, mask)),
            ):
                logits, _ = logits_batch(networks, params, stats, images)
                total += jax.nn.softplus(logits).mean()
                metrics[name] = logits.mean()
        return total, (metrics, moved)

    return loss


def generator_phase_loss(networks: Networks, weights: Weights, schedule: optax.Schedule) -> Loss:
    """The weighted sum of |M^ - M|, |G M^ - x M| and -log D(G): sums over pixels, mean over the batch.

    In the second term images count from -1 to 1, as in the authors' code: black is not what a mask leaves.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        image, mask, moved = restored_batch(networks, params, stats, batch, key)
        logits, _ = logits_batch(networks, params, stats, image)
        terms = {
            "mask": absolute_error(mask, batch["mask"]).mean(),
            "appearance": absolute_error(signed(image) * mask, signed(batch["image"]) * batch["mask"]).mean(),
            "game": nonsaturating_generator_loss(logits).mean(),
        }
        weight = jnp.asarray(schedule(stats["moves"]))
        shaped = weights.mask * terms["mask"] + weights.appearance * terms["appearance"]
        total = weight * shaped + weights.game * terms["game"]
        return total, ({**terms, "weight": weight}, {**moved, "moves": stats["moves"] + 1})

    return loss


def signed(images: Images) -> Images:
    """From [0, 1] to [-1, 1]."""
    return 2 * images - 1


def restored_batch(
    networks: Networks, params: Params, stats: Stats, batch: Batch, key: Key
) -> tuple[Images, Masks, Stats]:
    """Images and masks in training, and the statistics after it."""
    z = networks.prior.sample(key, len(batch["patches"]), None)
    (image, mask), moved = applied_batch(networks, "generator", params, stats, batch["patches"], z)
    return image, mask, moved


def restored(networks: Networks, params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Images, Masks]:
    """Images and masks of the batch's patches, each of which depends on these, the key and its place alone."""
    refuse_known(batch)
    z = drawn_noise(networks.prior, key, len(batch["patches"]))
    return applied(networks, "generator", params, stats, batch["patches"], z)


def logits_batch(networks: Networks, params: Params, stats: Stats, images: Images) -> tuple[Logits, Stats]:
    """The discriminator's logits in training, and the statistics after it."""
    logits, moved = applied_batch(networks, "discriminator", params, stats, images)
    return logits[:, 0], moved


def make_evaluate(networks: Networks) -> Evaluate:
    """What the docstring of `puzzle_gan` says."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        real, mask = batch["image"], batch["mask"]
        image, predicted = restored(networks, params, stats, batch, key)
        real_logit, fake_logit = (
            applied(networks, "discriminator", params, stats, images)[:, 0] for images in (real, image)
        )
        inside = mask.sum(axis=(1, 2, 3)) * real.shape[-1]
        return {
            "mask_iou": jnp.asarray(mask_iou(predicted, mask)),
            "mask_error": mean_absolute_error(predicted, mask),
            "part_error": absolute_error(image * mask, real * mask) / inside,
            "real_logit": real_logit,
            "fake_logit": fake_logit,
        }

    return evaluate


def conv_networks(
    image_shape: tuple[int, int, int], *, filters: int = 64, features: int = 128, latents: int = 128
) -> Networks:
    """The paper's networks, whose architecture follows from the shape of the images alone.

    `filters` are the maps of the first convolution of encoder and discriminator; each next one has twice as many, but
    at most eight times. `features` are those of the patches together, `latents` dimensions of the noise, uniform on
    [-1, 1]. Raises ValueError where one of them is below 1, or the architecture cannot reach the image's size.
    """
    if features < 1:
        raise ValueError(f"features={features} must be at least 1")
    channels = capped_channels(image_shape, filters)
    return Networks(Generator(image_shape, channels, features), Discriminator(channels), uniform(latents, limit=1.0))
