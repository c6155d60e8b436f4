import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from genjax.losses.bound import Terms, elbo, iwae_bound, log_weights, monte_carlo_elbo, streamed_means, tempered


def some_terms(k, batch, *, scale=3.0):
    rng = np.random.default_rng(k)
    draws = [rng.normal(size=(k, batch)) * scale for _ in range(3)]
    return Terms(*draws, kl=rng.uniform(size=(k, batch)))


def enumerated_bound(bound, joint, posterior, k):
    """The exact expectation of a bound on log sum_z p(x, z), over all k-tuples of a discrete z ~ q."""
    z = np.array(list(itertools.product(range(len(joint)), repeat=k))).T  # [k, tuples]
    terms = Terms(np.log(joint[z]), np.zeros(z.shape), np.log(posterior[z]), kl=np.zeros(z.shape))
    return (posterior[z].prod(axis=0) * np.asarray(jax.jit(bound)(terms))).sum()


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
        expected = terms.log_likelihood.mean(axis=0) - terms.kl.mean(axis=0)
        np.testing.assert_allclose(jax.jit(elbo)(terms), expected, rtol=1e-12)


def test_one_sample_makes_iwae_the_elbo():
    with jax.enable_x64(True):
        terms = some_terms(1, 5)
        np.testing.assert_allclose(jax.jit(iwae_bound)(terms), jax.jit(monte_carlo_elbo)(terms), rtol=1e-12)


def test_iwae_gradient_weighs_by_normalized_weights():
    with jax.enable_x64(True):
        terms, direction = some_terms(6, 2), np.random.default_rng(1).normal(size=(6, 2))

        def moved(t):
            return iwae_bound(terms._replace(log_likelihood=terms.log_likelihood + t * direction)).sum()

        gradient = jax.jit(jax.grad(moved))(0.0)
        weights = np.exp(jax.jit(log_weights)(terms))
    np.testing.assert_allclose(gradient, (weights / weights.sum(0) * direction).sum(), rtol=1e-10)


@pytest.mark.parametrize("chunk", [1, 3, 10])
def test_streamed_means_are_the_means_of_all(chunk):
    with jax.enable_x64(True):
        terms = some_terms(10, 4, scale=100.0)

        @jax.jit
        def streamed(terms):
            part = lambda indices: jax.tree.map(lambda leaf: leaf[indices], terms)  # noqa: E731
            return streamed_means(part, samples=10, chunk=chunk, batch=4)

        means = streamed(terms)
        np.testing.assert_allclose(means.log_likelihood, terms.log_likelihood.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(means.kl, terms.kl.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(means.log_weight, jax.jit(iwae_bound)(terms), rtol=1e-12)


def test_beta_weighs_the_divergence_from_the_prior():
    with jax.enable_x64(True):
        terms = some_terms(6, 3)
        weighted_elbo, weighted_iwae = jax.jit(
            lambda terms: (elbo(tempered(terms, 0.3)), iwae_bound(tempered(terms, 0.3)))
        )(terms)
        likelihood, kl = terms.log_likelihood.mean(axis=0), terms.kl.mean(axis=0)
        np.testing.assert_allclose(weighted_elbo, likelihood - 0.3 * kl, rtol=1e-12)
        ratio = terms.log_prior - terms.log_posterior
        expected = scipy.special.logsumexp(terms.log_likelihood + 0.3 * ratio, axis=0) - np.log(6)
        np.testing.assert_allclose(weighted_iwae, expected, rtol=1e-12)


def test_streamed_means_do_not_underflow():
    def terms(indices):
        value = jnp.full((len(indices), 1), -1e4)
        return Terms(value, value * 0, value * 0, value * 0)

    means = jax.device_get(jax.jit(lambda: streamed_means(terms, samples=7, chunk=2, batch=1))())
    np.testing.assert_allclose(means, [[-1e4], [0], [-1e4]], rtol=1e-6, atol=1e-6)
