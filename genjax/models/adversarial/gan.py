"""Generative adversarial networks (Goodfellow et al. 2014): a discriminator D learns to tell data from samples of a
generator G, and G learns to deceive D.

    min over G  max over D   E_x log D(x) + E_z log(1 - D(G(z)))                (eq. 1)

The adversarial losses are an argument (genjax/losses/adversarial.py). Examples are images or points, depending on
the networks; dcgan.py is the same model with convolutional networks, progressive_gan.py with growing ones.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.nn.initializers import Initializer, glorot_uniform, zeros
from jaxtyping import Array, Float

from genjax.core import Input, Model, Phase, with_inputs
from genjax.losses.adversarial import NONSATURATING, AdversarialLoss, gradient_penalty, interpolates, r1_penalty
from genjax.models.priors import Prior, uniform
from genjax.networks.bound import Inputs, bind, check_outputs, init_networks, updated
from genjax.networks.maxout import MaxoutNetwork, symmetric_uniform
from genjax.networks.mlp import MLP, ImageMLP
from genjax.types import Batch, Generate, Key, Loss, Metrics, Params, Scalar, Stats

Examples = Float[Array, "batch *shape"]
Noise = Float[Array, "batch latents"]


class Networks(NamedTuple):
    """Modules of a GAN and the prior of its noise; each module takes `train` and may keep batch statistics."""

    generator: nn.Module
    """Generator from (noise [batch, latents], train) to examples [batch, *shape]."""
    discriminator: nn.Module
    """Discriminator from (examples [batch, *shape], train) to a logit or score [batch, 1]."""
    prior: Prior
    """Distribution of the noise, without classes."""


class Optimizers(NamedTuple):
    """Optimizer of each phase."""

    discriminator: optax.GradientTransformation
    generator: optax.GradientTransformation


class Penalty(NamedTuple):
    """Gradient penalty: a term of the discriminator's loss on its gradients with respect to examples."""

    points: Callable[[Key, Examples, Examples], Examples]
    """Function from (key, real, fake) to the examples at which the gradients are taken."""
    of_gradients: Callable[[Examples], Float[Array, " batch"]]
    """Function from gradients to the penalty of each example, multiplied by its weight."""


def wasserstein_penalty(*, weight: float = 10.0, target: float = 1.0) -> Penalty:
    """Return the penalty weight (|gradient| - target)^2 at points between real and fake (Gulrajani et al. 2017, eq. 3).

    Raises ValueError if `weight` is not above 0.
    """
    check_weight(weight)

    def between(key: Key, real: Examples, fake: Examples) -> Examples:
        return interpolates(real, fake, jax.random.uniform(key, (len(real),), real.dtype))

    return Penalty(between, lambda gradients: weight * gradient_penalty(gradients, target=target))


def r1(*, weight: float = 10.0) -> Penalty:
    """Return the penalty weight |gradient|^2 / 2 at real examples (Mescheder et al. 2018, eq. 9).

    Raises ValueError if `weight` is not above 0.
    """
    check_weight(weight)
    return Penalty(lambda key, real, fake: real, lambda gradients: weight * r1_penalty(gradients))


def check_weight(weight: float) -> None:
    """Raise ValueError if the weight of a penalty is not above 0."""
    if not weight > 0:
        raise ValueError(f"weight={weight} must be above 0")


def gan(
    shape: tuple[int, ...],
    networks: Networks,
    *,
    optimizers: Optimizers,
    adversarial: AdversarialLoss = NONSATURATING,
    discriminator_updates: int = 1,
    penalty: Penalty | None = None,
    example: str = "image",
) -> Model:
    """Return a GAN on batch[example] [batch, *shape], with the phases discriminator and generator.

    The discriminator is updated in every step; the generator after it, in every step whose number is a multiple of
    `discriminator_updates`. Each update draws new noise. Real and fake examples go through the discriminator in
    separate batches, with dropout in both phases. The discriminator's running statistics are taken of real examples,
    the generator's in its own updates.

    `evaluate` gives, per example, real_logit, fake_logit (at one sample per example), discriminator_loss and
    generator_loss, all with running statistics and without dropout. `generate` draws samples, each independent of the
    others in its batch.

    Raises ValueError if the networks do not fit `shape` or the prior, `discriminator_updates` is below 1, or a
    penalty is given and the discriminator has batch statistics: the gradient of one example would depend on others.
    """
    if discriminator_updates < 1:
        raise ValueError(f"discriminator_updates={discriminator_updates} must be at least 1")
    check_networks(networks, shape, penalized=penalty is not None)
    discriminator = discriminator_phase_loss(networks, adversarial, penalty, example)
    generator = generator_phase_loss(networks, adversarial, example)
    generate = make_generate(networks, example)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        _, D, _ = bind(networks, params, stats)
        return evaluation(D, adversarial, batch[example], generate(params, stats, batch, key))

    model = Model(
        init=lambda key, batch: init_networks(networks, key, **example_inputs(networks, batch[example])),
        phases=(
            Phase("discriminator", discriminator, ("discriminator",), optimizers.discriminator),
            Phase("generator", generator, ("generator",), optimizers.generator, every=discriminator_updates),
        ),
        evaluate=evaluate,
        generate=generate,
    )
    return with_inputs(model, **{example: Input(shape, "unit" if example == "image" else "real")})


def example_inputs(networks: Networks, examples: Examples) -> Inputs:
    """Return example inputs of each network: noise of zeros, and `examples`."""
    return {"generator": (jnp.zeros((1, networks.prior.dimension)),), "discriminator": (examples,)}


def check_networks(networks: Networks, shape: tuple[int, ...], *, penalized: bool) -> None:
    """Raise ValueError if the networks do not fit the shape of examples, the prior or the penalty."""
    if networks.prior.classes:
        raise ValueError(f"prior: must be without classes, got {networks.prior.classes}")
    inputs = example_inputs(networks, jnp.zeros((1, *shape)))
    check_outputs(networks, inputs, {"generator": (1, *shape), "discriminator": (1, 1)})
    _, stats = jax.eval_shape(lambda key: init_networks(networks, key, **inputs), jax.random.key(0))
    if penalized and stats["discriminator"]:
        raise ValueError("penalty: the discriminator has batch statistics; take one without, or no penalty")


def discriminator_phase_loss(
    networks: Networks, adversarial: AdversarialLoss, penalty: Penalty | None, example: str
) -> Loss:
    """Return the loss of the discriminator, the mean over the batch of

        adversarial.discriminator(D(x), D(G(z))) + penalty(dD/dx),

    by default -log D(x) - log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1).
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        z_key, real_key, fake_key, points_key, penalty_key = jax.random.split(key, 5)
        G, D, prior = bind(networks, params, stats)
        x = batch[example]
        fake, _ = G.train(prior.sample(z_key, len(x), None))
        real_logits, D_after = D.train(x, key=real_key)
        fake_logits, _ = D.train(fake, key=fake_key)
        total = adversarial.discriminator(real_logits[:, 0], fake_logits[:, 0]).mean()
        if penalty is not None:
            points = penalty.points(points_key, x, fake)
            gradients = jax.grad(lambda points: D.train(points, key=penalty_key)[0].sum())(points)
            total += penalty.of_gradients(gradients).mean()
        metrics = {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()}
        return total, (metrics, updated(stats, discriminator=D_after))

    return loss


def generator_phase_loss(networks: Networks, adversarial: AdversarialLoss, example: str) -> Loss:
    """Return the loss of the generator: adversarial.generator(D(G(z))), mean over as many z as the batch has examples.

    The default is -log D(G(z)) (Goodfellow et al. 2014, sec. 3).
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        z_key, dropout_key = jax.random.split(key)
        G, D, prior = bind(networks, params, stats)
        fake, G = G.train(prior.sample(z_key, len(batch[example]), None))
        fake_logits, _ = D.train(fake, key=dropout_key)
        return adversarial.generator(fake_logits[:, 0]).mean(), ({}, updated(stats, generator=G))

    return loss


def evaluation(D: Callable[[Examples], Array], adversarial: AdversarialLoss, real: Examples, fake: Examples) -> Metrics:
    """Return the discriminator's outputs at real and fake examples, and both losses of these outputs, per example."""
    real_logits, fake_logits = D(real)[:, 0], D(fake)[:, 0]
    return {
        "real_logit": real_logits,
        "fake_logit": fake_logits,
        "discriminator_loss": adversarial.discriminator(real_logits, fake_logits),
        "generator_loss": adversarial.generator(fake_logits),
    }


def make_generate(networks: Networks, example: str = "image") -> Generate:
    """Return the sampler: one sample per example of the batch, which depends on the key and its position alone."""

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Examples:
        G, _, prior = bind(networks, params, stats)
        return G(drawn_noise(prior, key, len(batch[example])))

    return generate


def drawn_noise(prior: Prior, key: Key, count: int) -> Noise:
    """Return samples of the prior, each of which depends on the key and its position alone."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))
    return jax.vmap(lambda one: prior.sample(one, 1, None)[0])(keys)


class Generator(nn.Module):
    """Generator that applies `output`, by default the sigmoid, to the outputs of a network."""

    network: nn.Module
    """Network from noise to examples before `output`."""
    output: Callable[[Array], Array] = jax.nn.sigmoid

    @nn.compact
    def __call__(self, z: Noise, train: bool = False) -> Examples:
        """Return examples [batch, *shape]; `train` has no effect."""
        return self.output(self.network(z))


PRIOR = uniform(100, limit=3**0.5)
"""Noise of the authors' code: a hundred numbers of mean 0 and variance 1."""


def image_networks(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (1200, 1200),
    maxout: Sequence[int] = (240, 240),
    pieces: int = 5,
    dropout: tuple[float, float] = (0.2, 0.5),
    prior: Prior = PRIOR,
    bias_init: Initializer = zeros,
) -> Networks:
    """Return the networks of the authors' code for MNIST: a generator of ReLU units, a discriminator of maxout units.

    `dropout` is the probability that a pixel, and a hidden unit, of the discriminator is dropped in training.
    `bias_init` initializes the logits of the generated image, [H, W, C]; the authors use the data's frequencies.
    """
    pixels = ImageMLP(image_shape, hidden, jax.nn.relu, kernel_init=symmetric_uniform(0.05), bias_init=bias_init)
    return Networks(Generator(pixels), MaxoutNetwork(maxout, pieces, *dropout), prior)


def point_networks(
    dimension: int = 2,
    *,
    hidden: Sequence[int] = (128, 128),
    maxout: Sequence[int] = (128, 128),
    pieces: int = 2,
    prior: Prior = PRIOR,
) -> Networks:
    """Return networks for points [batch, dimension]: linear outputs, no dropout, Glorot's initialization."""
    points = MLP((*hidden, dimension), jax.nn.relu, kernel_init=glorot_uniform())
    discriminator = MaxoutNetwork(maxout, pieces, input_dropout=0.0, dropout=0.0, kernel_init=glorot_uniform())
    return Networks(Generator(points, jax.nn.identity), discriminator, prior)
