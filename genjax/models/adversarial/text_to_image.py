"""Text to image (Reed, Akata, Yan, Logeswaran, Schiele & Lee 2016): GAN-CLS and GAN-INT on captions' embeddings.

A text encoder and an image encoder are trained first, until images match their own captions best; the text encoder then
stays as it is, and a generator G(z, h) and a discriminator D(x, h) play on images x and embedded captions h. D is to
tell three kinds of pairs apart: an image with its caption, an image with another's, a generated image with its caption.
A style encoder S learns what of an image its caption does not say: the noise z of G(z, h).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from genjax.core import Model, Phase
from genjax.losses.adversarial import matching_aware_discriminator_loss, nonsaturating_generator_loss
from genjax.losses.matching import structured_joint_loss
from genjax.models.adversarial.gan import drawn_noise
from genjax.models.adversarial.text_to_image_networks import Networks, check_networks, init_networks
from genjax.models.completion import refuse_known
from genjax.networks.named import applied, applied_batch
from genjax.types import Batch, Evaluate, Generate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Captions = Int[Array, "batch T"]
Embedded = Float[Array, "batch features"]


class Optimizers(NamedTuple):
    """Of each phase."""

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
    """A GAN-CLS on `image` and `caption` [B, T] of the batch, or with `interpolation` above 0 a GAN-INT-CLS.

    In the first `matching_steps` steps the phase matching moves the encoders of text and image; after them the phases
    discriminator, generator and style move their own networks, the last of them from `style_start` on, where that is
    given: S inverts a generator that may as well be trained by then. `interpolation` weighs what the players make of
    images whose text is the mean of two captions' (eq. 5, beta 1/2). With `matching_weight` above 0 the generator
    descends with this weight the loss of the phase matching as well, of its own images: they are to match their
    captions better than others (as in Xu et al. 2018, AttnGAN, eq. 4, with the loss above). A caption that does not
    belong is `wrong_caption` [B, T] of the batch, or where it has none that of the next example.

    `evaluate` gives matching_score, the product of an image's embedding with its caption's, and pair_logit, what the
    discriminator says of the two, and both of an image generated of the caption as well, as fake_matching_score and
    fake_pair_logit; `generate` images of the batch's captions, whose noise depends on the key and the place alone;
    `embed` the embeddings of the images.

    Raises ValueError where the networks do not fit `image_shape` or each other, or a number is out of range.
    """
    if matching_steps < 1 or not interpolation >= 0 or not matching_weight >= 0:
        raise ValueError(
            f"matching_steps={matching_steps} must be at least 1, matching_weight={matching_weight} and "
            f"interpolation={interpolation} at least 0"
        )
    if style_start is not None and style_start < matching_steps:
        raise ValueError(f"style_start={style_start} must be at least matching_steps={matching_steps}")
    check_networks(networks, image_shape)
    later = {"start": matching_steps}
    style = {"start": matching_steps if style_start is None else style_start}
    return Model(
        init=lambda key, batch: init_networks(networks, key, batch["image"], batch["caption"]),
        phases=(
            Phase(
                "matching",
                matching_loss(networks),
                ("text_encoder", "image_encoder"),
                optimizers.matching,
                stop=matching_steps,
            ),
            Phase(
                "discriminator",
                discriminator_loss(networks, interpolation),
                ("discriminator",),
                optimizers.discriminator,
                **later,
            ),
            Phase(
                "generator",
                generator_loss(networks, interpolation, matching_weight),
                ("generator",),
                optimizers.generator,
                **later,
            ),
            Phase("style", style_loss(networks), ("style_encoder",), optimizers.style, **style),
        ),
        evaluate=make_evaluate(networks),
        generate=make_generate(networks),
        embed=lambda params, stats, batch: applied(networks, "image_encoder", params, stats, batch["image"]),
    )


def matching_loss(networks: Networks) -> Loss:
    """The mean `mismatch` of the batch's images and captions."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        images, stats = applied_batch(networks, "image_encoder", params, stats, batch["image"])
        texts, stats = applied_batch(networks, "text_encoder", params, stats, batch["caption"])
        wrong = None
        if "wrong_caption" in batch:
            wrong, _ = applied_batch(networks, "text_encoder", params, stats, batch["wrong_caption"])
        right = ((images @ texts.T).argmax(axis=1) == jnp.arange(len(images))).mean()
        return mismatch(images, texts, wrong, batch["caption"]).mean(), ({"accuracy": right}, stats)

    return loss


def mismatch(images: Embedded, texts: Embedded, wrong: Embedded | None, captions: Captions) -> Float[Array, " batch"]:
    """The structured joint loss of embedded images and their `captions`; equal ones do not compete.

    With embedded wrong captions each image is to match its own better, by 1, than the wrong one, too.
    """
    loss = structured_joint_loss(images @ texts.T, same_captions(captions))
    return loss if wrong is None else loss + jax.nn.relu(1 + (images * (wrong - texts)).sum(axis=1))


def same_captions(captions: Captions) -> Bool[Array, "batch batch"]:
    """Which captions are word for word alike."""
    return (captions[:, None] == captions[None]).all(axis=-1)


def discriminator_loss(networks: Networks, interpolation: float) -> Loss:
    """The matching-aware loss (algorithm 1), and what fakes of texts between two captions add to it."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        images = batch["image"]
        h = applied(networks, "text_encoder", params, stats, batch["caption"])
        real, moved = logits_batch(networks, params, stats, images, h)
        wrong = wrong_texts(networks, params, stats, batch)
        mismatched, _ = logits_batch(
            networks, params, stats, images, jnp.roll(h, 1, axis=0) if wrong is None else wrong
        )
        fake, _ = logits_batch(networks, params, stats, *fakes(networks, params, stats, h, key)[:2])
        total = matching_aware_discriminator_loss(real, mismatched, fake).mean()
        if interpolation:
            between, _ = logits_batch(
                networks, params, stats, *fakes(networks, params, stats, halfway(h), jax.random.fold_in(key, 1))[:2]
            )
            total += interpolation * jax.nn.softplus(between).mean() / 2
        metrics = {"real_logit": real.mean(), "mismatched_logit": mismatched.mean(), "fake_logit": fake.mean()}
        return total, (metrics, moved)

    return loss


def wrong_texts(networks: Networks, params: Params, stats: Stats, batch: Batch) -> Embedded | None:
    """The embedded wrong captions, where the batch has some."""
    return (
        applied(networks, "text_encoder", params, stats, batch["wrong_caption"]) if "wrong_caption" in batch else None
    )


def generator_loss(networks: Networks, interpolation: float, matching_weight: float) -> Loss:
    """The non-saturating loss of images of captions, and of texts between two (eq. 5), and how ill the images match."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        h = applied(networks, "text_encoder", params, stats, batch["caption"])
        images, texts, moved = fakes(networks, params, stats, h, key)
        total = nonsaturating_generator_loss(logits_batch(networks, params, stats, images, texts)[0]).mean()
        if interpolation:
            between = fakes(networks, params, stats, halfway(h), jax.random.fold_in(key, 1))[:2]
            logits, _ = logits_batch(networks, params, stats, *between)
            total += interpolation * nonsaturating_generator_loss(logits).mean()
        if matching_weight:
            seen = applied(networks, "image_encoder", params, stats, images)
            wrong = wrong_texts(networks, params, stats, batch)
            total += matching_weight * mismatch(seen, h, wrong, batch["caption"]).mean()
        return total, ({}, moved)

    return loss


def style_loss(networks: Networks) -> Loss:
    """|z - S(G(z, h))|^2, summed over z, mean over the batch (eq. 6)."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        h = applied(networks, "text_encoder", params, stats, batch["caption"])
        z = networks.prior.sample(key, len(h), None)
        images, _ = applied_batch(networks, "generator", params, stats, z, h)
        style, moved = applied_batch(networks, "style_encoder", params, stats, images)
        return ((z - style) ** 2).sum(axis=1).mean(), ({}, moved)

    return loss


def fakes(networks: Networks, params: Params, stats: Stats, h: Embedded, key: Key) -> tuple[Images, Embedded, Stats]:
    """Generated images of embedded texts, these texts, and the statistics after it."""
    z = networks.prior.sample(key, len(h), None)
    images, moved = applied_batch(networks, "generator", params, stats, z, h)
    return images, h, moved


def halfway(h: Embedded) -> Embedded:
    """The mean of each text with the next one in the batch."""
    return (h + jnp.roll(h, 1, axis=0)) / 2


def logits_batch(
    networks: Networks, params: Params, stats: Stats, images: Images, h: Embedded
) -> tuple[Float[Array, " batch"], Stats]:
    """The discriminator's logits in training."""
    logits, moved = applied_batch(networks, "discriminator", params, stats, images, h)
    return logits[:, 0], moved


def pair_metrics(
    networks: Networks, params: Params, stats: Stats, images: Images, captions: Captions
) -> dict[str, Float[Array, " batch"]]:
    """How well each image and its caption belong together: matching_score, f(image) . f(caption), and pair_logit of D.

    By running statistics.
    """
    h = applied(networks, "text_encoder", params, stats, captions)
    return {
        "matching_score": (applied(networks, "image_encoder", params, stats, images) * h).sum(axis=1),
        "pair_logit": applied(networks, "discriminator", params, stats, images, h)[:, 0],
    }


def make_evaluate(networks: Networks) -> Evaluate:
    """`pair_metrics` of each image with its caption, and of an image generated of that caption, as fake_...."""
    generate = make_generate(networks)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        fake = generate(params, stats, batch, key)
        real_pairs, fake_pairs = (
            pair_metrics(networks, params, stats, images, batch["caption"]) for images in (batch["image"], fake)
        )
        return {**real_pairs, **{f"fake_{name}": values for name, values in fake_pairs.items()}}

    return evaluate


def make_generate(networks: Networks) -> Generate:
    """An image of each caption of the batch."""

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        refuse_known(batch)
        h = applied(networks, "text_encoder", params, stats, batch["caption"])
        return applied(networks, "generator", params, stats, drawn_noise(networks.prior, key, len(h)), h)

    return generate
