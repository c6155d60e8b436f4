"""Variational autoencoder (Kingma & Welling 2014) and its importance weighted bound (Burda et al. 2016).

Prior p(z) = N(0, s^2 I), posterior q(z|x) = N(mean(x), diag(var(x))), any p(x|z); the bounds are in
genjax/losses/bound.py. With a second stochastic layer (Burda et al. 2016, sec. 2 and 5)

    p(x, z) = p(z_2) p(z_1|z_2) p(x|z_1),   q(z|x) = q(z_1|x) q(z_2|z_1),   each but p(z_2) and p(x|z_1) as q above
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jaxtyping
import optax
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, Int

from genjax.core import Model, Phase
from genjax.losses.bound import Bound, Terms, elbo, streamed_means, tempered
from genjax.losses.divergence import gaussian_kl_between
from genjax.losses.likelihood import gaussian_log_prob
from genjax.models.completion import refuse_known
from genjax.models.latent.vae_networks import (
    Gaussian,
    Images,
    Latents,
    Networks,
    check_networks,
    decode,
    decode_top,
    encode,
    encode_top,
    init_networks,
    network_names,
    reparameterized,
)
from genjax.types import Batch, Evaluate, Generate, Key, Loss, Metrics, Params, Scalar, Stats


def bound_terms(
    networks: Networks, params: Params, images: Images, posterior: Gaussian, noise: Float[Array, "k batch noise"]
) -> Terms:
    """What every bound is made of, at the samples of q(z|x) that `noise` ~ N(0, I) makes, `noise_size` per sample."""
    top, zero = networks.top, jnp.zeros(())
    z = reparameterized(posterior, noise[..., : networks.latents])

    def log_likelihood(z: Latents) -> Float[Array, " batch"]:
        return networks.likelihood.log_prob(networks.decoder.apply(params["decoder"], z), images)

    likelihoods = jax.vmap(log_likelihood)(z)
    log_posterior = gaussian_log_prob(z, *posterior).sum(axis=-1)
    if top is None:
        log_prior = gaussian_log_prob(z, zero, networks.log_prior_variance).sum(axis=-1)
        kl = gaussian_kl_between(*posterior, zero, networks.log_prior_variance)
        return Terms(likelihoods, log_prior, log_posterior, jnp.broadcast_to(kl, log_prior.shape))
    above = jax.vmap(functools.partial(encode_top, top, params))(z)
    highest = reparameterized(above, noise[..., networks.latents :])
    below = jax.vmap(functools.partial(decode_top, top, params))(highest)
    log_posterior += gaussian_log_prob(highest, *above).sum(axis=-1)
    log_prior = gaussian_log_prob(highest, zero, networks.log_prior_variance).sum(axis=-1)
    log_prior += gaussian_log_prob(z, *below).sum(axis=-1)
    return Terms(likelihoods, log_prior, log_posterior, log_posterior - log_prior)


def vae(
    image_shape: tuple[int, int, int],
    networks: Networks,
    *,
    optimizer: optax.GradientTransformation,
    bound: Bound = elbo,
    samples: int = 1,
    evaluation_samples: int = 500,
    beta: float = 1.0,
    warm_up: int = 0,
) -> Model:
    """A VAE, or with `bound=iwae_bound` an IWAE, whose networks ascend `bound` with `samples` samples per image.

    Training weighs the divergence from the prior by `beta`; with `warm_up` the weight rises to it in a line over so
    many steps, beta t / warm_up in step t (Sonderby et al. 2016, sec. 2.3), counted in `stats`. `evaluate` gives
    elbo_nats, iwae_K_nats with K = `evaluation_samples`, and kl_nats, none of them weighed; `generate` the means of
    p(x|z) at prior samples; `embed` the means of q(z_1|x). Raises ValueError where a number of samples is below 1,
    `beta`, `warm_up` or the prior's variance is out of range, or the networks do not fit `image_shape`.
    """
    if samples < 1:
        raise ValueError(f"samples={samples} must be at least 1")
    if not 0 <= beta < math.inf or warm_up < 0:
        raise ValueError(f"beta={beta} must be at least 0 and finite, and warm_up={warm_up} at least 0")
    if not 0 < networks.prior_variance < math.inf:
        raise ValueError(f"networks: prior_variance={networks.prior_variance} must be above 0 and finite")
    check_networks(networks, image_shape)
    loss = bound_loss(networks, bound, samples, beta=beta, warm_up=warm_up)
    stats = {"steps": jnp.zeros((), jnp.int32)} if warm_up else {}
    return Model(
        init=lambda key, batch: (init_networks(networks, key, batch["image"]), stats),
        phases=(Phase("bound", loss, network_names(networks), optimizer),),
        evaluate=make_evaluate(networks, samples=evaluation_samples),
        generate=make_generate(networks),
        embed=lambda params, stats, batch: encode(networks, params, batch["image"]).mean,
    )


def bound_loss(networks: Networks, bound: Bound, samples: int, *, beta: float = 1.0, warm_up: int = 0) -> Loss:
    """The loss of the phase: minus the mean of `bound` over the batch, the divergence from the prior weighed."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        images = batch["image"]
        posterior = encode(networks, params, images)
        noise = jax.random.normal(key, (samples, len(images), networks.noise_size), images.dtype)
        terms = bound_terms(networks, params, images, posterior, noise)
        metrics = {"elbo_nats": elbo(terms).mean(), "kl_nats": terms.kl.mean()}
        if warm_up:
            stats = {"steps": stats["steps"] + 1}
            weight = beta * jnp.minimum(1, stats["steps"] / warm_up)
            return -bound(tempered(terms, weight)).mean(), ({**metrics, "beta": weight}, stats)
        return -bound(terms if beta == 1 else tempered(terms, beta)).mean(), (metrics, stats)

    return loss


def example_keys(key: Key, count: int) -> jaxtyping.Key[Array, " count"]:
    """One key per example, the same whatever the other examples are."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))


def make_evaluate(networks: Networks, *, samples: int, rows: int = 1000) -> Evaluate:
    """elbo_nats, iwae_K_nats and kl_nats per image, with K = `samples` samples of q(z|x).

    Sample i of an image depends on the key, its place in the batch and i alone, so that neither its neighbours nor
    `rows`, about the number of z in memory at a time, change the result. Raises ValueError where either is below 1.
    """
    if samples < 1 or rows < 1:
        raise ValueError(f"samples={samples} and rows={rows} must be at least 1")

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        images = batch["image"]
        posterior = encode(networks, params, images)
        keys = example_keys(key, len(images))
        chunk = min(max(rows // len(images), 1), samples)

        def terms(indices: Int[Array, " chunk"]) -> Terms:
            noise = sample_noise(keys, indices, networks.noise_size, images.dtype)
            return bound_terms(networks, params, images, posterior, noise)

        means = streamed_means(terms, samples=samples, chunk=chunk, batch=len(images))
        elbos = means.log_likelihood - means.kl
        return {"elbo_nats": elbos, f"iwae_{samples}_nats": means.log_weight, "kl_nats": means.kl}

    return evaluate


def sample_noise(
    keys: jaxtyping.Key[Array, " batch"], indices: Int[Array, " k"], latents: int, dtype: jnp.dtype
) -> Float[Array, "k batch latents"]:
    """N(0, I) noise of the samples with these indices."""

    def noise(index: Array, key: Key) -> Float[Array, " latents"]:
        return jax.random.normal(jax.random.fold_in(key, index), (latents,), dtype)

    return jax.vmap(jax.vmap(noise, (None, 0)), (0, None))(indices, keys)


def make_generate(networks: Networks, *, draw_pixels: bool = False) -> Generate:
    """Images at prior samples of z: the means of p(x|z), as papers show them, or with `draw_pixels` samples of x.

    Raises ValueError where the batch has `known`: nothing is completed.
    """

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        refuse_known(batch)
        latent_key, pixel_key = jax.random.split(key)
        count, dtype = len(batch["image"]), batch["image"].dtype
        noise = sample_noise(example_keys(latent_key, count), jnp.zeros(1, jnp.int32), networks.noise_size, dtype)[0]
        z = prior_sample(networks, params, noise)
        if not draw_pixels:
            return decode(networks, params, z)
        output = networks.decoder.apply(params["decoder"], z)
        return jax.vmap(networks.likelihood.sample)(output, example_keys(pixel_key, count))

    return generate


def prior_sample(networks: Networks, params: Params, noise: Float[Array, "batch noise"]) -> Latents:
    """z_1 ~ p(z_1) as `noise` ~ N(0, I) makes it, `noise_size` numbers for each: the topmost layer first."""
    own, above = noise[:, : networks.latents], noise[:, networks.latents :]
    deviation = math.sqrt(networks.prior_variance)
    if networks.top is None:
        return deviation * own
    return reparameterized(decode_top(networks.top, params, deviation * above), own)


def manifold_grid(decode: Callable[[Latents], Images], side: int) -> Images:
    """What `decode` makes of a side x side grid of 2-D latents at equal quantiles of the prior, row by row.

    Latents are ndtri((i + 0.5) / side), i < side (Kingma & Welling 2014, fig. 4). Raises ValueError where side < 1.
    """
    if side < 1:
        raise ValueError(f"side={side} must be at least 1")
    # The half keeps clear of the quantiles 0 and 1, which are infinite.
    quantiles = ndtri((jnp.arange(side) + 0.5) / side)
    rows, columns = jnp.meshgrid(quantiles, quantiles, indexing="ij")
    return decode(jnp.stack([rows.ravel(), columns.ravel()], axis=-1))
