"""CycleGAN (Zhu, Park, Isola & Efros 2017): translation between two domains of images without pairs.

Two generators G: X -> Y and F: Y -> X are trained against two discriminators, D_Y on images of Y and D_X on images of
X. Each generator must undo the other one: F(G(x)) = x and G(F(y)) = y. In a batch `image` is x and `other_image` is y;
no term of a loss reads both, so x and y at the same position of a batch need not belong together.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.adversarial import least_squares_discriminator_loss, least_squares_generator_loss
from genjax.losses.reconstruction import mean_absolute_error
from genjax.models.adversarial.cyclegan_networks import LEAST_SCORED, PatchDiscriminator, strided_layers
from genjax.models.adversarial.pool import empty_pool, query
from genjax.networks.bound import bind, check_outputs, init_networks
from genjax.networks.images import SPAN
from genjax.networks.residual import EDGE_SIZE, ResidualGenerator, halvings, residual_blocks
from genjax.types import Batch, Evaluate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Others = Float[Array, "batch H W D"]
"""Images of the other domain, which may have another number of channels."""
Shape = tuple[int, int, int]


class Networks(NamedTuple):
    """Networks of a CycleGAN, without batch statistics and dropout."""

    generator_y: nn.Module
    """G: images of X to images of Y, in [0, 1]."""
    generator_x: nn.Module
    """F: images of Y to images of X, in [0, 1]."""
    discriminator_x: nn.Module
    """D_X: images of X to scores [batch, rows, columns, 1], trained towards 1 for real images and 0 for generated."""
    discriminator_y: nn.Module
    """D_Y: images of Y to scores [batch, rows, columns, 1], trained towards the same targets."""


class Optimizers(NamedTuple):
    """Optimizer of each phase."""

    generators: optax.GradientTransformation
    discriminators: optax.GradientTransformation


class Weights(NamedTuple):
    """Weights of the terms of the generators' loss."""

    adversarial: float = 1.0
    """Weight of the adversarial loss."""
    cycle: float = 10.0
    """Weight of the cycle-consistency loss, lambda of eq. 3."""
    identity: float = 0.0
    """Weight of the identity loss |G(y) - y| + |F(x) - x|; the paper has 5 for paintings and photographs (sec. 5.2)."""


WEIGHTS = Weights()
"""Weights of the paper."""


def cyclegan(
    image_shape: Shape,
    other_shape: Shape,
    networks: Networks,
    *,
    optimizers: Optimizers,
    weights: Weights = WEIGHTS,
    pool_size: int = 50,
    paired: bool = False,
) -> Model:
    """Return a CycleGAN on `image` and `other_image` of the batch, whose phases are generators and discriminators.

    The discriminators are updated on real images and on images of a pool (`pool.query`): images that the
    generators return after their own update, or returned for earlier batches. stats["pools"] holds the pools of both
    domains.

    `evaluate` gives cycle_error, the mean of |F(G(x)) - x| over pixels, real_score and fake_score, the means over
    patches of D_Y(y) and D_Y(G(x)), and if `paired`, so that y is the translation of x, paired_error, the mean of
    |G(x) - y|. Metrics of the direction from Y to X have the prefix other_. `generate` gives G(x).

    Raises ValueError if the networks do not fit the shapes, a weight or `pool_size` is below 0, or there is an
    identity loss between images of different shapes.
    """
    check_weights(weights, image_shape, other_shape)
    check_least(0, pool_size=pool_size)
    x, y = (jnp.zeros((1, *shape)) for shape in (image_shape, other_shape))
    inputs = {"generator_y": (x,), "generator_x": (y,), "discriminator_x": (x,), "discriminator_y": (y,)}
    scores = (1, None, None, 1)
    outputs = {"generator_x": x.shape, "generator_y": y.shape, "discriminator_x": scores, "discriminator_y": scores}
    check_outputs(networks, inputs, outputs)

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        params, stats = init_networks(networks, key, **inputs)
        pools = {"x": empty_pool(pool_size, image_shape), "y": empty_pool(pool_size, other_shape)}
        return params, {**stats, "pools": pools}

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Others:
        return bind(networks, params, stats).generator_y(batch["image"])

    generators, discriminators = generators_loss(networks, weights), discriminators_loss(networks)
    phases = (
        Phase("generators", generators, ("generator_y", "generator_x"), optimizers.generators),
        Phase("discriminators", discriminators, ("discriminator_x", "discriminator_y"), optimizers.discriminators),
    )
    model = Model(init, phases, make_evaluate(networks, paired=paired), generate, draws=False, seeds_together=False)
    return with_inputs(model, image=Input(image_shape, "unit"), other_image=Input(other_shape, "unit"))


def check_weights(weights: Weights, image_shape: Shape, other_shape: Shape) -> None:
    """Raise ValueError if a weight is below 0, or an identity loss compares images of different shapes."""
    for name, weight in weights._asdict().items():
        if not weight >= 0:
            raise ValueError(f"weights: {name}={weight} must be at least 0")
    if weights.identity and image_shape != other_shape:
        raise ValueError(
            f"weights: identity={weights.identity} needs images of one shape, they are {image_shape} and {other_shape}"
        )


def generators_loss(networks: Networks, weights: Weights) -> Loss:
    """Return the loss of both generators on images rescaled to [-1, 1], as in the authors' code.

        w_adversarial (E (D_Y(G(x)) - 1)^2 + E (D_X(F(y)) - 1)^2)     adversarial loss (sec. 4)
        + lambda (E |F(G(x)) - x| + E |G(F(y)) - y|)                  cycle-consistency loss (eq. 2 and 3)
        + w_identity (E |G(y) - y| + E |F(x) - x|)                    identity loss (sec. 5.2)

    Each expectation is a mean over the batch and over pixels or patches.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        G, F, D_X, D_Y = bind(networks, params, stats)
        x, y = batch["image"], batch["other_image"]
        fake_y, fake_x = G(x), F(y)
        adversarial = adversarial_loss(D_Y(fake_y)) + adversarial_loss(D_X(fake_x))
        cycle = distance(F(fake_y), x) + distance(G(fake_x), y)
        total = weights.adversarial * adversarial + weights.cycle * cycle
        metrics = {"adversarial": adversarial, "cycle": cycle}
        if weights.identity:
            metrics["identity"] = distance(G(y), y) + distance(F(x), x)
            total += weights.identity * metrics["identity"]
        return total, (metrics, stats)

    return loss


def adversarial_loss(scores: Float[Array, "batch rows columns 1"]) -> Scalar:
    """Return E (D(fake) - 1)^2, without the factor 1/2 of Mao et al. (2017), as in the paper."""
    return 2 * least_squares_generator_loss(scores).mean()


def distance(images: Images, others: Images) -> Scalar:
    """Return the mean absolute difference of images in [0, 1], after rescaling them to [-1, 1]."""
    return SPAN * mean_absolute_error(images, others).mean()


def discriminators_loss(networks: Networks) -> Loss:
    """Return the loss of both discriminators, and the pools after it.

        (E (D_X(x) - 1)^2 + E D_X(fake_x)^2) / 2 + (E (D_Y(y) - 1)^2 + E D_Y(fake_y)^2) / 2     (sec. 4, app. 7.1)

    The fakes come from the pools of the images F(y) and G(x).
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        G, F, D_X, D_Y = bind(networks, params, stats)
        x, y, pools = batch["image"], batch["other_image"], stats["pools"]
        x_key, y_key = jax.random.split(key)
        fake_x, pool_x = query(pools["x"], F(y), x_key)
        fake_y, pool_y = query(pools["y"], G(x), y_key)
        real_x_scores, fake_x_scores, real_y_scores, fake_y_scores = D_X(x), D_X(fake_x), D_Y(y), D_Y(fake_y)
        loss_x = least_squares_discriminator_loss(real_x_scores, fake_x_scores).mean()
        loss_y = least_squares_discriminator_loss(real_y_scores, fake_y_scores).mean()
        metrics = {
            "real_score_x": real_x_scores.mean(),
            "fake_score_x": fake_x_scores.mean(),
            "real_score_y": real_y_scores.mean(),
            "fake_score_y": fake_y_scores.mean(),
        }
        return loss_x + loss_y, (metrics, {**stats, "pools": {"x": pool_x, "y": pool_y}})

    return loss


Network = Callable[..., Any]


def make_evaluate(networks: Networks, *, paired: bool) -> Evaluate:
    """Return the evaluation of errors and scores in both directions; metrics from Y to X have the prefix other_."""

    def direction(x: Images, y: Others, G: Network, F: Network, D_Y: Network) -> Metrics:
        fake = G(x)
        metrics = {
            "cycle_error": mean_absolute_error(F(fake), x),
            "real_score": D_Y(y).mean(axis=(1, 2, 3)),
            "fake_score": D_Y(fake).mean(axis=(1, 2, 3)),
        }
        return {**metrics, "paired_error": mean_absolute_error(fake, y)} if paired else metrics

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        G, F, D_X, D_Y = bind(networks, params, stats)
        x, y = batch["image"], batch["other_image"]
        there, back = direction(x, y, G, F, D_Y), direction(y, x, F, G, D_X)
        return {**there, **{f"other_{name}": values for name, values in back.items()}}

    return evaluate


def conv_networks(
    image_shape: Shape,
    other_shape: Shape,
    *,
    filters: int = 64,
    blocks: int | None = None,
    halved: int | None = None,
    edge_size: int = EDGE_SIZE,
    discriminator_filters: int = 64,
    strided: int | None = None,
) -> Networks:
    """Return the paper's networks, or smaller networks, for images of this size.

    Args:
        image_shape: Height, width and channels of images of X.
        other_shape: Height, width and channels of images of Y.
        filters: Channels of a generator at full size.
        blocks: Number of residual blocks; by default 9 from 256x256 on and 6 below.
        halved: Number of downsamplings of a generator; by default `residual.halvings` chooses it.
        edge_size: Outer kernel size of a generator, which is odd: the size in its first and last convolution.
        discriminator_filters: Channels of a discriminator's first layer.
        strided: Number of strided layers of a discriminator; by default `cyclegan_networks.strided_layers` chooses it.

    Raises:
        ValueError: if height and width differ between the domains or do not suit the networks, or a number is out
            of range.
    """
    if image_shape[:2] != other_shape[:2]:
        raise ValueError(
            f"image_shape={image_shape} and other_shape={other_shape}: height and width must be the same in both"
        )
    blocks = residual_blocks(image_shape) if blocks is None else blocks
    halved = halvings(image_shape) if halved is None else halved
    strided = strided_layers(image_shape) if strided is None else strided
    check_least(1, filters=filters, discriminator_filters=discriminator_filters)
    check_least(0, blocks=blocks, halved=halved, strided=strided)
    check_sides(image_shape, halved, edge_size)
    if min(image_shape[:2]) // 2**strided < LEAST_SCORED:
        raise ArgumentError(
            "strided", strided, f": image_shape={image_shape} halved so often must leave {LEAST_SCORED} pixels a side"
        )
    generator_y, generator_x = (
        ResidualGenerator(shape[-1], filters, blocks, halved, edge_size=edge_size)
        for shape in (other_shape, image_shape)
    )
    discriminator = PatchDiscriminator(discriminator_filters, strided)
    return Networks(generator_y, generator_x, discriminator, discriminator)


def check_least(least: int, **counts: int) -> None:
    """Raise ValueError if a count is below `least`."""
    for name, count in counts.items():
        if count < least:
            raise ValueError(f"{name}={count} must be at least {least}")


def check_sides(image_shape: Shape, halved: int, edge_size: int) -> None:
    """Raise ValueError if height and width do not allow the downsamplings, or the reflection padding of the kernels."""
    least = max(2 * 2**halved, edge_size // 2 + 1)
    if edge_size < 1 or edge_size % 2 == 0:
        raise ArgumentError("edge_size", edge_size, " must be odd and above 0")
    if any(side % 2**halved or side < least for side in image_shape[:2]):
        raise ValueError(
            f"image_shape={image_shape}: with halved={halved} and edge_size={edge_size} height and width must be "
            f"multiples of {2**halved}, at least {least}"
        )
