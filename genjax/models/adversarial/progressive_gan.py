"""Progressive growing of GANs (Karras, Aila, Laine & Lehtinen 2018): the losses of gan.py on images that grow.

A training batch has images of its step's level and the step's depth (genjax/data/growth.py). The losses take the level
from the images' size, and fade in a new level with the same weight in G, in D and in the real images. The parameters
of all levels exist from the start.
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
from genjax.losses.adversarial import AdversarialLoss, wasserstein_with_drift
from genjax.models.adversarial.gan import (
    Networks,
    Optimizers,
    Penalty,
    check_networks,
    discriminator_phase_loss,
    evaluation,
    example_inputs,
    generator_phase_loss,
    make_generate,
    wasserstein_penalty,
)
from genjax.models.adversarial.progressive_gan_networks import Depth, Discriminator, Generator, alpha, faded, pyramid
from genjax.models.priors import gaussian
from genjax.networks.bound import bind, init_networks
from genjax.networks.images import signed, unsigned
from genjax.types import Batch, Key, Loss, Metrics, Params, PyTree, Scalar, Stats

Images = Float[Array, "batch H W C"]


class Sizes(NamedTuple):
    """Sizes of the networks, by default as in the paper's table 2."""

    start: int = 4
    """Height and width of the images of level 0."""
    latents: int = 512
    """Number of dimensions of the noise."""
    maps: int = 512
    """Largest number of channels of a level."""
    maps_times_side: int = 16384
    """Largest product of a level's channels and its height."""
    group: int = 0
    """Number of examples over which a minibatch deviation is taken; 0 for all examples of the batch."""


def progressive_gan(
    image_shape: tuple[int, int, int],
    *,
    optimizers: Optimizers,
    sizes: Sizes = Sizes(),  # noqa: B008 (a value)
    adversarial: AdversarialLoss = wasserstein_with_drift(),  # noqa: B008
    penalty: Penalty | None = wasserstein_penalty(),  # noqa: B008
    discriminator_updates: int = 1,
    restarts: Sequence[int] = (),
) -> Model:
    """Return a progressive GAN on images in [0, 1], with the phases of `gan`.

    A training batch has `image`, of any level, and `depth` [B], the same for all examples: the level or up to one less.
    The discriminator sees the deviation of its batch, so an example's gradient in the penalty depends on the other
    examples, as in the authors' code. stats["depth"] is the depth of the last step.

    `evaluate` gives the metrics of `gan`, at images of the full size that are faded as in training, with the running
    deviation of real images. `generate` draws images of the full size at the depth reached so far; images of a
    lower level are enlarged by repeating pixels.

    Args:
        image_shape: Height, width and channels; height and width are `sizes.start` times one power of 2.
        optimizers: Optimizer of each phase; the paper's are Adam with learning rate 1e-3, b1 0, b2 0.99.
        sizes: Sizes of the networks.
        adversarial: Adversarial losses.
        penalty: Gradient penalty of the discriminator, on gradients with respect to images in [-1, 1].
        discriminator_updates: Number of discriminator updates per generator update.
        restarts: Steps (counted from 0) before which the states of both optimizers are reset, as at each new level.

    Raises ValueError if the sizes do not fit the images, or a number is out of range.
    """
    levels = doublings(image_shape, sizes.start)
    at = functools.partial(networks_at, image_shape, sizes)
    check_sizes(sizes, discriminator_updates)
    check_networks(at(levels, float(levels)), image_shape, penalized=False)
    make_discriminator_loss = functools.partial(
        discriminator_phase_loss, adversarial=adversarial, penalty=penalty, example="image"
    )
    make_generator_loss = functools.partial(generator_phase_loss, adversarial=adversarial, example="image")
    discriminator = grown(at, sizes.start, make_discriminator_loss, report=True)
    generator = grown(at, sizes.start, make_generator_loss)
    optimizers = Optimizers(
        with_restarts(optimizers.discriminator, restarts),
        with_restarts(optimizers.generator, [step // discriminator_updates for step in restarts]),
    )

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        networks = at(levels, float(levels))
        params, stats = init_networks(networks, key, **example_inputs(networks, jnp.zeros((1, *image_shape))))
        return params, {**stats, "depth": batch["depth"][0]}

    def draw(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        return make_generate(at(levels, stats["depth"]))(params, stats, batch, key)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        depth = stats["depth"]
        _, D, _ = bind(at(levels, depth), params, stats)
        real = faded(pyramid(signed(batch["image"]), levels), depth)
        return evaluation(D, adversarial, real, draw(params, stats, batch, key))

    return Model(
        init=init,
        phases=(
            Phase("discriminator", discriminator, ("discriminator",), optimizers.discriminator),
            Phase("generator", generator, ("generator",), optimizers.generator, every=discriminator_updates),
        ),
        evaluate=evaluate,
        generate=lambda params, stats, batch, key: jnp.clip(unsigned(draw(params, stats, batch, key)), 0, 1),
        seeds_together=False,
    )


NetworksAt = Callable[[int, Depth], Networks]
"""Function from (level, depth) to the networks on images of the level."""


def networks_at(image_shape: tuple[int, int, int], sizes: Sizes, level: int, depth: Depth) -> Networks:
    """Return the networks on images of a level, for images whose full size is `image_shape`."""
    channels = all_channels(image_shape, sizes)
    return Networks(
        generator=Generator(sizes.start, channels, image_shape[-1], level, depth),
        discriminator=Discriminator(channels, level, depth, sizes.group),
        prior=gaussian(sizes.latents),
    )


def all_channels(image_shape: tuple[int, int, int], sizes: Sizes) -> tuple[int, ...]:
    """Return the channels of each level, from level 0 on."""
    sides = (sizes.start * 2**level for level in range(doublings(image_shape, sizes.start) + 1))
    return tuple(max(1, min(sizes.maps, sizes.maps_times_side // side)) for side in sides)


def check_sizes(sizes: Sizes, discriminator_updates: int) -> None:
    """Raise ValueError if a number is out of range."""
    if min(sizes.maps, sizes.maps_times_side, discriminator_updates) < 1 or sizes.group < 0:
        raise ValueError(
            f"{sizes}, discriminator_updates={discriminator_updates}: group must be at least 0, the others 1"
        )


def grown(at: NetworksAt, start: int, make_loss: Callable[[Networks], Loss], *, report: bool = False) -> Loss:
    """Return the loss of the networks at the batch's level and depth, on real images in [-1, 1] with the same fading.

    `make_loss` returns the loss of networks of one level, and images of level 0 have the height `start`. With `report`
    the metrics include `side`, the height of the batch's images, and `alpha`, the weight of their level.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        images, depth = batch["image"], batch["depth"][0]
        level = doublings(images.shape[1:], start)
        x = faded(pyramid(signed(images), level), depth)
        value, (metrics, stats) = make_loss(at(level, depth))(params, stats, {**batch, "image": x}, key)
        growth = {"side": jnp.asarray(images.shape[1]), "alpha": alpha(depth, level)} if report else {}
        return value, ({**metrics, **growth}, {**stats, "depth": depth})

    return loss


class Restarted(NamedTuple):
    """State of an optimizer that is reset before some of its updates."""

    inner: optax.OptState
    """State of the optimizer itself."""
    updates: Int[Array, ""]
    """Number of updates so far."""


def with_restarts(optimizer: optax.GradientTransformation, before: Sequence[int]) -> optax.GradientTransformation:
    """Return the optimizer whose state is reset before the updates with the numbers `before`, counted from 0."""
    if not before:
        return optimizer

    def init(params: PyTree) -> Restarted:
        return Restarted(optimizer.init(params), jnp.zeros((), jnp.int32))

    def update(updates: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, Restarted]:
        reset = jnp.isin(state.updates, jnp.asarray(before))
        inner = jax.tree.map(functools.partial(jnp.where, reset), optimizer.init(params), state.inner)
        updates, inner = optimizer.update(updates, inner, params)
        return updates, Restarted(inner, state.updates + 1)

    return optax.GradientTransformation(init, update)
