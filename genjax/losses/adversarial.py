"""The two players' losses in nats, per example, from a discriminator's logits: D = sigmoid(logits) is P(real).

Arguments and results are of any one shape, [batch] as a rule.
"""

import jax
from jax import Array


def discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """-log D(real) - log(1 - D(fake)): minus the value of the game (Goodfellow et al. 2014, eq. 1).

    2 log 2 where the discriminator cannot tell. Value and gradient are finite at any finite logit.
    """
    return jax.nn.softplus(-real_logits) + jax.nn.softplus(fake_logits)


def nonsaturating_generator_loss(fake_logits: Array) -> Array:
    """-log D(fake) (Goodfellow et al. 2014, sec. 3): its gradient stays where the discriminator is sure of a fake.

    log 2 where the discriminator cannot tell. Value and gradient are finite at any finite logit.
    """
    return jax.nn.softplus(-fake_logits)
