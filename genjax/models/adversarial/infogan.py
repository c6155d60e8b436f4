"""InfoGAN (Chen, Duan, Houthooft, Schulman, Sutskever & Abbeel 2016): codes that can be read off generated images.

Noise z goes into the generator G beside codes c: one of K categories and some numbers on [-1, 1]. A recognition network
Q(c|x), which shares the discriminator's layers, bounds the mutual information of codes and images from below:

    L_I = E log Q(c | G(z, c)) + H(c) <= I(c; G(z, c))                       (eq. 5)
    min over G, Q  max over D   V(D, G) - lambda L_I                          (eq. 6)
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from genjax.core import Model, Phase
from genjax.losses.adversarial import NONSATURATING, Game, mutual_information_bound
from genjax.losses.likelihood import gaussian_log_prob
from genjax.models.adversarial import infogan_networks as networks_of
from genjax.models.completion import refuse_known
from genjax.networks.named import applied, applied_batch, split_variables
from genjax.types import Batch, Evaluate, Generate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]

LEAST_LOG_SIGMA = -2.0
"""Q's standard deviation of a number is at least e^-2, so that one which is read off well is not all that counts."""


class Codes(NamedTuple):
    """What the generator reads."""

    noise: Float[Array, "batch noise"]
    """Uniform on [-1, 1]."""
    category: Int[Array, " batch"]
    """Each as likely as the others."""
    continuous: Float[Array, "batch continuous"]
    """Uniform on [-1, 1]."""


class Sizes(NamedTuple):
    """Of the codes; the paper's for MNIST."""

    noise: int = 62
    categories: int = 10
    continuous: int = 2


class Networks(NamedTuple):
    """What an InfoGAN is made of. All are called with `train`, and keep batch statistics where they have some."""

    generator: nn.Module
    """([batch, noise + categories + continuous], train) to images in [0, 1]."""
    discriminator: nn.Module
    """(images, train) to a logit [batch] and features [batch, hidden]."""
    recognition: nn.Module
    """(features, train) to "category", logits [batch, categories], and "mean" and "log_sigma" [batch, continuous]."""
    sizes: Sizes


NAMES = ("generator", "discriminator", "recognition")


class Optimizers(NamedTuple):
    """Of each phase."""

    discriminator: optax.GradientTransformation
    generator: optax.GradientTransformation


def infogan(
    image_shape: tuple[int, int, int],
    networks: Networks,
    *,
    optimizers: Optimizers,
    game: Game = NONSATURATING,
    information: float = 1.0,
    continuous_information: float = 0.03,
) -> Model:
    """An InfoGAN on `image` of the batch, whose phases are discriminator and generator.

    The first moves the discriminator and the recognition network, which share layers, the second the generator; both
    descend their player's loss less lambda L_I, as in the authors' code, where lambda is `information` for the category
    and `continuous_information` for the numbers. Without them it is a GAN with a recognition network that learns
    nothing.

    `evaluate` gives real_logit and fake_logit, and of images generated of random codes category_information_nats and
    continuous_information_nats, the terms of L_I; `generate` images of random codes, of the category in `code` [B] of
    the batch where it has that; `embed` log Q(category|x), [B, categories], and after it the means of the numbers.

    Raises ValueError where the networks do not fit `image_shape` or the sizes of the codes, or a weight is below 0.
    """
    if not min(information, continuous_information) >= 0:
        raise ValueError(f"information={information} and continuous_information={continuous_information} must be >= 0")
    check_networks(networks, image_shape)
    weights = (information, continuous_information)
    return Model(
        init=lambda key, batch: init_networks(networks, key, batch["image"]),
        phases=(
            Phase(
                "discriminator",
                discriminator_loss(networks, game, weights),
                ("discriminator", "recognition"),
                optimizers.discriminator,
            ),
            Phase("generator", generator_loss(networks, game, weights), ("generator",), optimizers.generator),
        ),
        evaluate=make_evaluate(networks),
        generate=make_generate(networks),
        embed=lambda params, stats, batch: embedding(networks, params, stats, batch["image"]),
    )


def draw_codes(sizes: Sizes, key: Key, count: int) -> Codes:
    """Codes of `count` images, each of which depends on the key and its place alone."""

    def one(key: Key) -> Codes:
        noise_key, category_key, continuous_key = jax.random.split(key, 3)
        return Codes(
            jax.random.uniform(noise_key, (sizes.noise,), minval=-1, maxval=1),
            jax.random.randint(category_key, (), 0, sizes.categories),
            jax.random.uniform(continuous_key, (sizes.continuous,), minval=-1, maxval=1),
        )

    return jax.vmap(one)(jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count)))


def joined(sizes: Sizes, codes: Codes) -> Float[Array, "batch latents"]:
    """What the generator reads: the noise, the category as a one-hot, the numbers."""
    one_hot = jax.nn.one_hot(codes.category, sizes.categories, dtype=codes.noise.dtype)
    return jnp.concatenate([codes.noise, one_hot, codes.continuous], axis=-1)


def information_bound(sizes: Sizes, codes: Codes, outputs: dict[str, Array]) -> tuple[Array, Array]:
    """The terms of L_I per example, in nats, of Q's outputs: of the category, at most log K, and of the numbers."""
    log_q = jnp.take_along_axis(jax.nn.log_softmax(outputs["category"]), codes.category[:, None], axis=1)[:, 0]
    log_var = 2 * jnp.maximum(outputs["log_sigma"], LEAST_LOG_SIGMA)
    log_density = gaussian_log_prob(codes.continuous, outputs["mean"], log_var).sum(axis=1)
    of_category = mutual_information_bound(log_q, math.log(sizes.categories))
    return of_category, mutual_information_bound(log_density, sizes.continuous * math.log(2))


def init_networks(networks: Networks, key: Key, images: Images) -> tuple[Params, Stats]:
    """Fresh variables of all networks, and their running statistics."""
    generator_key, discriminator_key, recognition_key = jax.random.split(key, 3)
    z = joined(networks.sizes, draw_codes(networks.sizes, key, 1)).astype(images.dtype)
    (_, features), discriminator = networks.discriminator.init_with_output(discriminator_key, images[:1])
    variables = {
        "generator": networks.generator.init(generator_key, z),
        "discriminator": discriminator,
        "recognition": networks.recognition.init(recognition_key, features),
    }
    return split_variables(variables)


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes of images and codes."""
    sizes = networks.sizes
    if sizes.categories < 2 or min(sizes.noise, sizes.continuous) < 0:
        raise ValueError(f"sizes={tuple(sizes)}: there must be two categories or more, and no number below 0")

    def outputs(key: Key) -> tuple[Array, Array, dict[str, Array]]:
        params, stats = init_networks(networks, key, jnp.zeros((1, *image_shape)))
        images = generated(networks, params, stats, draw_codes(sizes, key, 1))
        return images, *judged(networks, params, stats, jnp.zeros((1, *image_shape)))

    image, logit, codes = jax.eval_shape(outputs, jax.random.key(0))
    if image.shape != (1, *image_shape):
        raise ValueError(f"networks: the generator returns images {image.shape[1:]}, image_shape={image_shape}")
    if logit.shape != (1,):
        raise ValueError(f"networks: the discriminator returns a logit {logit.shape[1:]}, must be one number")
    for name, width in {"category": sizes.categories, "mean": sizes.continuous, "log_sigma": sizes.continuous}.items():
        if codes[name].shape != (1, width):
            raise ValueError(f"networks: recognition returns {name} {codes[name].shape[1:]}, must be {(width,)}")


def generated(networks: Networks, params: Params, stats: Stats, codes: Codes) -> Images:
    """The images of codes, by running statistics."""
    return applied(networks, "generator", params, stats, joined(networks.sizes, codes))


def judged(networks: Networks, params: Params, stats: Stats, images: Images) -> tuple[Array, dict[str, Array]]:
    """The discriminator's logits and Q's outputs, by running statistics."""
    logits, features = applied(networks, "discriminator", params, stats, images)
    return logits, applied(networks, "recognition", params, stats, features)


def generated_batch(networks: Networks, params: Params, stats: Stats, codes: Codes) -> tuple[Images, Stats]:
    """`generated` as training does it, by the statistics of this batch, and the running statistics after it."""
    return applied_batch(networks, "generator", params, stats, joined(networks.sizes, codes))


def judged_batch(
    networks: Networks, params: Params, stats: Stats, images: Images
) -> tuple[Array, dict[str, Array], Stats]:
    """`judged` as training does it, and the running statistics of both networks after it."""
    (logits, features), stats = applied_batch(networks, "discriminator", params, stats, images)
    codes, stats = applied_batch(networks, "recognition", params, stats, features)
    return logits, codes, stats


def discriminator_loss(networks: Networks, game: Game, weights: tuple[float, float]) -> Loss:
    """The discriminator's loss less lambda L_I, mean over the batch."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        codes = draw_codes(networks.sizes, key, len(batch["image"]))
        fake, _ = generated_batch(networks, params, stats, codes)
        real_logits, _, moved = judged_batch(networks, params, stats, batch["image"])
        fake_logits, found, of_fakes = judged_batch(networks, params, stats, fake)
        bounds = information_bound(networks.sizes, codes, found)
        total = game.discriminator(real_logits, fake_logits).mean() - weighted(bounds, weights)
        # D judges real images and Q generated ones: each keeps the statistics of those
        stats = {**moved, "recognition": of_fakes["recognition"]}
        return total, ({"category_information_nats": bounds[0].mean()}, stats)

    return loss


def generator_loss(networks: Networks, game: Game, weights: tuple[float, float]) -> Loss:
    """The generator's loss less lambda L_I, mean over the batch."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        codes = draw_codes(networks.sizes, key, len(batch["image"]))
        fake, moved = generated_batch(networks, params, stats, codes)
        logits, found, _ = judged_batch(networks, params, stats, fake)
        bounds = information_bound(networks.sizes, codes, found)
        return game.generator(logits).mean() - weighted(bounds, weights), ({}, moved)

    return loss


def weighted(bounds: tuple[Array, Array], weights: tuple[float, float]) -> Scalar:
    """Lambda L_I, mean over the batch."""
    return sum((weight * bound.mean() for weight, bound in zip(weights, bounds, strict=True)), start=jnp.zeros(()))


def make_evaluate(networks: Networks) -> Evaluate:
    """The logits of real and generated images, and the terms of L_I of the latter."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        codes = draw_codes(networks.sizes, key, len(batch["image"]))
        fake_logits, found = judged(networks, params, stats, generated(networks, params, stats, codes))
        of_category, of_numbers = information_bound(networks.sizes, codes, found)
        return {
            "real_logit": judged(networks, params, stats, batch["image"])[0],
            "fake_logit": fake_logits,
            "category_information_nats": of_category,
            "continuous_information_nats": of_numbers,
        }

    return evaluate


def make_generate(networks: Networks) -> Generate:
    """Images of random codes, or of the category in `code`."""

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        refuse_known(batch)
        codes = draw_codes(networks.sizes, key, len(batch["image"]))
        return generated(networks, params, stats, codes._replace(category=batch.get("code", codes.category)))

    return generate


def embedding(networks: Networks, params: Params, stats: Stats, images: Images) -> Float[Array, "batch features"]:
    """What Q reads in images: log Q(category|x), and the means of the numbers."""
    _, found = judged(networks, params, stats, images)
    return jnp.concatenate([jax.nn.log_softmax(found["category"]), found["mean"]], axis=-1)


def conv_networks(
    image_shape: tuple[int, int, int],
    *,
    sizes: Sizes = Sizes(),  # noqa: B008 (immutable)
    channels: tuple[int, int] = (64, 128),
    hidden: int = 1024,
    recognition_hidden: int = 128,
) -> Networks:
    """The paper's networks for MNIST; the generator mirrors the discriminator's `channels`.

    Raises ValueError where a side of the image is no multiple of 4.
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
