"""Autoencoder (Rumelhart, Hinton & Williams 1986; Hinton & Salakhutdinov 2006), and a classifier on its encoder.

A code z = f(x), smaller than the image x, from which g(z) is to be x again:

    min over f, g of E ||x - g(f(x))||^2

Where f and g are linear the minimum is that of principal component analysis: the sum of the trailing eigenvalues of the
covariance, and g spans the leading eigenvectors (Baldi & Hornik 1989).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.nn.initializers import Initializer, constant, glorot_uniform
from jaxtyping import Array, Float, Int

from genjax.core import Model, Phase
from genjax.losses.likelihood import bernoulli_log_prob, sum_pixels
from genjax.losses.reconstruction import mean_squared_error, squared_error
from genjax.networks.conv import ConvDecoder, ConvEncoder
from genjax.networks.mlp import MLP, Activation, ImageMLP
from genjax.networks.start import image_bias
from genjax.types import Batch, Evaluate, Key, Loss, Metrics, Params, PyTree, Scalar, Stats

Images = Float[Array, "batch H W C"]
Codes = Float[Array, "batch latents"]
Logits = Float[Array, "batch classes"]

SMALLEST_SIDE = 4
"""Of the images that `scaled_strides` leaves."""


class Reconstruction(NamedTuple):
    """How an image is read off what the decoder returns, and what a bad one costs."""

    image: Callable[[Images], Images]
    loss: Callable[[Images, Images], Float[Array, " batch"]]
    """Of the decoder's output and the image, summed over pixels."""
    name: str
    """Of the loss, with its unit."""


GAUSSIAN = Reconstruction(image=lambda output: output, loss=squared_error, name="squared_error")
"""Squared error: the decoder returns the image itself, which may leave [0, 1]."""

BERNOULLI = Reconstruction(
    image=jax.nn.sigmoid,
    loss=lambda logits, x: -sum_pixels(bernoulli_log_prob(logits, x)),
    name="cross_entropy_nats",
)
"""Cross-entropy in nats of pixels in [0, 1]; the decoder returns logits."""


class Networks(NamedTuple):
    """What an autoencoder is made of."""

    encoder: nn.Module
    """Images to codes [batch, latents]."""
    decoder: nn.Module
    """Codes [batch, latents] to what `reconstruction` reads."""
    latents: int
    reconstruction: Reconstruction = GAUSSIAN


class CodeEncoder(nn.Module):
    """Codes [batch, latents], linear in the features that `body` makes of x."""

    body: nn.Module
    latents: int
    center: Callable[[Array], Array] = lambda x: x
    """Applied to x first, such as `lambda x: x - mean`."""
    kernel_init: Initializer = glorot_uniform()

    @nn.compact
    def __call__(self, x: Images) -> Codes:
        """Codes."""
        return nn.Dense(self.latents, kernel_init=self.kernel_init, name="code")(self.body(self.center(x)))


def encode(networks: Networks, params: Params, images: Images) -> Codes:
    """The codes f(x)."""
    return encoded(networks.encoder, params, images)


def encoded(encoder: nn.Module, params: Params, images: Images) -> Codes:
    """What the encoder makes of images."""
    codes: Any = encoder.apply(params["encoder"], images)
    return codes


def decode(networks: Networks, params: Params, codes: Codes) -> Images:
    """The images g(z)."""
    output: Any = networks.decoder.apply(params["decoder"], codes)
    return networks.reconstruction.image(output)


def reconstruct(networks: Networks, params: Params, images: Images) -> Images:
    """The images g(f(x)), as they are: where the error is squared they may leave [0, 1]."""
    return decode(networks, params, encode(networks, params, images))


def autoencoder(
    image_shape: tuple[int, int, int], networks: Networks, *, optimizer: optax.GradientTransformation
) -> Model:
    """An autoencoder whose networks descend the mean over the batch of `networks.reconstruction.loss`.

    `evaluate` gives squared_error, summed over pixels, mse, its mean over pixels, and the loss by its name; `generate`
    the reconstructions of the batch, clipped to [0, 1]; `embed` the codes. Raises ValueError where the networks do not
    fit `image_shape`.
    """
    check_networks(networks, image_shape)
    return Model(
        init=lambda key, batch: (init_networks(networks, key, batch["image"]), {}),
        phases=(Phase("reconstruction", reconstruction_loss(networks), ("encoder", "decoder"), optimizer),),
        evaluate=make_evaluate(networks),
        generate=lambda params, stats, batch, key: reconstruct(networks, params, batch["image"]).clip(0, 1),
        embed=lambda params, stats, batch: encode(networks, params, batch["image"]),
    )


def init_networks(networks: Networks, key: Key, images: Images) -> Params:
    """Fresh variables of both networks."""
    encoder_key, decoder_key = jax.random.split(key)
    codes = jnp.zeros((1, networks.latents), images.dtype)
    return {
        "encoder": networks.encoder.init(encoder_key, images),
        "decoder": networks.decoder.init(decoder_key, codes),
    }


def check_networks(networks: Networks, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes of codes and images."""
    if networks.latents < 1:
        raise ValueError(f"latents={networks.latents} must be at least 1")

    def outputs(key: Key) -> tuple[Array, Array]:
        images = jnp.zeros((1, *image_shape))
        params = init_networks(networks, key, images)
        return encode(networks, params, images), decode(networks, params, jnp.zeros((1, networks.latents)))

    codes, images = jax.eval_shape(outputs, jax.random.key(0))
    if codes.shape != (1, networks.latents):
        raise ValueError(f"networks: the encoder returns codes {codes.shape[1:]}, latents={networks.latents}")
    if images.shape != (1, *image_shape):
        raise ValueError(f"networks: the decoder returns images {images.shape[1:]}, image_shape={image_shape}")


def reconstruction_loss(networks: Networks) -> Loss:
    """The loss of the phase: the mean over the batch of the loss summed over pixels."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        images = batch["image"]
        output: Any = networks.decoder.apply(params["decoder"], encode(networks, params, images))
        mse = mean_squared_error(networks.reconstruction.image(output), images).mean()
        return networks.reconstruction.loss(output, images).mean(), ({"mse": mse}, stats)

    return loss


def make_evaluate(networks: Networks) -> Evaluate:
    """squared_error, mse and the loss per image."""

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        images = batch["image"]
        output: Any = networks.decoder.apply(params["decoder"], encode(networks, params, images))
        reconstructions = networks.reconstruction.image(output)
        return {
            "squared_error": squared_error(reconstructions, images),
            "mse": mean_squared_error(reconstructions, images),
            networks.reconstruction.name: networks.reconstruction.loss(output, images),
        }

    return evaluate


def classifier(
    encoder: nn.Module,
    classes: int,
    *,
    optimizer: optax.GradientTransformation,
    frozen: bool = False,
    encoder_params: PyTree | None = None,
    head: nn.Module | None = None,
) -> Model:
    """A classifier on an encoder: p(label|x) = softmax(head(f(x))), trained by its cross-entropy; no decoder.

    `evaluate` gives error_rate (0 or 1) and cross_entropy_nats; `generate` the predicted labels [batch] of the batch;
    `embed` the codes. The batch has a label in 0, ..., classes - 1.

    Args:
        encoder: Images to codes [batch, features].
        classes: Number of classes.
        optimizer: Of all that moves.
        frozen: Whether the classifier alone moves, and the encoder stays as it is.
        encoder_params: What the encoder starts from, such as `params["encoder"]` of a trained autoencoder; fresh ones
            by default.
        head: Codes to logits [batch, classes]; one dense layer by default.

    Raises:
        ValueError: where there are fewer than two classes or, at `init`, `encoder_params` are of another encoder.
    """
    if classes < 2:
        raise ValueError(f"classes={classes} must be at least 2")
    head = nn.Dense(classes) if head is None else head

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        encoder_key, classifier_key = jax.random.split(key)
        codes, fresh = encoder.init_with_output(encoder_key, batch["image"])
        if encoder_params is not None:
            check_alike(encoder_params, fresh)
        params = {"encoder": fresh if encoder_params is None else encoder_params}
        return {**params, "classifier": head.init(classifier_key, codes)}, {}

    def logits(params: Params, batch: Batch) -> Logits:
        scores: Any = head.apply(params["classifier"], encoded(encoder, params, batch["image"]))
        return scores

    return Model(
        init=init,
        phases=(
            Phase(
                "classification",
                classification_loss(logits),
                ("classifier",) if frozen else ("encoder", "classifier"),
                optimizer,
            ),
        ),
        evaluate=lambda params, stats, batch, key: classification_metrics(logits(params, batch), batch["label"]),
        generate=lambda params, stats, batch, key: logits(params, batch).argmax(axis=1),
        embed=lambda params, stats, batch: encoded(encoder, params, batch["image"]),
    )


def check_alike(given: PyTree, fresh: PyTree) -> None:
    """Raise ValueError where the parameters do not have the names and shapes of the encoder's."""
    ours, theirs = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (fresh, given)
    )
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            shapes = f"{theirs.get(name, 'missing')}, the encoder's is {ours.get(name, 'missing')}"
            raise ValueError(f"encoder_params: the shape of {name} is {shapes}")


def classification_loss(logits: Callable[[Params, Batch], Logits]) -> Loss:
    """The loss of the phase: the mean cross-entropy over the batch, in nats."""

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        metrics = classification_metrics(logits(params, batch), batch["label"])
        return metrics["cross_entropy_nats"].mean(), ({"error_rate": metrics["error_rate"].mean()}, stats)

    return loss


def classification_metrics(logits: Logits, label: Int[Array, " batch"]) -> Metrics:
    """error_rate (1 where the most probable class is not the label, else 0) and cross_entropy_nats, [batch] each."""
    return {
        "error_rate": (logits.argmax(axis=1) != label).astype(logits.dtype),
        "cross_entropy_nats": optax.softmax_cross_entropy_with_integer_labels(logits, label),
    }


def mlp_networks(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (256, 128),
    latents: int = 32,
    activation: Activation = jax.nn.relu,
    mean: Float[np.ndarray, "H W C"] | None = None,
    reconstruction: Reconstruction = GAUSSIAN,
) -> Networks:
    """An encoder with layers of `hidden` units and its mirror; without hidden units both are linear.

    The encoder subtracts the mean training image and the decoder starts from it.
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
    """Convolutions with `channels` maps, a dense layer, and their mirror; strides by `scaled_strides`."""
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
    """The stride of each layer: 2 while both sides divide and stay at least 4, then 1. 28x28: 2, 2, 1, 1."""
    if layers < 1:
        raise ValueError(f"channels: {layers} layers, must be at least 1")
    strides, sides = [], image_shape[:2]
    for _ in range(layers):
        halves = all(side % 2 == 0 and side // 2 >= SMALLEST_SIDE for side in sides)
        strides.append(2 if halves else 1)
        sides = tuple(side // strides[-1] for side in sides)
    return tuple(strides)


def centred(body: nn.Module, latents: int, mean: Float[np.ndarray, "H W C"] | None) -> CodeEncoder:
    """An encoder that sees images less their mean."""
    return CodeEncoder(body, latents, center=lambda x: x if mean is None else x - mean)


def decoder_bias(mean: Float[np.ndarray, "H W C"] | None, reconstruction: Reconstruction) -> Initializer:
    """What the decoder adds at the start: the mean image where it returns images, its logits where it returns them."""
    return image_bias(mean) if reconstruction is BERNOULLI or mean is None else constant(np.asarray(mean))
