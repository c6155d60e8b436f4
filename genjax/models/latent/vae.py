"""Variational autoencoder (Kingma & Welling 2014) and its importance weighted bound (Burda et al. 2016).

    log p(x) >= E_q(z|x) log p(x|z) - KL(q(z|x) || p(z))

with the prior p(z) = N(0, s^2 I), the posterior q(z|x) = N(mean(x), diag(var(x))), and any p(x|z); the bounds are in
genjax/losses/bound.py. With a second stochastic layer (Burda et al. 2016, sec. 2 and 5)

    p(x, z) = p(z_2) p(z_1|z_2) p(x|z_1),   q(z|x) = q(z_1|x) q(z_2|z_1)

where p(z_2) is the prior above, and p(z_1|z_2), q(z_1|x) and q(z_2|z_1) are Gaussians with diagonal covariance, like
the posterior above.
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

from genjax.core import Input, Model, Phase, has_convolutions, with_inputs
from genjax.errors import ArgumentError
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
    init_params,
    network_names,
    reparameterized,
)
from genjax.networks.bound import bind
from genjax.types import Batch, Evaluate, Generate, Key, Loss, Metrics, Params, Scalar, Stats


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
    """Return a VAE, or with `bound=iwae_bound` an IWAE; training maximizes `bound` with `samples` z ~ q(z|x) per image.

    Training weights the KL divergence from the prior by `beta`; with `warm_up` the weight rises linearly over so many
    steps, to beta t / warm_up in step t (Sonderby et al. 2016, sec. 2.3), counted in `stats`. `evaluate` returns
    elbo_nats, iwae_K_nats with K = `evaluation_samples`, and kl_nats, all with weight 1; `generate` gives the means of
    p(x|z) at prior samples, and `embed` the means of q(z_1|x). Raises ValueError if a number of samples is below 1,
    `beta`, `warm_up` or the prior's variance is out of range, or the networks do not fit `image_shape`.
    """
    if samples < 1:
        raise ArgumentError("samples", samples, " must be at least 1")
    if not 0 <= beta < math.inf or warm_up < 0:
        raise ArgumentError("beta", beta, f" must be at least 0 and finite, and warm_up={warm_up} at least 0")
    if not 0 < networks.prior_variance < math.inf:
        raise ValueError(f"networks: prior_variance={networks.prior_variance} must be above 0 and finite")
    check_networks(networks, image_shape)
    loss = bound_loss(networks, bound, samples, beta=beta, warm_up=warm_up)
    stats = {"steps": jnp.zeros((), jnp.int32)} if warm_up else {}

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        return init_params(networks, key, batch["image"]), stats

    shapes = jax.eval_shape(init, jax.random.key(0), {"image": jnp.zeros((1, *image_shape))})
    model = Model(
        init=init,
        phases=(Phase("bound", loss, network_names(networks), optimizer),),
        evaluate=make_evaluate(networks, samples=evaluation_samples),
        generate=make_generate(networks),
        embed=lambda params, stats, batch: encode(networks, params, batch["image"]).mean,
        kinds={
            "elbo_nats": "elbo",
            f"iwae_{evaluation_samples}_nats": f"iwae-{evaluation_samples}",
            "kl_nats": "estimate" if networks.top_latents else "exact",
        },
        seeds_together=not has_convolutions(shapes),
    )
    return with_inputs(model, image=Input(image_shape, networks.likelihood.values))


def bound_loss(networks: Networks, bound: Bound, samples: int, *, beta: float = 1.0, warm_up: int = 0) -> Loss:
    """Return the loss: minus `bound` of log p(x), mean over the batch, with the KL divergence weighted by beta.

    For the ELBO it is -E_q log p(x|z) + beta KL(q(z|x) || p(z)) (Kingma & Welling 2014, eq. 7; Higgins et al. 2017, eq.
    4).
    """

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        x = batch["image"]
        posterior = encode(networks, params, x)
        noise = jax.random.normal(key, (samples, len(x), networks.noise_size), x.dtype)
        terms = bound_terms(networks, params, x, posterior, noise)
        metrics = {"elbo_nats": elbo(terms).mean(), "kl_nats": terms.kl.mean()}
        if warm_up:
            stats = {"steps": stats["steps"] + 1}
            weight = beta * jnp.minimum(1, stats["steps"] / warm_up)
            return -bound(tempered(terms, weight)).mean(), ({**metrics, "beta": weight}, stats)
        return -bound(terms if beta == 1 else tempered(terms, beta)).mean(), (metrics, stats)

    return loss


def bound_terms(
    networks: Networks, params: Params, x: Images, posterior: Gaussian, noise: Float[Array, "k batch noise"]
) -> Terms:
    """Return log-densities at samples of q(z|x), one per row of `noise` ~ N(0, I), which determine every bound.

    With one layer, z_1 = mean + sigma noise ~ q(z_1|x): log p(x|z_1), log p(z_1), log q(z_1|x), and their KL divergence
    in closed form. With two, log p(z) = log p(z_1|z_2) + log p(z_2), log q(z|x) = log q(z_1|x) + log q(z_2|z_1), and
    the KL divergence is their difference.
    """
    zero = jnp.zeros((), x.dtype)
    decoder, log_var = bind(networks, params, {}).decoder, networks.log_prior_variance
    z_1 = reparameterized(posterior, noise[..., : networks.latents])
    log_likelihood = jax.vmap(lambda z: networks.likelihood.log_prob(decoder(z), x))(z_1)
    log_q = gaussian_log_prob(z_1, *posterior).sum(axis=-1)
    if not networks.top_latents:
        log_p = gaussian_log_prob(z_1, zero, log_var).sum(axis=-1)
        kl = gaussian_kl_between(*posterior, zero, log_var)
        return Terms(log_likelihood, log_p, log_q, jnp.broadcast_to(kl, log_p.shape))
    above = jax.vmap(functools.partial(encode_top, networks, params))(z_1)
    z_2 = reparameterized(above, noise[..., networks.latents :])
    below = jax.vmap(functools.partial(decode_top, networks, params))(z_2)
    log_q += gaussian_log_prob(z_2, *above).sum(axis=-1)
    log_p = gaussian_log_prob(z_2, zero, log_var).sum(axis=-1)
    log_p += gaussian_log_prob(z_1, *below).sum(axis=-1)
    return Terms(log_likelihood, log_p, log_q, log_q - log_p)


def example_keys(key: Key, count: int) -> jaxtyping.Key[Array, " count"]:
    """Return one key per example, which depends on `key` and the position of the example alone."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))


def make_evaluate(networks: Networks, *, samples: int, rows: int = 1000) -> Evaluate:
    """Return the evaluation of elbo_nats, iwae_K_nats and kl_nats of each image, with K = `samples` samples of q(z|x).

    Sample i of an image depends on the key, its position in the batch and i alone, so that neither the other images nor
    `rows`, about the number of z in memory at a time, change the result. Raises ValueError if either is below 1.
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
    """Return N(0, I) noise of the samples with these indices, under each example's key."""

    def noise(index: Array, key: Key) -> Float[Array, " latents"]:
        return jax.random.normal(jax.random.fold_in(key, index), (latents,), dtype)

    return jax.vmap(jax.vmap(noise, (None, 0)), (0, None))(indices, keys)


def make_generate(networks: Networks, *, draw_pixels: bool = False) -> Generate:
    """Return the sampler: means of p(x|z) at prior samples of z, or with `draw_pixels` samples of p(x|z).

    Raises ValueError if the batch has `known`, since a VAE does not complete images.
    """

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        refuse_known(batch)
        latent_key, pixel_key = jax.random.split(key)
        count, dtype = len(batch["image"]), batch["image"].dtype
        noise = sample_noise(example_keys(latent_key, count), jnp.zeros(1, jnp.int32), networks.noise_size, dtype)[0]
        z = prior_sample(networks, params, noise)
        if not draw_pixels:
            return decode(networks, params, z)
        output = bind(networks, params, stats).decoder(z)
        return jax.vmap(networks.likelihood.sample)(output, example_keys(pixel_key, count))

    return generate


def prior_sample(networks: Networks, params: Params, noise: Float[Array, "batch noise"]) -> Latents:
    """Return prior samples z_1 ~ p(z_1) from `noise` ~ N(0, I), whose columns are those of z_1, then those of z_2."""
    own, above = noise[:, : networks.latents], noise[:, networks.latents :]
    deviation = math.sqrt(networks.prior_variance)
    if not networks.top_latents:
        return deviation * own
    return reparameterized(decode_top(networks, params, deviation * above), own)


def manifold_grid(decode: Callable[[Latents], Images], side: int) -> Images:
    """Return images `decode`d from a side x side grid of 2-D latents at equal quantiles of N(0, I), row by row.

    Latents are ndtri((i + 0.5) / side), i < side (Kingma & Welling 2014, fig. 4). Raises ValueError if side < 1.
    """
    if side < 1:
        raise ArgumentError("side", side, " must be at least 1")
    # The half avoids the quantiles 0 and 1, which are infinite.
    quantiles = ndtri((jnp.arange(side) + 0.5) / side)
    rows, columns = jnp.meshgrid(quantiles, quantiles, indexing="ij")
    return decode(jnp.stack([rows.ravel(), columns.ravel()], axis=-1))
