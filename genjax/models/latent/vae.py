"""Variational autoencoder (Kingma & Welling 2014) and its importance weighted bound (Burda et al. 2016).

Prior p(z) = N(0, I), posterior q(z|x) = N(mean(x), diag(var(x))), any p(x|z); the bounds are in genjax/losses/bound.py.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
from flax import linen as nn
from jax.nn.initializers import Initializer, constant, zeros
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, Int

from genjax.core import Model, Phase
from genjax.losses.bound import Bound, Terms, elbo, streamed_means
from genjax.losses.divergence import gaussian_kl
from genjax.losses.likelihood import bernoulli_log_prob, flat_pixels, gaussian_log_prob
from genjax.networks.conv import ConvDecoder, ConvEncoder
from genjax.networks.mlp import MLP, Activation, GaussianEncoder, GaussianPixels, ImageMLP
from genjax.types import Batch, Evaluate, Generate, Key, Loss, Metrics, Params, PyTree, Scalar, Stats

Images = Float[Array, "batch H W C"]
Latents = Float[Array, "batch latents"]


class Likelihood(NamedTuple):
    """p(x|z), read off what the decoder returns: arrays with a leading batch axis."""

    log_prob: Callable[[PyTree, Images], Float[Array, " batch"]]
    """In nats, summed over pixels."""
    mean: Callable[[PyTree], Images]
    sample: Callable[[PyTree, Key], Array]


BERNOULLI = Likelihood(
    log_prob=lambda logits, x: bernoulli_log_prob(flat_pixels(logits), flat_pixels(x)).sum(axis=1),
    mean=jax.nn.sigmoid,
    sample=lambda logits, key: jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(logits.dtype),
)
"""For binary images; the decoder returns logits."""

GAUSSIAN = Likelihood(
    log_prob=lambda output, x: gaussian_log_prob(*map(flat_pixels, (x, *output))).sum(axis=1),
    mean=lambda output: output[0],
    sample=lambda output, key: (output[0] + jnp.exp(output[1] / 2) * jax.random.normal(key, output[0].shape)).clip(
        0, 1
    ),
)
"""For grey images; the decoder gives mean and log variance. A density: do not compare its nats with Bernoulli nats."""


class Networks(NamedTuple):
    """What a VAE is made of."""

    encoder: nn.Module
    """Images to mean and log variance of q(z|x), [batch, latents] each."""
    decoder: nn.Module
    """Latents [batch, latents] to what `likelihood` reads."""
    latents: int
    likelihood: Likelihood = BERNOULLI


class Posterior(NamedTuple):
    """q(z|x) = N(mean, diag(exp(log_var)))."""

    mean: Latents
    log_var: Latents


def posterior_sample(posterior: Posterior, noise: Float[Array, "k batch latents"]) -> Float[Array, "k batch latents"]:
    """Z = mean + sigma noise, which lets the gradient through (Kingma & Welling 2014, sec. 2.4)."""
    return posterior.mean + jnp.exp(posterior.log_var / 2) * noise


def encode(networks: Networks, params: Params, images: Images) -> Posterior:
    """The posterior q(z|x)."""
    output: Any = networks.encoder.apply(params["encoder"], images)
    return Posterior(*output)


def decode(networks: Networks, params: Params, latents: Latents) -> Images:
    """The mean of p(x|z), in [0, 1]."""
    return networks.likelihood.mean(networks.decoder.apply(params["decoder"], latents))


def reconstruct(networks: Networks, params: Params, images: Images) -> Images:
    """The mean of p(x|z) at the mean of q(z|x)."""
    return decode(networks, params, encode(networks, params, images).mean)


def bound_terms(
    networks: Networks, params: Params, images: Images, posterior: Posterior, noise: Float[Array, "k batch latents"]
) -> Terms:
    """What every bound is made of, at the samples of q(z|x) that `noise` ~ N(0, I) makes."""
    z = posterior_sample(posterior, noise)

    def log_likelihood(z: Latents) -> Float[Array, " batch"]:
        return networks.likelihood.log_prob(networks.decoder.apply(params["decoder"], z), images)

    return Terms(
        log_likelihood=jax.vmap(log_likelihood)(z),
        log_prior=gaussian_log_prob(z, jnp.zeros(()), jnp.zeros(())).sum(axis=-1),
        log_posterior=gaussian_log_prob(z, posterior.mean, posterior.log_var).sum(axis=-1),
        kl=gaussian_kl(posterior.mean, posterior.log_var),
    )


def vae(
    image_shape: tuple[int, int, int],
    networks: Networks,
    *,
    optimizer: optax.GradientTransformation,
    bound: Bound = elbo,
    samples: int = 1,
    evaluation_samples: int = 500,
) -> Model:
    """A VAE, or with `bound=iwae_bound` an IWAE, whose networks ascend `bound` with `samples` samples per image.

    `evaluate` gives elbo_nats, iwae_K_nats with K = `evaluation_samples`, and kl_nats; `generate` the means of p(x|z)
    at prior samples; `embed` the means of q(z|x). Raises ValueError where a number of samples is below 1 or the
    networks do not fit `image_shape`.
    """
    if samples < 1:
        raise ValueError(f"samples={samples} must be at least 1")
    check_networks(networks, image_shape)
    return Model(
        init=lambda key, batch: (init_networks(networks, key, batch["image"]), {}),
        phases=(Phase("bound", bound_loss(networks, bound, samples), ("encoder", "decoder"), optimizer),),
        evaluate=make_evaluate(networks, samples=evaluation_samples),
        generate=make_generate(networks),
        embed=lambda params, stats, batch: encode(networks, params, batch["image"]).mean,
    )


def init_networks(networks: Networks, key: Key, images: Images) -> Params:
    """Fresh variables of both networks."""
    encoder_key, decoder_key = jax.random.split(key)
    latents = jnp.zeros((1, networks.latents), images.dtype)
    return {
        "encoder": networks.encoder.init(encoder_key, images),
        "decoder": networks.decoder.init(decoder_key, latents),
    }


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes of latents and images."""

    def outputs(key: Key) -> tuple[Array, Array]:
        images = jnp.zeros((1, *image_shape))
        params = init_networks(networks, key, images)
        return encode(networks, params, images).mean, decode(networks, params, jnp.zeros((1, networks.latents)))

    mean, image = jax.eval_shape(outputs, jax.random.key(0))
    if mean.shape != (1, networks.latents):
        raise ValueError(f"networks: the encoder returns latents {mean.shape[1:]}, latents={networks.latents}")
    if image.shape != (1, *image_shape):
        raise ValueError(f"networks: the decoder returns images {image.shape[1:]}, image_shape={image_shape}")


def bound_loss(networks: Networks, bound: Bound, samples: int) -> Loss:
    """The loss of the phase: minus the mean of `bound` over the batch."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        images = batch["image"]
        posterior = encode(networks, params, images)
        noise = jax.random.normal(key, (samples, *posterior.mean.shape), images.dtype)
        terms = bound_terms(networks, params, images, posterior, noise)
        metrics = {"elbo_nats": elbo(terms).mean(), "kl_nats": terms.kl.mean()}
        return -bound(terms).mean(), (metrics, stats)

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
            noise = sample_noise(keys, indices, networks.latents, images.dtype)
            return bound_terms(networks, params, images, posterior, noise)

        log_likelihood, log_weight = streamed_means(terms, samples=samples, chunk=chunk, batch=len(images))
        kl = gaussian_kl(posterior.mean, posterior.log_var)
        return {"elbo_nats": log_likelihood - kl, f"iwae_{samples}_nats": log_weight, "kl_nats": kl}

    return evaluate


def sample_noise(
    keys: jaxtyping.Key[Array, " batch"], indices: Int[Array, " k"], latents: int, dtype: jnp.dtype
) -> Float[Array, "k batch latents"]:
    """N(0, I) noise of the samples with these indices."""

    def noise(index: Array, key: Key) -> Float[Array, " latents"]:
        return jax.random.normal(jax.random.fold_in(key, index), (latents,), dtype)

    return jax.vmap(jax.vmap(noise, (None, 0)), (0, None))(indices, keys)


def make_generate(networks: Networks, *, draw_pixels: bool = False) -> Generate:
    """Images at prior samples of z: the means of p(x|z), as papers show them, or with `draw_pixels` samples of x."""

    def generate(params: Params, stats: Stats, batch: Batch, key: Key) -> Images:
        latent_key, pixel_key = jax.random.split(key)
        count, dtype = len(batch["image"]), batch["image"].dtype
        z = sample_noise(example_keys(latent_key, count), jnp.zeros(1, jnp.int32), networks.latents, dtype)[0]
        if not draw_pixels:
            return decode(networks, params, z)
        output = networks.decoder.apply(params["decoder"], z)
        return jax.vmap(networks.likelihood.sample)(output, example_keys(pixel_key, count))

    return generate


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


def mlp_networks(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (200, 200),
    latents: int = 50,
    activation: Activation = jax.nn.tanh,
    mean: Float[np.ndarray, "H W C"] | None = None,
    gaussian: bool = False,
) -> Networks:
    """An encoder with layers of `hidden` units and its mirror (Burda et al. 2016: 784-200-200-50, tanh).

    The encoder subtracts the mean training image and the decoder starts from it. `gaussian`: for grey images.
    """
    body = MLP(tuple(hidden), activation, activate_final=True)
    decoder = ImageMLP(image_shape, tuple(reversed(hidden)), activation, bias_init=image_bias(mean))
    return gaussian_networks(body, decoder, latents, mean, gaussian=gaussian)


def conv_networks(
    image_shape: tuple[int, int, int],
    *,
    channels: Sequence[int] = (32, 64),
    features: int = 256,
    latents: int = 50,
    mean: Float[np.ndarray, "H W C"] | None = None,
    gaussian: bool = False,
) -> Networks:
    """Convolutions of stride 2 with `channels` maps, a dense layer, and their mirror; `mean` as in `mlp_networks`."""
    body = ConvEncoder(tuple(channels), features)
    decoder = ConvDecoder(image_shape, tuple(reversed(channels)), features, bias_init=image_bias(mean))
    return gaussian_networks(body, decoder, latents, mean, gaussian=gaussian)


def gaussian_networks(
    body: nn.Module, decoder: nn.Module, latents: int, mean: Float[np.ndarray, "H W C"] | None, *, gaussian: bool
) -> Networks:
    """A Gaussian posterior on top of `body`, and `decoder`'s logits read as Bernoulli or as Gaussian means."""
    encoder = GaussianEncoder(body, latents, center=lambda x: x if mean is None else x - mean)
    return (
        Networks(encoder, GaussianPixels(decoder), latents, GAUSSIAN)
        if gaussian
        else Networks(encoder, decoder, latents)
    )


def image_bias(mean: Float[np.ndarray, "H W C"] | None) -> Initializer:
    """Logits of the mean image, clipped to [0.001, 0.999] as in the code of Burda et al. (2016); zeros where None."""
    if mean is None:
        return zeros
    clipped = np.clip(np.asarray(mean), 0.001, 0.999)
    return constant(np.log(clipped / (1 - clipped)))
