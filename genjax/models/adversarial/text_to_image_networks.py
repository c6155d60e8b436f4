"""The networks of text to image (Reed et al. 2016), which `text_to_image` makes a model of."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from genjax.models.adversarial import dcgan_networks as dcgan
from genjax.models.adversarial.caption_networks import ConvFeatures, Discriminator, Generator
from genjax.models.adversarial.dcgan import all_channels
from genjax.models.priors import Prior, gaussian
from genjax.networks.named import applied, split_variables
from genjax.networks.text import TextEncoder
from genjax.types import Key, Params, Stats

Images = Float[Array, "batch H W C"]
Captions = Int[Array, "batch T"]


class Networks(NamedTuple):
    """What the model is made of. All are called with `train`, and keep batch statistics where they have some."""

    text_encoder: nn.Module
    """(captions [batch, T], train) to [batch, features]."""
    image_encoder: nn.Module
    """(images, train) to [batch, features]."""
    generator: nn.Module
    """(noise [batch, latents], features [batch, features], train) to images in [0, 1]."""
    discriminator: nn.Module
    """(images, features [batch, features], train) to a logit [batch, 1]."""
    style_encoder: nn.Module
    """(images, train) to [batch, latents]."""
    prior: Prior
    """Of the noise; without classes."""


NAMES = Networks._fields[:-1]


def init_networks(networks: Networks, key: Key, images: Images, captions: Captions) -> tuple[Params, Stats]:
    """Fresh variables of all networks, and their running statistics."""
    keys = dict(zip(NAMES, jax.random.split(key, len(NAMES)), strict=True))
    z = jnp.zeros((1, networks.prior.dimension), images.dtype)
    features, text = networks.text_encoder.init_with_output(keys["text_encoder"], captions[:1])
    variables = {
        "text_encoder": text,
        "image_encoder": networks.image_encoder.init(keys["image_encoder"], images[:1]),
        "generator": networks.generator.init(keys["generator"], z, features),
        "discriminator": networks.discriminator.init(keys["discriminator"], images[:1], features),
        "style_encoder": networks.style_encoder.init(keys["style_encoder"], images[:1]),
    }
    return split_variables(variables)


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes that the others read."""

    def outputs(key: Key) -> tuple[Array, ...]:
        images, captions = jnp.zeros((1, *image_shape)), jnp.ones((1, 2), jnp.int32)
        params, stats = init_networks(networks, key, images, captions)
        h = applied(networks, "text_encoder", params, stats, captions)
        return (
            h,
            applied(networks, "image_encoder", params, stats, images),
            applied(networks, "generator", params, stats, jnp.zeros((1, networks.prior.dimension)), h),
            applied(networks, "discriminator", params, stats, images, h),
            applied(networks, "style_encoder", params, stats, images),
        )

    if networks.prior.classes:
        raise ValueError(f"prior: must be without classes, got {networks.prior.classes}")
    text, *others = (output.shape for output in jax.eval_shape(outputs, jax.random.key(0)))
    expected = (text, (1, *image_shape), (1, 1), (1, networks.prior.dimension))
    for name, found, allowed in zip(NAMES[1:], others, expected, strict=True):
        if found != allowed:
            raise ValueError(f"networks: {name} returns {found[1:]}, must be {allowed[1:]}")


def conv_networks(
    image_shape: tuple[int, int, int],
    words: int,
    *,
    filters: int = 64,
    features: int = 1024,
    text_features: int = 128,
    latents: int = 100,
    hidden: int = 512,
) -> Networks:
    """The networks of the paper on DCGAN's, with a GRU that reads words numbered below `words`.

    `filters` are the maps of the first of the discriminator's convolutions, `features` the dimensions of the embedding,
    `text_features` those of its projection, `hidden` those of the GRU. The image encoder has a layer of rectified units
    before its embedding, without which it takes longer to tell digits apart.
    """
    channels = all_channels(image_shape, filters)
    return Networks(
        text_encoder=TextEncoder(words, features, hidden=hidden),
        image_encoder=ConvFeatures(channels, features, hidden=2 * features),
        generator=Generator(dcgan.Generator(image_shape, channels[::-1]), text_features),
        discriminator=Discriminator(channels, text_features),
        style_encoder=ConvFeatures(channels, latents),
        prior=gaussian(latents),
    )
