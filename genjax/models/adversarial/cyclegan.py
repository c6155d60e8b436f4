"""CycleGAN (Zhu, Park, Isola & Efros 2017): translation between two domains of images without pairs.

Two generators G: X -> Y and F: Y -> X play against two discriminators, D_Y on images of Y and D_X on images of X, and
what one of them makes the other must turn back: F(G(x)) = x and G(F(y)) = y. In a batch `image` is x and `other_image`
is y; no term of a loss reads both, so that it does not matter which x stands beside which y.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.core import Model, Phase
from genjax.losses.adversarial import least_squares_discriminator_loss, least_squares_generator_loss
from genjax.losses.reconstruction import mean_absolute_error
from genjax.models.adversarial.cyclegan_networks import LEAST_SCORED, PatchDiscriminator, strided_layers
from genjax.models.adversarial.pool import Pool, empty_pool, query
from genjax.networks.named import applied, split_variables
from genjax.networks.residual import EDGE_SIZE, ResidualGenerator, halvings, residual_blocks
from genjax.types import Batch, Evaluate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Others = Float[Array, "batch H W D"]
"""Images of the other domain, whose channels may be more or fewer."""
Shape = tuple[int, int, int]

SPAN = 2
"""Of a pixel's values in the losses: the authors' images lie in [-1, 1], ours in [0, 1]."""


class Networks(NamedTuple):
    """What a CycleGAN is made of; without batch statistics and dropout."""

    generator_y: nn.Module
    """G: images of X to images of Y, in [0, 1]."""
    generator_x: nn.Module
    """F: images of Y to images of X, in [0, 1]."""
    discriminator_x: nn.Module
    """Images of X to scores [batch, rows, columns, 1]: 1 for real, 0 for made."""
    discriminator_y: nn.Module
    """The same of Y."""


class Optimizers(NamedTuple):
    """Of each phase."""

    generators: optax.GradientTransformation
    discriminators: optax.GradientTransformation


class Weights(NamedTuple):
    """Of the terms of the generators' loss."""

    game: float = 1.0
    cycle: float = 10.0
    """Lambda of eq. 3."""
    identity: float = 0.0
    """Of |G(y) - y| + |F(x) - x|; the paper has 5 for paintings and photographs (sec. 5.2)."""


WEIGHTS = Weights()
"""The paper's."""


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
    """A CycleGAN on `image` and `other_image` of the batch, whose phases are generators and discriminators.

    The discriminators see, beside the real images, what the generators make after their move, or what they made of
    earlier batches (`pool.query`). stats["pools"] has the pools of both domains.

    `evaluate` gives cycle_error, the mean of |F(G(x)) - x| over pixels, and real_score and fake_score, what D_Y says of
    y and of G(x), mean over patches; where `paired`, so that y is what x is to become, paired_error, the mean of
    |G(x) - y|; and all of them in the other direction, as other_.... `generate` gives G(x).

    Raises ValueError where the networks do not fit the shapes, a weight or `pool_size` is below 0, or there is an
    identity term between images of different shapes.
    """
    check_weights(weights, image_shape, other_shape)
    check_networks(networks, image_shape, other_shape)
    shapes = {"x": image_shape, "y": other_shape}

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        params, stats = init_networks(networks, key, batch["image"], batch["other_image"])
        return params, {**stats, "pools": {name: empty_pool(pool_size, shape) for name, shape in shapes.items()}}

    empty_pool(pool_size, image_shape)
    return Model(
        init=init,
        phases=(
            Phase(
                "generators", generators_loss(networks, weights), ("generator_y", "generator_x"), optimizers.generators
            ),
            Phase(
                "discriminators",
                discriminators_loss(networks),
                ("discriminator_x", "discriminator_y"),
                optimizers.discriminators,
            ),
        ),
        evaluate=make_evaluate(networks, paired=paired),
        generate=lambda params, stats, batch, key: applied(networks, "generator_y", params, stats, batch["image"]),
    )


def check_weights(weights: Weights, image_shape: Shape, other_shape: Shape) -> None:
    """Raise ValueError where a weight is below 0, or an identity term compares images of different shapes."""
    for name, weight in weights._asdict().items():
        if not weight >= 0:
            raise ValueError(f"weights: {name}={weight} must be at least 0")
    if weights.identity and image_shape != other_shape:
        raise ValueError(
            f"weights: identity={weights.identity} needs images of one shape, they are {image_shape} and {other_shape}"
        )


def init_networks(networks: Networks, key: Key, x: Images, y: Others) -> tuple[Params, Stats]:
    """Fresh variables of all networks."""
    reads = {"generator_y": x, "generator_x": y, "discriminator_x": x, "discriminator_y": y}
    keys = jax.random.split(key, len(reads))
    return split_variables(
        {
            name: getattr(networks, name).init(network_key, images[:1])
            for network_key, (name, images) in zip(keys, reads.items(), strict=True)
        }
    )


def check_networks(networks: Networks, image_shape: Shape, other_shape: Shape) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes of images and scores."""
    shapes = {"x": image_shape, "y": other_shape}

    def outputs(key: Key) -> dict[str, Array]:
        images = {name: jnp.zeros((1, *shape)) for name, shape in shapes.items()}
        params, stats = init_networks(networks, key, images["x"], images["y"])
        made = {"x": applied(networks, "generator_x", params, stats, images["y"])}
        made["y"] = applied(networks, "generator_y", params, stats, images["x"])
        scores = {name: applied(networks, f"discriminator_{name}", params, stats, images[name]) for name in shapes}
        return {f"{kind}_{name}": each[name] for kind, each in (("made", made), ("score", scores)) for name in each}

    found = jax.eval_shape(outputs, jax.random.key(0))
    for name, shape in shapes.items():
        made, scores = found[f"made_{name}"].shape[1:], found[f"score_{name}"].shape[1:]
        if made != shape:
            raise ValueError(f"networks: generator_{name} returns images {made}, must be {shape}")
        if len(scores) != 3 or scores[-1] != 1 or 0 in scores:
            raise ValueError(f"networks: discriminator_{name} returns {scores}, must be (rows, columns, 1)")


def generators_loss(networks: Networks, weights: Weights) -> Loss:
    """The weighted sum of the game, the cycles and the identities (eq. 3, sec. 5.2), each mean over pixels or patches.

    Images count from -1 to 1, as in the authors' code.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        def out(name: str, images: Images) -> Array:
            return applied(networks, name, params, stats, images)

        x, y = batch["image"], batch["other_image"]
        fake_y, fake_x = out("generator_y", x), out("generator_x", y)
        terms = {
            "game": deception(out("discriminator_y", fake_y)) + deception(out("discriminator_x", fake_x)),
            "cycle": distance(out("generator_x", fake_y), x) + distance(out("generator_y", fake_x), y),
        }
        if weights.identity:
            terms["identity"] = distance(out("generator_y", y), y) + distance(out("generator_x", x), x)
        total = sum((getattr(weights, name) * term for name, term in terms.items()), start=jnp.zeros((), x.dtype))
        return total, (terms, stats)

    return loss


def deception(scores: Float[Array, "batch rows columns 1"]) -> Scalar:
    """E (D(G(x)) - 1)^2: without the 1/2 of Mao et al. (2017), as the paper has it."""
    return 2 * least_squares_generator_loss(scores).mean()


def distance(images: Images, others: Images) -> Scalar:
    """The mean absolute difference of images that count from -1 to 1."""
    return SPAN * mean_absolute_error(images, others).mean()


def discriminators_loss(networks: Networks) -> Loss:
    """The sum over both domains of (E (D(y) - 1)^2 + E D(answer)^2) / 2, answers being those of the domain's pool."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        total, metrics, pools = jnp.zeros(()), {}, {}
        real = {"x": batch["image"], "y": batch["other_image"]}
        read = {"x": real["y"], "y": real["x"]}
        for name, pool_key in zip(real, jax.random.split(key), strict=True):
            fake = applied(networks, f"generator_{name}", params, stats, read[name])
            pool: Pool = stats["pools"][name]
            answers, pools[name] = query(pool, fake, pool_key)
            real_scores, fake_scores = (
                applied(networks, f"discriminator_{name}", params, stats, images) for images in (real[name], answers)
            )
            total += least_squares_discriminator_loss(real_scores, fake_scores).mean()
            metrics |= {f"real_score_{name}": real_scores.mean(), f"fake_score_{name}": fake_scores.mean()}
        return total, (metrics, {**stats, "pools": pools})

    return loss


def make_evaluate(networks: Networks, *, paired: bool) -> Evaluate:
    """Errors and scores of both directions, the second as other_...."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        def direction(x: Images, y: Others, target: str, back: str) -> Metrics:
            made = applied(networks, f"generator_{target}", params, stats, x)
            returned = applied(networks, f"generator_{back}", params, stats, made)
            scores = {
                kind: applied(networks, f"discriminator_{target}", params, stats, images).mean(axis=(1, 2, 3))
                for kind, images in (("real_score", y), ("fake_score", made))
            }
            error = {"paired_error": mean_absolute_error(made, y)} if paired else {}
            return {"cycle_error": mean_absolute_error(returned, x), **error, **scores}

        x, y = batch["image"], batch["other_image"]
        there, back = direction(x, y, "y", "x"), direction(y, x, "x", "y")
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
    """The paper's networks for images of this size, or smaller ones.

    Raises ValueError where height and width differ between the domains or do not suit the networks, or a number is out
    of range.

    Args:
        image_shape: Of X.
        other_shape: Of Y.
        filters: Maps of a generator at full size.
        blocks: Residual blocks; by default 9 from 256x256 on and 6 below.
        halved: How often a generator halves height and width; by default as `residual.halvings` says.
        edge_size: Kernel of a generator's first and last convolution, odd.
        discriminator_filters: Maps of a discriminator's first layer.
        strided: Layers of stride 2 of a discriminator; by default as `patch.strided_layers` says.
    """
    if image_shape[:2] != other_shape[:2]:
        raise ValueError(
            f"image_shape={image_shape} and other_shape={other_shape}: height and width must be the same in both"
        )
    blocks = residual_blocks(image_shape) if blocks is None else blocks
    halved = halvings(image_shape) if halved is None else halved
    strided = strided_layers(image_shape) if strided is None else strided
    counts = {"filters": filters, "discriminator_filters": discriminator_filters}
    for name, count, least in (
        *((name, count, 1) for name, count in counts.items()),
        *(("blocks", blocks, 0), ("halved", halved, 0), ("strided", strided, 0)),
    ):
        if count < least:
            raise ValueError(f"{name}={count} must be at least {least}")
    check_sides(image_shape, halved, edge_size)
    if min(image_shape[:2]) // 2**strided < LEAST_SCORED:
        raise ValueError(
            f"strided={strided}: image_shape={image_shape} halved so often must leave {LEAST_SCORED} pixels a side"
        )
    generator_y, generator_x = (
        ResidualGenerator(shape[-1], filters, blocks, halved, edge_size=edge_size)
        for shape in (other_shape, image_shape)
    )
    discriminator = PatchDiscriminator(discriminator_filters, strided)
    return Networks(generator_y, generator_x, discriminator, discriminator)


def check_sides(image_shape: Shape, halved: int, edge_size: int) -> None:
    """Raise ValueError where height and width cannot be halved so often, or reflected as far as a kernel reaches."""
    least = max(2 * 2**halved, edge_size // 2 + 1)
    if edge_size < 1 or edge_size % 2 == 0:
        raise ValueError(f"edge_size={edge_size} must be odd and above 0")
    if any(side % 2**halved or side < least for side in image_shape[:2]):
        raise ValueError(
            f"image_shape={image_shape}: with halved={halved} and edge_size={edge_size} height and width must be "
            f"multiples of {2**halved}, at least {least}"
        )
