"""The linear Gaussian model p(x|z) = N(Wz + b, s^2 I), where all is known in closed form; with one layer and two."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from flax import linen as nn

from genjax.losses.bound import elbo, iwae_bound, log_weights, monte_carlo_elbo
from genjax.models.latent.vae import bound_terms, make_evaluate, make_generate, prior_sample
from genjax.models.latent.vae_networks import GAUSSIAN, Gaussian, Networks, encode, reparameterized

SHAPE = (3, 2, 1)
KEY = jax.random.key(0)


class LinearEncoder(nn.Module):
    latents: int

    @nn.compact
    def __call__(self, x):
        mean = nn.Dense(self.latents)(x.reshape(x.shape[0], -1))
        return mean, jnp.broadcast_to(self.param("log_var", nn.initializers.zeros, (self.latents,)), mean.shape)


class LinearDecoder(nn.Module):
    log_var: float

    @nn.compact
    def __call__(self, z):
        mean = nn.Dense(6)(z).reshape(-1, *SHAPE)
        return mean, jnp.full_like(mean, self.log_var)


NOISE_STD = 0.7
LINEAR = Networks(LinearEncoder(2), LinearDecoder(2 * np.log(NOISE_STD)), 2, GAUSSIAN)


def linear_gaussian(examples, *, widen=1.0, shift=0.0):
    """Params, images ~ p(x), log p(x), and q's divergence from the posterior: 0 at widen=1 and shift=0."""
    rng = np.random.default_rng(1)
    W = np.linalg.qr(rng.normal(size=(6, 2)))[0] * [1.5, 0.8]  # orthogonal columns: a diagonal posterior
    b = rng.normal(size=6)
    x = rng.normal(size=(examples, 2)) @ W.T + b + NOISE_STD * rng.normal(size=(examples, 6))
    variance = 1 / (1 + (W**2).sum(0) / NOISE_STD**2)
    gain = W * variance / NOISE_STD**2
    params = {
        "encoder": {"log_var": np.log(variance * widen), "Dense_0": {"kernel": gain, "bias": shift - b @ gain}},
        "decoder": {"Dense_0": {"kernel": W.T, "bias": b}},
    }
    params = {name: {"params": jax.tree.map(jnp.asarray, tree)} for name, tree in params.items()}
    log_p = scipy.stats.multivariate_normal(b, W @ W.T + NOISE_STD**2 * np.eye(6)).logpdf(x)
    divergence = 0.5 * (widen - 1 - np.log(widen) + shift**2 / variance).sum()
    return params, jnp.asarray(x.reshape(-1, *SHAPE)), log_p, divergence


def sigma_points(latents, batch):
    """Noises with mean 0 and covariance I: the mean over them of a quadratic function is its expectation."""
    points = np.sqrt(latents) * np.concatenate([np.eye(latents), -np.eye(latents)])
    return jnp.asarray(np.repeat(points[:, None], batch, 1))


def linear_terms(params, images):
    noise = sigma_points(2, len(images))
    return bound_terms(LINEAR, params, images, encode(LINEAR, params, images), noise)


def evaluated(params, images, networks=LINEAR, **options):
    return jax.jit(make_evaluate(networks, **options))(params, {}, {"image": images}, KEY)


def test_exact_posterior_makes_every_bound_log_p():
    with jax.enable_x64(True):
        params, images, log_p, _ = linear_gaussian(5)
        terms = jax.jit(linear_terms)(params, images)
        for bound in (elbo, monte_carlo_elbo, iwae_bound):
            np.testing.assert_allclose(jax.jit(bound)(terms), log_p, rtol=1e-6)
        values = evaluated(params, images, samples=7, rows=15)
        np.testing.assert_allclose(values["iwae_7_nats"], log_p, rtol=1e-6)


def test_elbo_falls_short_of_log_p_by_the_divergence_from_the_posterior():
    with jax.enable_x64(True):
        params, images, log_p, divergence = linear_gaussian(5, widen=2.0, shift=0.3)
        terms = jax.jit(linear_terms)(params, images)
        assert divergence > 0.1
        np.testing.assert_allclose(jax.jit(elbo)(terms), log_p - divergence, rtol=1e-9)


def test_wrong_posterior_orders_the_bounds():
    with jax.enable_x64(True):
        params, images, log_p, divergence = linear_gaussian(2000, widen=2.0, shift=0.3)
        values = {k: evaluated(params, images, samples=k) for k in (1, 5, 50)}
        bounds = [np.mean(np.asarray(values[k][f"iwae_{k}_nats"]) - log_p) for k in (1, 5, 50)]
        elbos = [np.asarray(values[k]["elbo_nats"]) - log_p for k in (1, 50)]
    for value in elbos:
        assert abs(value.mean() + divergence) < 4 * value.std() / np.sqrt(2000)
    assert -divergence - 0.1 < bounds[0] < bounds[1] - 0.05 < bounds[2] - 0.05 < 0


def test_gradient_flows_through_the_sample():
    def second_moment(mean, log_var):
        return jnp.mean(reparameterized(Gaussian(mean, log_var), sigma_points(2, 1)) ** 2, axis=0).sum()

    with jax.enable_x64(True):
        mean, log_var = np.array([[0.5, -2.0]]), np.array([[0.3, -1.0]])
        gradients = jax.jit(jax.grad(second_moment, argnums=(0, 1)))(mean, log_var)
    np.testing.assert_allclose(gradients[0], 2 * mean, rtol=1e-9)  # E z^2 = mean^2 + var
    np.testing.assert_allclose(gradients[1], np.exp(log_var), rtol=1e-9)


PRIOR_VARIANCE = 2.5


def two_layers(examples, *, widen=1.0):
    """z_2 ~ N(0, v I), z_1 ~ N(A z_2 + c, T), x ~ N(W z_1 + b, s^2 I) with A and T diagonal and W orthogonal.

    Then p(z_1|x) and p(z_2|z_1) are diagonal Gaussians as well. Params with these for q, their variances times `widen`,
    images ~ p(x), and log p(x).
    """
    rng = np.random.default_rng(2)
    W = np.linalg.qr(rng.normal(size=(6, 2)))[0] * [1.5, 0.8]
    A, T, b, c = np.diag([0.9, -1.3]), np.array([0.4, 0.7]), rng.normal(size=6), np.array([0.3, -0.2])
    S = np.diag(A) ** 2 * PRIOR_VARIANCE + T  # of z_1
    covariance = (W * S) @ W.T + NOISE_STD**2 * np.eye(6)
    normal = scipy.stats.multivariate_normal(W @ c + b, covariance)
    x = normal.rvs(examples, random_state=3)
    v1 = 1 / (1 / S + (W**2).sum(0) / NOISE_STD**2)
    gain1 = W * v1 / NOISE_STD**2
    v2 = 1 / (1 / PRIOR_VARIANCE + np.diag(A) ** 2 / T)
    gain2 = np.diag(np.diag(A) * v2 / T)

    def dense(kernel, bias, **others):
        return {"params": {"Dense_0": {"kernel": kernel, "bias": bias}, **others}}

    params = {
        "encoder": dense(gain1, c / S * v1 - b @ gain1, log_var=np.log(v1 * widen)),
        "decoder": dense(W.T, b),
        "top_encoder": dense(gain2, -c @ gain2, log_var=np.log(v2 * widen)),
        "top_decoder": dense(A, c, log_var=np.log(T)),
    }
    return jax.tree.map(jnp.asarray, params), jnp.asarray(x.reshape(-1, *SHAPE)), normal.logpdf(x)


TWO = LINEAR._replace(
    top_encoder=LinearEncoder(2), top_decoder=LinearEncoder(2), top_latents=2, prior_variance=PRIOR_VARIANCE
)


def test_exact_posterior_of_two_layers_makes_every_sample_weigh_p_of_x():
    with jax.enable_x64(True):
        params, images, log_p = two_layers(5)
        noise = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, 4)))
        terms = jax.jit(lambda: bound_terms(TWO, params, images, encode(TWO, params, images), noise))()
        np.testing.assert_allclose(jax.jit(log_weights)(terms), np.broadcast_to(log_p, (3, 5)), rtol=1e-9)
        values = jax.jit(make_evaluate(TWO, samples=7, rows=15))(params, {}, {"image": images}, KEY)
        np.testing.assert_allclose(values["iwae_7_nats"], log_p, rtol=1e-9)


def test_wrong_posterior_of_two_layers_orders_the_bounds():
    """Each of the 4 latents has a variance twice that of its posterior, so that the ELBO is short of its divergence."""
    with jax.enable_x64(True):
        params, images, log_p = two_layers(2000, widen=2.0)
        values = {k: evaluated(params, images, networks=TWO, samples=k) for k in (1, 5, 50)}
        bounds = [np.mean(np.asarray(values[k][f"iwae_{k}_nats"]) - log_p) for k in (1, 5, 50)]
        short = np.asarray(values[50]["elbo_nats"]) - log_p
    # q(z_2|z_1) has its mean where q(z_1|x) has drawn z_1, and the chain rule adds the divergences of the two.
    divergence = 4 * 0.5 * (2 - 1 - np.log(2))
    assert abs(short.mean() + divergence) < 4 * short.std() / np.sqrt(2000)
    assert bounds[0] < bounds[1] - 0.05 < bounds[2] - 0.05 < 0


def test_two_layers_draw_from_p_of_x():
    """The decoder's means at prior samples have the mean and covariance of W z_1 + b."""
    with jax.enable_x64(True):
        params, _, _ = two_layers(1)
        means = jax.jit(make_generate(TWO))(params, {}, {"image": np.zeros((20_000, *SHAPE))}, KEY)
    means, layer = np.asarray(means).reshape(-1, 6), params["decoder"]["params"]["Dense_0"]
    W, b = np.asarray(layer["kernel"]).T, np.asarray(layer["bias"])
    expected = (W * (np.array([0.9, -1.3]) ** 2 * PRIOR_VARIANCE + [0.4, 0.7])) @ W.T
    np.testing.assert_allclose(np.cov(means.T), expected, atol=0.15)
    np.testing.assert_allclose(means.mean(0), W @ [0.3, -0.2] + b, atol=0.06)


def test_one_layer_with_a_prior_of_another_variance_has_the_log_p_of_that_prior():
    """z ~ N(0, v I) makes the images N(b, v W W^T + s^2 I), and at the exact posterior each sample weighs p(x)."""
    networks = LINEAR._replace(prior_variance=PRIOR_VARIANCE)
    with jax.enable_x64(True):
        params, images, _, _ = linear_gaussian(5)
        layer = params["decoder"]["params"]["Dense_0"]
        W, b = np.asarray(layer["kernel"]).T, np.asarray(layer["bias"])
        variance = 1 / (1 / PRIOR_VARIANCE + (W**2).sum(0) / NOISE_STD**2)
        gain = W * variance / NOISE_STD**2
        params["encoder"] = {"params": {"log_var": np.log(variance), "Dense_0": {"kernel": gain, "bias": -b @ gain}}}
        terms = bound_terms(networks, params, images, encode(networks, params, images), sigma_points(2, 5))
        weights, bound = log_weights(terms), elbo(terms)
        drawn = np.asarray(prior_sample(networks, params, sigma_points(2, 1)[:, 0]))
    images_of_prior = scipy.stats.multivariate_normal(b, PRIOR_VARIANCE * W @ W.T + NOISE_STD**2 * np.eye(6))
    log_p = images_of_prior.logpdf(np.asarray(images).reshape(5, 6))
    np.testing.assert_allclose(weights, np.broadcast_to(log_p, (4, 5)), rtol=1e-9)
    np.testing.assert_allclose(bound, log_p, rtol=1e-9)
    np.testing.assert_allclose(drawn.T @ drawn / 4, PRIOR_VARIANCE * np.eye(2), atol=1e-9)
