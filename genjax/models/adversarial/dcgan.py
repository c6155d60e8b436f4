"""Deep convolutional GAN (Radford, Metz & Chintala 2016): the losses of gan.py with convolutional networks."""

from jaxtyping import Array, Float

from genjax.core import Input, Model, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.adversarial import NONSATURATING, AdversarialLoss
from genjax.models.adversarial.dcgan_networks import Discriminator, Generator, StridedConvs, halvings, pooled_features
from genjax.models.adversarial.gan import Networks, Optimizers, gan
from genjax.models.priors import uniform
from genjax.networks.bound import Bound
from genjax.types import Batch, Embed, Params, Stats


def dcgan(
    image_shape: tuple[int, int, int],
    *,
    optimizers: Optimizers,
    filters: int = 128,
    latents: int = 100,
    adversarial: AdversarialLoss = NONSATURATING,
    discriminator_updates: int = 1,
) -> Model:
    """Return a DCGAN on images in [0, 1], whose architecture follows from their shape, with the phases of `gan`.

    `embed` gives the discriminator's features, with running statistics: the outputs of all its convolutions, max-pooled
    to 4x4 (sec. 5.1).

    Args:
        image_shape: Height and width are 4, 5, 6 or 7 times a power of 2, at least 2; each strided layer downsamples
            them by 2.
        optimizers: Optimizer of each phase; the paper's are Adam with learning rate 2e-4 and b1 0.5.
        filters: Channels of the discriminator's first convolution; each next convolution has twice as many. The
            generator mirrors them: 1024, 512, 256, 128 in the paper's figure, for 64x64.
        latents: Number of dimensions of the noise, which is uniform on [-1, 1].
        adversarial: Adversarial losses.
        discriminator_updates: Number of discriminator updates per generator update.

    Raises ValueError if `filters` or `latents` is below 1, or no architecture fits `image_shape`.
    """
    networks = dcgan_networks(image_shape, filters=filters, latents=latents)
    model = gan(
        image_shape,
        networks,
        optimizers=optimizers,
        adversarial=adversarial,
        discriminator_updates=discriminator_updates,
    )
    model = model._replace(embed=make_embed(all_channels(image_shape, filters)), seeds_together=False)
    return with_inputs(model, image=Input(image_shape))  # repeated for the new `embed`


def dcgan_networks(
    image_shape: tuple[int, int, int],
    *,
    filters: int = 128,
    latents: int = 100,
) -> Networks:
    """Return the generator and the discriminator for images of this shape, and the prior of the noise."""
    channels = all_channels(image_shape, filters)
    generator = Generator(image_shape, channels[::-1])
    return Networks(generator, Discriminator(channels), uniform(latents, limit=1.0))


def all_channels(image_shape: tuple[int, int, int], filters: int) -> tuple[int, ...]:
    """Return the channels of each of the discriminator's convolutions, the first of which has `filters`.

    Raises ValueError if `filters` is below 1 or no architecture fits `image_shape`.
    """
    if filters < 1:
        raise ArgumentError("filters", filters, " must be at least 1")
    return tuple(filters * 2**layer for layer in range(halvings(image_shape)))


def make_embed(channels: tuple[int, ...]) -> Embed:
    """Return the features function of a discriminator whose convolutions have these channels."""

    def embed(params: Params, stats: Stats, batch: Batch) -> Float[Array, "batch features"]:
        own = ({kind: tree["convs"] for kind, tree in part["discriminator"].items()} for part in (params, stats))
        convs = Bound(StridedConvs(channels), *own)
        return pooled_features(convs(batch["image"]))

    return embed
