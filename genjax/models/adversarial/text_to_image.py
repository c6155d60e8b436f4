"""Text to image (Reed, Akata, Yan, Logeswaran, Schiele & Lee 2016): GAN-CLS and GAN-INT on embedded captions.

A text encoder and an image encoder are trained first, until images match their own captions best. Then the text encoder
is frozen, and a generator G(z, h) and a discriminator D(x, h) are trained on images x and embedded captions h. D tells
three kinds of pairs apart: an image with its caption, an image with another caption, and a generated image with its
caption. A style encoder S learns to recover the noise z of G(z, h), which describes what the caption leaves open.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.adversarial import matching_aware_discriminator_loss, nonsaturating_generator_loss
from genjax.losses.matching import structured_joint_loss
from genjax.losses.reconstruction import squared_error
from genjax.models.adversarial.gan import drawn_noise
from genjax.models.adversarial.text_to_image_networks import Networks
from genjax.models.completion import refuse_known
from genjax.networks.bound import bind, check_outputs, init_networks, updated
from genjax.types import Batch, Evaluate, Generate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Captions = Int[Array, "batch T"]
Embedded = Float[Array, "batch features"]


class Optimizers(NamedTuple):
    """Optimizer of each phase."""

    matching: optax.GradientTransformation
    discriminator: optax.GradientTransformation
    generator: optax.GradientTransformation
    style: optax.GradientTransformation


def text_to_image(
    image_shape: tuple[int, int, int],
    networks: Networks,
    *,
    optimizers: Optimizers,
    matching_steps: int,
    matching_weight: float = 0.0,
    interpolation: float = 1.0,
    style_start: int | None = None,
) -> Model:
    """Return a GAN-CLS on `image` and `caption` [B, T] of the batch, or with `interpolation` above 0 a GAN-INT-CLS.

    The phase matching updates the encoders of text and image in the first `matching_steps` steps. After them the phases
    discriminator, generator and style update the network of their name; style starts only at step `style_start` if that
    is given, since S inverts a generator that should be trained by then. A caption that does not belong to its image is
    `wrong_caption` [B, T] of the batch, or if the batch has none, the caption of the previous example.

    `evaluate` gives matching_score, the inner product of the embeddings of an image and its caption, and pair_logit,
    the discriminator's logit of image and caption; and the same for an image generated from the caption, as
    fake_matching_score and fake_pair_logit. `generate` gives images of the batch's captions, whose noise depends on the
    key and the position alone; `embed` gives the embeddings of the images.

    Args:
        image_shape: Height, width and channels of the images.
        networks: Networks, which must fit `image_shape` and each other.
        optimizers: Optimizer of each phase.
        matching_steps: Number of steps in which the encoders are trained.
        matching_weight: Weight, in the generator's loss, of the matching loss of generated images: they are to match
            their own captions better than others (as in AttnGAN, Xu et al. 2018, eq. 4, with another matching loss).
        interpolation: Weight of images generated from the mean of two embedded captions (eq. 5, beta = 1/2).
        style_start: First step in which the style encoder is trained; by default `matching_steps`.

    Raises:
        ValueError: if the networks do not fit, or a number is out of range.
    """
    check_numbers(matching_steps, matching_weight, interpolation, style_start)
    inputs = check_networks(networks, image_shape)
    discriminator = discriminator_loss(networks, interpolation)
    generator = generator_loss(networks, interpolation, matching_weight)
    encoders, start = ("text_encoder", "image_encoder"), matching_steps
    later = start if style_start is None else style_start
    model = Model(
        init=lambda key, batch: init_networks(networks, key, **inputs),
        phases=(
            Phase("matching", matching_loss(networks), encoders, optimizers.matching, stop=start),
            Phase("discriminator", discriminator, ("discriminator",), optimizers.discriminator, start=start),
            Phase("generator", generator, ("generator",), optimizers.generator, start=start),
            Phase("style", style_loss(networks), ("style_encoder",), optimizers.style, start=later),
        ),
        evaluate=make_evaluate(networks),
        generate=make_generate(networks),
        embed=lambda params, stats, batch: bind(networks, params, stats).image_encoder(batch["image"]),
        seeds_together=False,
    )
    return with_inputs(model, image=Input(image_shape, "unit"))


def check_numbers(matching_steps: int, matching_weight: float, interpolation: float, style_start: int | None) -> None:
    """Raise ValueError if a number is out of range."""
    if matching_steps < 1 or not interpolation >= 0 or not matching_weight >= 0:
        raise ArgumentError(
            "matching_steps",
            matching_steps,
            f" must be at least 1, matching_weight={matching_weight} and interpolation={interpolation} at least 0",
        )
    if style_start is not None and style_start < matching_steps:
        raise ValueError(f"style_start={style_start} must be at least matching_steps={matching_steps}")


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> dict[str, tuple[Array, ...]]:
    """Return example inputs of each network; raise ValueError if the outputs do not have the shapes of a GAN-CLS."""
    if networks.prior.classes:
        raise ValueError(f"prior: must be without classes, got {networks.prior.classes}")
    x, caption, z = jnp.zeros((1, *image_shape)), jnp.ones((1, 2), jnp.int32), jnp.zeros((1, networks.prior.dimension))
    text = jax.eval_shape(networks.text_encoder.init_with_output, jax.random.key(0), caption)[0]
    h = jnp.zeros(text.shape)
    inputs = {
        "text_encoder": (caption,),
        "image_encoder": (x,),
        "generator": (z, h),
        "discriminator": (x, h),
        "style_encoder": (x,),
    }
    outputs = {"image_encoder": h.shape, "generator": x.shape, "discriminator": (1, 1), "style_encoder": z.shape}
    check_outputs(networks, inputs, outputs)
    return inputs


def matching_loss(networks: Networks) -> Loss:
    """Return the encoders' loss, the mean `mismatch` of the batch's images and captions (sec. 3.2)."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        text_encoder, image_encoder, *_ = bind(networks, params, stats)
        v, image_encoder = image_encoder.train(batch["image"])
        h, text_encoder = text_encoder.train(batch["caption"])
        wrong_h = text_encoder.train(batch["wrong_caption"])[0] if "wrong_caption" in batch else None
        accuracy = ((v @ h.T).argmax(axis=1) == jnp.arange(len(v))).mean()
        total = mismatch(v, h, wrong_h, batch["caption"]).mean()
        return total, ({"accuracy": accuracy}, updated(stats, image_encoder=image_encoder, text_encoder=text_encoder))

    return loss


def mismatch(images: Embedded, texts: Embedded, wrong: Embedded | None, captions: Captions) -> Float[Array, " batch"]:
    """Return the structured joint loss of embedded images and their embedded `captions`; equal captions do not compete.

    Embedded wrong captions, where given, add max(0, 1 + image . wrong - image . text).
    """
    loss = structured_joint_loss(images @ texts.T, same_captions(captions))
    return loss if wrong is None else loss + jax.nn.relu(1 + (images * (wrong - texts)).sum(axis=1))


def same_captions(captions: Captions) -> Bool[Array, "batch batch"]:
    """Return which captions are equal word for word."""
    return (captions[:, None] == captions[None]).all(axis=-1)


def discriminator_loss(networks: Networks, interpolation: float) -> Loss:
    """Return the discriminator's matching-aware loss (algorithm 1), with h of the caption and h' of another caption.

    -log D(x, h) - (log(1 - D(x, h')) + log(1 - D(G(z, h), h))) / 2
    - interpolation log(1 - D(G(z', h~), h~)) / 2        h~ halfway between two texts (eq. 5)
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        text_encoder, _, G, D, _, prior = bind(networks, params, stats)
        x, h = batch["image"], text_encoder(batch["caption"])
        wrong_h = wrong_texts(text_encoder, batch)
        fake, _ = G.train(prior.sample(key, len(h), None), h)
        real_logits, D_after = D.train(x, h)
        mismatched_logits, _ = D.train(x, jnp.roll(h, 1, axis=0) if wrong_h is None else wrong_h)
        fake_logits, _ = D.train(fake, h)
        total = matching_aware_discriminator_loss(real_logits, mismatched_logits, fake_logits).mean()
        if interpolation:
            between = halfway(h)
            fake_between, _ = G.train(prior.sample(jax.random.fold_in(key, 1), len(h), None), between)
            total += interpolation * jax.nn.softplus(D.train(fake_between, between)[0]).mean() / 2
        logits = {"real_logit": real_logits, "mismatched_logit": mismatched_logits, "fake_logit": fake_logits}
        return total, (jax.tree.map(jnp.mean, logits), updated(stats, discriminator=D_after))

    return loss


def wrong_texts(text_encoder: Callable[..., Any], batch: Batch) -> Embedded | None:
    """Return the embedded wrong captions, or None if the batch has none."""
    return text_encoder(batch["wrong_caption"]) if "wrong_caption" in batch else None


def generator_loss(networks: Networks, interpolation: float, matching_weight: float) -> Loss:
    """Return the generator's loss, with h the embedded caption and v the image encoder.

    -log D(G(z, h), h)
    - interpolation log D(G(z', h~), h~)                 h~ halfway between two texts (eq. 5)
    + matching_weight mismatch(v(G(z, h)), h)            `mismatch`
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        text_encoder, image_encoder, G, D, _, prior = bind(networks, params, stats)
        h = text_encoder(batch["caption"])
        fake, G_after = G.train(prior.sample(key, len(h), None), h)
        total = nonsaturating_generator_loss(D.train(fake, h)[0]).mean()
        if interpolation:
            between = halfway(h)
            fake_between, _ = G.train(prior.sample(jax.random.fold_in(key, 1), len(h), None), between)
            total += interpolation * nonsaturating_generator_loss(D.train(fake_between, between)[0]).mean()
        if matching_weight:
            wrong_h = wrong_texts(text_encoder, batch)
            total += matching_weight * mismatch(image_encoder(fake), h, wrong_h, batch["caption"]).mean()
        return total, ({}, updated(stats, generator=G_after))

    return loss


def style_loss(networks: Networks) -> Loss:
    """Return the style encoder's loss E |z - S(G(z, h))|^2, summed over z, mean over the batch (eq. 6)."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        text_encoder, _, G, _, S, prior = bind(networks, params, stats)
        h = text_encoder(batch["caption"])
        z = prior.sample(key, len(h), None)
        fake, _ = G.train(z, h)
        style, S_after = S.train(fake)
        return squared_error(style, z).mean(), ({}, updated(stats, style_encoder=S_after))

    return loss


def halfway(h: Embedded) -> Embedded:
    """Return the mean of each embedded text and the previous one in the batch."""
    return (h + jnp.roll(h, 1, axis=0)) / 2


def pair_metrics(
    networks: Networks, params: Params, stats: Stats, images: Images, captions: Captions
) -> dict[str, Float[Array, " batch"]]:
    """Return two scores of images with captions: matching_score, v(image) . h(caption), and pair_logit, D's logit.

    Both use running statistics.
    """
    text_encoder, image_encoder, _, D, *_ = bind(networks, params, stats)
    h = text_encoder(captions)
    return {"matching_score": (image_encoder(images) * h).sum(axis=1), "pair_logit": D(images, h)[:, 0]}


def make_evaluate(networks: Networks) -> Evaluate:
    """Return the evaluation of `pair_metrics` of each image, and of an image generated from its caption."""
    generate = make_generate(networks)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        fake, caption = generate(params, stats, batch, key), batch["caption"]
        real_pairs = pair_metrics(networks, params, stats, batch["image"], caption)
        fake_pairs = pair_metrics(networks, params, stats, fake, caption)
        return {**real_pairs, **{f"fake_{name}": values for name, values in fake_pairs.items()}}

    return evaluate


def make_generate(networks: Networks) -> Generate:
    """Return the sampler of an image for each caption of the batch."""

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        refuse_known(batch)
        text_encoder, _, G, _, _, prior = bind(networks, params, stats)
        h = text_encoder(batch["caption"])
        return G(drawn_noise(prior, key, len(h)), h)

    return generate
