"""Adversarial autoencoder (Makhzani et al. 2015): a discriminator cannot tell its codes from samples of a prior.

An adversarial loss on samples makes the codes of all data, q(z) = E_x q(z|x), follow the prior p(z), which need not
have a density. With classes the encoder returns a label y as well, and a second adversarial loss makes the labels of
all data follow a uniform categorical distribution.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
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
    decoded,
    encode,
    encoding_of,
    example_inputs,
    joined,
    with_slot,
)
from genjax.models.priors import Prior, check_prior
from genjax.networks.bound import Bound, bind, init_networks, updated
from genjax.types import Batch, Evaluate, Generate, Key, Loss, Metrics, Params, Scalar, Stats


class Optimizers(NamedTuple):
    """Optimizer of each phase."""

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
    """Return an AAE with the phases reconstruction, discriminator, regularization and optionally `semi_supervised`.

    If the prior has classes, labels shape the code (sec. 2.3). The discriminator reads the class of each example
    that `labelled` [B] in the batch marks, with real codes of the same class; the other examples have the class
    "unlabelled", with real codes of all classes. Without `labelled` all examples are unlabelled.

    If the networks have classes, the code has a label y. With `semi_supervised`, y is the class (sec. 5): the last
    phase minimizes the cross-entropy of `labelled_label` [M] given `labelled_image` [M, H, W, C], a separate
    mini-batch, or, if the batch has none, of its own examples that are `labelled`. Otherwise y is a cluster (sec. 6).

    `dropout` is the probability that a pixel of the encoder's input is dropped in training. `evaluate` returns
    squared_error of the reconstruction, summed over pixels, and if `semi_supervised` error_rate of the class;
    `generate` returns the decoder's means at samples of the prior, of the classes in `label` if the batch has it (a
    cluster y is always random); `embed` returns the mean code, followed by q(y|x).

    Raises ValueError if the prior's samples do not have the shape of codes, the networks do not fit `image_shape` or
    each other, `semi_supervised` lacks classes or the prior has other ones, or `dropout` is not in [0, 1).
    """
    if not 0 <= dropout < 1:
        raise ArgumentError("dropout", dropout, " must be at least 0 and below 1")
    if semi_supervised and not networks.classes:
        raise ValueError(f"semi_supervised=True needs the classes of y, got classes={networks.classes}")
    if semi_supervised and prior.classes not in (0, networks.classes):
        raise ValueError(f"prior: must have the {networks.classes} classes of y, or none; it has {prior.classes}")
    check_prior(prior, networks.latents)
    check_networks(networks, prior, image_shape)
    discriminators = ("discriminator", "label_discriminator") if networks.classes else ("discriminator",)
    phases = [
        Phase(
            "reconstruction", reconstruction_loss(networks, dropout), ("encoder", "decoder"), optimizers.reconstruction
        ),
        Phase("discriminator", discriminators_loss(networks, prior, dropout), discriminators, optimizers.discriminator),
        Phase("regularization", regularization_loss(networks, prior, dropout), ("encoder",), optimizers.regularization),
    ]
    if semi_supervised:
        loss = semi_supervised_loss(networks, dropout)
        phases.append(Phase("semi_supervised", loss, ("encoder",), optimizers.semi_supervised))
    model = Model(
        init=lambda key, batch: init_variables(networks, prior, key, batch["image"]),
        phases=tuple(phases),
        evaluate=make_evaluate(networks, semi_supervised=semi_supervised),
        generate=make_generate(networks, prior, semi_supervised=semi_supervised),
        embed=lambda params, stats, batch: embedding(networks, params, stats, batch["image"]),
        kinds={"squared_error": "exact", **({"error_rate": "exact"} if semi_supervised else {})},
    )
    return with_inputs(model, **inputs_of(image_shape, networks, prior, semi_supervised=semi_supervised))


def inputs_of(
    image_shape: tuple[int, int, int], networks: Networks, prior: Prior, *, semi_supervised: bool
) -> dict[str, Input]:
    """Return shapes and ranges of the arrays that the model uses."""
    image = Input(image_shape, "unit")
    if semi_supervised:
        label = Input((), f"classes-{networks.classes}")
        return {"image": image, "label": label, "labelled_image": image, "labelled_label": label}
    return {"image": image, "label": Input((), f"classes-{prior.classes}")} if prior.classes else {"image": image}


def init_variables(networks: Networks, prior: Prior, key: Key, images: Images) -> tuple[Params, Stats]:
    """Return fresh parameters of all networks, and the encoder's running statistics; the other networks keep none."""
    params, stats = init_networks(networks, key, **example_inputs(networks, prior, images))
    return params, {"encoder": stats["encoder"]}


class Code(NamedTuple):
    """Code of a batch of images in training."""

    z: Latents
    """Sample of q(z|x)."""
    y: Classes | None
    """Probabilities q(y|x); None if there are no classes."""


def draw(bound: Networks, x: Images, dropout: float, key: Key) -> tuple[Code, Bound]:
    """Draw codes of images with dropped pixels; return them, and the encoder with its new running statistics.

    `bound` are the networks with their variables.
    """
    dropout_key, sample_key = jax.random.split(key)
    outputs, encoder = bound.encoder.train(with_dropout(x, dropout, dropout_key))
    encoding = encoding_of(outputs)
    return Code(encoding.sample(sample_key), encoding.label), encoder


def with_dropout(images: Images, dropout: float, key: Key) -> Images:
    """Set each value to 0 with probability `dropout`, and scale the others so that the expectation is unchanged."""
    if not dropout:
        return images
    return images * jax.random.bernoulli(key, 1 - dropout, images.shape) / (1 - dropout)


def reconstruction_loss(networks: Networks, dropout: float) -> Loss:
    """Return the encoder and decoder loss E_x |x - decoder(z, y)|^2 with z ~ q(z|x), y = q(y|x), summed over pixels.

    All phases normalize by the statistics of their own batches; only this phase updates the running statistics.
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        x = batch["image"]
        bound = bind(networks, params, stats)
        (z, y), encoder = draw(bound, x, dropout, key)
        return squared_error(decoded(bound, z, y), x).mean(), ({}, updated(stats, encoder=encoder))

    return loss


def discriminators_loss(networks: Networks, prior: Prior, dropout: float) -> Loss:
    """Return the loss of the discriminators D of codes and, with classes, D_y of labels: the sum of both.

    -E_{z ~ p(z)} log D(z) - E_x log(1 - D(z)),   z ~ q(z|x)
    -E_{y ~ p(y)} log D_y(y) - E_x log(1 - D_y(y)),   y = q(y|x), p(y) uniform on one-hot vectors
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        draw_key, prior_key, label_key = jax.random.split(key, 3)
        x, slots = batch["image"], label_slots(batch, prior)
        bound = bind(networks, params, stats)
        D, D_y = bound.discriminator, bound.label_discriminator
        fake, _ = draw(bound, x, dropout, draw_key)
        real_z = prior.sample(prior_key, len(x), slots)
        logits = [D(with_slot(z, slots, prior.classes))[:, 0] for z in (real_z, fake.z)]
        total, metrics = discriminator_loss(*logits).mean(), {"accuracy": accuracy(*logits)}
        if D_y is not None:
            real_y = uniform_label(label_key, len(x), networks.classes)
            logits = [D_y(y)[:, 0] for y in (real_y, fake.y)]
            total += discriminator_loss(*logits).mean()
            metrics["label_accuracy"] = accuracy(*logits)
        return total, (metrics, stats)

    return loss


def regularization_loss(networks: Networks, prior: Prior, dropout: float) -> Loss:
    """Return the encoder's loss as a generator of codes z ~ q(z|x) and, with classes, of labels y = q(y|x): their sum.

    -E_x log D(z),   -E_x log D_y(y)
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        slots = label_slots(batch, prior)
        bound = bind(networks, params, stats)
        D, D_y = bound.discriminator, bound.label_discriminator
        (z, y), _ = draw(bound, batch["image"], dropout, key)
        total = nonsaturating_generator_loss(D(with_slot(z, slots, prior.classes))[:, 0]).mean()
        if D_y is not None:
            total += nonsaturating_generator_loss(D_y(y)[:, 0]).mean()
        return total, ({}, stats)

    return loss


def semi_supervised_loss(networks: Networks, dropout: float) -> Loss:
    """Return the cross-entropy -E log q(label|x) in nats, mean over the labelled examples; 0 if there are none."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        x, labels, labelled = labelled_examples(batch)
        outputs, _ = bind(networks, params, stats).encoder.train(with_dropout(x, dropout, key))
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs["label"], jnp.where(labelled, labels, 0))
        return jnp.where(labelled, losses, 0).sum() / jnp.maximum(labelled.sum(), 1), ({}, stats)

    return loss


def labelled_examples(batch: Batch) -> tuple[Images, Int[Array, " batch"], Bool[Array, " batch"]]:
    """Return images, labels, and a mask of usable labels: the labelled mini-batch, or else the batch itself."""
    if "labelled_image" in batch:
        return batch["labelled_image"], batch["labelled_label"], jnp.ones(len(batch["labelled_label"]), bool)
    return batch["image"], batch["label"], batch["labelled"]


def label_slots(batch: Batch, prior: Prior) -> Int[Array, " batch"] | None:
    """Return the label of each example that `labelled` marks, else `prior.classes`; None if there are no classes."""
    if not prior.classes:
        return None
    unlabelled = jnp.full(len(batch["image"]), prior.classes, jnp.int32)
    return jnp.where(batch["labelled"], batch["label"], unlabelled) if "labelled" in batch else unlabelled


def accuracy(real_logits: Float[Array, " batch"], fake_logits: Float[Array, " batch"]) -> Scalar:
    """Return the accuracy of a discriminator: 0.5 if it cannot tell real from fake."""
    return ((real_logits > 0).mean() + (fake_logits < 0).mean()) / 2


def uniform_label(key: Key, count: int, classes: int) -> Classes:
    """Draw one-hot vectors, in which every class is equally likely."""
    return jax.nn.one_hot(jax.random.randint(key, (count,), 0, classes), classes)


def make_evaluate(networks: Networks, *, semi_supervised: bool) -> Evaluate:
    """Return the evaluation of the reconstruction's squared_error and, if `semi_supervised`, the class's error_rate."""

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
    """Return the sampler of the decoder's means at samples of the prior.

    Each image depends on the key, its position in the batch and its label alone. Raises ValueError if the batch has
    `known`, since an AAE does not complete images.
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
    """Return the mean code, followed by q(y|x) if there are classes."""
    encoding = encode(networks, params, stats, images)
    return joined(encoding.mean, encoding.label)
