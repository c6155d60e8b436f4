"""Every model at its smallest, and examples for it."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.core import Model
from genjax.data.attributes import Attribute, Schema
from genjax.models import priors
from genjax.models.adversarial import (
    cyclegan,
    dcgan,
    gan,
    infogan,
    progressive_gan,
    puzzle_gan,
    stargan,
    text_to_image,
    text_to_image_networks,
)
from genjax.models.adversarial.average import with_average
from genjax.models.autoregressive import char_rnn, eonade, made, nade, pixel_rnn, rnade, tabular
from genjax.models.autoregressive.pixel_cnn import pixel_cnn
from genjax.models.autoregressive.pixels import bernoulli
from genjax.models.latent import aae, aae_networks, autoencoder, classifier, vae, vae_networks

SHAPE = (4, 4, 1)
EXAMPLES = 24
BATCH = 8


def images(dtype=np.float32):
    """Left or right half on, and a little noise: something that can be learnt."""
    rng = np.random.default_rng(0)
    halves = np.repeat(rng.integers(0, 2, (EXAMPLES, 1, 1, 1)), 2, axis=2)
    clean = np.broadcast_to(np.concatenate([halves, 1 - halves], axis=2), (EXAMPLES, *SHAPE))
    return np.where(rng.random((EXAMPLES, *SHAPE)) < 0.05, 1 - clean, clean).astype(dtype)


def sequences(dtype=np.float32):
    """Rows of 0 and 1 in turn, beginning with either."""
    rows = (np.arange(6) + np.arange(EXAMPLES)[:, None]) % 2
    return {"sequence": rows.astype(dtype), "continues": np.arange(EXAMPLES) % 3 > 0}


def labelled(dtype=np.float32):
    """Images whose label says which half is on; every other one may be used."""
    image = images(dtype)
    label = (image[:, :, :2].mean((1, 2, 3)) > 0.5).astype(np.int32)
    return {"image": image, "label": label, "labelled": np.arange(EXAMPLES) % 2 > 0}


class Case(NamedTuple):
    """A model at its smallest."""

    make: Callable[[], Model]
    examples: Callable[..., dict] = lambda dtype=np.float32: {"image": images(dtype)}
    sample_shape: tuple[int, ...] = SHAPE
    sample_range: tuple[float, float] = (0, 1)
    descends: bool = True
    """Whether its loss falls on one batch; counting does not descend, and what one player gains the other loses."""
    draws: bool = True
    """Whether `generate` draws, and does not make its images of the batch's alone."""
    variant: bool = False
    """Whether another row has the same phases and other networks: what a run of several steps owes is shown there."""
    images: tuple[str, ...] = ("image",)
    """Arrays of a batch that are images of a fixed shape."""


def make_vae(networks):
    return vae.vae(SHAPE, networks, optimizer=optax.adam(1e-2), evaluation_samples=3)


def make_autoencoder(networks):
    return autoencoder.autoencoder(SHAPE, networks, optimizer=optax.adam(1e-2))


def make_frozen_classifier():
    encoder = autoencoder.mlp_networks(SHAPE, hidden=(6,), latents=3).encoder
    return classifier.classifier(encoder, 4, frozen=True, optimizer=optax.adam(3e-2))


def make_pixel_cnn(*, gated=False):
    sizes = {"features": 4, "blocks": 1, "first_kernel": 3}
    return pixel_cnn(SHAPE, output=bernoulli(), gated=gated, optimizer=optax.adam(1e-2), **sizes)


def make_pixel_rnn(layer):
    optimizer = optax.adam(1e-2)
    return pixel_rnn.pixel_rnn(SHAPE, layer=layer, output=bernoulli(), features=4, layers=1, optimizer=optimizer)


def make_aae():
    """With noise in the encoder, and a prior that labels shape."""
    networks = aae_networks.mlp_networks(SHAPE, hidden=(6,), latents=2, gaussian=True)
    optimizers = aae.Optimizers(*(optax.adam(1e-2) for _ in range(4)))
    return aae.aae(SHAPE, networks, priors.gaussian_mixture(2), optimizers=optimizers)


def make_gan():
    """With dropout and an average."""
    networks = gan.image_networks(SHAPE, hidden=(6,), maxout=(5,), pieces=2, prior=priors.gaussian(3))
    optimizers = gan.Optimizers(optax.adam(1e-2), optax.adam(1e-2))
    return with_average(gan.gan(SHAPE, networks, optimizers=optimizers), decay=0.9)


def make_dcgan():
    optimizers = gan.Optimizers(optax.adam(1e-2), optax.adam(1e-2))
    return dcgan.dcgan((8, 8, 1), optimizers=optimizers, filters=2, latents=3)


def enlarged(dtype=np.float32):
    """Each pixel as 2 x 2."""
    return {"image": images(dtype).repeat(2, axis=1).repeat(2, axis=2)}


def make_progressive_gan():
    optimizers = gan.Optimizers(optax.adam(1e-2), optax.adam(1e-2))
    sizes = progressive_gan.Sizes(latents=3, maps=3, maps_times_side=16)
    return progressive_gan.progressive_gan((8, 8, 1), optimizers=optimizers, sizes=sizes)


def fading(dtype=np.float32):
    """As they are while 8x8 is faded in."""
    return {**enlarged(dtype), "depth": np.full(EXAMPLES, 0.6, dtype)}


def make_text_to_image():
    """Whose encoders stop after two steps, so that three take in both kinds.

    By plain descent: some of its gradients are 0 but for rounding, and Adam would make steps of those.
    """
    sizes = {"filters": 2, "features": 4, "text_features": 3, "latents": 3, "hidden": 4}
    networks = text_to_image_networks.conv_networks((8, 8, 1), 4, **sizes)
    optimizers = text_to_image.Optimizers(*(optax.sgd(1e-2) for _ in range(4)))
    return text_to_image.text_to_image((8, 8, 1), networks, optimizers=optimizers, matching_steps=2)


def make_cyclegan():
    """With a pool that is full after half of a batch."""
    networks = cyclegan.conv_networks(SHAPE, SHAPE, filters=2, blocks=0, edge_size=3, discriminator_filters=2)
    optimizers = cyclegan.Optimizers(optax.adam(1e-2), optax.adam(1e-2))
    return cyclegan.cyclegan(SHAPE, SHAPE, networks, optimizers=optimizers, pool_size=BATCH // 2, paired=True)


def make_stargan():
    """With two label sets; by plain descent, since some of its gradients are 0 but for rounding."""
    schema = Schema(
        (Attribute("half", ("left", "right")), Attribute("bold", ("bold",))), ((True, False), (False, True))
    )
    networks = stargan.conv_networks(SHAPE, schema, filters=2, blocks=0, halved=0, edge_size=3, discriminator_filters=2)
    optimizers = gan.Optimizers(optax.sgd(1e-2), optax.sgd(1e-2))
    return stargan.stargan(SHAPE, networks, schema, optimizers=optimizers, discriminator_updates=2)


def make_puzzle_gan():
    """By plain descent, as text to image."""
    networks = puzzle_gan.conv_networks((8, 8, 1), filters=2, features=3, latents=3)
    optimizers = gan.Optimizers(optax.sgd(1e-2), optax.sgd(1e-2))
    schedule = puzzle_gan.weight_schedule(1e-2, 1e-3, 3)
    return off_the_kink(puzzle_gan.puzzle_gan((8, 8, 1), networks, optimizers=optimizers, schedule=schedule))


def off_the_kink(model):
    """Biases of 0.1 where they start at 0: rounding decides the gradient of a ReLU of a normalized constant plus 0."""

    def init(key, batch):
        params, stats = model.init(key, batch)
        shifted = lambda leaf: jnp.where(leaf == 0, 0.1, leaf) if leaf.ndim == 1 else leaf  # noqa: E731
        return jax.tree.map(shifted, params), stats

    return model._replace(init=init)


def with_patches(dtype=np.float32):
    """Two squares of each, from the same places."""
    image = enlarged(dtype)["image"]
    mask = np.zeros_like(image)
    mask[:, :2, :2] = mask[:, 3:5, 4:6] = 1
    return {"image": image, "patches": np.stack([image[:, :2, :2], image[:, 3:5, 4:6]], axis=1), "mask": mask}


def make_infogan():
    networks = infogan.conv_networks(
        (8, 8, 1), sizes=infogan.Sizes(3, 2, 1), channels=(2, 2), hidden=4, recognition_hidden=3
    )
    adam = optax.adam(1e-2)
    return with_larger_kernels(infogan.infogan((8, 8, 1), networks, optimizers=infogan.Optimizers(adam, adam)))


def two_domains(dtype=np.float32):
    """Images, and others turned by a quarter."""
    image = images(dtype)
    return {"image": image, "other_image": np.rot90(image, axes=(1, 2))[::-1].copy()}


def attributed(dtype=np.float32):
    """Which half is on and whether it is bold, of each image one of these, and targets."""
    examples = labelled(dtype)
    bits = np.stack([1 - examples["label"], examples["label"], np.arange(EXAMPLES) // 2 % 2], axis=1)
    sets = (np.arange(EXAMPLES) % 2).astype(np.int32)
    target = {"target": bits[::-1].copy(), "target_set": sets[::-1].copy()}
    return {"image": examples["image"], "attributes": bits, "label_set": sets, **target}


def with_larger_kernels(model):
    """Kernels of 0.5 where the paper has 0.02, so that so few units tell images apart in float32."""

    def init(key, batch):
        params, stats = model.init(key, batch)
        return jax.tree.map(lambda leaf: 25 * leaf if leaf.ndim > 1 else leaf, params), stats

    return model._replace(init=init)


def captioned(dtype=np.float32):
    """The label in a word, and one more word or none."""
    examples = labelled(dtype)
    caption = np.stack([2 + examples["label"], 1 - np.arange(EXAMPLES) % 2], axis=1).astype(np.int32)
    return {"image": examples["image"].repeat(2, axis=1).repeat(2, axis=2), "caption": caption}


MODELS = {
    "tabular": Case(lambda: tabular.tabular(tabular.ar_contexts(16, 2), examples=EXAMPLES), descends=False),
    "nade": Case(lambda: nade.nade(SHAPE, hidden=5, optimizer=optax.adam(1e-2))),
    "nade tied": Case(lambda: nade.nade(SHAPE, hidden=5, tied=True, optimizer=optax.adam(1e-2)), variant=True),
    "made": Case(lambda: made.made(SHAPE, hidden=(8,), optimizer=optax.adam(1e-2))),
    "made masks": Case(
        lambda: made.made(SHAPE, hidden=(8, 8), masks=3, shuffle=True, optimizer=optax.adam(1e-2)), variant=True
    ),
    "eonade": Case(lambda: eonade.eonade(SHAPE, hidden=(8, 8), orderings=2, optimizer=optax.adam(1e-2))),
    "rnade": Case(
        lambda: rnade.rnade(SHAPE, hidden=5, components=2, std=np.full(SHAPE, 0.5), optimizer=optax.adam(1e-2)),
        sample_range=(-np.inf, np.inf),
    ),
    "pixel cnn": Case(make_pixel_cnn),
    "pixel cnn gated": Case(functools.partial(make_pixel_cnn, gated=True), variant=True),
    "row lstm": Case(lambda: make_pixel_rnn("row")),
    "diagonal bilstm": Case(lambda: make_pixel_rnn("diagonal")),
    "vae mlp": Case(lambda: make_vae(vae_networks.mlp_networks(SHAPE, hidden=(6,), latents=2))),
    "vae conv": Case(
        lambda: make_vae(vae_networks.conv_networks(SHAPE, channels=(2,), features=4, latents=2)), variant=True
    ),
    "char rnn": Case(
        lambda: char_rnn.char_rnn(2, hidden=4, layers=1, dropout=0.1, length=5, optimizer=optax.adam(3e-2)),
        examples=lambda dtype=None: sequences(np.int32),
        sample_shape=(5,),
        images=(),
    ),
    "series rnn": Case(
        lambda: char_rnn.series_rnn(components=2, hidden=4, length=5, optimizer=optax.adam(3e-2)),
        examples=sequences,
        sample_shape=(5,),
        sample_range=(-np.inf, np.inf),
        images=(),
    ),
    "vae two layers": Case(
        lambda: make_vae(
            vae_networks.with_top(
                vae_networks.mlp_networks(SHAPE, hidden=(6,), latents=3), latents=2, hidden=(4,), activation=jnp.tanh
            )
        ),
        variant=True,
    ),
    "autoencoder mlp": Case(
        lambda: make_autoencoder(autoencoder.mlp_networks(SHAPE, hidden=(6,), latents=2)), draws=False, variant=True
    ),
    "autoencoder conv": Case(
        lambda: make_autoencoder(
            autoencoder.conv_networks(SHAPE, channels=(2,), features=4, latents=2, reconstruction=autoencoder.BERNOULLI)
        ),
        draws=False,
    ),
    "classifier frozen": Case(
        make_frozen_classifier, examples=labelled, sample_shape=(), sample_range=(0, 3), draws=False, images=()
    ),
    "vae gaussian": Case(
        lambda: make_vae(vae_networks.mlp_networks(SHAPE, hidden=(6,), latents=2, gaussian=True)), variant=True
    ),
    "aae": Case(make_aae, examples=labelled),
    "gan": Case(make_gan, descends=False),
    "dcgan": Case(make_dcgan, examples=enlarged, sample_shape=(8, 8, 1), descends=False),
    "infogan": Case(make_infogan, examples=enlarged, sample_shape=(8, 8, 1), descends=False),
    "progressive gan": Case(
        make_progressive_gan,
        examples=fading,
        sample_shape=(8, 8, 1),
        descends=False,
        variant=True,
        images=(),  # a step takes images of the size of each level
    ),
    "cyclegan": Case(make_cyclegan, examples=two_domains, draws=False, descends=False, images=("image", "other_image")),
    "stargan": Case(make_stargan, examples=attributed, draws=False, descends=False),
    "puzzle gan": Case(make_puzzle_gan, examples=with_patches, sample_shape=(8, 8, 1), descends=False),
    "text to image": Case(make_text_to_image, examples=captioned, sample_shape=(8, 8, 1), descends=False),
}
