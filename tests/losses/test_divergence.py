import jax
import numpy as np
import scipy.integrate
import scipy.stats

from genjax.losses.divergence import gaussian_kl, gaussian_kl_between

MEAN = np.array([[0.5, -1.0, 0.0], [2.0, 0.1, -0.3]])
LOG_VAR = np.array([[0.3, -2.0, 0.0], [1.0, -0.5, 0.2]])


def quadrature_kl(mean_q, log_var_q, mean_p, log_var_p):
    """KL of one-dimensional Gaussians by numerical integration."""
    q, p = scipy.stats.norm(mean_q, np.exp(log_var_q / 2)), scipy.stats.norm(mean_p, np.exp(log_var_p / 2))
    low, high = q.mean() - 12 * q.std(), q.mean() + 12 * q.std()
    return scipy.integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), low, high, epsabs=1e-11, limit=200)[0]


def test_gaussian_kl_is_the_integral():
    with jax.enable_x64(True):
        ours = jax.jit(gaussian_kl)(MEAN, LOG_VAR)
    np.testing.assert_allclose(ours, np.vectorize(quadrature_kl)(MEAN, LOG_VAR, 0.0, 0.0).sum(-1), rtol=1e-9)


def test_gaussian_kl_is_the_mean_over_samples():
    mean, log_var = MEAN[0], LOG_VAR[0]
    z = mean + np.exp(log_var / 2) * np.random.default_rng(0).normal(size=(1_000_000, 3))
    ratio = (scipy.stats.norm.logpdf(z, mean, np.exp(log_var / 2)) - scipy.stats.norm.logpdf(z)).sum(-1)
    ours = float(jax.jit(gaussian_kl)(mean, log_var))
    assert abs(ours - ratio.mean()) < 4 * ratio.std() / 1000


def test_gaussian_kl_is_zero_at_the_prior_alone():
    kl, zeros, offsets = jax.jit(gaussian_kl), np.zeros((3, 3)), np.eye(3) * 1e-2
    np.testing.assert_allclose(kl(zeros, zeros), np.zeros(3), atol=1e-6)
    for mean, log_var in ((offsets, zeros), (zeros, offsets), (zeros, -offsets)):
        assert (np.asarray(kl(mean, log_var)) > 0).all()


def test_gaussian_kl_between_is_the_integral():
    mean_p, log_var_p = MEAN[::-1], LOG_VAR[::-1]
    with jax.enable_x64(True):
        ours = jax.jit(gaussian_kl_between)(MEAN, LOG_VAR, mean_p, log_var_p)
    np.testing.assert_allclose(ours, np.vectorize(quadrature_kl)(MEAN, LOG_VAR, mean_p, log_var_p).sum(-1), rtol=1e-9)
