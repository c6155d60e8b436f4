"""Progressive growing of GANs (Karras, Aila, Laine & Lehtinen 2018): the game of gan.py on images that grow.

A batch has images of its step's level and the step's depth (genjax/data/growth.py): the losses take the level from the
images' size, and at that size they fade in the generator, the discriminator and the real images with the same weight.
The state holds all levels from the start.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from genjax.core import Model, Phase
from genjax.data.growth import doublings
from genjax.losses.adversarial import Game, wasserstein_with_drift
from genjax.models.adversarial.gan import (
    Networks,
    Optimizers,
    Penalty,
    check_networks,
    discriminator_phase_loss,
    evaluation,
    generator_phase_loss,
    init_networks,
    make_generate,
    wasserstein_penalty,
)
from genjax.models.adversarial.progressive_gan_networks import Depth, Discriminator, Generator, alpha, faded, pyramid
from genjax.models.priors import gaussian
from genjax.types import Batch, Key, Loss, Metrics, Params, PyTree, Scalar, Stats

Images = Float[Array, "batch H W C"]


class Sizes(NamedTuple):
    """What the networks are, by default those of the paper's table 2."""

    start: int = 4
    """Side of the images of level 0."""
    latents: int = 512
    maps: int = 512
    """Of each level, at most."""
    maps_times_side: int = 16384
    """Maps of a level times its side, at most."""
    group: int = 0
    """Examples over which a minibatch deviation is; 0 for the whole batch."""


def progressive_gan(
    image_shape: tuple[int, int, int],
    *,
    optimizers: Optimizers,
    sizes: Sizes = Sizes(),  # noqa: B008 (a value)
    game: Game = wasserstein_with_drift(),  # noqa: B008
    penalty: Penalty | None = wasserstein_penalty(),  # noqa: B008
    discriminator_moves: int = 1,
    restarts: Sequence[int] = (),
) -> Model:
    """A progressive GAN on images in [0, 1], whose phases are those of `gan`.

    A training batch has `image` of any level and `depth` [B], the same for all: the level's or up to one less. The
    discriminator learns from the batch's own deviation, and so an example's gradient in a penalty is that of others
    too, as in the authors' code. stats["depth"] is that of the last step.

    `evaluate` gives what that of `gan` gives, at images of the full size which are faded like those of training, with
    the running deviation of real images; `generate` images of the full size, as the depth has them: those of a lower
    level are doubled.

    Args:
        image_shape: Height and width are sizes.start times one power of 2.
        optimizers: Of the two phases; the paper's are Adam with step size 1e-3, b1 0, b2 0.99.
        sizes: Of the networks.
        game: The losses.
        penalty: What the discriminator pays for its gradients in images that lie in [-1, 1].
        discriminator_moves: Per move of the generator.
        restarts: Steps (counted from 0) before which both optimizers forget what they have gathered, as at each new
            level.

    Raises ValueError where the sizes do not fit the images, or a number is out of range.
    """
    levels = doublings(image_shape, sizes.start)
    at = functools.partial(networks_at, image_shape, sizes)
    check_sizes(sizes, discriminator_moves)
    check_networks(at(levels, float(levels)), image_shape, penalized=False)
    discriminator = told(
        grown(at, sizes.start, lambda networks: discriminator_phase_loss(networks, game, penalty, "image")), sizes.start
    )
    generator = grown(at, sizes.start, lambda networks: generator_phase_loss(networks, game, "image"))
    optimizers = Optimizers(
        with_restarts(optimizers.discriminator, restarts),
        with_restarts(optimizers.generator, [step // discriminator_moves for step in restarts]),
    )

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        params, stats = init_networks(at(levels, float(levels)), key, jnp.zeros((1, *image_shape)))
        return params, {**stats, "depth": batch["depth"][0]}

    def draw(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        return make_generate(at(levels, stats["depth"]))(params, stats, batch, key)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        depth = stats["depth"]
        real, fake = faded(pyramid(2 * batch["image"] - 1, levels), depth), draw(params, stats, batch, key)
        return evaluation(at(levels, depth), game, params, stats, real, fake)

    return Model(
        init=init,
        phases=(
            Phase("discriminator", discriminator, ("discriminator",), optimizers.discriminator),
            Phase("generator", generator, ("generator",), optimizers.generator, every=discriminator_moves),
        ),
        evaluate=evaluate,
        generate=lambda params, stats, batch, key: jnp.clip((draw(params, stats, batch, key) + 1) / 2, 0, 1),
    )


NetworksAt = Callable[[int, Depth], Networks]
"""(level, depth) -> the networks on images of that level."""


def networks_at(image_shape: tuple[int, int, int], sizes: Sizes, level: int, depth: Depth) -> Networks:
    """The networks for images of this shape, as they are on the images of a level."""
    channels = all_channels(image_shape, sizes)
    return Networks(
        generator=Generator(sizes.start, channels, image_shape[-1], level, depth),
        discriminator=Discriminator(channels, level, depth, sizes.group),
        prior=gaussian(sizes.latents),
    )


def all_channels(image_shape: tuple[int, int, int], sizes: Sizes) -> tuple[int, ...]:
    """The maps of each level."""
    sides = (sizes.start * 2**level for level in range(doublings(image_shape, sizes.start) + 1))
    return tuple(max(1, min(sizes.maps, sizes.maps_times_side // side)) for side in sides)


def check_sizes(sizes: Sizes, discriminator_moves: int) -> None:
    """Raise ValueError where a number is out of range."""
    if min(sizes.maps, sizes.maps_times_side, discriminator_moves) < 1 or sizes.group < 0:
        raise ValueError(f"{sizes}, discriminator_moves={discriminator_moves}: group must be at least 0, the others 1")


def grown(at: NetworksAt, start: int, make_loss: Callable[[Networks], Loss]) -> Loss:
    """What `make_loss` makes of the networks at the batch's level and depth, on real images that are faded alike."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        images, depth = batch["image"], batch["depth"][0]
        level = doublings(images.shape[1:], start)
        real = faded(pyramid(2 * images - 1, level), depth)
        value, (metrics, moved) = make_loss(at(level, depth))(params, stats, {**batch, "image": real}, key)
        return value, (metrics, {**moved, "depth": depth})

    return loss


def told(loss: Loss, start: int) -> Loss:
    """The loss with `side`, that of the batch's images, and `alpha` among its metrics."""

    def telling(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        value, (metrics, moved) = loss(params, stats, batch, key)
        shape = batch["image"].shape[1:]
        growth = {"side": jnp.asarray(shape[0]), "alpha": alpha(batch["depth"][0], doublings(shape, start))}
        return value, ({**metrics, **growth}, moved)

    return telling


class Restarted(NamedTuple):
    """The state of an optimizer that begins anew now and then."""

    inner: optax.OptState
    updates: Int[Array, ""]


def with_restarts(optimizer: optax.GradientTransformation, before: Sequence[int]) -> optax.GradientTransformation:
    """The optimizer, which before the updates of these numbers (counted from 0) forgets what it has gathered."""
    if not before:
        return optimizer

    def init(params: PyTree) -> Restarted:
        return Restarted(optimizer.init(params), jnp.zeros((), jnp.int32))

    def update(updates: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, Restarted]:
        anew = jnp.isin(state.updates, jnp.asarray(before))
        inner = jax.tree.map(functools.partial(jnp.where, anew), optimizer.init(params), state.inner)
        moved, inner = optimizer.update(updates, inner, params)
        return moved, Restarted(inner, state.updates + 1)

    return optax.GradientTransformation(init, update)
