import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from genjax.losses import adversarial
from genjax.losses.adversarial import (
    discriminator_loss,
    gradient_penalty,
    interpolates,
    matching_aware_discriminator_loss,
    minimax_generator_loss,
    mutual_information_bound,
    nonsaturating_generator_loss,
    r1_penalty,
    wasserstein_with_drift,
)
from genjax.testing import assert_stable

EXTREMES = [-1e4, -110.0, -1.0, 0.0, 1.0, 110.0, 1e4]
jitted_value_and_grad = functools.cache(lambda loss, *arguments: jax.jit(jax.value_and_grad(loss, *arguments)))
GAMES = [value for value in vars(adversarial).values() if isinstance(value, adversarial.AdversarialLoss)]


@pytest.mark.parametrize("real", EXTREMES)
@pytest.mark.parametrize("fake", EXTREMES)
def test_the_discriminator_loss_and_its_gradient_are_scipys(real, fake):
    value, gradient = jitted_value_and_grad(discriminator_loss, (0, 1))(np.float32(real), np.float32(fake))
    np.testing.assert_allclose(
        value, -scipy.special.log_expit(real) - scipy.special.log_expit(-fake), rtol=1e-5, atol=1e-30
    )
    expected = [scipy.special.expit(real) - 1, scipy.special.expit(fake)]  # -d log D(real), -d log(1 - D(fake))
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("fake", EXTREMES)
def test_the_generator_losses_and_their_gradients_are_scipys_and_one_of_them_saturates(fake):
    value, gradient = map(np.asarray, jitted_value_and_grad(nonsaturating_generator_loss)(np.float32(fake)))
    np.testing.assert_allclose(value, -scipy.special.log_expit(fake), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(gradient, scipy.special.expit(fake) - 1, rtol=1e-5, atol=1e-30)
    assert (gradient < -0.5) == (fake < 0)
    value, gradient = map(np.asarray, jitted_value_and_grad(minimax_generator_loss)(np.float32(fake)))
    np.testing.assert_allclose(value, scipy.special.log_expit(-fake), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(gradient, -scipy.special.expit(fake), rtol=1e-5, atol=1e-30)
    assert (gradient > -0.5) == (fake < 0)


X, Y, Z = np.array([-2.0, -0.3, 0.9, 3.0]), np.array([0.4, -1.5, 2.0, -0.8]), np.array([1.1, 0.2, -2.5, 0.0])
log_d = scipy.special.log_expit


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (
            functools.partial(discriminator_loss, real_target=0.9, fake_target=0.2),
            -0.9 * log_d(X) - 0.1 * log_d(-X) - 0.2 * log_d(Y) - 0.8 * log_d(-Y),
        ),
        (adversarial.least_squares_discriminator_loss, ((X - 1) ** 2 + Y**2) / 2),
        (
            functools.partial(adversarial.least_squares_discriminator_loss, real_target=2.0, fake_target=-1.0),
            ((X - 2) ** 2 + (Y + 1) ** 2) / 2,
        ),
        (adversarial.wasserstein_critic_loss, Y - X),
        (adversarial.hinge_discriminator_loss, -np.minimum(0, -1 + X) - np.minimum(0, -1 - Y)),
        (lambda x, y: adversarial.least_squares_generator_loss(y), (Y - 1) ** 2 / 2),
        (lambda x, y: adversarial.least_squares_generator_loss(y, target=0.0), Y**2 / 2),
        (lambda x, y: adversarial.wasserstein_generator_loss(y), -Y),
        (lambda x, y: adversarial.hinge_generator_loss(y), -Y),
        (
            lambda x, y: matching_aware_discriminator_loss(x, y, jnp.asarray(Z)),
            -log_d(X) - (log_d(-Y) + log_d(-Z)) / 2,
        ),
    ],
)
def test_the_losses_are_the_papers_formulas(ours, expected):
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(ours)(X, Y), expected, rtol=1e-12)


LOSSES = {
    "smoothed": lambda logits: discriminator_loss(logits, logits[::-1], real_target=0.9, fake_target=0.1),
    "matching": lambda logits: matching_aware_discriminator_loss(logits, logits[::-1], -logits),
    "information": lambda logits: mutual_information_bound(jax.nn.log_softmax(logits), 1.0),
    "penalty": lambda gradients: gradient_penalty(gradients[:, None]),
    "norm to 750": lambda gradients: gradient_penalty(gradients[:, None], target=750.0),
    "r1": lambda gradients: r1_penalty(gradients[:, None]),
}
LOSSES |= {f"{game.name} generator": game.generator for game in GAMES}
LOSSES |= {f"{game.name} discriminator": lambda x, game=game: game.discriminator(x, x[::-1]) for game in GAMES}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_per_example_and_stable(name):
    loss = jax.jit(LOSSES[name])
    assert jax.eval_shape(loss, np.zeros(2)).shape == (2,)
    assert_stable(loss)
    half = np.array([1e4, -1e4], jnp.bfloat16)
    slopes = jax.jit(jax.grad(lambda outputs: LOSSES[name](outputs).sum().astype(jnp.float32)))(half)
    assert np.isfinite(np.asarray(slopes, np.float32)).all()


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_the_players_of_a_game_pull_the_outputs_at_fakes_apart(game):
    """At an output of 0 the discriminator lowers those at fakes and raises those at real examples."""

    @jax.jit
    def slopes(zeros):
        of_discriminator = jax.grad(lambda real, fake: game.discriminator(real, fake).sum(), (0, 1))(zeros, zeros)
        return *of_discriminator, jax.grad(lambda fake: game.generator(fake).sum())(zeros)

    real, fake, generator = map(np.asarray, slopes(np.zeros(2, np.float32)))
    assert (real < 0).all()
    assert (generator < 0).all()
    assert (fake >= 0).all()
    assert (fake > 0).all() == (game.name != "least-squares")  # whose target at fakes is 0
    assert len(GAMES) == 5


def test_smoothed_targets_have_the_best_discriminator_of_salimans_et_al():
    p, q, alpha, beta = np.array([0.1, 0.2, 0.7]), np.array([0.5, 0.25, 0.25]), 0.9, 0.2
    with jax.enable_x64(True):
        best = scipy.special.logit((alpha * p + beta * q) / (p + q))

        def loss(logits):
            at_real = discriminator_loss(logits, jnp.zeros(3), real_target=alpha, fake_target=beta)
            at_fake = discriminator_loss(jnp.zeros(3), logits, real_target=alpha, fake_target=beta)
            return (p * at_real + q * at_fake).sum()

        slope = jax.jit(jax.grad(loss))
        np.testing.assert_allclose(slope(best), np.zeros(3), atol=1e-12)
        assert np.abs(slope(best + 0.1)).min() > 1e-3


PAIRS = np.random.default_rng(0).dirichlet(np.ones(12)).reshape(3, 4)
"""p_data(x, text) of 3 images and 4 texts."""


def test_gradient_ascent_on_a_table_of_pairs_arrives_at_the_best_matching_aware_discriminator():
    """D*(x, h) = p_data(x, h) / (p_data(x, h) + p_data(x) p(h) / 2 + p_model(x, h) / 2)."""
    texts, images = PAIRS.sum(0), PAIRS.sum(1)
    mismatched = images[:, None] * texts
    fake = np.random.default_rng(1).dirichlet(np.ones(3), 4).T * texts
    best = PAIRS / (PAIRS + mismatched / 2 + fake / 2)
    with jax.enable_x64(True):
        probs = [jnp.asarray(p) for p in (PAIRS, mismatched, fake)]

        def loss(logits):
            rest = jnp.zeros_like(logits)  # each term alone: the others give constants
            slots = [(logits, rest, rest), (rest, logits, rest), (rest, rest, logits)]
            return sum(
                (p * matching_aware_discriminator_loss(*slot)).sum() for p, slot in zip(probs, slots, strict=True)
            )

        steepness = (PAIRS + mismatched / 2 + fake / 2) / 4  # a Lipschitz constant for each logit's slope
        descend = lambda _, logits: logits - jax.grad(loss)(logits) / steepness  # noqa: E731
        logits = jax.jit(lambda logits: jax.lax.fori_loop(0, 2000, descend, logits))(np.zeros((3, 4)))
        np.testing.assert_allclose(scipy.special.expit(logits), best, rtol=1e-6)


def linear_critic_gradients(w, examples):
    return jax.vmap(jax.grad(lambda x: (w * x).sum()))(examples)


def test_the_gradient_penalty_of_a_linear_critic_is_exact():
    w = np.random.default_rng(2).normal(size=(2, 3))
    with jax.enable_x64(True):
        gradients = jax.jit(linear_critic_gradients)(w, np.ones((5, 2, 3)))
        norm = np.sqrt((w**2).sum())
        for target in (1.0, 0.0, 750.0):
            np.testing.assert_allclose(
                jax.jit(functools.partial(gradient_penalty, target=target))(gradients),
                np.full(5, (norm - target) ** 2),
                rtol=1e-12,
            )
        np.testing.assert_allclose(jax.jit(r1_penalty)(gradients), np.full(5, norm**2 / 2), rtol=1e-12)
        slope = jax.grad(lambda w: gradient_penalty(linear_critic_gradients(w, jnp.ones((5, 2, 3)))).mean())
        np.testing.assert_allclose(jax.jit(slope)(w), 2 * (norm - 1) * w / norm, rtol=1e-12)


def test_the_penalty_is_per_example_and_not_of_the_batch():
    gradients = np.array([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(jax.jit(gradient_penalty)(gradients), [16, 0, 1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.jit(r1_penalty)(gradients), [12.5, 0.5, 0], rtol=1e-5, atol=1e-6)


def test_a_gradient_of_zero_has_a_penalty_with_a_finite_gradient():
    slope = jax.grad(lambda w: gradient_penalty(linear_critic_gradients(w, jnp.ones((2, 3)))).sum())
    np.testing.assert_allclose(jax.jit(slope)(np.zeros(3, np.float32)), np.zeros(3), atol=1e-6)


def test_each_example_has_its_own_place_between_real_and_fake():
    real, fake = np.ones((3, 2, 2, 1)), np.full((3, 2, 2, 1), 5.0)
    weights = np.array([0.0, 0.25, 1.0])
    between = np.asarray(jax.jit(interpolates)(real, fake, weights))
    assert between.shape == real.shape
    np.testing.assert_allclose(between.mean((1, 2, 3)), [5, 4, 1], rtol=1e-6)


def channel(noise):
    """p(x|c) of 4 codes and 5 symbols x."""
    clean = np.eye(4, 5)
    return (1 - noise) * clean + noise * np.random.default_rng(3).dirichlet(np.ones(5), 4)


jitted_bound = jax.jit(mutual_information_bound, static_argnums=1)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_the_bound_is_the_mutual_information_at_the_posterior_and_below_it_elsewhere(noise):
    prior = np.array([0.1, 0.2, 0.3, 0.4])
    entropy = float(scipy.special.entr(prior).sum())
    joint = prior[:, None] * channel(noise)
    information = scipy.special.rel_entr(joint, prior[:, None] * joint.sum(0)).sum()
    assert noise > 0 or np.isclose(information, entropy)  # nothing is lost
    with jax.enable_x64(True), np.errstate(divide="ignore"):
        log_posterior = np.log((joint / np.maximum(joint.sum(0), 1e-300)).clip(1e-300))

        def bound(log_q):
            return float((joint * np.asarray(jitted_bound(log_q, entropy))).sum())

        np.testing.assert_allclose(bound(log_posterior), information, rtol=1e-12)
        for seed in range(5):
            other = np.random.default_rng(seed).dirichlet(np.ones(4), 5).T
            assert bound(np.log(other)) < information
        np.testing.assert_allclose(bound(np.log(prior)[:, None]), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: discriminator_loss(x, x, real_target=1.1), r"real_target=1.1 must be in \[0, 1\]"),
        (lambda x: discriminator_loss(x, x, fake_target=-0.1), r"fake_target=-0.1 must be in \[0, 1\]"),
        (lambda x: discriminator_loss(x, x, fake_target=float("nan")), r"fake_target=nan must be in \[0, 1\]"),
        (lambda x: gradient_penalty(x[:, None], target=-1.0), "target=-1.0 must be at least 0"),
        (lambda x: interpolates(x, x, jnp.float32(0.5)), r"weights \(\)"),
        (lambda x: interpolates(x[:, None], x[:, None], x[:, None]), r"weights \(3, 1\)"),
        (lambda x: interpolates(x, x[:2], x), r"fake \(2,\)"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.ones(3))


def test_drift_keeps_the_scores_of_real_examples_near_zero():
    """Karras et al. (2018): fake - real + 0.001 real^2, whose derivative is -1 + 0.002 real and 1."""
    real, fake = np.array([3.0, -2.0], np.float32), np.array([1.0, 5.0], np.float32)
    game = wasserstein_with_drift()
    np.testing.assert_allclose(jax.jit(game.discriminator)(real, fake), [1 - 3 + 0.009, 5 + 2 + 0.004], rtol=1e-6)
    slopes = jax.jit(jax.grad(lambda real, fake: game.discriminator(real, fake).sum(), argnums=(0, 1)))(real, fake)
    np.testing.assert_allclose(slopes, [[-1 + 0.006, -1 - 0.004], [1, 1]], rtol=1e-6)
    np.testing.assert_array_equal(jax.jit(game.generator)(fake), -fake)
    with pytest.raises(ValueError, match=r"weight=-1.0 must be at least 0"):
        wasserstein_with_drift(-1.0)
