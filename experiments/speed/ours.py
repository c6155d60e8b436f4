"""Training steps and samplers of genjax for `--peer torch` and `--growth`, through the public constructors."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.speed import sides
from experiments.speed.sides import Adam, Side, Sizes
from genjax.core import Due, Model, due_phases, init_state, make_step
from genjax.data.attributes import Attribute, Schema
from genjax.losses.bound import elbo, iwae_bound
from genjax.models import priors
from genjax.models.adversarial import cyclegan, puzzle_gan, stargan, text_to_image
from genjax.models.adversarial.dcgan import dcgan
from genjax.models.adversarial.gan import Optimizers
from genjax.models.adversarial.progressive_gan import Sizes as Maps
from genjax.models.adversarial.progressive_gan import progressive_gan
from genjax.models.adversarial.text_to_image_networks import conv_networks as text_to_image_networks
from genjax.models.autoregressive.char_rnn import char_rnn
from genjax.models.autoregressive.made import made
from genjax.models.autoregressive.nade import nade
from genjax.models.autoregressive.pixel_cnn import pixel_cnn
from genjax.models.autoregressive.pixel_rnn import Layer, pixel_rnn
from genjax.models.autoregressive.pixels import bernoulli
from genjax.models.latent import aae as aae_model
from genjax.models.latent.aae_networks import mlp_networks as aae_networks
from genjax.models.latent.vae import vae
from genjax.models.latent.vae_networks import mlp_networks
from genjax.types import Metrics

Batch = Mapping[str, Array]

LOOPS = ("scan", "while")
"""Primitives whose body may run several times."""
PRODUCTS = ("dot_general", "conv_general_dilated")
"""Primitives that do almost all of the operations of a network."""


def adam(one: Adam) -> optax.GradientTransformation:
    """Return the optimizer with these hyperparameters."""
    return optax.adam(one.learning_rate, b1=one.b1, b2=one.b2)


def training(model: Model, batch: Batch, due: Due | None = None) -> Side:
    """Return a training step that is repeated on one batch, with the phases that are `due`, by default all."""
    due = (True,) * len(model.phases) if due is None else due
    advance = make_step(model.phases, due)
    step = jax.jit(advance, donate_argnums=0)
    state = [jax.jit(lambda key: init_state(model, key, batch))(jax.random.key(0))]
    trained = {name for phase, now in zip(model.phases, due, strict=True) if now for name in phase.wrt}

    def call() -> Metrics:
        state[0], metrics = step(state[0], batch)
        return metrics

    return Side(
        call,
        size({name: state[0].params[name] for name in trained}),
        flops=lambda: flops(step, state[0], batch),
        memory=lambda: planned_memory(step, state[0], batch),
    )


def sampling(model: Model, batch: Batch) -> Side:
    """Return the sampler of the model, which draws as many samples as the batch has examples."""
    params, stats = jax.jit(model.init)(jax.random.key(0), batch)
    generate = jax.jit(lambda params, key: model.generate(params, stats, batch, key))
    return Side(lambda: generate(params, jax.random.key(0)), size(params))


def size(params: Any) -> int:
    """Return the number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def flops(step: Any, *inputs: Any) -> float | None:
    """Return the operations of a jitted function, or None if a loop has a product, whose repetitions are not counted.

    They are counted in the program as it was written, before a compiler changes the products for one machine.
    """
    if loops_with_products(jax.make_jaxpr(step)(*inputs).jaxpr):
        return None
    return step.lower(*inputs).cost_analysis()["flops"]


def planned_memory(step: Any, *inputs: Any) -> int:
    """Return the bytes that the compiler plans for a function's arguments, results and intermediate values."""
    plan = step.lower(*inputs).compile().memory_analysis()
    kept = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return kept + plan.temp_size_in_bytes


def loops_with_products(jaxpr: Any, *, inside: bool = False) -> bool:
    """Whether a matrix product or a convolution is in the body of a loop; `inside` says that `jaxpr` is in one."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if inside and name in PRODUCTS:
            return True
        values = [one for value in equation.params.values() for one in (value if isinstance(value, tuple) else [value])]
        bodies = [getattr(value, "jaxpr", value) for value in values]
        if any(loops_with_products(body, inside=inside or name in LOOPS) for body in bodies if hasattr(body, "eqns")):
            return True
    return False


def grey(sizes: Sizes, count: int | None = None) -> Array:
    """Return images of noise in [0, 1]."""
    shape = (sizes.batch if count is None else count, *sizes.shape)
    return jnp.asarray(np.random.default_rng(0).random(shape), jnp.float32)


def binary(sizes: Sizes) -> Batch:
    """Return a batch of random binary images with about as many white pixels as those of MNIST."""
    return {"image": (grey(sizes) < 0.13).astype(jnp.float32)}


def nade_of(sizes: Sizes) -> Model:
    """Return NADE with separate weights V and W."""
    return nade(sizes.shape, hidden=sizes.features, optimizer=adam(sides.LIKELIHOOD))


def made_of(sizes: Sizes) -> Model:
    """Return MADE with one hidden layer, one mask and no direct connections."""
    return made(sizes.shape, hidden=(sizes.features,), direct=False, optimizer=adam(sides.LIKELIHOOD))


def vae_of(sizes: Sizes) -> Model:
    """Return the dense VAE of Burda et al. (2016), with the importance weighted bound if there are several samples."""
    networks = mlp_networks(sizes.shape, hidden=(sizes.features,) * sizes.layers, latents=sizes.latents)
    bound = elbo if sizes.samples == 1 else iwae_bound
    return vae(sizes.shape, networks, optimizer=adam(sides.LIKELIHOOD), bound=bound, samples=sizes.samples)


def aae_of(sizes: Sizes) -> Model:
    """Return the adversarial autoencoder with the paper's networks and Gaussian prior."""
    networks = aae_networks(sizes.shape, hidden=(sizes.features,) * sizes.layers, latents=sizes.latents)
    code, unused = adam(sides.CODE_ADAM), optax.identity()
    optimizers = aae_model.Optimizers(adam(sides.LIKELIHOOD), code, code, unused)
    return aae_model.aae(sizes.shape, networks, priors.gaussian(sizes.latents, std=5.0), optimizers=optimizers)


def pixel_cnn_of(sizes: Sizes) -> Model:
    """Return PixelCNN without gates on binary images."""
    return pixel_cnn(
        sizes.shape,
        output=bernoulli(),
        features=sizes.features,
        blocks=sizes.layers,
        optimizer=adam(sides.LIKELIHOOD),
    )


def pixel_rnn_of(layer: Layer, sizes: Sizes) -> Model:
    """Return PixelRNN on binary images."""
    optimizer = optax.chain(optax.clip_by_global_norm(sides.CLIP), adam(sides.LIKELIHOOD))
    features, layers = sizes.features, sizes.layers
    return pixel_rnn(
        sizes.shape, layer=layer, output=bernoulli(), features=features, layers=layers, optimizer=optimizer
    )


def char_rnn_of(sizes: Sizes) -> Model:
    """Return the character LSTM."""
    return char_rnn(
        sizes.words,
        hidden=sizes.features,
        layers=sizes.layers,
        length=sizes.length,
        optimizer=adam(sides.CHARACTER_ADAM),
    )


def characters(sizes: Sizes) -> Batch:
    """Return a batch of random texts."""
    drawn = np.random.default_rng(0).integers(1, sizes.words, (sizes.batch, sizes.length))
    return {"sequence": jnp.asarray(drawn, jnp.int32)}


def dcgan_of(sizes: Sizes) -> Model:
    """Return DCGAN."""
    optimizers = Optimizers(adam(sides.ADVERSARIAL), adam(sides.ADVERSARIAL))
    return dcgan(sizes.shape, optimizers=optimizers, filters=sizes.features, latents=sizes.latents)


def cyclegan_of(sizes: Sizes) -> Model:
    """Return CycleGAN between two domains of images of one shape."""
    filters = sizes.features
    networks = cyclegan.conv_networks(
        sizes.shape, sizes.shape, filters=filters, blocks=sizes.layers, discriminator_filters=filters
    )
    optimizers = cyclegan.Optimizers(adam(sides.ADVERSARIAL), adam(sides.ADVERSARIAL))
    return cyclegan.cyclegan(sizes.shape, sizes.shape, networks, optimizers=optimizers, pool_size=sides.POOL)


def schema() -> Schema:
    """Return the schema of StarGAN's labels: one label set of attributes that are present or absent."""
    return Schema(tuple(Attribute(f"a{index}", ("yes",)) for index in range(sides.BITS)), ((True,) * sides.BITS,))


def stargan_of(sizes: Sizes) -> Model:
    """Return StarGAN."""
    filters = sizes.features
    networks = stargan.conv_networks(
        sizes.shape, schema(), filters=filters, blocks=sizes.layers, discriminator_filters=filters
    )
    optimizers = Optimizers(adam(sides.STARGAN_ADAM), adam(sides.STARGAN_ADAM))
    return stargan.stargan(sizes.shape, networks, schema(), optimizers=optimizers)


def puzzle_gan_of(sizes: Sizes) -> Model:
    """Return Puzzle-GAN."""
    networks = puzzle_gan.conv_networks(sizes.shape, filters=sizes.features, features=sides.CODE, latents=sizes.latents)
    optimizers = Optimizers(adam(sides.ADVERSARIAL), adam(sides.ADVERSARIAL))
    schedule = optax.constant_schedule(sides.PUZZLE_WEIGHT)
    return puzzle_gan.puzzle_gan(sizes.shape, networks, optimizers=optimizers, schedule=schedule)


def text_to_image_of(sizes: Sizes) -> Model:
    """Return text to image, with interpolated captions."""
    networks = text_to_image_networks(
        sizes.shape,
        sizes.words,
        filters=sizes.features,
        features=sides.EMBEDDED,
        text_features=sides.EMBEDDED,
        latents=sizes.latents,
        hidden=sides.EMBEDDED,
    )
    optimizers = text_to_image.Optimizers(*(adam(sides.ADVERSARIAL) for _ in range(4)))
    return text_to_image.text_to_image(sizes.shape, networks, optimizers=optimizers, matching_steps=1)


def progressive_gan_of(sizes: Sizes) -> Model:
    """Return Progressive GAN, whose last level has `sizes.features` channels and each level below twice as many."""
    maps = Maps(sides.STARTING_SIDE, sizes.latents, sides.MOST_MAPS, sizes.features * sizes.side)
    optimizers = Optimizers(adam(sides.PROGRESSIVE_ADAM), adam(sides.PROGRESSIVE_ADAM))
    return progressive_gan(sizes.shape, optimizers=optimizers, sizes=maps)


def two_domains(sizes: Sizes) -> Batch:
    """Return a batch of CycleGAN."""
    x, y = jnp.split(grey(sizes, 2 * sizes.batch), 2)
    return {"image": x, "other_image": y}


def labelled(sizes: Sizes) -> Batch:
    """Return a batch of StarGAN: images with random labels."""
    bits = np.random.default_rng(1).integers(0, 2, (sizes.batch, sides.BITS))
    return {
        "image": grey(sizes),
        "attributes": jnp.asarray(bits, jnp.float32),
        "label_set": jnp.zeros(sizes.batch, jnp.int32),
    }


def puzzles(sizes: Sizes) -> Batch:
    """Return a batch of Puzzle-GAN: images, patches, and a mask that is 1 in the upper left quarter."""
    image, patch = grey(sizes), min(sides.PATCH, sizes.side)
    patches = jnp.stack([image[:, :patch, index : index + patch] for index in range(sides.PARTS)], axis=1)
    mask = jnp.zeros((*image.shape[:3], 1)).at[:, : sizes.side // 2, : sizes.side // 2].set(1)
    return {"image": image, "patches": patches, "mask": mask}


def captioned(sizes: Sizes) -> Batch:
    """Return a batch of text to image: images with captions without empty places."""
    return {"image": grey(sizes), "caption": characters(sizes)["sequence"]}


def grown(sizes: Sizes) -> Batch:
    """Return a batch of Progressive GAN at its complete last level."""
    level = (sizes.side // sides.STARTING_SIDE).bit_length() - 1
    return {"image": grey(sizes), "depth": jnp.full(sizes.batch, level, jnp.float32)}


def text_to_image_step() -> Side:
    """Return the step of text to image after the encoders are trained: discriminator, generator and style encoder."""
    model = text_to_image_of(sides.TEXT_TO_IMAGE)
    return training(model, captioned(sides.TEXT_TO_IMAGE), due_phases(model.phases, 1))


def dcgan_step(sizes: Sizes) -> Side:
    """Return DCGAN's step."""
    return training(dcgan_of(sizes), {"image": grey(sizes)})


def pixel_rnn_step(layer: Layer) -> Side:
    """Return PixelRNN's step."""
    return training(pixel_rnn_of(layer, sides.PIXEL_RNN), binary(sides.PIXEL_RNN))


def pixel_rnn_sampler(layer: Layer) -> Side:
    """Return PixelRNN's sampler."""
    return sampling(pixel_rnn_of(layer, sides.PIXEL_RNN), binary(sides.PIXEL_RNN))
