"""Autoencoder (Rumelhart, Hinton & Williams 1986; Hinton & Salakhutdinov 2006).

An encoder f computes a code z = f(x), smaller than the image x, from which a decoder g reconstructs the image:

    min over f, g of E ||x - g(f(x))||^2

If f and g are linear, the minimum is that of principal component analysis: the sum of the trailing eigenvalues of the
covariance, and g spans the leading eigenvectors (Baldi & Hornik 1989).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.nn.initializers import Initializer, constant, glorot_uniform
from jaxtyping import Array, Float

from genjax.core import Input, Model, Phase, has_convolutions, with_inputs
from genjax.errors import ArgumentError
from genjax.losses.likelihood import bernoulli_log_prob, sum_pixels
from genjax.losses.reconstruction import mean_squared_error, squared_error
from genjax.networks.bound import bind, check_outputs, init_networks
from genjax.networks.conv_stacks import ConvDecoder, ConvEncoder
from genjax.networks.mlp import MLP, Activation, ImageMLP
from genjax.networks.start import image_bias
from genjax.types import Batch, Evaluate, Key, Loss, Metrics, Params, Scalar, Stats

Images = Float[Array, "batch H W C"]
Codes = Float[Array, "batch latents"]

SMALLEST_SIDE = 4
"""Smallest side of the features that `scaled_strides` allows."""


class Reconstruction(NamedTuple):
    """Meaning of the decoder's output, and the loss of a reconstruction."""

    image: Callable[[Images], Images]
    """Function from the decoder's output to the reconstruction, [batch, H, W, C] both."""
    loss: Callable[[Images, Images], Float[Array, " batch"]]
    """Function from (decoder's output, image) to the loss of each image, summed over pixels."""
    name: str
    """Name of the loss as a metric, with its unit."""


GAUSSIAN = Reconstruction(image=lambda output: output, loss=squared_error, name="squared_error")
"""Squared error; the decoder returns the reconstruction itself, which may leave [0, 1]."""

BERNOULLI = Reconstruction(
    image=jax.nn.sigmoid,
    loss=lambda logits, x: -sum_pixels(bernoulli_log_prob(logits, x)),
    name="cross_entropy_nats",
)
"""Cross-entropy of pixels in [0, 1], in nats; the decoder returns logits."""


class Networks(NamedTuple):
    """Networks of an autoencoder, and their loss."""

    encoder: nn.Module
    """Encoder f from images to codes [batch, latents]."""
    decoder: nn.Module
    """Decoder g from codes [batch, latents] to reconstructions or their logits, as `reconstruction` requires."""
    latents: int
    """Dimension of the code."""
    reconstruction: Reconstruction = GAUSSIAN
    """Meaning of the decoder's output, and the loss."""


class CodeEncoder(nn.Module):
    """Encoder to codes [batch, latents], which are linear in the features that `body` computes from x."""

    body: nn.Module
    """Network that computes features of x."""
    latents: int
    """Dimension of the code."""
    center: Callable[[Array], Array] = lambda x: x
    """Function applied to x first, such as `lambda x: x - mean`."""
    kernel_init: Initializer = glorot_uniform()

    @nn.compact
    def __call__(self, x: Images) -> Codes:
        """Compute the codes."""
        return nn.Dense(self.latents, kernel_init=self.kernel_init, name="code")(self.body(self.center(x)))


def encode(networks: Networks, params: Params, images: Images) -> Codes:
    """Return the codes f(x) of images."""
    return bind(networks, params, {}).encoder(images)


def decode(networks: Networks, params: Params, codes: Codes) -> Images:
    """Return the images g(z) of codes."""
    return networks.reconstruction.image(bind(networks, params, {}).decoder(codes))


def reconstruct(networks: Networks, params: Params, images: Images) -> Images:
    """Return the reconstructions g(f(x)), not clipped: with squared error they may leave [0, 1]."""
    return decode(networks, params, encode(networks, params, images))


def autoencoder(
    image_shape: tuple[int, int, int], networks: Networks, *, optimizer: optax.GradientTransformation
) -> Model:
    """Return an autoencoder whose networks minimize `networks.reconstruction.loss`, mean over the batch.

    `evaluate` returns squared_error, summed over pixels, mse, its mean over pixels, and the loss under its name;
    `generate` returns the reconstructions of the batch, clipped to [0, 1]; `embed` returns the codes. Raises ValueError
    if the networks do not fit `image_shape`.
    """
    check_networks(networks, image_shape)
    metrics = ("squared_error", "mse", networks.reconstruction.name)

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        return init_networks(networks, key, **example_inputs(networks, batch["image"]))[0], {}

    shapes = jax.eval_shape(init, jax.random.key(0), {"image": jnp.zeros((1, *image_shape))})
    model = Model(
        init=init,
        phases=(Phase("reconstruction", reconstruction_loss(networks), ("encoder", "decoder"), optimizer),),
        evaluate=make_evaluate(networks),
        generate=lambda params, stats, batch, key: reconstruct(networks, params, batch["image"]).clip(0, 1),
        embed=lambda params, stats, batch: encode(networks, params, batch["image"]),
        kinds=dict.fromkeys(metrics, "exact"),
        draws=False,
        seeds_together=not has_convolutions(shapes),
    )
    return with_inputs(model, image=Input(image_shape, "unit"))


def example_inputs(networks: Networks, images: Images) -> dict[str, tuple[Array, ...]]:
    """Return example inputs of each network."""
    return {"encoder": (images,), "decoder": (jnp.zeros((1, networks.latents), images.dtype),)}


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError if the networks' outputs do not have the shapes of codes and images."""
    if networks.latents < 1:
        raise ArgumentError("latents", networks.latents, " must be at least 1")
    inputs = example_inputs(networks, jnp.zeros((1, *image_shape)))
    check_outputs(networks, inputs, {"encoder": (1, networks.latents), "decoder": (1, *image_shape)})


def reconstruction_loss(networks: Networks) -> Loss:
    """Return E_x L(x, g(f(x))), summed over pixels, mean over the batch; L is `networks.reconstruction.loss`."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        x = batch["image"]
        f, g, *_ = bind(networks, params, stats)
        output = g(f(x))
        mse = mean_squared_error(networks.reconstruction.image(output), x).mean()
        return networks.reconstruction.loss(output, x).mean(), ({"mse": mse}, stats)

    return loss


def make_evaluate(networks: Networks) -> Evaluate:
    """Return the evaluation of squared_error, mse and the loss of each image."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        x = batch["image"]
        f, g, *_ = bind(networks, params, stats)
        output = g(f(x))
        reconstruction = networks.reconstruction.image(output)
        return {
            "squared_error": squared_error(reconstruction, x),
            "mse": mean_squared_error(reconstruction, x),
            networks.reconstruction.name: networks.reconstruction.loss(output, x),
        }

    return evaluate


def mlp_networks(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (256, 128),
    latents: int = 32,
    activation: Activation = jax.nn.relu,
    mean: Float[np.ndarray, "H W C"] | None = None,
    reconstruction: Reconstruction = GAUSSIAN,
) -> Networks:
    """Return a dense encoder with layers of `hidden` units and a mirrored decoder, both linear if `hidden` is empty.

    The encoder subtracts `mean`, the mean training image, and the decoder's output starts from it.
    """
    body = MLP(tuple(hidden), activation, activate_final=True)
    decoder = ImageMLP(image_shape, tuple(reversed(hidden)), activation, bias_init=decoder_bias(mean, reconstruction))
    return Networks(centred(body, latents, mean), decoder, latents, reconstruction)


def conv_networks(
    image_shape: tuple[int, int, int],
    *,
    channels: Sequence[int] = (32, 64, 128, 256),
    features: int = 256,
    latents: int = 32,
    activation: Activation = jax.nn.relu,
    mean: Float[np.ndarray, "H W C"] | None = None,
    reconstruction: Reconstruction = GAUSSIAN,
) -> Networks:
    """Return a convolutional encoder with layers of `channels` and a dense layer, and a mirrored decoder.

    `scaled_strides` gives the strides. The encoder subtracts `mean`, the mean training image, and the decoder's output
    starts from it.
    """
    strides = scaled_strides(image_shape, len(channels))
    body = ConvEncoder(tuple(channels), features, activation=activation, strides=strides)
    decoder = ConvDecoder(
        image_shape,
        tuple(reversed(channels)),
        features,
        activation=activation,
        bias_init=decoder_bias(mean, reconstruction),
        strides=tuple(reversed(strides)),
    )
    return Networks(centred(body, latents, mean), decoder, latents, reconstruction)


def scaled_strides(image_shape: tuple[int, int, int], layers: int) -> tuple[int, ...]:
    """Return a stride per layer: 2 while both sides are even and stay at least 4, then 1, so 2, 2, 1, 1 for 28x28."""
    if layers < 1:
        raise ValueError(f"channels: {layers} layers, must be at least 1")
    strides, sides = [], image_shape[:2]
    for _ in range(layers):
        halves = all(side % 2 == 0 and side // 2 >= SMALLEST_SIDE for side in sides)
        strides.append(2 if halves else 1)
        sides = tuple(side // strides[-1] for side in sides)
    return tuple(strides)


def centred(body: nn.Module, latents: int, mean: Float[np.ndarray, "H W C"] | None) -> CodeEncoder:
    """Return an encoder that first subtracts the mean image."""
    return CodeEncoder(body, latents, center=lambda x: x if mean is None else x - mean)


def decoder_bias(mean: Float[np.ndarray, "H W C"] | None, reconstruction: Reconstruction) -> Initializer:
    """Return the decoder's bias initializer: the mean image, or its logits if the decoder returns logits."""
    return image_bias(mean) if reconstruction is BERNOULLI or mean is None else constant(np.asarray(mean))
