"""StarGAN (Choi et al. 2018): one generator for translation between all domains of images.

The generator G(x, c) reads an image x and the label c of the target domain. The discriminator scores patches of an
image, D, and predicts its label, D_cls. A `Schema` (genjax/data/attributes.py) defines the labels: their attributes,
and where several label sets are mixed, which of the attributes each label set knows. A batch has `image`, its label as
bits in `attributes` [B, bits] and the number of its label set in `label_set` [B]; bits that the label set does not know
are never read.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int, Num

from genjax.core import Input, Model, Phase, with_inputs
from genjax.data.attributes import Schema
from genjax.errors import ArgumentError
from genjax.losses.adversarial import wasserstein_critic_loss, wasserstein_generator_loss
from genjax.losses.attributes import attribute_losses
from genjax.losses.reconstruction import mean_absolute_error
from genjax.models.adversarial.cyclegan import check_least, check_sides, distance
from genjax.models.adversarial.gan import Optimizers, Penalty, wasserstein_penalty
from genjax.models.adversarial.stargan_networks import LabelledGenerator, TwoHeads, strided_layers
from genjax.networks.bound import bind, check_outputs, init_networks
from genjax.networks.images import SPAN
from genjax.networks.residual import EDGE_SIZE, Padding, ResidualGenerator, halvings, residual_blocks
from genjax.types import Batch, Evaluate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Labels = Float[Array, "batch numbers"]
"""Labels as the generator reads them."""
Bits = Num[Array, "batch bits"]
Sets = Int[Array, " batch"]


class Networks(NamedTuple):
    """Networks of a StarGAN, without batch statistics and dropout."""

    generator: nn.Module
    """G: images and labels [batch, schema.numbers] to images in [0, 1]."""
    discriminator: nn.Module
    """D and D_cls: images to scores [batch, rows, columns, 1] and logits [batch, schema.bits] of their labels."""


class Weights(NamedTuple):
    """Weights of the terms that are added to the adversarial loss."""

    classification: float = 1.0
    """Weight of the classification loss, lambda_cls."""
    reconstruction: float = 10.0
    """Weight of the reconstruction loss, lambda_rec."""
    identity: float = 0.0
    """Weight of |G(x, c') - x| under the image's own label c', which the paper does not have."""


WEIGHTS = Weights()
"""Weights of the paper."""


def stargan(
    image_shape: tuple[int, int, int],
    networks: Networks,
    schema: Schema,
    *,
    optimizers: Optimizers,
    weights: Weights = WEIGHTS,
    penalty: Penalty = wasserstein_penalty(),  # noqa: B008 (a value)
    discriminator_updates: int = 5,
    paired: bool = False,
) -> Model:
    """Return a StarGAN on `image`, `attributes` and `label_set`, whose phases are discriminator and generator.

    The discriminator is updated in every step, the generator in every step whose number is a multiple of
    `discriminator_updates`. In both phases the targets are the batch's own labels in random order (`permuted`).

    `evaluate` and `generate` take the target from the batch, as `target` [B, bits] and `target_set` [B]. `generate`
    gives G(x, target). `evaluate` gives cycle_error, the mean of |G(G(x, target), own) - x| over pixels, real_score and
    fake_score, the means over patches of D(x) and D(G(x, target)), and if `paired`, so that the batch has the true
    translation of x in `truth`, paired_error, the mean of |G(x, target) - truth|.

    Raises ValueError if the networks do not fit images and schema, or a number is out of range.
    """
    for name, weight in weights._asdict().items():
        if not weight >= 0:
            raise ValueError(f"weights: {name}={weight} must be at least 0")
    check_least(1, discriminator_updates=discriminator_updates)
    image = jnp.zeros((1, *image_shape))
    inputs = {"generator": (image, jnp.zeros((1, schema.numbers))), "discriminator": (image,)}
    outputs = {"generator": image.shape, "discriminator": ((1, None, None, 1), (1, schema.bits))}
    check_outputs(networks, inputs, outputs)

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        return bind(networks, params, stats).generator(batch["image"], target_label(schema, batch))

    discriminator = discriminator_loss(networks, schema, weights, penalty)
    generator = generator_loss(networks, schema, weights)
    model = Model(
        init=lambda key, batch: init_networks(networks, key, **inputs),
        phases=(
            Phase("discriminator", discriminator, ("discriminator",), optimizers.discriminator),
            Phase("generator", generator, ("generator",), optimizers.generator, every=discriminator_updates),
        ),
        evaluate=make_evaluate(networks, schema, paired=paired),
        generate=generate,
        draws=False,
        seeds_together=False,
    )
    pixels, bits, sets = (
        Input(image_shape, "unit"),
        Input((schema.bits,), "binary"),
        Input((), f"classes-{len(schema.known)}"),
    )
    return with_inputs(model, image=pixels, attributes=bits, label_set=sets, target=bits, target_set=sets, truth=pixels)


def label(schema: Schema, bits: Bits, sets: Sets, images: Images) -> Labels:
    """Return labels as the generator reads them, of the images' type (eq. 7).

    Bits of attributes that a label set does not know are 0; with several label sets the one-hot label set is appended.
    """
    known = bits.astype(images.dtype) * jnp.asarray(schema.known_bits, images.dtype)[sets]
    several = len(schema.known) > 1
    return (
        jnp.concatenate([known, jax.nn.one_hot(sets, len(schema.known), dtype=images.dtype)], 1) if several else known
    )


def own_label(schema: Schema, batch: Batch) -> Labels:
    """Return the own labels of the images."""
    return label(schema, batch["attributes"], batch["label_set"], batch["image"])


def target_label(schema: Schema, batch: Batch) -> Labels:
    """Return the labels of the images' target domains."""
    return label(schema, batch["target"], batch["target_set"], batch["image"])


def permuted(key: Key, bits: Bits, sets: Sets) -> Bits:
    """Return the rows of `bits` in a random order within each label set, so that targets are as frequent as labels."""
    positions = jnp.argsort(sets, stable=True)
    drawn = jnp.lexsort((jax.random.uniform(key, sets.shape), sets))
    return jnp.zeros_like(bits).at[positions].set(bits[drawn])


def classification_loss(schema: Schema, logits: Float[Array, "batch bits"], bits: Bits, sets: Sets) -> Scalar:
    """Return -log D_cls(c | x), the cross-entropy of the known attributes, in nats (eq. 2 and 3).

    The loss is summed over attributes, mean over the batch. Its gradient is 0 in the logits of attributes that an
    image's label set does not know.
    """
    known = jnp.asarray(schema.known, logits.dtype)[sets]
    return (known * attribute_losses(logits, bits.astype(logits.dtype), schema.sizes)).sum(axis=1).mean()


def scores_and_logits(
    discriminator: Callable[..., Any], images: Images
) -> tuple[Float[Array, " batch"], Float[Array, "batch bits"]]:
    """Return the mean score of each image's patches, and the logits of its label."""
    scores, logits = discriminator(images)
    return scores.mean(axis=(1, 2, 3)), logits


def discriminator_loss(networks: Networks, schema: Schema, weights: Weights, penalty: Penalty) -> Loss:
    """Return the discriminator's loss for images x of label c' and targets c (eq. 5 and 8).

    E D(G(x, c)) - E D(x)                        adversarial loss, D the mean score over patches
    + lambda_gp E (|grad D(x^)| - 1)^2           `penalty`, of gradients in images rescaled to [-1, 1]
    + lambda_cls E -log D_cls(c' | x)            classification loss of real images
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        G, D = bind(networks, params, stats)
        target_key, points_key = jax.random.split(key)
        x, bits, sets = batch["image"], batch["attributes"], batch["label_set"]
        fake = G(x, label(schema, permuted(target_key, bits, sets), sets, x))
        (real_scores, logits), (fake_scores, _) = scores_and_logits(D, x), scores_and_logits(D, fake)
        adversarial = wasserstein_critic_loss(real_scores, fake_scores).mean()
        points = penalty.points(points_key, x, fake)
        gradients = jax.grad(lambda points: scores_and_logits(D, points)[0].sum())(points) / SPAN
        gradient_penalty = penalty.of_gradients(gradients).mean()
        classification = classification_loss(schema, logits, bits, sets)
        total = adversarial + gradient_penalty + weights.classification * classification
        return total, (
            {"adversarial": adversarial, "penalty": gradient_penalty, "classification": classification},
            stats,
        )

    return loss


def generator_loss(networks: Networks, schema: Schema, weights: Weights) -> Loss:
    """Return the generator's loss for images x of label c' and targets c (eq. 3, 4 and 6).

        -E D(G(x, c))                                adversarial loss
        + lambda_cls E -log D_cls(c | G(x, c))       classification loss of generated images
        + lambda_rec E |G(G(x, c), c') - x|          reconstruction loss
        + lambda_id E |G(x, c') - x|                 identity loss, if it has a weight

    The distances are means over pixels rescaled to [-1, 1].
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        G, D = bind(networks, params, stats)
        x, sets, own = batch["image"], batch["label_set"], own_label(schema, batch)
        target = permuted(key, batch["attributes"], sets)
        fake = G(x, label(schema, target, sets, x))
        scores, logits = D(fake)
        adversarial = wasserstein_generator_loss(scores).mean()
        classification = classification_loss(schema, logits, target, sets)
        reconstruction = distance(G(fake, own), x)
        total = adversarial + weights.classification * classification + weights.reconstruction * reconstruction
        metrics = {"adversarial": adversarial, "classification": classification, "reconstruction": reconstruction}
        if weights.identity:
            metrics["identity"] = distance(G(x, own), x)
            total += weights.identity * metrics["identity"]
        return total, (metrics, stats)

    return loss


def make_evaluate(networks: Networks, schema: Schema, *, paired: bool) -> Evaluate:
    """Return the evaluation of the errors and scores that `stargan` documents."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        G, D = bind(networks, params, stats)
        x = batch["image"]
        fake = G(x, target_label(schema, batch))
        metrics = {
            "cycle_error": mean_absolute_error(G(fake, own_label(schema, batch)), x),
            "real_score": scores_and_logits(D, x)[0],
            "fake_score": scores_and_logits(D, fake)[0],
        }
        return {**metrics, "paired_error": mean_absolute_error(fake, batch["truth"])} if paired else metrics

    return evaluate


def conv_networks(
    image_shape: tuple[int, int, int],
    schema: Schema,
    *,
    filters: int = 64,
    blocks: int | None = None,
    halved: int | None = None,
    edge_size: int = EDGE_SIZE,
    padding: Padding = "zero",
    discriminator_filters: int = 64,
    strided: int | None = None,
) -> Networks:
    """Return the paper's networks, or networks of other sizes, for images of this size.

    Args:
        image_shape: Height, width and channels of the images.
        schema: Schema of the labels.
        filters: Channels of the generator at full size.
        blocks: Number of residual blocks; by default 6, and 9 from 256x256 on.
        halved: Number of downsamplings of the generator; by default `residual.halvings` chooses it.
        edge_size: Outer kernel size of the generator, which is odd: the size in its first and last convolution.
        padding: Padding of the generator; with "reflect" it cannot see the label.
        discriminator_filters: Channels of the discriminator's first layer.
        strided: Number of strided layers of the discriminator; by default `stargan_networks.strided_layers` chooses it.

    Raises:
        ValueError: if the images' height and width do not suit the networks, or a number is out of range.
    """
    blocks = residual_blocks(image_shape) if blocks is None else blocks
    halved = halvings(image_shape) if halved is None else halved
    strided = strided_layers(image_shape) if strided is None else strided
    check_least(1, filters=filters, discriminator_filters=discriminator_filters, strided=strided)
    check_least(0, blocks=blocks, halved=halved)
    check_sides(image_shape, halved, edge_size)
    if min(image_shape[:2]) < 2**strided:
        raise ArgumentError("strided", strided, f": images {image_shape} cannot be halved so often")
    generator = ResidualGenerator(image_shape[-1], filters, blocks, halved, padding, edge_size, affine=True)
    return Networks(LabelledGenerator(generator), TwoHeads(schema.bits, discriminator_filters, strided))
