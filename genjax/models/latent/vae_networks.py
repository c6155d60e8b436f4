"""Networks of a VAE (Kingma & Welling 2014) with one or two stochastic layers, and its likelihoods.

    p(x, z) = p(z_2) p(z_1|z_2) p(x|z_1),   q(z|x) = q(z_1|x) q(z_2|z_1)

The networks return the means and log variances of p(z_1|z_2), q(z_1|x) and q(z_2|z_1), and the parameters of p(x|z_1).
With one stochastic layer, z is z_1 and its prior is N(0, s^2 I).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.losses.likelihood import bernoulli_log_prob, flat_pixels, gaussian_log_prob
from genjax.networks.bound import bind, check_outputs, init_networks
from genjax.networks.conv_stacks import ConvDecoder, ConvEncoder
from genjax.networks.mlp import MLP, Activation, GaussianEncoder, GaussianPixels, ImageMLP
from genjax.networks.start import image_bias
from genjax.types import Key, Params, PyTree

Images = Float[Array, "batch H W C"]
Latents = Float[Array, "batch latents"]


class Likelihood(NamedTuple):
    """Likelihood p(x|z_1), as functions of the decoder's output, arrays with a leading batch axis."""

    log_prob: Callable[[PyTree, Images], Float[Array, " batch"]]
    """Function from (output, images) to log p(x|z_1) in nats, summed over pixels."""
    mean: Callable[[PyTree], Images]
    """Function from the output to the mean of p(x|z_1)."""
    sample: Callable[[PyTree, Key], Array]
    """Function from (output, key) to a sample of p(x|z_1)."""
    shape: Callable[[tuple[int, ...]], Any] = lambda images: images
    """Function from the shape of images to the shape of the output, or a tuple of shapes if the output is a tuple."""
    values: str = "binary"
    """Range of the pixels, as named in `genjax.core.Input`."""


BERNOULLI = Likelihood(
    log_prob=lambda logits, x: bernoulli_log_prob(flat_pixels(logits), flat_pixels(x)).sum(axis=1),
    mean=jax.nn.sigmoid,
    sample=lambda logits, key: jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(logits.dtype),
)
"""Likelihood of binary images; the decoder returns logits."""

GAUSSIAN = Likelihood(
    log_prob=lambda output, x: gaussian_log_prob(*map(flat_pixels, (x, *output))).sum(axis=1),
    mean=lambda output: output[0],
    sample=lambda output, key: (
        output[0] + jnp.exp(output[1] / 2) * jax.random.normal(key, output[0].shape, output[0].dtype)
    ).clip(0, 1),
    shape=lambda images: (images, images),
    values="unit",
)
"""Density of grey images, not comparable with Bernoulli nats; the decoder returns mean and log variance."""


class Networks(NamedTuple):
    """Networks of a VAE; `params` holds their parameters under the same names."""

    encoder: nn.Module
    """Network from images to mean and log variance of q(z_1|x), [batch, latents] each."""
    decoder: nn.Module
    """Network from z_1 [batch, latents] to the parameters of p(x|z_1) that `likelihood` reads."""
    latents: int
    """Dimension of z_1."""
    likelihood: Likelihood = BERNOULLI
    """Likelihood p(x|z_1) of the decoder's output."""
    top_encoder: nn.Module | None = None
    """Network from z_1 [batch, latents] to mean and log variance of q(z_2|z_1), [batch, top_latents] each."""
    top_decoder: nn.Module | None = None
    """Network from z_2 [batch, top_latents] to mean and log variance of p(z_1|z_2), [batch, latents] each."""
    top_latents: int = 0
    """Dimension of z_2; 0 for a VAE of one stochastic layer."""
    prior_variance: float = 1.0
    """Variance s^2 of the prior N(0, s^2 I) of the topmost layer."""

    @property
    def noise_size(self) -> int:
        """Number of latents of all stochastic layers together."""
        return self.latents + self.top_latents

    @property
    def log_prior_variance(self) -> Array:
        """Logarithm of the prior's variance s^2."""
        return jnp.log(jnp.asarray(self.prior_variance))


class Gaussian(NamedTuple):
    """Gaussian distribution N(mean, diag(exp(log_var))), such as q(z_1|x)."""

    mean: Latents
    log_var: Latents


def reparameterized(gaussian: Gaussian, noise: Float[Array, "*k batch latents"]) -> Float[Array, "*k batch latents"]:
    """Return z = mean + sigma noise, a sample that gradients flow through (Kingma & Welling 2014, sec. 2.4)."""
    return gaussian.mean + jnp.exp(gaussian.log_var / 2) * noise


def encode(networks: Networks, params: Params, x: Images) -> Gaussian:
    """Return the posterior q(z_1|x)."""
    return Gaussian(*bind(networks, params, {}).encoder(x))


def decode(networks: Networks, params: Params, z: Latents) -> Images:
    """Return the mean of p(x|z_1), in [0, 1]."""
    return networks.likelihood.mean(bind(networks, params, {}).decoder(z))


def reconstruct(networks: Networks, params: Params, x: Images) -> Images:
    """Return the mean of p(x|z_1) at the mean of q(z_1|x)."""
    return decode(networks, params, encode(networks, params, x).mean)


def encode_top(networks: Networks, params: Params, z: Latents) -> Gaussian:
    """Return the posterior q(z_2|z_1)."""
    bound: Any = bind(networks, params, {})
    return Gaussian(*bound.top_encoder(z))


def decode_top(networks: Networks, params: Params, z: Latents) -> Gaussian:
    """Return the conditional prior p(z_1|z_2)."""
    bound: Any = bind(networks, params, {})
    return Gaussian(*bound.top_decoder(z))


def network_names(networks: Networks) -> tuple[str, ...]:
    """Return the names of the networks that are trained."""
    return ("encoder", "decoder", *(("top_encoder", "top_decoder") if networks.top_latents else ()))


def example_inputs(networks: Networks, images: Images) -> dict[str, tuple[Array, ...]]:
    """Return example inputs of the encoder and the decoder."""
    return {"encoder": (images,), "decoder": (jnp.zeros((1, networks.latents), images.dtype),)}


def example_top_inputs(networks: Networks, images: Images) -> dict[str, tuple[Array, ...]]:
    """Return example inputs of the networks of the second stochastic layer; empty if there is none."""
    if not networks.top_latents:
        return {}
    z_1, z_2 = (jnp.zeros((1, latents), images.dtype) for latents in (networks.latents, networks.top_latents))
    return {"top_encoder": (z_1,), "top_decoder": (z_2,)}


def init_params(networks: Networks, key: Key, images: Images) -> Params:
    """Return fresh parameters of all networks."""
    params, _ = init_networks(networks, key, **example_inputs(networks, images))
    if not networks.top_latents:
        return params
    top, _ = init_networks(networks, jax.random.fold_in(key, 1), **example_top_inputs(networks, images))
    return {**params, **top}


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError if the networks' outputs do not have the shapes of latents and images."""
    images = jnp.zeros((1, *image_shape))
    z_1, z_2 = (1, networks.latents), (1, networks.top_latents)
    outputs = {"encoder": (z_1, z_1), "decoder": networks.likelihood.shape((1, *image_shape))}
    if networks.top_latents:
        outputs |= {"top_encoder": (z_2, z_2), "top_decoder": (z_1, z_1)}
    check_outputs(networks, example_inputs(networks, images) | example_top_inputs(networks, images), outputs)


def mlp_networks(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (200, 200),
    latents: int = 50,
    activation: Activation = jax.nn.tanh,
    mean: Float[np.ndarray, "H W C"] | None = None,
    gaussian: bool = False,
) -> Networks:
    """Return a dense encoder with layers of `hidden` units and its mirror (Burda et al. 2016: 784-200-200-50, tanh).

    The encoder subtracts `mean`, the mean training image, and the decoder's output starts from it. `gaussian` selects
    the Gaussian likelihood, for grey images.
    """
    body = MLP(tuple(hidden), activation, activate_final=True)
    decoder = ImageMLP(image_shape, tuple(reversed(hidden)), activation, bias_init=image_bias(mean))
    return gaussian_networks(body, decoder, latents, mean, gaussian=gaussian)


def with_top(networks: Networks, *, latents: int, hidden: Sequence[int], activation: Activation) -> Networks:
    """Add a second stochastic layer of `latents` with dense networks (Burda et al. 2016: 100-100-100-50, tanh).

    q(z_2|z_1) has layers of `hidden` units, and p(z_1|z_2) has them in reverse.
    """
    up = GaussianEncoder(MLP(tuple(hidden), activation, activate_final=True), latents)
    down = GaussianEncoder(MLP(tuple(reversed(hidden)), activation, activate_final=True), networks.latents)
    return networks._replace(top_encoder=up, top_decoder=down, top_latents=latents)


def conv_networks(
    image_shape: tuple[int, int, int],
    *,
    channels: Sequence[int] = (32, 64),
    features: int = 256,
    latents: int = 50,
    mean: Float[np.ndarray, "H W C"] | None = None,
    gaussian: bool = False,
) -> Networks:
    """Return a convolutional encoder with layers of `channels` of stride 2 and a dense layer, and a mirrored decoder.

    `mlp_networks` explains `mean` and `gaussian`.
    """
    body = ConvEncoder(tuple(channels), features)
    decoder = ConvDecoder(image_shape, tuple(reversed(channels)), features, bias_init=image_bias(mean))
    return gaussian_networks(body, decoder, latents, mean, gaussian=gaussian)


def gaussian_networks(
    body: nn.Module, decoder: nn.Module, latents: int, mean: Float[np.ndarray, "H W C"] | None, *, gaussian: bool
) -> Networks:
    """Return networks: a Gaussian posterior on top of `body` and a decoder of Bernoulli logits or Gaussian pixels."""
    encoder = GaussianEncoder(body, latents, center=lambda x: x if mean is None else x - mean)
    return (
        Networks(encoder, GaussianPixels(decoder), latents, GAUSSIAN)
        if gaussian
        else Networks(encoder, decoder, latents)
    )
