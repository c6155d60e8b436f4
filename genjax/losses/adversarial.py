"""Adversarial losses per example, from the outputs of the discriminator before any sigmoid.

If D is the probability of "real", the outputs are its logits, D = sigmoid(logits), and the loss is in nats; if D is a
score, the docstring says so. Arguments and results all have the same shape, usually [batch], unless a docstring gives
other shapes. Value and gradient of every loss are finite at outputs from -1e4 to 1e4 in float32, and at any finite
output where the loss has no square. Losses compute in float32 at least: arrays of integers or smaller floats are
converted.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.losses.numbers import in_float32


class AdversarialLoss(NamedTuple):
    """Losses that the discriminator and the generator minimize."""

    name: str
    """Name of this pair of losses."""
    discriminator: Callable[[Array, Array], Array]
    """(outputs at real examples, outputs at fake examples) -> the discriminator's loss."""
    generator: Callable[[Array], Array]
    """Outputs at fake examples -> the generator's loss."""


@in_float32
def discriminator_loss(
    real_logits: Array, fake_logits: Array, *, real_target: float = 1.0, fake_target: float = 0.0
) -> Array:
    """Return -log D(real) - log(1 - D(fake)), minus the minimax value (Goodfellow et al. 2014, eq. 1).

    The loss is 2 log 2 at D = 1/2. Other targets give label smoothing (Salimans et al. 2016, sec. 3.4; one-sided if
    `fake_target` is 0): the sum of the cross-entropies of D(real) with `real_target` = a and of D(fake) with
    `fake_target` = b, which is smallest at D = (a p_data + b p_model) / (p_data + p_model). Raises ValueError if a
    target is not in [0, 1].
    """
    check_probabilities(real_target=real_target, fake_target=fake_target)
    return cross_entropy(real_logits, real_target) + cross_entropy(fake_logits, fake_target)


@in_float32
def cross_entropy(logits: Array, target: float) -> Array:
    """Return -target log D - (1 - target) log(1 - D), with D = sigmoid(logits)."""
    return target * jax.nn.softplus(-logits) + (1 - target) * jax.nn.softplus(logits)


def check_probabilities(**targets: float) -> None:
    """Raise ValueError if a target is not in [0, 1]."""
    for name, target in targets.items():
        if not 0 <= target <= 1:
            raise ValueError(f"{name}={target} must be in [0, 1]")


@in_float32
def minimax_generator_loss(fake_logits: Array) -> Array:
    """Return log(1 - D(fake)), whose gradient vanishes as D(fake) goes to 0 (Goodfellow et al. 2014, eq. 1).

    The loss is -log 2 at D = 1/2. Against the best D its gradient equals the gradient of 2 JSD(p_data, p_model).
    """
    return -jax.nn.softplus(fake_logits)


@in_float32
def nonsaturating_generator_loss(fake_logits: Array) -> Array:
    """Return -log D(fake), whose gradient does not vanish as D(fake) goes to 0 (Goodfellow et al. 2014, sec. 3).

    The loss is log 2 at D = 1/2. Against the best D its gradient equals the gradient of KL(p_model || p_data) - 2
    JSD(p_data, p_model) (Arjovsky & Bottou 2017, theorem 2.5).
    """
    return jax.nn.softplus(-fake_logits)


@in_float32
def least_squares_discriminator_loss(
    real: Array, fake: Array, *, real_target: float = 1.0, fake_target: float = 0.0
) -> Array:
    """Return ((D(real) - real_target)^2 + (D(fake) - fake_target)^2) / 2 for a score D (Mao et al. 2017, eq. 2).

    The paper calls `real_target` b and `fake_target` a.
    """
    return ((real - real_target) ** 2 + (fake - fake_target) ** 2) / 2


@in_float32
def least_squares_generator_loss(fake: Array, *, target: float = 1.0) -> Array:
    """Return (D(fake) - target)^2 / 2 for a score D (Mao et al. 2017, eq. 2, where `target` is c)."""
    return (fake - target) ** 2 / 2


@in_float32
def wasserstein_critic_loss(real: Array, fake: Array) -> Array:
    """Return D(fake) - D(real) for a score D (Arjovsky et al. 2017, eq. 2).

    If D is 1-Lipschitz, minus the mean of the loss is at most the Wasserstein-1 distance. The loss does not make D
    1-Lipschitz: clip the weights of D or add `gradient_penalty`.
    """
    return fake - real


@in_float32
def wasserstein_generator_loss(fake: Array) -> Array:
    """Return -D(fake) for a score D (Arjovsky et al. 2017, theorem 3)."""
    return -fake


@in_float32
def hinge_discriminator_loss(real: Array, fake: Array) -> Array:
    """Return max(0, 1 - D(real)) + max(0, 1 + D(fake)) for a score D (Lim & Ye 2017; Miyato et al. 2018, eq. 16)."""
    return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)


@in_float32
def hinge_generator_loss(fake: Array) -> Array:
    """Return -D(fake) for a score D (Lim & Ye 2017; Miyato et al. 2018, eq. 17)."""
    return -fake


def wasserstein_with_drift(weight: float = 0.001) -> AdversarialLoss:
    """Return the Wasserstein losses with weight * D(real)^2 added to the critic's loss (Karras et al. 2018, app. A.1).

    The added term keeps the scores near 0.

    Raises ValueError if `weight` is below 0.
    """
    if not weight >= 0:
        raise ValueError(f"weight={weight} must be at least 0")

    def critic(real: Array, fake: Array) -> Array:
        return wasserstein_critic_loss(real, fake) + weight * real**2

    return AdversarialLoss("wasserstein with drift", critic, wasserstein_generator_loss)


MINIMAX = AdversarialLoss("minimax", discriminator_loss, minimax_generator_loss)
NONSATURATING = AdversarialLoss("nonsaturating", discriminator_loss, nonsaturating_generator_loss)
LEAST_SQUARES = AdversarialLoss("least-squares", least_squares_discriminator_loss, least_squares_generator_loss)
WASSERSTEIN = AdversarialLoss("wasserstein", wasserstein_critic_loss, wasserstein_generator_loss)
HINGE = AdversarialLoss("hinge", hinge_discriminator_loss, hinge_generator_loss)


@in_float32
def matching_aware_discriminator_loss(real_logits: Array, mismatched_logits: Array, fake_logits: Array) -> Array:
    """Return -log s_r - (log(1 - s_w) + log(1 - s_f)) / 2, to be minimized (Reed et al. 2016, algorithm 1).

    The logits belong to s_r = D(real x, its text), s_w = D(real x, text of another image) and s_f = D(generated x,
    its text). The loss is 2 log 2 at D = 1/2; the best D is r / (r + w / 2 + f / 2), where r, w and f are the
    densities of the three kinds of pairs.
    """
    negatives = jax.nn.softplus(mismatched_logits) + jax.nn.softplus(fake_logits)
    return jax.nn.softplus(-real_logits) + negatives / 2


@in_float32
def mutual_information_bound(log_q: Array, entropy: Array | float) -> Array:
    """Return log Q(c|x) + H(c), whose mean over c and x = G(z, c) is at most I(c; x) in nats (Chen et al. 2016, eq. 5).

    `log_q` is the log-probability (for a continuous code, the log-density) that the recognition network gives to the
    code c from which x was generated. `entropy` is the entropy of the code's prior in the same measure, such as log K
    for a uniform prior over K classes. The mean equals I(c; x) if Q is the posterior. The bound is to be maximized.
    """
    return log_q + entropy


@in_float32
def interpolates(real: Array, fake: Array, weights: Array) -> Array:
    """Return weight real + (1 - weight) fake, with one weight in [0, 1] per example (Gulrajani et al. 2017, alg. 1).

    The paper draws the weights uniformly. `real` and `fake` are [batch, ...], `weights` [batch]. Raises ValueError
    if the shapes differ from these.
    """
    if real.shape != fake.shape or weights.shape != real.shape[:1]:
        raise ValueError(
            f"real {real.shape} and fake {fake.shape} must be of one shape [batch, ...], and weights {weights.shape} "
            "[batch]"
        )
    weights = weights.reshape(-1, *(1,) * (real.ndim - 1))
    return weights * real + (1 - weights) * fake


@in_float32
def gradient_penalty(gradients: Array, *, target: float = 1.0) -> Array:
    """Return (|gradient| - target)^2 per example (Gulrajani et al. 2017, eq. 3): [batch, ...] to [batch].

    `gradients` holds the gradient of the critic's score of each example with respect to that example; the norm is over
    all axes but the first. The gradient of the penalty is finite everywhere, and 0 where `gradients` is 0. Karras et
    al. (2018) divide the penalty by target^2. Raises ValueError if `target` is below 0.
    """
    if not target >= 0:
        raise ValueError(f"target={target} must be at least 0")
    return (norms(gradients) - target) ** 2


@in_float32
def r1_penalty(gradients: Array) -> Array:
    """Return |gradient|^2 / 2 per example (Mescheder et al. 2018, eq. 9 without gamma): [batch, ...] to [batch].

    `gradients` holds the gradient of the discriminator's output at each real example with respect to that example.
    """
    return squared_norms(gradients) / 2


@in_float32
def norms(x: Array) -> Array:
    """Return |x| per example, [batch, ...] to [batch], with gradient 0 at x = 0, where the square root has none."""
    squared = squared_norms(x)
    zero = squared == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squared)))


@in_float32
def squared_norms(x: Array) -> Array:
    """Return |x|^2 per example, [batch, ...] to [batch]."""
    return (x**2).sum(axis=tuple(range(1, x.ndim)))
