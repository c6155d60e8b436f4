"""Holistic image generation from key local patches (Lee, Yun, Choi, Yoo, Yang & Oh 2018), Puzzle-GAN for short.

A generator G reads a few patches of an image x, without their positions, and noise z. It returns a full image and a
mask M^ of where the patches lie in it. M^ is trained towards the union M of the boxes from which the patches were cut,
and the generated image within the mask towards x. A discriminator D tells generated images from real ones. As further
fakes it receives composites: a part of one real image in another real image.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.adversarial import discriminator_loss, nonsaturating_generator_loss
from genjax.losses.reconstruction import absolute_error, mean_absolute_error
from genjax.metrics.puzzle import mask_iou
from genjax.models.adversarial.dcgan_networks import Discriminator
from genjax.models.adversarial.gan import Optimizers, drawn_noise
from genjax.models.adversarial.puzzle_gan_networks import Generator, capped_channels
from genjax.models.completion import refuse_known
from genjax.models.priors import Prior, uniform
from genjax.networks.bound import bind, check_outputs, init_networks, updated
from genjax.networks.images import signed
from genjax.types import Batch, Evaluate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Masks = Float[Array, "batch H W 1"]


class Networks(NamedTuple):
    """Networks of a Puzzle-GAN. Both are called with `train`, and may keep batch statistics."""

    generator: nn.Module
    """G: (patches [batch, parts, h, w, C], noise [batch, latents], train) to images and masks [batch, H, W, 1]."""
    discriminator: nn.Module
    """D: (images, train) to a logit [batch, 1]."""
    prior: Prior
    """Distribution of the noise, without classes."""


class Weights(NamedTuple):
    """Weights of the terms of the generator's loss."""

    mask: float = 1.0
    """Weight of the mask loss, multiplied by the schedule."""
    appearance: float = 1.0
    """Weight of the appearance loss, multiplied by the schedule."""
    adversarial: float = 1.0
    """Weight of the adversarial loss."""


WEIGHTS = Weights()
"""Weights of the paper."""


def weight_schedule(first: float, last: float, updates: int) -> optax.Schedule:
    """Return the geometric decay from `first` at the generator's first update to `last` at update number `updates`.

    Raises ValueError if a weight is not above 0, or `updates` is below 1.
    """
    if not (first > 0 and last > 0) or updates < 1:
        raise ValueError(f"first={first} and last={last} must be above 0 and updates={updates} at least 1")
    return optax.exponential_decay(first, max(updates - 1, 1), last / first)


def puzzle_gan(
    image_shape: tuple[int, int, int],
    networks: Networks,
    *,
    optimizers: Optimizers,
    schedule: optax.Schedule,
    weights: Weights = WEIGHTS,
    composites: bool = True,
    discriminator_updates: int = 2,
) -> Model:
    """Return a Puzzle-GAN on `image`, `patches` [B, parts, h, w, C] and `mask` [B, H, W, 1], 1 on the patches, else 0.

    The phase discriminator is updated in every step, the phase generator after it in every step whose number is a
    multiple of `discriminator_updates`. `schedule` gives the weight of the mask and appearance losses at the
    generator's updates, counted from 0; stats["updates"] is the number of these updates. If M is 1 everywhere,
    `composites` must be False, since composites would be real images.

    `evaluate` gives mask_iou, intersection over union of M and of the pixels of M^ above one half; mask_error, the mean
    of |M^ - M|; part_error, the mean of |G - x| where M is 1; real_logit and fake_logit. `generate` gives G of the
    batch's patches, which depends on the patches, the key and the position in the batch. Both use running statistics.

    Raises ValueError if the networks do not fit `image_shape` or each other, or a number is out of range.
    """
    check_numbers(networks, weights, discriminator_updates)
    image, z = jnp.zeros((1, *image_shape)), jnp.zeros((1, networks.prior.dimension))
    inputs = {"generator": (image[:, None], z), "discriminator": (image,)}
    mask_shape = (*image_shape[:2], 1)
    check_outputs(networks, inputs, {"generator": (image.shape, (1, *mask_shape)), "discriminator": (1, 1)})

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        params, stats = init_networks(networks, key, **inputs)
        return params, {**stats, "updates": jnp.zeros((), jnp.int32)}

    discriminator = discriminator_phase_loss(networks, composites=composites)
    generator = generator_phase_loss(networks, weights, schedule)
    model = Model(
        init=init,
        phases=(
            Phase("discriminator", discriminator, ("discriminator",), optimizers.discriminator),
            Phase("generator", generator, ("generator",), optimizers.generator, every=discriminator_updates),
        ),
        evaluate=make_evaluate(networks),
        generate=lambda params, stats, batch, key: restored(networks, params, stats, batch, key)[0],
        draws=False,
        seeds_together=False,
    )
    return with_inputs(model, image=Input(image_shape, "unit"), mask=Input(mask_shape, "binary"))


def check_numbers(networks: Networks, weights: Weights, discriminator_updates: int) -> None:
    """Raise ValueError if a number is out of range, or the prior has classes."""
    for name, weight in weights._asdict().items():
        if not weight >= 0:
            raise ValueError(f"weights: {name}={weight} must be at least 0")
    if discriminator_updates < 1:
        raise ValueError(f"discriminator_updates={discriminator_updates} must be at least 1")
    if networks.prior.classes:
        raise ValueError(f"prior: must be without classes, got {networks.prior.classes}")


def composite(part: Images, background: Images, mask: Masks) -> Images:
    """Return `part` where the mask is 1 and `background` where it is 0."""
    return part * mask + background * (1 - mask)


def discriminator_phase_loss(networks: Networks, *, composites: bool) -> Loss:
    """Return the discriminator's loss for images x with masks M, where x' is the previous image of the batch.

        E -log D(x) - log(1 - D(G))
        + E -log(1 - D(x' M + x (1 - M)))      a part of the previous image in x
        + E -log(1 - D(x M + x' (1 - M)))      a part of x in the previous image

    Batch normalization treats images of each kind as a separate batch.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        G, D, prior = bind(networks, params, stats)
        x, M = batch["image"], batch["mask"]
        (fake, _), _ = G.train(batch["patches"], prior.sample(key, len(x), None))
        real_logits, D_after = D.train(x)
        fake_logits, _ = D.train(fake)
        total = discriminator_loss(real_logits, fake_logits).mean()
        metrics = {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()}
        if composites:
            other = jnp.roll(x, 1, axis=0)
            part_logits, _ = D.train(composite(other, x, M))
            background_logits, _ = D.train(composite(x, other, M))
            total += jax.nn.softplus(part_logits).mean()
            total += jax.nn.softplus(background_logits).mean()
            metrics |= {"other_part_logit": part_logits.mean(), "other_background_logit": background_logits.mean()}
        return total, (metrics, updated(stats, discriminator=D_after))

    return loss


def generator_phase_loss(networks: Networks, weights: Weights, schedule: optax.Schedule) -> Loss:
    """Return the generator's loss for images x with masks M, summed over pixels, mean over the batch.

        schedule (w_mask |M^ - M|             mask loss
            + w_appearance |G M^ - x M|)      appearance loss
        - w_adversarial log D(G)              adversarial loss

    In the appearance loss images are rescaled to [-1, 1], as in the authors' code: a masked pixel, 0, is then grey.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        G, D, prior = bind(networks, params, stats)
        x, M = batch["image"], batch["mask"]
        (fake, mask), G_after = G.train(batch["patches"], prior.sample(key, len(x), None))
        logits, _ = D.train(fake)
        mask_loss = absolute_error(mask, M).mean()
        appearance = absolute_error(signed(fake) * mask, signed(x) * M).mean()
        adversarial = nonsaturating_generator_loss(logits).mean()
        weight = jnp.asarray(schedule(stats["updates"]))
        total = (
            weight * (weights.mask * mask_loss + weights.appearance * appearance) + weights.adversarial * adversarial
        )
        metrics = {"mask": mask_loss, "appearance": appearance, "adversarial": adversarial, "weight": weight}
        return total, (metrics, {**updated(stats, generator=G_after), "updates": stats["updates"] + 1})

    return loss


def restored(networks: Networks, params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Images, Masks]:
    """Return images and masks of the batch's patches; each depends on its patches, the key and its position alone."""
    refuse_known(batch)
    G, _, prior = bind(networks, params, stats)
    return G(batch["patches"], drawn_noise(prior, key, len(batch["patches"])))


def make_evaluate(networks: Networks) -> Evaluate:
    """Return the evaluation of the metrics that `puzzle_gan` documents."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        D = bind(networks, params, stats).discriminator
        x, M = batch["image"], batch["mask"]
        fake, mask = restored(networks, params, stats, batch, key)
        return {
            "mask_iou": jnp.asarray(mask_iou(mask, M)),
            "mask_error": mean_absolute_error(mask, M),
            "part_error": absolute_error(fake * M, x * M) / (M.sum(axis=(1, 2, 3)) * x.shape[-1]),
            "real_logit": D(x)[:, 0],
            "fake_logit": D(fake)[:, 0],
        }

    return evaluate


def conv_networks(
    image_shape: tuple[int, int, int], *, filters: int = 64, features: int = 128, latents: int = 128
) -> Networks:
    """Return the paper's networks, whose layers follow from the shape of the images.

    Args:
        image_shape: Height, width and channels of the images.
        filters: Channels of the first convolution of encoder and discriminator; each next convolution has twice as
            many, but at most eight times those of the first.
        features: Length of the vector that encodes all patches.
        latents: Number of dimensions of the noise, which is uniform on [-1, 1].

    Raises:
        ValueError: if a number is below 1, or the networks cannot reach the size of the images.
    """
    if features < 1:
        raise ArgumentError("features", features, " must be at least 1")
    channels = capped_channels(image_shape, filters)
    return Networks(Generator(image_shape, channels, features), Discriminator(channels), uniform(latents, limit=1.0))
