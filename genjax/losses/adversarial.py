"""The two players' losses, per example, from the discriminator's outputs as they are: no sigmoid is applied before.

Where D is a probability it is that of "real", D = sigmoid(logits), and the loss is in nats; where it is a score the
docstring says so. Arguments and results are of any one shape, [batch] as a rule, unless a docstring has another. The
value and the gradient of every loss are finite at outputs from -1e4 to 1e4 in float32, and where there is no square at
any finite output.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Game(NamedTuple):
    """What the two players minimize."""

    name: str
    discriminator: Callable[[Array, Array], Array]
    """Of the outputs at real and at fake examples."""
    generator: Callable[[Array], Array]
    """Of the outputs at fake examples."""


def discriminator_loss(
    real_logits: Array, fake_logits: Array, *, real_target: float = 1.0, fake_target: float = 0.0
) -> Array:
    """-log D(real) - log(1 - D(fake)): minus the value of the game (Goodfellow et al. 2014, eq. 1).

    2 log 2 where the discriminator cannot tell. With other targets, label smoothing: the cross-entropies of D(real) to
    `real_target` = a and of D(fake) to `fake_target` = b, whose best D is (a p_data + b p_model) / (p_data + p_model)
    (Salimans et al. 2016, sec. 3.4; one-sided where b = 0). Raises ValueError where a target is not in [0, 1].
    """
    check_probabilities(real_target=real_target, fake_target=fake_target)
    return cross_entropy(real_logits, real_target) + cross_entropy(fake_logits, fake_target)


def cross_entropy(logits: Array, target: float) -> Array:
    """-target log D - (1 - target) log(1 - D)."""
    return target * jax.nn.softplus(-logits) + (1 - target) * jax.nn.softplus(logits)


def check_probabilities(**targets: float) -> None:
    """Raise ValueError where one is not in [0, 1]."""
    for name, target in targets.items():
        if not 0 <= target <= 1:
            raise ValueError(f"{name}={target} must be in [0, 1]")


def minimax_generator_loss(fake_logits: Array) -> Array:
    """log(1 - D(fake)) (Goodfellow et al. 2014, eq. 1): its gradient vanishes where D is sure of a fake.

    -log 2 where the discriminator cannot tell. Against the best discriminator its gradient is that of 2 JSD(p_data,
    p_model).
    """
    return -jax.nn.softplus(fake_logits)


def nonsaturating_generator_loss(fake_logits: Array) -> Array:
    """-log D(fake) (Goodfellow et al. 2014, sec. 3): its gradient stays where the discriminator is sure of a fake.

    log 2 where the discriminator cannot tell. Against the best discriminator its gradient is that of KL(p_model ||
    p_data) - 2 JSD(p_data, p_model) (Arjovsky & Bottou 2017, theorem 2.5).
    """
    return jax.nn.softplus(-fake_logits)


def least_squares_discriminator_loss(
    real: Array, fake: Array, *, real_target: float = 1.0, fake_target: float = 0.0
) -> Array:
    """((D(real) - real_target)^2 + (D(fake) - fake_target)^2) / 2 (Mao et al. 2017, eq. 2 with b, a); D is a score."""
    return ((real - real_target) ** 2 + (fake - fake_target) ** 2) / 2


def least_squares_generator_loss(fake: Array, *, target: float = 1.0) -> Array:
    """(D(fake) - target)^2 / 2 (Mao et al. 2017, eq. 2 with c); D is a score."""
    return (fake - target) ** 2 / 2


def wasserstein_critic_loss(real: Array, fake: Array) -> Array:
    """D(fake) - D(real), D a score (Arjovsky et al. 2017, eq. 2).

    Where D is 1-Lipschitz, minus its mean is at most the Wasserstein-1 distance; nothing here makes D so: clip its
    weights or add `gradient_penalty`.
    """
    return fake - real


def wasserstein_generator_loss(fake: Array) -> Array:
    """-D(fake), D a score (Arjovsky et al. 2017, theorem 3)."""
    return -fake


def hinge_discriminator_loss(real: Array, fake: Array) -> Array:
    """max(0, 1 - D(real)) + max(0, 1 + D(fake)), D a score (Lim & Ye 2017; Miyato et al. 2018, eq. 16)."""
    return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)


def hinge_generator_loss(fake: Array) -> Array:
    """-D(fake), D a score (Lim & Ye 2017; Miyato et al. 2018, eq. 17)."""
    return -fake


def wasserstein_with_drift(weight: float = 0.001) -> Game:
    """The Wasserstein game whose critic pays weight D(real)^2 as well, which keeps it near 0 (Karras et al. 2018, A.1).

    Raises ValueError where `weight` is below 0.
    """
    if not weight >= 0:
        raise ValueError(f"weight={weight} must be at least 0")

    def critic(real: Array, fake: Array) -> Array:
        return wasserstein_critic_loss(real, fake) + weight * real**2

    return Game("wasserstein with drift", critic, wasserstein_generator_loss)


MINIMAX = Game("minimax", discriminator_loss, minimax_generator_loss)
NONSATURATING = Game("nonsaturating", discriminator_loss, nonsaturating_generator_loss)
LEAST_SQUARES = Game("least-squares", least_squares_discriminator_loss, least_squares_generator_loss)
WASSERSTEIN = Game("wasserstein", wasserstein_critic_loss, wasserstein_generator_loss)
HINGE = Game("hinge", hinge_discriminator_loss, hinge_generator_loss)


def matching_aware_discriminator_loss(real_logits: Array, mismatched_logits: Array, fake_logits: Array) -> Array:
    """-log s_r - (log(1 - s_w) + log(1 - s_f)) / 2 (Reed et al. 2016, algorithm 1), to be minimized.

    The logits are of s_r = D(real x, its text), s_w = D(real x, another's text) and s_f = D(generated x, its text).
    2 log 2 where the discriminator cannot tell; the best one is r / (r + w / 2 + f / 2), of the densities r, w and f of
    the three kinds of pairs.
    """
    negatives = jax.nn.softplus(mismatched_logits) + jax.nn.softplus(fake_logits)
    return jax.nn.softplus(-real_logits) + negatives / 2


def mutual_information_bound(log_q: Array, entropy: Array | float) -> Array:
    """Log Q(c|x) + H(c): its mean over c and x = G(z, c) is at most I(c; x), in nats (Chen et al. 2016, eq. 5).

    `log_q` is the log-probability (of a continuous code, the log-density) that the recognition network gives to the
    code c from which x was made; `entropy` is that of the code's prior in the same measure, such as log K of a uniform
    one over K classes. Equality where Q is the posterior. To be maximized.
    """
    return log_q + entropy


def interpolates(real: Array, fake: Array, weights: Array) -> Array:
    """Between real and fake: weight real + (1 - weight) fake, one weight in [0, 1] per example.

    As in algorithm 1 of Gulrajani et al. (2017), who draw the weights uniformly. `real` and `fake` are [batch, ...],
    `weights` [batch]. Raises ValueError where they are of other shapes.
    """
    if real.shape != fake.shape or weights.shape != real.shape[:1]:
        raise ValueError(
            f"real {real.shape} and fake {fake.shape} must be of one shape [batch, ...], and weights {weights.shape} "
            "[batch]"
        )
    weights = weights.reshape(-1, *(1,) * (real.ndim - 1))
    return weights * real + (1 - weights) * fake


def gradient_penalty(gradients: Array, *, target: float = 1.0) -> Array:
    """(|gradient| - target)^2 per example (Gulrajani et al. 2017, eq. 3): [batch, ...] to [batch].

    `gradients` are of the critic's score of each example with respect to that example, the norm is over all axes but
    the first. The gradient of the penalty is 0 where a gradient is, and finite everywhere. Karras et al. (2018) divide
    it by target^2. Raises ValueError where `target` is below 0.
    """
    if not target >= 0:
        raise ValueError(f"target={target} must be at least 0")
    return (norms(gradients) - target) ** 2


def r1_penalty(gradients: Array) -> Array:
    """|gradient|^2 / 2 per example (Mescheder et al. 2018, eq. 9 without gamma): [batch, ...] to [batch].

    `gradients` are of the discriminator's output at each real example with respect to that example.
    """
    return squared_norms(gradients) / 2


def norms(x: Array) -> Array:
    """|x| per example, [batch, ...] to [batch], with gradient 0 at x = 0, where the square root has none."""
    squared = squared_norms(x)
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)


def squared_norms(x: Array) -> Array:
    """|x|^2 per example, [batch, ...] to [batch]."""
    return (x**2).sum(axis=tuple(range(1, x.ndim)))
