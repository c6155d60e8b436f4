"""The propositions of Goodfellow et al. (2014) and Arjovsky & Bottou (2017) on distributions that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from scipy.spatial.distance import jensenshannon

from genjax.losses import minimax
from genjax.losses.adversarial import discriminator_loss, minimax_generator_loss, nonsaturating_generator_loss

best_value, jensen_shannon, minimax_value, optimal_logits = map(
    jax.jit, (minimax.best_value, minimax.jensen_shannon, minimax.minimax_value, minimax.optimal_logits)
)
value_slope = jax.jit(jax.grad(minimax.minimax_value))
LOG4 = np.log(4)


def distributions(seed, symbols=9):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(symbols)), rng.dirichlet(np.ones(symbols))


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("seed", range(5))
def test_the_best_value_is_the_jensen_shannon_divergence(seed):
    p, q = distributions(seed)
    jsd = jensenshannon(p, q) ** 2
    np.testing.assert_allclose(jensen_shannon(p, q), jsd, rtol=1e-12)
    np.testing.assert_allclose(best_value(p, q), -LOG4 + 2 * jsd, rtol=1e-12)
    best = p / (p + q)
    np.testing.assert_allclose(scipy.special.expit(optimal_logits(p, q)), best, rtol=1e-12)
    np.testing.assert_allclose(best_value(p, q), (p * np.log(best) + q * np.log1p(-best)).sum())


@pytest.mark.parametrize("seed", range(3))
def test_no_other_discriminator_has_a_greater_value(seed):
    p, q = distributions(seed)
    best = np.asarray(optimal_logits(p, q))
    np.testing.assert_allclose(value_slope(best, p, q), np.zeros(9), atol=1e-12)
    for other in np.random.default_rng(seed).normal(size=(20, 9)):
        assert minimax_value(best + other, p, q) < best_value(p, q)


def test_the_divergence_is_0_for_equal_and_log_2_for_disjoint_distributions():
    p, q = np.array([0.3, 0.7, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.1, 0.9, 0.0])
    np.testing.assert_allclose(jensen_shannon(p, q), np.log(2), rtol=1e-12)
    np.testing.assert_allclose(best_value(p, q), 0, atol=1e-12)
    np.testing.assert_array_equal(optimal_logits(p, q), [np.inf, np.inf, -np.inf, -np.inf, 0])
    np.testing.assert_allclose(jensen_shannon(p, p), 0, atol=1e-12)
    np.testing.assert_allclose(best_value(p, p), -LOG4, rtol=1e-12)
    np.testing.assert_allclose(minimax_value(np.zeros(5), p, q), -LOG4, rtol=1e-12)
    # d JSD / d p = log(2 p / (p + q)) / 2; the one-sided derivatives where a probability is 0.
    half = np.log(2) / 2
    by_p, by_q = jax.jit(jax.grad(jensen_shannon, (0, 1)))(p, q)
    np.testing.assert_allclose(by_p, [half, half, -np.inf, -np.inf, half], rtol=1e-12)
    np.testing.assert_allclose(by_q, [-np.inf, -np.inf, half, half, half], rtol=1e-12)
    np.testing.assert_allclose(jax.jit(jax.grad(best_value))(p, q), 2 * by_p, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_discriminator_loss_is_minus_the_value(seed):
    p, q = distributions(seed)
    logits = np.random.default_rng(seed).normal(size=9)
    loss = np.asarray(jax.jit(discriminator_loss)(logits[:, None], logits[None]))
    np.testing.assert_allclose((p[:, None] * q * loss).sum(), -minimax_value(logits, p, q), rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_at_the_best_discriminator_the_generators_gradients_are_those_of_divergences(seed):
    """D* stays as it is: of 2 JSD for log(1 - D), of KL(p_model || p_data) - 2 JSD for -log D."""
    p, start = distributions(seed)
    theta = np.log(start)
    best = optimal_logits(p, start)

    @jax.jit
    @jax.grad
    def kl_slope(theta):
        q = jax.nn.softmax(theta)
        return (q * (jnp.log(q) - jnp.log(p))).sum()

    def expectation(loss):
        return jax.jit(jax.grad(lambda theta: (jax.nn.softmax(theta) * loss(best)).sum()))(theta)

    jsd = np.asarray(jax.jit(jax.grad(lambda theta: jensen_shannon(p, jax.nn.softmax(theta))))(theta))
    np.testing.assert_allclose(expectation(minimax_generator_loss), 2 * jsd, atol=1e-12)
    np.testing.assert_allclose(
        expectation(nonsaturating_generator_loss), np.asarray(kl_slope(theta)) - 2 * jsd, atol=1e-12
    )
    assert np.abs(jsd).max() > 1e-3


def test_gradient_descent_on_a_tabular_discriminator_arrives_at_the_best_one():
    p, q = distributions(7, symbols=16)

    def loss(logits):
        zero = jnp.zeros(16)
        return (p * discriminator_loss(logits, zero) + q * discriminator_loss(zero, logits)).sum()

    steepness = (p + q) / 4  # a Lipschitz constant for each logit's slope
    descend = lambda _, logits: logits - jax.grad(loss)(logits) / steepness  # noqa: E731
    logits = jax.jit(lambda logits: jax.lax.fori_loop(0, 2000, descend, logits))(np.zeros(16))
    np.testing.assert_allclose(logits, optimal_logits(p, q), atol=1e-8)
    np.testing.assert_allclose(-float(jax.jit(loss)(logits)) + 2 * np.log(2), best_value(p, q), rtol=1e-12)


def test_the_game_of_two_tabular_players_ends_at_the_data():
    """The generator moves against the best discriminator each time: it descends 2 JSD."""
    p, q = distributions(8, symbols=5)

    def cost(theta, best):
        return (jax.nn.softmax(theta) * minimax_generator_loss(best)).sum()

    def move(_, theta):
        return theta - 2 * jax.grad(cost)(theta, optimal_logits(p, jax.nn.softmax(theta)))

    theta = jax.jit(lambda theta: jax.lax.fori_loop(0, 2000, move, theta))(np.log(q))
    end = scipy.special.softmax(theta)
    np.testing.assert_allclose(end, p, atol=1e-6)
    np.testing.assert_allclose(best_value(p, end), -LOG4, rtol=1e-10)


def test_the_saturating_gradient_vanishes_where_the_discriminator_is_sure():
    a, zero = np.float64(-10.0), np.float64(0.0)
    saturating, other = jax.jit(jax.grad(minimax_generator_loss)), jax.jit(jax.grad(nonsaturating_generator_loss))
    np.testing.assert_allclose(saturating(a), -scipy.special.expit(-10.0), rtol=1e-12)
    np.testing.assert_allclose(other(a), -scipy.special.expit(10.0), rtol=1e-12)
    np.testing.assert_allclose(saturating(zero), other(zero))
