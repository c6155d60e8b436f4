"""Variational autoencoder (Kingma & Welling 2014) and its importance weighted bound (Burda et al. 2016).

Prior p(z) = N(0, s^2 I), posterior q(z|x) = N(mean(x), diag(var(x))), any p(x|z); the bounds are in
genjax/losses/bound.py. With a second stochastic layer (Burda et al. 2016, sec. 2 and 5)

    p(x, z) = p(z_2) p(z_1|z_2) p(x|z_1),   q(z|x) = q(z_1|x) q(z_2|z_1),   each but p(z_2) and p(x|z_1) as q above
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
from flax import linen as nn
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, Int

from genjax.core import Model, Phase
from genjax.losses.bound import Bound, Terms, elbo, streamed_means, tempered
from genjax.losses.divergence import gaussian_kl_between
from genjax.losses.likelihood import bernoulli_log_prob, flat_pixels, gaussian_log_prob
from genjax.models.whole import refuse_known
from genjax.networks.conv import ConvDecoder, ConvEncoder
from genjax.networks.mlp import MLP, Activation, GaussianEncoder, GaussianPixels, ImageMLP
from genjax.networks.start import image_bias
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


class Top(NamedTuple):
    """The networks of a second stochastic layer, z_2 above z_1."""

    encoder: nn.Module
    """z_1 [batch, latents of the first] to mean and log variance of q(z_2|z_1), [batch, latents] each."""
    decoder: nn.Module
    """z_2 [batch, latents] to mean and log variance of p(z_1|z_2)."""
    latents: int


class Networks(NamedTuple):
    """What a VAE is made of."""

    encoder: nn.Module
    """Images to mean and log variance of q(z_1|x), [batch, latents] each."""
    decoder: nn.Module
    """Latents z_1 [batch, latents] to what `likelihood` reads."""
    latents: int
    likelihood: Likelihood = BERNOULLI
    top: Top | None = None
    """The second stochastic layer, if there is one; z is z_1 elsewhere."""
    prior_variance: float = 1.0
    """s^2, of the topmost layer's prior N(0, s^2 I)."""

    @property
    def noise_size(self) -> int:
        """Latents of all layers, those of z_1 first."""
        return self.latents + (0 if self.top is None else self.top.latents)

    @property
    def log_prior_variance(self) -> Array:
        """Log s^2."""
        return jnp.log(jnp.asarray(self.prior_variance))


class Gaussian(NamedTuple):
    """N(mean, diag(exp(log_var))), such as q(z|x)."""

    mean: Latents
    log_var: Latents


def reparameterized(gaussian: Gaussian, noise: Float[Array, "*k batch latents"]) -> Float[Array, "*k batch latents"]:
    """Z = mean + sigma noise, which lets the gradient through (Kingma & Welling 2014, sec. 2.4)."""
    return gaussian.mean + jnp.exp(gaussian.log_var / 2) * noise


def encode(networks: Networks, params: Params, images: Images) -> Gaussian:
    """The posterior q(z_1|x)."""
    output: Any = networks.encoder.apply(params["encoder"], images)
    return Gaussian(*output)


def decode(networks: Networks, params: Params, latents: Latents) -> Images:
    """The mean of p(x|z), in [0, 1]."""
    return networks.likelihood.mean(networks.decoder.apply(params["decoder"], latents))


def reconstruct(networks: Networks, params: Params, images: Images) -> Images:
    """The mean of p(x|z) at the mean of q(z|x)."""
    return decode(networks, params, encode(networks, params, images).mean)


def encode_top(top: Top, params: Params, z: Latents) -> Gaussian:
    """The posterior q(z_2|z_1)."""
    output: Any = top.encoder.apply(params["top_encoder"], z)
    return Gaussian(*output)


def decode_top(top: Top, params: Params, z: Latents) -> Gaussian:
    """The prior p(z_1|z_2)."""
    output: Any = top.decoder.apply(params["top_decoder"], z)
    return Gaussian(*output)


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


def network_names(networks: Networks) -> tuple[str, ...]:
    """What there is to train."""
    return ("encoder", "decoder", *(() if networks.top is None else ("top_encoder", "top_decoder")))


def init_networks(networks: Networks, key: Key, images: Images) -> Params:
    """Fresh variables of all networks."""
    encoder_key, decoder_key = jax.random.split(key)
    latents = jnp.zeros((1, networks.latents), images.dtype)
    params = {
        "encoder": networks.encoder.init(encoder_key, images),
        "decoder": networks.decoder.init(decoder_key, latents),
    }
    if networks.top is None:
        return params
    encoder_key, decoder_key = jax.random.split(jax.random.fold_in(key, 1))
    return {
        **params,
        "top_encoder": networks.top.encoder.init(encoder_key, latents),
        "top_decoder": networks.top.decoder.init(decoder_key, jnp.zeros((1, networks.top.latents), images.dtype)),
    }


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes of latents and images."""

    def outputs(key: Key) -> tuple[Array, Array]:
        images = jnp.zeros((1, *image_shape))
        params = init_networks(networks, key, images)
        return encode(networks, params, images).mean, decode(networks, params, jnp.zeros((1, networks.latents)))

    def top_outputs(key: Key, top: Top) -> tuple[Array, Array]:
        params, z = init_networks(networks, key, jnp.zeros((1, *image_shape))), jnp.zeros((1, networks.latents))
        return encode_top(top, params, z).mean, decode_top(top, params, jnp.zeros((1, top.latents))).mean

    mean, image = jax.eval_shape(outputs, jax.random.key(0))
    if mean.shape != (1, networks.latents):
        raise ValueError(f"networks: the encoder returns latents {mean.shape[1:]}, latents={networks.latents}")
    if image.shape != (1, *image_shape):
        raise ValueError(f"networks: the decoder returns images {image.shape[1:]}, image_shape={image_shape}")
    if (top := networks.top) is not None:
        shapes = tuple(
            output.shape[1] for output in jax.eval_shape(lambda key: top_outputs(key, top), jax.random.key(0))
        )
        if shapes != (top.latents, networks.latents):
            raise ValueError(
                f"networks: top returns latents z_2 and z_1 of {shapes}, must be {(top.latents, networks.latents)}"
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


def with_top(networks: Networks, *, latents: int, hidden: Sequence[int], activation: Activation) -> Networks:
    """The networks with a second stochastic layer of dense networks (Burda et al. 2016: 100-100-100-50, tanh).

    `hidden` are the layers between z_1 and z_2, which p(z_1|z_2) has in reverse.
    """
    up = GaussianEncoder(MLP(tuple(hidden), activation, activate_final=True), latents)
    down = GaussianEncoder(MLP(tuple(reversed(hidden)), activation, activate_final=True), networks.latents)
    return networks._replace(top=Top(up, down, latents))


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
