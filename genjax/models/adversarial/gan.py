"""Generative adversarial networks (Goodfellow et al. 2014): a discriminator D learns to tell data from what a generator
G makes of noise, and G learns to deceive it.

Which losses they descend is the game's choice (genjax/losses/adversarial.py), and what examples are is that of the
networks: images or points. Other systems are this one with other networks (dcgan.py).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.nn.initializers import Initializer, glorot_uniform, zeros
from jaxtyping import Array, Float

from genjax.core import Model, Phase
from genjax.losses.adversarial import NONSATURATING, Game, gradient_penalty, interpolates, r1_penalty
from genjax.models.priors import Prior, uniform
from genjax.networks.maxout import MaxoutNetwork, symmetric_uniform
from genjax.networks.mlp import MLP, ImageMLP
from genjax.networks.named import applied, applied_batch, split_variables
from genjax.types import Batch, Generate, Key, Loss, Metrics, Params, Scalar, Stats

Examples = Float[Array, "batch *shape"]
Noise = Float[Array, "batch latents"]
Logits = Float[Array, " batch"]


class Networks(NamedTuple):
    """What a GAN is made of. Both networks are called with `train`, and keep batch statistics where they have some."""

    generator: nn.Module
    """(noise [batch, latents], train) to examples [batch, *shape]."""
    discriminator: nn.Module
    """(examples [batch, *shape], train) to an output [batch, 1]."""
    prior: Prior
    """Of the noise; without classes."""


class Optimizers(NamedTuple):
    """Of each phase."""

    discriminator: optax.GradientTransformation
    generator: optax.GradientTransformation


class Penalty(NamedTuple):
    """What the discriminator pays for its gradients in the examples."""

    points: Callable[[Key, Examples, Examples], Examples]
    """(key, real, fake) to where the gradients are taken."""
    of_gradients: Callable[[Examples], Float[Array, " batch"]]
    """The penalty per example, its weight in it."""


def wasserstein_penalty(*, weight: float = 10.0, target: float = 1.0) -> Penalty:
    """The weight times (|gradient| - target)^2 between real and fake examples (Gulrajani et al. 2017, eq. 3)."""
    check_weight(weight)

    def between(key: Key, real: Examples, fake: Examples) -> Examples:
        return interpolates(real, fake, jax.random.uniform(key, (len(real),), real.dtype))

    return Penalty(between, lambda gradients: weight * gradient_penalty(gradients, target=target))


def r1(*, weight: float = 10.0) -> Penalty:
    """Half the weight times |gradient|^2 at real examples (Mescheder et al. 2018, eq. 9)."""
    check_weight(weight)
    return Penalty(lambda key, real, fake: real, lambda gradients: weight * r1_penalty(gradients))


def check_weight(weight: float) -> None:
    """Raise ValueError where a penalty's weight is not above 0."""
    if not weight > 0:
        raise ValueError(f"weight={weight} must be above 0")


def gan(
    shape: tuple[int, ...],
    networks: Networks,
    *,
    optimizers: Optimizers,
    game: Game = NONSATURATING,
    discriminator_moves: int = 1,
    penalty: Penalty | None = None,
    example: str = "image",
) -> Model:
    """A GAN on batch[example] [batch, *shape], whose phases are discriminator and generator.

    The discriminator moves in every step, on that step's examples and noise of its own, real and fake ones in separate
    batches; the generator moves in every step whose number is a multiple of `discriminator_moves`, after it, through
    the discriminator as it is in training, with dropout. Running statistics are those of real examples in the
    discriminator, and of the generator's own moves in the generator.

    `evaluate` gives real_logit and fake_logit, the discriminator's outputs at each example and at a sample beside it,
    and the players' losses of these, all by running statistics and without dropout; `generate` samples, which do not
    depend on their neighbours.

    Raises ValueError where the networks do not fit `shape` or the prior, `discriminator_moves` is below 1, or there is
    a penalty and the discriminator has batch statistics, by which an example's gradient is that of others too.
    """
    if discriminator_moves < 1:
        raise ValueError(f"discriminator_moves={discriminator_moves} must be at least 1")
    check_networks(networks, shape, penalized=penalty is not None)
    discriminator = discriminator_phase_loss(networks, game, penalty, example)
    generator = generator_phase_loss(networks, game, example)
    generate = make_generate(networks, example)
    return Model(
        init=lambda key, batch: init_networks(networks, key, batch[example]),
        phases=(
            Phase("discriminator", discriminator, ("discriminator",), optimizers.discriminator),
            Phase("generator", generator, ("generator",), optimizers.generator, every=discriminator_moves),
        ),
        evaluate=lambda params, stats, batch, key: evaluation(
            networks, game, params, stats, batch[example], generate(params, stats, batch, key)
        ),
        generate=generate,
    )


def init_networks(networks: Networks, key: Key, examples: Examples) -> tuple[Params, Stats]:
    """Fresh variables of both networks, and their running statistics."""
    generator_key, discriminator_key = jax.random.split(key)
    variables = {
        "generator": networks.generator.init(generator_key, jnp.zeros((1, networks.prior.dimension))),
        "discriminator": networks.discriminator.init(discriminator_key, examples),
    }
    return split_variables(variables)


def check_networks(networks: Networks, shape: tuple[int, ...], *, penalized: bool) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes of examples and logits."""
    if networks.prior.classes:
        raise ValueError(f"prior: must be without classes, got {networks.prior.classes}")

    def outputs(key: Key) -> tuple[Stats, Array, Array]:
        params, stats = init_networks(networks, key, jnp.zeros((1, *shape)))
        examples = applied(networks, "generator", params, stats, drawn_noise(networks.prior, key, 1))
        return stats, examples, applied(networks, "discriminator", params, stats, jnp.zeros((1, *shape)))

    stats, examples, output = jax.eval_shape(outputs, jax.random.key(0))
    if examples.shape != (1, *shape):
        raise ValueError(f"networks: the generator returns examples {examples.shape[1:]}, shape={shape}")
    if output.shape != (1, 1):
        raise ValueError(f"networks: the discriminator returns {output.shape[1:]}, must be (1,)")
    if penalized and stats["discriminator"]:
        raise ValueError("penalty: the discriminator has batch statistics; take one without, or no penalty")


def logits_batch(
    networks: Networks, params: Params, stats: Stats, examples: Examples, key: Key
) -> tuple[Logits, Stats]:
    """The discriminator's outputs as training sees them, and the running statistics after them."""
    outputs, moved = applied_batch(networks, "discriminator", params, stats, examples, dropout_key=key)
    return outputs[:, 0], moved


def discriminator_phase_loss(networks: Networks, game: Game, penalty: Penalty | None, example: str) -> Loss:
    """The discriminator's loss on real and fake examples, mean over the batch, and its penalty."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        noise_key, real_key, fake_key, points_key, penalty_key = jax.random.split(key, 5)
        real = batch[example]
        z = networks.prior.sample(noise_key, len(real), None)
        fake, _ = applied_batch(networks, "generator", params, stats, z)
        real_logits, moved = logits_batch(networks, params, stats, real, real_key)
        fake_logits, _ = logits_batch(networks, params, stats, fake, fake_key)
        total = game.discriminator(real_logits, fake_logits).mean()
        if penalty is not None:
            points = penalty.points(points_key, real, fake)
            gradients = jax.grad(lambda x: logits_batch(networks, params, stats, x, penalty_key)[0].sum())(points)
            total += penalty.of_gradients(gradients).mean()
        return total, ({"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()}, moved)

    return loss


def generator_phase_loss(networks: Networks, game: Game, example: str) -> Loss:
    """The generator's loss on as many samples as the batch has examples, mean over them."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        noise_key, dropout_key = jax.random.split(key)
        z = networks.prior.sample(noise_key, len(batch[example]), None)
        fake, moved = applied_batch(networks, "generator", params, stats, z)
        fake_logits, _ = logits_batch(networks, params, stats, fake, dropout_key)
        return game.generator(fake_logits).mean(), ({}, moved)

    return loss


def evaluation(networks: Networks, game: Game, params: Params, stats: Stats, real: Examples, fake: Examples) -> Metrics:
    """What `evaluate` gives."""
    real_logits, fake_logits = (
        applied(networks, "discriminator", params, stats, examples)[:, 0] for examples in (real, fake)
    )
    return {
        "real_logit": real_logits,
        "fake_logit": fake_logits,
        "discriminator_loss": game.discriminator(real_logits, fake_logits),
        "generator_loss": game.generator(fake_logits),
    }


def make_generate(networks: Networks, example: str = "image") -> Generate:
    """As many samples as the batch has examples, each of which depends on the key and its place alone."""

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Examples:
        z = drawn_noise(networks.prior, key, len(batch[example]))
        return applied(networks, "generator", params, stats, z)

    return generate


def drawn_noise(prior: Prior, key: Key, count: int) -> Noise:
    """Samples of the prior, each of which depends on the key and its place alone."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))
    return jax.vmap(lambda one: prior.sample(one, 1, None)[0])(keys)


class Generator(nn.Module):
    """`output` of a network's logits, in training as otherwise."""

    network: nn.Module
    output: Callable[[Array], Array] = jax.nn.sigmoid

    @nn.compact
    def __call__(self, z: Noise, train: bool = False) -> Examples:
        """Examples [batch, *shape]."""
        return self.output(self.network(z))


PRIOR = uniform(100, limit=3**0.5)
"""Of the authors' code: a hundred numbers of variance 1."""


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
    """The networks of the authors' code for MNIST: a generator of ReLU units and a discriminator of maxout units.

    `dropout` is the probability that a pixel is left out of what the discriminator sees in training, and a unit of it;
    `bias_init` that of the logits of the generated image, called with its shape (the authors': the data's marginals).
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
    """The same for points [batch, dimension] of any size: a linear last layer, no dropout, larger weights."""
    points = MLP((*hidden, dimension), jax.nn.relu, kernel_init=glorot_uniform())
    discriminator = MaxoutNetwork(maxout, pieces, input_dropout=0.0, dropout=0.0, kernel_init=glorot_uniform())
    return Networks(Generator(points, jax.nn.identity), discriminator, prior)
