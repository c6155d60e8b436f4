"""StarGAN (Choi et al. 2018): one generator for translation between all domains of images.

The generator reads an image and the label of the domain that it is to be of; the discriminator scores patches and reads
the label. What labels say is a `Scheme` (genjax/data/attributes.py): attributes, and where several label sets meet, of
which each knows some attributes only, which those are. A batch has `image`, its bits in `attributes` [B, bits] and
its label set in `label_set` [B]; bits that the label set does not know are never looked at.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int, Num

from genjax.core import Model, Phase
from genjax.data.attributes import Scheme
from genjax.losses.adversarial import wasserstein_critic_loss, wasserstein_generator_loss
from genjax.losses.attributes import attribute_losses
from genjax.losses.reconstruction import mean_absolute_error
from genjax.models.adversarial.cyclegan import SPAN, check_sides, distance
from genjax.models.adversarial.gan import Optimizers, Penalty, wasserstein_penalty
from genjax.models.adversarial.stargan_networks import LabelledGenerator, TwoHeads, strided_layers
from genjax.networks.named import applied, split_variables
from genjax.networks.residual import EDGE_SIZE, Padding, ResidualGenerator, halvings, residual_blocks
from genjax.types import Batch, Evaluate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Labels = Float[Array, "batch numbers"]
"""What the generator reads."""
Bits = Num[Array, "batch bits"]
Sets = Int[Array, " batch"]


class Networks(NamedTuple):
    """What a StarGAN is made of; without batch statistics and dropout."""

    generator: nn.Module
    """Images and labels [batch, scheme.numbers] to images in [0, 1]."""
    discriminator: nn.Module
    """Images to scores [batch, rows, columns, 1] and to the logits [batch, scheme.bits] of their labels."""


class Weights(NamedTuple):
    """Of the terms beside the game."""

    classification: float = 1.0
    reconstruction: float = 10.0
    identity: float = 0.0
    """Of |G(x, c') - x| under the image's own label c', which the paper does not have."""


WEIGHTS = Weights()
"""The paper's."""


def stargan(
    image_shape: tuple[int, int, int],
    networks: Networks,
    scheme: Scheme,
    *,
    optimizers: Optimizers,
    weights: Weights = WEIGHTS,
    penalty: Penalty = wasserstein_penalty(),  # noqa: B008 (a value)
    discriminator_moves: int = 5,
    paired: bool = False,
) -> Model:
    """A StarGAN on `image`, `attributes` and `label_set` of the batch, whose phases are discriminator and generator.

    The discriminator moves in every step, the generator in every step whose number is a multiple of
    `discriminator_moves`. In both, targets are the batch's own labels in another order (`permuted`).

    `evaluate` and `generate` take the target from the batch, as `target` [B, bits] and `target_set` [B]. `generate`
    gives G(x, target); `evaluate` cycle_error, the mean of |G(G(x, target), own) - x| over pixels, real_score and
    fake_score, what D says of x and of G(x, target), mean over patches, and where `paired`, so that the batch has in
    `truth` what x is to become, paired_error, the mean of |G(x, target) - truth|.

    Raises ValueError where the networks do not fit images and scheme, or a number is out of range.
    """
    for name, weight in weights._asdict().items():
        if not weight >= 0:
            raise ValueError(f"weights: {name}={weight} must be at least 0")
    if discriminator_moves < 1:
        raise ValueError(f"discriminator_moves={discriminator_moves} must be at least 1")
    check_networks(networks, image_shape, scheme)
    discriminator = discriminator_loss(networks, scheme, weights, penalty)
    generator = generator_loss(networks, scheme, weights)
    return Model(
        init=lambda key, batch: init_networks(networks, key, batch["image"][:1], scheme),
        phases=(
            Phase("discriminator", discriminator, ("discriminator",), optimizers.discriminator),
            Phase("generator", generator, ("generator",), optimizers.generator, every=discriminator_moves),
        ),
        evaluate=make_evaluate(networks, scheme, paired=paired),
        generate=lambda params, stats, batch, key: applied(
            networks, "generator", params, stats, batch["image"], target_label(scheme, batch)
        ),
    )


def init_networks(networks: Networks, key: Key, images: Images, scheme: Scheme) -> tuple[Params, Stats]:
    """Fresh variables of both networks."""
    generator_key, discriminator_key = jax.random.split(key)
    labels = jnp.zeros((len(images), scheme.numbers), images.dtype)
    return split_variables(
        {
            "generator": networks.generator.init(generator_key, images, labels),
            "discriminator": networks.discriminator.init(discriminator_key, images),
        }
    )


def check_networks(networks: Networks, image_shape: tuple[int, int, int], scheme: Scheme) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes of images, scores and labels."""

    def outputs(key: Key) -> tuple[Array, tuple[Array, Array]]:
        images = jnp.zeros((1, *image_shape))
        params, stats = init_networks(networks, key, images, scheme)
        made = applied(networks, "generator", params, stats, images, jnp.zeros((1, scheme.numbers)))
        return made, applied(networks, "discriminator", params, stats, images)

    made, (scores, logits) = jax.eval_shape(outputs, jax.random.key(0))
    if made.shape[1:] != image_shape:
        raise ValueError(f"networks: the generator returns images {made.shape[1:]}, must be {image_shape}")
    if len(scores.shape) != 4 or scores.shape[-1] != 1 or logits.shape != (1, scheme.bits):
        raise ValueError(
            f"networks: the discriminator returns {scores.shape[1:]} and {logits.shape[1:]}, must be "
            f"(rows, columns, 1) and ({scheme.bits},)"
        )


def label(scheme: Scheme, bits: Bits, sets: Sets, images: Images) -> Labels:
    """What the generator reads: the known bits, the others 0, and a one-hot label set where there are several (eq. 7).

    Of the images' type.
    """
    known = bits.astype(images.dtype) * jnp.asarray(scheme.known_bits, images.dtype)[sets]
    several = len(scheme.known) > 1
    return (
        jnp.concatenate([known, jax.nn.one_hot(sets, len(scheme.known), dtype=images.dtype)], 1) if several else known
    )


def own_label(scheme: Scheme, batch: Batch) -> Labels:
    """That of the images as they are."""
    return label(scheme, batch["attributes"], batch["label_set"], batch["image"])


def target_label(scheme: Scheme, batch: Batch) -> Labels:
    """That of what is to become of them."""
    return label(scheme, batch["target"], batch["target_set"], batch["image"])


def permuted(key: Key, bits: Bits, sets: Sets) -> Bits:
    """The rows in another order, in which each label set has its own rows again: targets are as frequent as labels."""
    places = jnp.argsort(sets, stable=True)
    drawn = jnp.lexsort((jax.random.uniform(key, sets.shape), sets))
    return jnp.zeros_like(bits).at[places].set(bits[drawn])


def classification_loss(scheme: Scheme, logits: Float[Array, "batch bits"], bits: Bits, sets: Sets) -> Scalar:
    """The cross-entropy of the known attributes in nats, summed over them, mean over the batch (eq. 2 and 3).

    Its gradient is 0 in the logits of attributes that an image's label set does not know.
    """
    known = jnp.asarray(scheme.known, logits.dtype)[sets]
    return (known * attribute_losses(logits, bits.astype(logits.dtype), scheme.sizes)).sum(axis=1).mean()


def discriminator_loss(networks: Networks, scheme: Scheme, weights: Weights, penalty: Penalty) -> Loss:
    """The game, its penalty and the classification of real images (eq. 5 and 8).

    An image's score is the mean over its patches; its gradient is taken in images from -1 to 1.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        def out(images: Images) -> tuple[Float[Array, " batch"], Float[Array, "batch bits"]]:
            scores, logits = applied(networks, "discriminator", params, stats, images)
            return scores.mean(axis=(1, 2, 3)), logits

        target_key, points_key = jax.random.split(key)
        x, bits, sets = batch["image"], batch["attributes"], batch["label_set"]
        target = label(scheme, permuted(target_key, bits, sets), sets, x)
        fake = applied(networks, "generator", params, stats, x, target)
        (real_scores, logits), (fake_scores, _) = out(x), out(fake)
        gradients = jax.grad(lambda images: out(images)[0].sum())(penalty.points(points_key, x, fake))
        terms = {
            "game": wasserstein_critic_loss(real_scores, fake_scores).mean(),
            "penalty": penalty.of_gradients(gradients / SPAN).mean(),
            "classification": classification_loss(scheme, logits, bits, sets),
        }
        return terms["game"] + terms["penalty"] + weights.classification * terms["classification"], (terms, stats)

    return loss


def generator_loss(networks: Networks, scheme: Scheme, weights: Weights) -> Loss:
    """The game, the classification of what is made and the reconstruction of the image from that (eq. 6).

    Where it has a weight, also what becomes of an image that is to stay as it is. Both are means over pixels that count
    from -1 to 1.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        x, sets = batch["image"], batch["label_set"]
        target = permuted(key, batch["attributes"], sets)
        made = applied(networks, "generator", params, stats, x, label(scheme, target, sets, x))
        returned = applied(networks, "generator", params, stats, made, own_label(scheme, batch))
        scores, logits = applied(networks, "discriminator", params, stats, made)
        terms = {
            "game": wasserstein_generator_loss(scores).mean(),
            "classification": classification_loss(scheme, logits, target, sets),
            "reconstruction": distance(returned, x),
        }
        if weights.identity:
            terms["identity"] = distance(applied(networks, "generator", params, stats, x, own_label(scheme, batch)), x)
        weighted = (getattr(weights, name) * term for name, term in terms.items() if name != "game")
        return sum(weighted, start=terms["game"]), (terms, stats)

    return loss


def make_evaluate(networks: Networks, scheme: Scheme, *, paired: bool) -> Evaluate:
    """Errors and scores."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        def scores(images: Images) -> Float[Array, " batch"]:
            return applied(networks, "discriminator", params, stats, images)[0].mean(axis=(1, 2, 3))

        x = batch["image"]
        made = applied(networks, "generator", params, stats, x, target_label(scheme, batch))
        returned = applied(networks, "generator", params, stats, made, own_label(scheme, batch))
        error = {"paired_error": mean_absolute_error(made, batch["truth"])} if paired else {}
        return {
            "cycle_error": mean_absolute_error(returned, x),
            **error,
            "real_score": scores(x),
            "fake_score": scores(made),
        }

    return evaluate


def conv_networks(
    image_shape: tuple[int, int, int],
    scheme: Scheme,
    *,
    filters: int = 64,
    blocks: int | None = None,
    halved: int | None = None,
    edge_size: int = EDGE_SIZE,
    padding: Padding = "zero",
    discriminator_filters: int = 64,
    strided: int | None = None,
) -> Networks:
    """The paper's networks for images of this size, or others.

    Raises ValueError where the images' sides do not suit them, or a number is out of range.

    Args:
        image_shape: Of the images.
        scheme: Of the labels.
        filters: Maps of the generator at full size.
        blocks: Residual blocks; by default 6, and 9 from 256x256 on.
        halved: How often the generator halves height and width; by default as `residual.halvings` says.
        edge_size: Kernel of the generator's first and last convolution, odd.
        padding: Of the generator; with "reflect" it cannot see the label.
        discriminator_filters: Maps of the discriminator's first layer.
        strided: Its layers of stride 2; by default as `stargan.strided_layers` says.
    """
    blocks = residual_blocks(image_shape) if blocks is None else blocks
    halved = halvings(image_shape) if halved is None else halved
    strided = strided_layers(image_shape) if strided is None else strided
    least = {"filters": 1, "blocks": 0, "halved": 0, "discriminator_filters": 1, "strided": 1}
    given = (filters, blocks, halved, discriminator_filters, strided)
    for (name, smallest), count in zip(least.items(), given, strict=True):
        if count < smallest:
            raise ValueError(f"{name}={count} must be at least {smallest}")
    check_sides(image_shape, halved, edge_size)
    if min(image_shape[:2]) < 2**strided:
        raise ValueError(f"strided={strided}: images {image_shape} cannot be halved so often")
    generator = ResidualGenerator(image_shape[-1], filters, blocks, halved, padding, edge_size, affine=True)
    return Networks(LabelledGenerator(generator), TwoHeads(scheme.bits, discriminator_filters, strided))
