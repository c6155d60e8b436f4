import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from genjax.losses.adversarial import discriminator_loss, nonsaturating_generator_loss
from genjax.testing import assert_stable

EXTREMES = [-1e4, -110.0, -1.0, 0.0, 1.0, 110.0, 1e4]


@pytest.mark.parametrize("real", EXTREMES)
@pytest.mark.parametrize("fake", EXTREMES)
def test_the_discriminator_loss_and_its_gradient_are_scipys(real, fake):
    value, gradient = jax.value_and_grad(discriminator_loss, (0, 1))(jnp.float32(real), jnp.float32(fake))
    np.testing.assert_allclose(
        value, -scipy.special.log_expit(real) - scipy.special.log_expit(-fake), rtol=1e-5, atol=1e-30
    )
    expected = [scipy.special.expit(real) - 1, scipy.special.expit(fake)]  # -d log D(real), -d log(1 - D(fake))
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("fake", EXTREMES)
def test_the_generator_loss_and_its_gradient_are_scipys_and_do_not_saturate(fake):
    value, gradient = jax.value_and_grad(nonsaturating_generator_loss)(jnp.float32(fake))
    np.testing.assert_allclose(value, -scipy.special.log_expit(fake), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(gradient, scipy.special.expit(fake) - 1, rtol=1e-5, atol=1e-30)
    assert (gradient < -0.5) == (fake < 0)


def test_losses_are_per_example_and_stable():
    assert discriminator_loss(jnp.zeros(3), jnp.ones(3)).shape == nonsaturating_generator_loss(jnp.zeros(3)).shape
    assert_stable(nonsaturating_generator_loss)
    assert_stable(lambda logits: discriminator_loss(logits, logits[::-1]))


def test_the_best_discriminator_of_two_discrete_distributions_reaches_the_jensen_shannon_divergence():
    """At D* = p / (p + q) the loss is log 4 - 2 JSD(p, q) (Goodfellow et al. 2014, eq. 6), and no logit does better."""
    p, q = np.array([0.1, 0.2, 0.7]), np.array([0.5, 0.25, 0.25])
    m = (p + q) / 2
    jsd = (scipy.special.rel_entr(p, m) + scipy.special.rel_entr(q, m)).sum() / 2

    def loss(logits):
        return (p * discriminator_loss(logits, jnp.full(3, -jnp.inf))).sum() + (
            q * discriminator_loss(jnp.full(3, jnp.inf), logits)
        ).sum()

    with jax.enable_x64(True):
        best = jnp.log(p / q)
        np.testing.assert_allclose(loss(best), np.log(4) - 2 * jsd, rtol=1e-12)
        np.testing.assert_allclose(jax.grad(loss)(best), np.zeros(3), atol=1e-12)
