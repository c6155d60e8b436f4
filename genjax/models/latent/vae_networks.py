"""The networks of a VAE (Kingma & Welling 2014), with one stochastic layer or two, and what they give of images.

p(x, z) = p(z_2) p(z_1|z_2) p(x|z_1),   q(z|x) = q(z_1|x) q(z_2|z_1),   each but p(z_2) and p(x|z_1) a Gaussian
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from genjax.losses.likelihood import bernoulli_log_prob, flat_pixels, gaussian_log_prob
from genjax.networks.conv import ConvDecoder, ConvEncoder
from genjax.networks.mlp import MLP, Activation, GaussianEncoder, GaussianPixels, ImageMLP
from genjax.networks.start import image_bias
from genjax.types import Key, Params, PyTree

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
