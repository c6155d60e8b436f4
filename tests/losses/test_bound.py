import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from genjax.losses.bound import Terms, elbo, iwae_bound, log_weights, monte_carlo_elbo, streamed_means, tempered


def some_terms(k, batch, *, scale=3.0):
    rng = np.random.default_rng(k)
    draws = [jnp.asarray(rng.normal(size=(k, batch)) * scale) for _ in range(3)]
    return Terms(*draws, kl=jnp.asarray(rng.uniform(size=(k, batch))))


def enumerated_bound(bound, joint, posterior, k):
    """The exact expectation of a bound on log sum_z p(x, z), over all k-tuples of a discrete z ~ q."""
    total = 0.0
    for sample in itertools.product(range(len(joint)), repeat=k):
        z = np.array(sample)
        column = [np.log(p[z])[:, None] for p in (joint, np.ones(len(joint)), posterior)]
        total += np.prod(posterior[z]) * bound(Terms(*map(jnp.asarray, column), kl=jnp.zeros((k, 1))))[0]
    return float(total)


JOINT = np.array([0.02, 0.1, 0.005])  # p(x, z) of the one x seen, for z = 0, 1, 2


def test_bounds_are_ordered_below_log_p():
    wrong = np.array([0.6, 0.1, 0.3])
    with jax.enable_x64(True):
        values = [enumerated_bound(iwae_bound, JOINT, wrong, k) for k in (1, 2, 3, 5)]
        elbo_value = enumerated_bound(monte_carlo_elbo, JOINT, wrong, 2)
    assert values[0] == pytest.approx((wrong * np.log(JOINT / wrong)).sum(), abs=1e-12)
    assert elbo_value == pytest.approx(values[0], abs=1e-12)
    assert (np.diff([*values, np.log(JOINT.sum())]) > 1e-3).all()


@pytest.mark.parametrize("k", [1, 3])
def test_bounds_are_log_p_where_q_is_the_posterior(k):
    with jax.enable_x64(True):
        for bound in (monte_carlo_elbo, iwae_bound):
            value = enumerated_bound(bound, JOINT, JOINT / JOINT.sum(), k)
            assert value == pytest.approx(np.log(JOINT.sum()), abs=1e-12)


def test_elbo_takes_the_divergence_in_closed_form():
    with jax.enable_x64(True):
        terms = some_terms(4, 3)
        np.testing.assert_allclose(
            elbo(terms), np.mean(terms.log_likelihood, axis=0) - np.mean(terms.kl, axis=0), rtol=1e-12
        )


def test_one_sample_makes_iwae_the_elbo():
    with jax.enable_x64(True):
        terms = some_terms(1, 5)
        np.testing.assert_allclose(iwae_bound(terms), monte_carlo_elbo(terms), rtol=1e-12)


def test_iwae_gradient_weighs_by_normalized_weights():
    with jax.enable_x64(True):
        terms, direction = some_terms(6, 2), jnp.asarray(np.random.default_rng(1).normal(size=(6, 2)))
        gradient = jax.grad(
            lambda t: iwae_bound(terms._replace(log_likelihood=terms.log_likelihood + t * direction)).sum()
        )(0.0)
        weights = np.exp(np.asarray(log_weights(terms)))
    np.testing.assert_allclose(gradient, (weights / weights.sum(0) * np.asarray(direction)).sum(), rtol=1e-10)


@pytest.mark.parametrize("chunk", [1, 3, 10])
def test_streamed_means_are_the_means_of_all(chunk):
    with jax.enable_x64(True):
        terms = some_terms(10, 4, scale=100.0)

        def part(indices):
            return jax.tree.map(lambda leaf: leaf[indices], terms)

        means = streamed_means(part, samples=10, chunk=chunk, batch=4)
        np.testing.assert_allclose(means.log_likelihood, np.mean(terms.log_likelihood, axis=0), rtol=1e-12)
        np.testing.assert_allclose(means.kl, np.mean(terms.kl, axis=0), rtol=1e-12)
        np.testing.assert_allclose(means.log_weight, iwae_bound(terms), rtol=1e-12)


def test_beta_weighs_the_divergence_from_the_prior():
    with jax.enable_x64(True):
        terms = some_terms(6, 3)
        likelihood, kl = np.mean(terms.log_likelihood, axis=0), np.mean(terms.kl, axis=0)
        np.testing.assert_allclose(elbo(tempered(terms, 0.3)), likelihood - 0.3 * kl, rtol=1e-12)
        ratio = np.asarray(terms.log_prior) - np.asarray(terms.log_posterior)
        expected = scipy.special.logsumexp(np.asarray(terms.log_likelihood) + 0.3 * ratio, axis=0) - np.log(6)
        np.testing.assert_allclose(iwae_bound(tempered(terms, 0.3)), expected, rtol=1e-12)


def test_streamed_means_do_not_underflow():
    def terms(indices):
        value = jnp.full((len(indices), 1), -1e4)
        return Terms(value, value * 0, value * 0, value * 0)

    means = streamed_means(terms, samples=7, chunk=2, batch=1)
    np.testing.assert_allclose(means, [[-1e4], [0], [-1e4]], rtol=1e-6, atol=1e-6)
