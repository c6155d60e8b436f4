"""Factories of the adversarial models that transform images: Puzzle-GAN, CycleGAN, StarGAN.

Each returns a `Model` for `genjax.train`, and `genjax.sample(model, state, image=images)` transforms images. To
choose networks, losses, attributes and optimizers yourself, call the function of the same name in
genjax/models/adversarial.
"""

import jax.numpy as jnp
from jax import Array

from genjax.core import Input, Model
from genjax.data.attributes import Attribute, Schema
from genjax.data.patches import cut_out, key_windows, room, squares
from genjax.errors import ArgumentError
from genjax.factories.wrap import (
    ImageShape,
    Rate,
    adversarial_adam,
    fitted,
    on_batches,
    one_hot,
)
from genjax.models.adversarial import cyclegan as cyclegan_model
from genjax.models.adversarial import puzzle_gan as puzzle_gan_model
from genjax.models.adversarial import stargan as stargan_model
from genjax.models.adversarial.gan import Optimizers
from genjax.precision import Precision
from genjax.types import Batch, Key

SIDE = 3 / 8
"""Side of a patch, as a fraction of the image's smaller side."""


def stargan(
    image_shape: ImageShape,
    *,
    classes: int = 2,
    filters: int = 64,
    blocks: int | None = None,
    discriminator_filters: int = 64,
    discriminator_updates: int = 5,
    classification_weight: float = 1.0,
    reconstruction_weight: float = 10.0,
    learning_rate: Rate = 1e-4,
    discriminator_learning_rate: Rate = 1e-4,
    precision: Precision = "float32",
) -> Model:
    """Return StarGAN, one generator for translation between all classes of labelled images (Choi et al. 2018).

    `genjax.sample(model, state, image=images, labels=targets)` translates each image to its target class.

    Args:
        image_shape: Height, width and channels.
        classes: Number of classes; each class is a domain (`data.classes`).
        filters: Channels of the generator at full size.
        blocks: Number of residual blocks of the generator; by default 9 from 256x256 on, 6 below.
        discriminator_filters: Channels of the discriminator's first layer; each next layer has twice as many.
        discriminator_updates: Number of discriminator updates per generator update.
        classification_weight: Weight of the classification loss.
        reconstruction_weight: Weight of the reconstruction loss.
        learning_rate: Learning rate of the generator's Adam optimizer.
        discriminator_learning_rate: Learning rate of the discriminator's Adam optimizer.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    if classes < 2:
        raise ArgumentError("classes", classes, " must be at least 2: each class of the labels is a domain")
    schema = Schema((Attribute("class", tuple(map(str, range(classes)))),), ((True,),))
    networks = stargan_model.conv_networks(
        image_shape, schema, filters=filters, blocks=blocks, discriminator_filters=discriminator_filters
    )
    model = stargan_model.stargan(
        image_shape,
        networks,
        schema,
        optimizers=Optimizers(
            discriminator=adversarial_adam(discriminator_learning_rate), generator=adversarial_adam(learning_rate)
        ),
        weights=stargan_model.Weights(classification_weight, reconstruction_weight),
        discriminator_updates=discriminator_updates,
    )

    labels = Input((), f"classes-{classes}")
    return fitted(between_classes(model, classes), image_shape, label=labels, precision=precision)


def between_classes(model: Model, classes: int) -> Model:
    """Return the StarGAN on batches with `label`: the class of each image, or for `generate` the target class.

    In an evaluation, the target class of example i is its own class plus 1 + i % (classes - 1), modulo `classes`.
    """

    def own(batch: Batch, key: Key) -> Batch:
        del key
        label = batch["label"]
        steps = 1 + jnp.arange(len(label)) % (classes - 1)
        return with_target({**batch, "attributes": one_hot(label, classes)}, (label + steps) % classes)

    def target(batch: Batch, key: Key) -> Batch:
        del key
        return with_target(batch, batch["label"])

    def with_target(batch: Batch, label: Array) -> Batch:
        sets = jnp.zeros(len(label), jnp.int32)
        return {**batch, "label_set": sets, "target": one_hot(label, classes), "target_set": sets}

    return on_batches(model, own, target)


def cyclegan(
    image_shape: ImageShape,
    other_shape: ImageShape | None = None,
    *,
    filters: int = 64,
    blocks: int | None = None,
    discriminator_filters: int = 64,
    cycle_weight: float = 10.0,
    identity_weight: float = 0.0,
    pool_size: int = 50,
    learning_rate: Rate = 2e-4,
    discriminator_learning_rate: Rate = 2e-4,
    precision: Precision = "float32",
) -> Model:
    """Return CycleGAN, which translates images of one domain into another, trained without pairs (Zhu et al. 2017).

    The data set is `genjax.domains(first, second)`; the paper's batch size is 1. `genjax.sample(model, state,
    image=images)` translates images of the first domain.

    Args:
        image_shape: Height, width and channels of the first domain.
        other_shape: Height, width and channels of the second domain (`data.other_shape`); by default `image_shape`.
        filters: Channels of a generator at full size.
        blocks: Number of residual blocks of a generator; by default 9 from 256x256 on, 6 below.
        discriminator_filters: Channels of a discriminator's first layer.
        cycle_weight: Weight of the cycle-consistency loss.
        identity_weight: Weight of the identity loss, under which images of the target domain stay unchanged.
        pool_size: Number of earlier generated images that the discriminators are shown again.
        learning_rate: Learning rate of the generators' Adam optimizer.
        discriminator_learning_rate: Learning rate of the discriminators' Adam optimizer.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    other = image_shape if other_shape is None else other_shape
    networks = cyclegan_model.conv_networks(
        image_shape, other, filters=filters, blocks=blocks, discriminator_filters=discriminator_filters
    )
    model = cyclegan_model.cyclegan(
        image_shape,
        other,
        networks,
        optimizers=cyclegan_model.Optimizers(
            generators=adversarial_adam(learning_rate), discriminators=adversarial_adam(discriminator_learning_rate)
        ),
        weights=cyclegan_model.Weights(cycle=cycle_weight, identity=identity_weight),
        pool_size=pool_size,
    )
    return fitted(model, image_shape, other_image=Input(other), precision=precision)


def puzzle_gan(
    image_shape: ImageShape,
    *,
    patches: int = 3,
    patch_side: int | None = None,
    filters: int = 64,
    features: int = 128,
    latents: int = 128,
    first_weight: float = 1e-2,
    last_weight: float = 1e-4,
    updates: int = 39_500,
    discriminator_updates: int = 2,
    learning_rate: Rate = 2e-4,
    discriminator_learning_rate: Rate = 2e-4,
    precision: Precision = "float32",
) -> Model:
    """Return Puzzle-GAN, which restores an image from a few key patches without their positions (Lee et al. 2018).

    `genjax.sample(model, state, image=images)` cuts the key patches, the squares whose pixels vary most, out of each
    image and restores the image from them.

    Args:
        image_shape: Height, width and channels; height and width are 4, 5, 6 or 7 times a power of 2, and at least 8.
        patches: Number of patches of each image.
        patch_side: Side of a patch in pixels; by default 3/8 of the image's smaller side.
        filters: Channels of the first convolution of encoder and discriminator.
        features: Number of dimensions of the joint encoding of all patches.
        latents: Number of dimensions of the noise.
        first_weight: Weight of the mask and appearance losses at the generator's first update.
        last_weight: Weight of the mask and appearance losses after `updates` updates of the generator.
        updates: Number of generator updates over which the weight falls, by the same factor per update.
        discriminator_updates: Number of discriminator updates per generator update.
        learning_rate: Learning rate of the generator's Adam optimizer.
        discriminator_learning_rate: Learning rate of the discriminator's Adam optimizer.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    side = max(2, round(SIDE * min(image_shape[:2]))) if patch_side is None else patch_side
    windows = squares(image_shape, side)
    if not 1 <= patches <= (most := room(image_shape, side)):
        raise ArgumentError("patches", patches, f" must be from 1 to {most}, those of side {side} that do not overlap")
    model = puzzle_gan_model.puzzle_gan(
        image_shape,
        puzzle_gan_model.conv_networks(image_shape, filters=filters, features=features, latents=latents),
        optimizers=Optimizers(
            discriminator=adversarial_adam(discriminator_learning_rate), generator=adversarial_adam(learning_rate)
        ),
        schedule=puzzle_gan_model.weight_schedule(first_weight, last_weight, updates),
        discriminator_updates=discriminator_updates,
    )

    def cut(batch: Batch, key: Key) -> Batch:
        del key
        image = batch["image"]
        return {**batch, **cut_out(image, windows, key_windows(image, windows, patches))}

    return fitted(on_batches(model, cut), image_shape, precision=precision)
