"""Adversarial autoencoder (Makhzani et al. 2015): a discriminator cannot tell its codes from samples of a prior.

The codes of all data, q(z) = E_x q(z|x), become like p(z) by a game on samples of both, so that any prior that can be
sampled will do. With classes the encoder gives a label y as well, and a second game makes the labels of all data like
draws from a uniform categorical distribution.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from genjax.core import Model, Phase
from genjax.losses.adversarial import discriminator_loss, nonsaturating_generator_loss
from genjax.losses.reconstruction import squared_error
from genjax.models.completion import refuse_known
from genjax.models.latent.aae_networks import (
    Classes,
    Images,
    Latents,
    Networks,
    check_networks,
    decode,
    encode,
    encode_batch,
    init_networks,
    joined,
    with_slot,
)
from genjax.models.priors import Prior, check_prior
from genjax.types import Batch, Evaluate, Generate, Key, Loss, Metrics, Params, Scalar, Stats


class Optimizers(NamedTuple):
    """Of each phase."""

    reconstruction: optax.GradientTransformation
    discriminator: optax.GradientTransformation
    regularization: optax.GradientTransformation
    semi_supervised: optax.GradientTransformation


def aae(
    image_shape: tuple[int, int, int],
    networks: Networks,
    prior: Prior,
    *,
    optimizers: Optimizers,
    semi_supervised: bool = False,
    dropout: float = 0.0,
) -> Model:
    """An AAE whose phases are reconstruction, discriminator, regularization and, where it is so, semi_supervised.

    Without classes of y: where the prior has classes, labels shape it. The discriminator is told the class of each
    example that `labelled` [B] in the batch marks, and sees real codes of the same class beside it; the others fill the
    slot "unlabelled", and their real codes are of the whole prior (sec. 2.3). A batch without `labelled` has none.

    With classes of y and `semi_supervised`, y is the class (sec. 5): the last phase descends the cross-entropy of
    `labelled_label` [M] given `labelled_image` [M, H, W, C], a mini-batch of its own, or where the batch has none that
    of the `labelled` among its examples. Without it, y is a cluster (sec. 6).

    `dropout` is the probability that a pixel is left out of what the encoder sees in training. `evaluate` gives
    squared_error, summed over pixels, of the reconstruction and, where semi-supervised, error_rate of the class;
    `generate` the decoder's means at samples of the prior, of the classes in `label` if they are there (a cluster is
    drawn); `embed` the mean code, and q(y|x) after it.

    Raises ValueError where the prior's samples are no codes, the networks do not fit `image_shape` or each other,
    `semi_supervised` lacks classes, or `dropout` is not in [0, 1).
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout} must be at least 0 and below 1")
    if semi_supervised and not networks.classes:
        raise ValueError(f"semi_supervised=True needs the classes of y, got classes={networks.classes}")
    check_prior(prior, networks.latents)
    check_networks(networks, prior, image_shape)
    discriminators = ("discriminator", "label_discriminator") if networks.classes else ("discriminator",)
    draw = make_draw(networks, dropout)
    phases = [
        Phase("reconstruction", reconstruction_loss(networks, draw), ("encoder", "decoder"), optimizers.reconstruction),
        Phase("discriminator", game_loss(networks, prior, draw), discriminators, optimizers.discriminator),
        Phase("regularization", regularization_loss(networks, prior, draw), ("encoder",), optimizers.regularization),
    ]
    if semi_supervised:
        loss = semi_supervised_loss(networks, dropout)
        phases.append(Phase("semi_supervised", loss, ("encoder",), optimizers.semi_supervised))
    return Model(
        init=lambda key, batch: init_networks(networks, prior, key, batch["image"]),
        phases=tuple(phases),
        evaluate=make_evaluate(networks, semi_supervised=semi_supervised),
        generate=make_generate(networks, prior, semi_supervised=semi_supervised),
        embed=lambda params, stats, batch: embedding(networks, params, stats, batch["image"]),
    )


class Draw(NamedTuple):
    """What training sees of a batch."""

    z: Latents
    """A sample of q(z|x)."""
    label: Classes | None
    """q(y|x)."""
    stats: Stats
    """With the running statistics moved on."""


MakeDraw = Callable[[Params, Stats, Images, Key], Draw]


def make_draw(networks: Networks, dropout: float) -> MakeDraw:
    """Codes of images with pixels left out."""

    def draw(params: Params, stats: Stats, images: Images, key: Key) -> Draw:
        dropout_key, sample_key = jax.random.split(key)
        encoding, stats = encode_batch(networks, params, stats, with_dropout(images, dropout, dropout_key))
        return Draw(encoding.sample(sample_key), encoding.label, stats)

    return draw


def with_dropout(images: Images, dropout: float, key: Key) -> Images:
    """Each value becomes 0 with probability `dropout`; those that stay are scaled so that the mean does."""
    if not dropout:
        return images
    return images * jax.random.bernoulli(key, 1 - dropout, images.shape) / (1 - dropout)


def reconstruction_loss(networks: Networks, draw: MakeDraw) -> Loss:
    """The squared error summed over pixels, mean over the batch."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        code = draw(params, stats, batch["image"], key)
        reconstruction = decode(networks, params, code.z, code.label)
        # The other phases read the statistics of their batches, too; only this one moves the running ones.
        return squared_error(reconstruction, batch["image"]).mean(), ({}, code.stats)

    return loss


def game_loss(networks: Networks, prior: Prior, draw: MakeDraw) -> Loss:
    """The discriminators' loss, real codes being those of the prior; the sum of both where there are two."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        draw_key, prior_key, label_key = jax.random.split(key, 3)
        slots, count = label_slots(batch, prior), len(batch["image"])
        fake, fake_label, _ = draw(params, stats, batch["image"], draw_key)
        real_logits = code_logits(networks, params, prior.sample(prior_key, count, slots), slots, prior.classes)
        fake_logits = code_logits(networks, params, fake, slots, prior.classes)
        total = discriminator_loss(real_logits, fake_logits).mean()
        metrics = {"accuracy": accuracy(real_logits, fake_logits)}
        if fake_label is not None:
            real_label = uniform_label(label_key, count, networks.classes)
            label_logits = [label_realness(networks, params, label) for label in (real_label, fake_label)]
            total += discriminator_loss(*label_logits).mean()
            metrics["label_accuracy"] = accuracy(*label_logits)
        return total, (metrics, stats)

    return loss


def regularization_loss(networks: Networks, prior: Prior, draw: MakeDraw) -> Loss:
    """The encoder's loss as a generator of codes, and of labels where there are classes."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        fake, fake_label, _ = draw(params, stats, batch["image"], key)
        logits = code_logits(networks, params, fake, label_slots(batch, prior), prior.classes)
        total = nonsaturating_generator_loss(logits).mean()
        if fake_label is not None:
            total += nonsaturating_generator_loss(label_realness(networks, params, fake_label)).mean()
        return total, ({}, stats)

    return loss


def semi_supervised_loss(networks: Networks, dropout: float) -> Loss:
    """The cross-entropy of q(y|x), mean over the labelled examples; 0 where there is none."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        images, labels, labelled = labelled_examples(batch)
        encoding, _ = encode_batch(networks, params, stats, with_dropout(images, dropout, key))
        logits: Any = encoding.label_logits
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(labelled, labels, 0))
        return jnp.where(labelled, losses, 0).sum() / jnp.maximum(labelled.sum(), 1), ({}, stats)

    return loss


def labelled_examples(batch: Batch) -> tuple[Images, Int[Array, " batch"], Bool[Array, " batch"]]:
    """Images, labels, and which labels may be used: of the labelled mini-batch, or else of the batch itself."""
    if "labelled_image" in batch:
        return batch["labelled_image"], batch["labelled_label"], jnp.ones(len(batch["labelled_label"]), bool)
    return batch["image"], batch["label"], batch["labelled"]


def label_slots(batch: Batch, prior: Prior) -> Int[Array, " batch"] | None:
    """The label of each example that `labelled` marks, `prior.classes` for the others; None without classes."""
    if not prior.classes:
        return None
    unlabelled = jnp.full(len(batch["image"]), prior.classes, jnp.int32)
    return jnp.where(batch["labelled"], batch["label"], unlabelled) if "labelled" in batch else unlabelled


def code_logits(
    networks: Networks, params: Params, z: Latents, slots: Int[Array, " batch"] | None, classes: int
) -> Float[Array, " batch"]:
    """The discriminator's logits of codes."""
    logits: Any = networks.discriminator.apply(params["discriminator"], with_slot(z, slots, classes))
    return logits[:, 0]


def label_realness(networks: Networks, params: Params, label: Classes) -> Float[Array, " batch"]:
    """The label discriminator's logits."""
    network: Any = networks.label_discriminator
    logits = network.apply(params["label_discriminator"], label)
    return logits[:, 0]


def accuracy(real_logits: Float[Array, " batch"], fake_logits: Float[Array, " batch"]) -> Scalar:
    """How often a discriminator is right: 0.5 where it cannot tell."""
    return ((real_logits > 0).mean() + (fake_logits < 0).mean()) / 2


def uniform_label(key: Key, count: int, classes: int) -> Classes:
    """One-hots, each class as likely as the others."""
    return jax.nn.one_hot(jax.random.randint(key, (count,), 0, classes), classes)


def make_evaluate(networks: Networks, *, semi_supervised: bool) -> Evaluate:
    """squared_error of the reconstruction and, where semi-supervised, error_rate of the class."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        encoding = encode(networks, params, stats, batch["image"])
        reconstruction = decode(networks, params, encoding.mean, encoding.label)
        metrics = {"squared_error": squared_error(reconstruction, batch["image"])}
        if semi_supervised and encoding.label_logits is not None:
            wrong = encoding.label_logits.argmax(axis=-1) != batch["label"]
            metrics["error_rate"] = wrong.astype(batch["image"].dtype)
        return metrics

    return evaluate


def make_generate(networks: Networks, prior: Prior, *, semi_supervised: bool) -> Generate:
    """The decoder's means at samples of the prior, each of which depends on the key, its place and its label alone.

    Raises ValueError where the batch has `known`: nothing is completed.
    """

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        refuse_known(batch)
        count = len(batch["image"])
        labels = batch.get("label")

        def sample(key: Key, label: Int[Array, ""] | None) -> tuple[Float[Array, " latents"], Array]:
            code_key, label_key = jax.random.split(key)
            z = prior.sample(code_key, 1, label[None] if prior.classes and label is not None else None)[0]
            if semi_supervised and label is not None:
                return z, jax.nn.one_hot(label, networks.classes, dtype=z.dtype)
            return z, uniform_label(label_key, 1, max(networks.classes, 1))[0].astype(z.dtype)

        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))
        z, label = jax.vmap(sample, (0, None if labels is None else 0))(keys, labels)
        return decode(networks, params, z, label if networks.classes else None)

    return generate


def embedding(networks: Networks, params: Params, stats: Stats, images: Images) -> Float[Array, "batch features"]:
    """The mean code, and q(y|x) after it where there are classes."""
    encoding = encode(networks, params, stats, images)
    return joined(encoding.mean, encoding.label)
