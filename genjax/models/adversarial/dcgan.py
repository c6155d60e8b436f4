"""Deep convolutional GAN (Radford, Metz & Chintala 2016): the game of gan.py between convolutional networks."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Array, Float

from genjax.core import Model
from genjax.losses.adversarial import NONSATURATING, Game
from genjax.models.adversarial.dcgan_networks import Discriminator, Generator, StridedConvs, halvings, pooled_features
from genjax.models.adversarial.gan import Networks, Optimizers, gan
from genjax.models.priors import uniform
from genjax.networks.conv import Implementation
from genjax.types import Batch, Embed, Params, Stats


def dcgan(
    image_shape: tuple[int, int, int],
    *,
    optimizers: Optimizers,
    filters: int = 128,
    latents: int = 100,
    game: Game = NONSATURATING,
    discriminator_moves: int = 1,
    implementation: Implementation = "auto",
) -> Model:
    """A DCGAN on images in [0, 1], whose architecture follows from their shape alone; phases are those of `gan`.

    `embed` gives the discriminator's features: the maps of all convolutions, max-pooled to 4x4 (sec. 5.1), by running
    statistics.

    Args:
        image_shape: Height and width are 4, 5, 6 or 7 times a power of 2, at least 2: each strided layer halves them.
        optimizers: Of the two phases; the paper's are Adam with step size 2e-4 and b1 0.5.
        filters: Maps of the discriminator's first convolution; each next one has twice as many. The generator mirrors
            them: 1024, 512, 256, 128 of the paper's figure at 64x64.
        latents: Dimensions of the noise, uniform on [-1, 1].
        game: The losses.
        discriminator_moves: Per move of the generator.
        implementation: Of the transposed convolutions.

    Raises ValueError where `filters` or `latents` is below 1, or the architecture cannot reach the image's size.
    """
    networks = dcgan_networks(image_shape, filters=filters, latents=latents, implementation=implementation)
    model = gan(image_shape, networks, optimizers=optimizers, game=game, discriminator_moves=discriminator_moves)
    return model._replace(embed=make_embed(all_channels(image_shape, filters)))


def dcgan_networks(
    image_shape: tuple[int, int, int],
    *,
    filters: int = 128,
    latents: int = 100,
    implementation: Implementation = "auto",
) -> Networks:
    """The generator and the discriminator for images of this shape."""
    channels = all_channels(image_shape, filters)
    generator = Generator(image_shape, channels[::-1], implementation)
    return Networks(generator, Discriminator(channels), uniform(latents, limit=1.0))


def all_channels(image_shape: tuple[int, int, int], filters: int) -> tuple[int, ...]:
    """The maps of each of the discriminator's convolutions. Raises ValueError where there cannot be any."""
    if filters < 1:
        raise ValueError(f"filters={filters} must be at least 1")
    return tuple(filters * 2**layer for layer in range(halvings(image_shape)))


def make_embed(channels: Sequence[int]) -> Embed:
    """The features of a discriminator with these maps."""
    convs = StridedConvs(channels)

    def embed(params: Params, stats: Stats, batch: Batch) -> Float[Array, "batch features"]:
        variables = {**params["discriminator"], **stats["discriminator"]}
        maps: Any = convs.apply({part: tree["convs"] for part, tree in variables.items()}, batch["image"])
        return pooled_features(maps)

    return embed
