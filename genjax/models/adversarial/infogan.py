"""InfoGAN (Chen, Duan, Houthooft, Schulman, Sutskever & Abbeel 2016): codes that can be recognized in generated images.

The generator G takes noise z and codes c: one of K categories, and some continuous codes on [-1, 1]. A recognition
network Q(c|x), which uses the discriminator's layers, bounds the mutual information of codes and images from below:

    L_I(G, Q) = E log Q(c | G(z, c)) + H(c) <= I(c; G(z, c))                    (eq. 5)
    min over G, Q  max over D   V(D, G) - lambda L_I(G, Q)                      (eq. 6)
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from genjax.core import Input, Model, Phase, with_inputs
from genjax.losses.adversarial import NONSATURATING, AdversarialLoss, mutual_information_bound
from genjax.losses.likelihood import gaussian_log_prob
from genjax.models.adversarial import infogan_networks as networks_of
from genjax.models.completion import refuse_known
from genjax.models.priors import DTYPE
from genjax.networks.bound import Inputs, bind, check_outputs, init_networks, updated
from genjax.types import Batch, Embed, Evaluate, Generate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]

LEAST_LOG_SIGMA = -2.0
"""Lower limit of Q's log standard deviation of a continuous code, so that one well recognized code does not dominate
L_I."""


class Codes(NamedTuple):
    """Inputs of the generator."""

    noise: Float[Array, "batch noise"]
    """Noise, uniform on [-1, 1]."""
    category: Int[Array, " batch"]
    """Category of the code, uniform on 0, ..., K - 1."""
    continuous: Float[Array, "batch continuous"]
    """Continuous codes, uniform on [-1, 1]."""


class Sizes(NamedTuple):
    """Number of noise dimensions, of categories and of continuous codes; by default the paper's for MNIST."""

    noise: int = 62
    categories: int = 10
    continuous: int = 2


class Networks(NamedTuple):
    """Modules of an InfoGAN and the sizes of its codes; each module takes `train` and may keep batch statistics."""

    generator: nn.Module
    """Generator from ([batch, noise + categories + continuous], train) to images in [0, 1]."""
    discriminator: nn.Module
    """Discriminator from (images, train) to a logit [batch] and features [batch, hidden]."""
    recognition: nn.Module
    """Recognition from (features, train) to logits "category" [batch, categories], and "mean" and "log_sigma"
    [batch, continuous]."""
    sizes: Sizes


class Optimizers(NamedTuple):
    """Optimizer of each phase."""

    discriminator: optax.GradientTransformation
    generator: optax.GradientTransformation


def infogan(
    image_shape: tuple[int, int, int],
    networks: Networks,
    *,
    optimizers: Optimizers,
    adversarial: AdversarialLoss = NONSATURATING,
    information: float = 1.0,
    continuous_information: float = 0.03,
) -> Model:
    """Return an InfoGAN on `image` of the batch, with the phases discriminator and generator.

    The phase discriminator updates D and Q, which have common layers; the phase generator updates G. Both minimize
    their adversarial loss minus lambda L_I, as in the authors' code, where lambda is `information` for the category and
    `continuous_information` for the continuous codes. With both weights 0 the model is a GAN whose Q learns nothing.

    `evaluate` gives real_logit and fake_logit and, for images generated from random codes, the terms of L_I:
    category_information_nats and continuous_information_nats. `generate` draws images of random codes, with the
    category `code` [B] if the batch has it. `embed` gives log Q(category|x) [B, categories], then Q's means of
    continuous codes.

    Raises ValueError if the networks do not fit `image_shape` or the sizes of the codes, or a weight is below 0.
    """
    if not min(information, continuous_information) >= 0:
        raise ValueError(f"information={information} and continuous_information={continuous_information} must be >= 0")
    check_networks(networks, image_shape)
    weights = (information, continuous_information)
    discriminator = discriminator_loss(networks, adversarial, weights)
    generator = generator_loss(networks, adversarial, weights)
    model = Model(
        init=lambda key, batch: init_networks(networks, key, **example_inputs(networks, batch["image"])),
        phases=(
            Phase("discriminator", discriminator, ("discriminator", "recognition"), optimizers.discriminator),
            Phase("generator", generator, ("generator",), optimizers.generator),
        ),
        evaluate=make_evaluate(networks),
        generate=make_generate(networks),
        embed=make_embed(networks),
        seeds_together=False,
    )
    return with_inputs(model, image=Input(image_shape))


def draw_codes(sizes: Sizes, key: Key, count: int) -> Codes:
    """Draw the codes of `count` images, each of which depends on the key and its position alone."""

    def one(key: Key) -> Codes:
        noise_key, category_key, continuous_key = jax.random.split(key, 3)
        return Codes(
            jax.random.uniform(noise_key, (sizes.noise,), DTYPE, minval=-1, maxval=1),
            jax.random.randint(category_key, (), 0, sizes.categories),
            jax.random.uniform(continuous_key, (sizes.continuous,), DTYPE, minval=-1, maxval=1),
        )

    return jax.vmap(one)(jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count)))


def joined(sizes: Sizes, codes: Codes) -> Float[Array, "batch latents"]:
    """Concatenate the inputs of the generator: noise, one-hot category, continuous codes."""
    one_hot = jax.nn.one_hot(codes.category, sizes.categories, dtype=codes.noise.dtype)
    return jnp.concatenate([codes.noise, one_hot, codes.continuous], axis=-1)


def information_bound(sizes: Sizes, codes: Codes, outputs: dict[str, Array]) -> tuple[Array, Array]:
    """Return the terms of L_I per example, in nats: of the category, at most log K, and of the continuous codes.

    `outputs` are Q's outputs at the images generated from `codes`: Q(category|x) is categorical, Q of a continuous code
    is Gaussian (eq. 5).
    """
    log_q = jnp.take_along_axis(jax.nn.log_softmax(outputs["category"]), codes.category[:, None], axis=1)[:, 0]
    log_var = 2 * jnp.maximum(outputs["log_sigma"], LEAST_LOG_SIGMA)
    log_density = gaussian_log_prob(codes.continuous, outputs["mean"], log_var).sum(axis=1)
    of_category = mutual_information_bound(log_q, math.log(sizes.categories))
    return of_category, mutual_information_bound(log_density, sizes.continuous * math.log(2))


def example_inputs(networks: Networks, images: Images) -> Inputs:
    """Return inputs of each network for one example, the first of `images`."""
    image = images[:1]
    z = jnp.zeros((1, sum(networks.sizes)), images.dtype)
    (_, features), _ = jax.eval_shape(networks.discriminator.init_with_output, jax.random.key(0), image)
    return {
        "generator": (z,),
        "discriminator": (image,),
        "recognition": (jnp.zeros(features.shape, features.dtype),),
    }


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError if the networks' outputs do not have the shapes of images and codes."""
    sizes = networks.sizes
    if sizes.categories < 2 or min(sizes.noise, sizes.continuous) < 0:
        raise ValueError(f"sizes={tuple(sizes)}: there must be two categories or more, and no number below 0")
    outputs = {
        "generator": (1, *image_shape),
        "discriminator": ((1,), (1, None)),
        "recognition": {
            "category": (1, sizes.categories),
            "mean": (1, sizes.continuous),
            "log_sigma": (1, sizes.continuous),
        },
    }
    check_outputs(networks, example_inputs(networks, jnp.zeros((1, *image_shape))), outputs)


def discriminator_loss(networks: Networks, adversarial: AdversarialLoss, weights: tuple[float, float]) -> Loss:
    """Return the loss of D and Q, the mean over the batch of

        adversarial.discriminator(D(x), D(G(z, c))) - lambda L_I(G, Q),                (eq. 6)

    by default -log D(x) - log(1 - D(G(z, c))) - lambda L_I.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        G, D, Q, sizes = bind(networks, params, stats)
        x = batch["image"]
        c = draw_codes(sizes, key, len(x))
        fake, _ = G.train(joined(sizes, c))
        (real_logits, _), D_after = D.train(x)
        (fake_logits, features), _ = D.train(fake)
        codes_of_fake, Q_after = Q.train(features)
        L_I = information_bound(sizes, c, codes_of_fake)
        total = adversarial.discriminator(real_logits, fake_logits).mean() - weighted(L_I, weights)
        # running statistics are kept as each network is used: of D on real images, of Q on generated images
        stats = updated(stats, discriminator=D_after, recognition=Q_after)
        return total, ({"category_information_nats": L_I[0].mean()}, stats)

    return loss


def generator_loss(networks: Networks, adversarial: AdversarialLoss, weights: tuple[float, float]) -> Loss:
    """Return the loss of G, the mean over the batch of

        adversarial.generator(D(G(z, c))) - lambda L_I(G, Q),                          (eq. 6)

    by default -log D(G(z, c)) - lambda L_I.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        G, D, Q, sizes = bind(networks, params, stats)
        c = draw_codes(sizes, key, len(batch["image"]))
        fake, G = G.train(joined(sizes, c))
        (fake_logits, features), _ = D.train(fake)
        codes_of_fake, _ = Q.train(features)
        L_I = information_bound(sizes, c, codes_of_fake)
        return adversarial.generator(fake_logits).mean() - weighted(L_I, weights), ({}, updated(stats, generator=G))

    return loss


def weighted(bounds: tuple[Array, Array], weights: tuple[float, float]) -> Scalar:
    """Return lambda L_I: the weighted sum of its terms, each the mean over the batch."""
    return sum((weight * bound.mean() for weight, bound in zip(weights, bounds, strict=True)), start=jnp.zeros(()))


def make_evaluate(networks: Networks) -> Evaluate:
    """Return the evaluation of D's logits at real and generated images, and of the terms of L_I at generated images."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        G, D, Q, sizes = bind(networks, params, stats)
        c = draw_codes(sizes, key, len(batch["image"]))
        real_logits, _ = D(batch["image"])
        fake_logits, features = D(G(joined(sizes, c)))
        of_category, of_continuous = information_bound(sizes, c, Q(features))
        return {
            "real_logit": real_logits,
            "fake_logit": fake_logits,
            "category_information_nats": of_category,
            "continuous_information_nats": of_continuous,
        }

    return evaluate


def make_generate(networks: Networks) -> Generate:
    """Return the sampler of images of random codes, with the category `code` if the batch has it."""

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        refuse_known(batch)
        codes = draw_codes(networks.sizes, key, len(batch["image"]))
        return generated(networks, params, stats, codes._replace(category=batch.get("code", codes.category)))

    return generate


def generated(networks: Networks, params: Params, stats: Stats, codes: Codes) -> Images:
    """Return the images generated from `codes`, with running statistics."""
    G = bind(networks, params, stats).generator
    return G(joined(networks.sizes, codes))


def make_embed(networks: Networks) -> Embed:
    """Return the features function: log Q(category|x), then Q's means of the continuous codes."""

    def embed(params: Params, stats: Stats, batch: Batch) -> Float[Array, "batch features"]:
        _, D, Q, _ = bind(networks, params, stats)
        _, features = D(batch["image"])
        codes = Q(features)
        return jnp.concatenate([jax.nn.log_softmax(codes["category"]), codes["mean"]], axis=-1)

    return embed


def conv_networks(
    image_shape: tuple[int, int, int],
    *,
    sizes: Sizes = Sizes(),  # noqa: B008 (immutable)
    channels: tuple[int, int] = (64, 128),
    hidden: int = 1024,
    recognition_hidden: int = 128,
) -> Networks:
    """Return the paper's networks for MNIST; the generator mirrors the discriminator's `channels`.

    Raises ValueError if a side of the image is no multiple of 4.
    """
    if any(side % networks_of.STRIDE**2 for side in image_shape[:2]):
        raise ValueError(f"image_shape={image_shape}: height and width must be multiples of {networks_of.STRIDE**2}")
    widths = (("category", sizes.categories), ("mean", sizes.continuous), ("log_sigma", sizes.continuous))
    return Networks(
        networks_of.Generator(image_shape, (channels[1], channels[0]), hidden),
        networks_of.Discriminator(channels, hidden),
        networks_of.Recognition(widths, recognition_hidden),
        sizes,
    )
