"""The networks of an adversarial autoencoder (Makhzani et al. 2015), and the codes and images that they give."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import he_normal
from jaxtyping import Array, Float, Int

from genjax.models.priors import Prior
from genjax.networks.heads import Heads
from genjax.networks.mlp import MLP, ImageMLP
from genjax.networks.named import applied, applied_batch
from genjax.types import Key, Params, Stats

Images = Float[Array, "batch H W C"]
Latents = Float[Array, "batch latents"]
Classes = Float[Array, "batch classes"]


class Networks(NamedTuple):
    """What an AAE is made of."""

    encoder: nn.Module
    """(images, train) to {"mean": [batch, latents]}. With "log_sigma" beside it q(z|x) is Gaussian, else deterministic;
    with classes "label" [batch, classes] has the logits of q(y|x)."""
    decoder: nn.Module
    """[batch, latents + classes] to logits of the image."""
    discriminator: nn.Module
    """Codes to a logit [batch, 1]; where the prior has classes, a one-hot of prior.classes + 1 follows the code."""
    latents: int
    classes: int = 0
    """Of y; 0 where there is none."""
    label_discriminator: nn.Module | None = None
    """[batch, classes] to a logit [batch, 1]."""


class Encoding(NamedTuple):
    """q(z|x), and q(y|x) where there are classes."""

    mean: Latents
    log_sigma: Latents | None
    """None where the encoder is deterministic."""
    label_logits: Classes | None

    @property
    def label(self) -> Classes | None:
        """q(y|x), softmax of the logits."""
        return None if self.label_logits is None else jax.nn.softmax(self.label_logits)

    def sample(self, key: Key) -> Latents:
        """Z = mean + sigma noise, or the mean where the encoder is deterministic."""
        if self.log_sigma is None:
            return self.mean
        return self.mean + jnp.exp(self.log_sigma) * jax.random.normal(key, self.mean.shape, self.mean.dtype)


def encode(networks: Networks, params: Params, stats: Stats, images: Images) -> Encoding:
    """The distribution of the code, and of the label."""
    return encoding_of(applied(networks, "encoder", params, stats, images))


def encode_batch(networks: Networks, params: Params, stats: Stats, images: Images) -> tuple[Encoding, Stats]:
    """`encode` as training does it, by the statistics of this batch, and the running statistics after it."""
    outputs, moved = applied_batch(networks, "encoder", params, stats, images)
    return encoding_of(outputs), moved


def encoding_of(outputs: Mapping[str, Array]) -> Encoding:
    """The encoder's outputs by their names."""
    return Encoding(outputs["mean"], outputs.get("log_sigma"), outputs.get("label"))


def joined(z: Latents, label: Classes | None) -> Float[Array, "batch features"]:
    """What the decoder reads: z, and y where there are classes."""
    return z if label is None else jnp.concatenate([z, label], axis=-1)


def decode(networks: Networks, params: Params, z: Latents, label: Classes | None = None) -> Images:
    """The mean of p(x|z, y), in [0, 1]."""
    logits: Any = networks.decoder.apply(params["decoder"], joined(z, label))
    return jax.nn.sigmoid(logits)


def reconstruct(networks: Networks, params: Params, stats: Stats, images: Images) -> Images:
    """The decoder's mean at the mean of q(z|x), with q(y|x)."""
    encoding = encode(networks, params, stats, images)
    return decode(networks, params, encoding.mean, encoding.label)


def init_networks(networks: Networks, prior: Prior, key: Key, images: Images) -> tuple[Params, Stats]:
    """Fresh variables of all networks, and the running statistics of the encoder."""
    encoder_key, decoder_key, discriminator_key, label_key = jax.random.split(key, 4)
    z = jnp.zeros((1, networks.latents), images.dtype)
    label = jnp.zeros((1, networks.classes), images.dtype)
    slots = jnp.zeros(1, jnp.int32) if prior.classes else None
    encoder = networks.encoder.init(encoder_key, images)
    params = {
        "encoder": {"params": encoder["params"]},
        "decoder": networks.decoder.init(decoder_key, joined(z, label)),
        "discriminator": networks.discriminator.init(discriminator_key, with_slot(z, slots, prior.classes)),
    }
    if networks.label_discriminator is not None:
        params["label_discriminator"] = networks.label_discriminator.init(label_key, label)
    return params, {"encoder": {name: part for name, part in encoder.items() if name != "params"}}


def check_networks(networks: Networks, prior: Prior, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError where the networks' outputs do not have the shapes of codes, labels and images."""
    latents, classes = networks.latents, networks.classes
    if (networks.label_discriminator is None) != (classes == 0):
        there = "no" if networks.label_discriminator is None else "a"
        raise ValueError(f"networks: there is {there} label discriminator, classes={classes}")

    def outputs(key: Key) -> tuple[Encoding, Images]:
        images = jnp.zeros((1, *image_shape))
        params, stats = init_networks(networks, prior, key, images)
        z, label = jnp.zeros((1, latents)), jnp.zeros((1, classes)) if classes else None
        return encode(networks, params, stats, images), decode(networks, params, z, label)

    encoding, image = jax.eval_shape(outputs, jax.random.key(0))
    for name, part in (("mean", encoding.mean), ("log_sigma", encoding.log_sigma)):
        if part is not None and part.shape != (1, latents):
            raise ValueError(f"networks: the encoder returns {name} {part.shape[1:]}, latents={latents}")
    width = 0 if encoding.label_logits is None else encoding.label_logits.shape[1]
    if width != classes:
        raise ValueError(f"networks: the encoder returns {width} logits of y, classes={classes}")
    if image.shape != (1, *image_shape):
        raise ValueError(f"networks: the decoder returns images {image.shape[1:]}, image_shape={image_shape}")


def with_slot(z: Latents, slots: Int[Array, " batch"] | None, classes: int) -> Float[Array, "batch features"]:
    """What the discriminator reads: z, and after it a one-hot of classes + 1 where there are slots."""
    return z if slots is None else jnp.concatenate([z, jax.nn.one_hot(slots, classes + 1, dtype=z.dtype)], axis=-1)


def mlp_networks(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (1000, 1000),
    latents: int = 8,
    gaussian: bool = False,
    classes: int = 0,
    normalized: bool = False,
) -> Networks:
    """Layers of `hidden` ReLU units in every network (Makhzani et al. 2015, app. A: two of 1000), and a linear code.

    `gaussian`: q(z|x) is Gaussian, not deterministic. With `classes` there is a label y; `normalized`: its logits go
    through batch normalization, without which most clusters soon stay empty.
    """
    heads = {"mean": latents, "log_sigma": latents if gaussian else 0, "label": classes}
    body = relu_mlp(hidden, activate_final=True)
    return Networks(
        encoder=Heads(
            body,
            tuple((name, width) for name, width in heads.items() if width),
            normalized=("label",) if normalized else (),
        ),
        decoder=ImageMLP(image_shape, tuple(reversed(hidden)), jax.nn.relu, kernel_init=he_normal()),
        discriminator=relu_mlp((*hidden, 1)),
        latents=latents,
        classes=classes,
        label_discriminator=relu_mlp((*hidden, 1)) if classes else None,
    )


def relu_mlp(widths: Sequence[int], *, activate_final: bool = False) -> MLP:
    """Dense layers with ReLU between them."""
    return MLP(tuple(widths), jax.nn.relu, activate_final=activate_final, kernel_init=he_normal())
