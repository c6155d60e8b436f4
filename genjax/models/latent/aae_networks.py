"""Networks of an adversarial autoencoder (Makhzani et al. 2015), and the codes and images that they return."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import he_normal
from jaxtyping import Array, Float, Int

from genjax.models.priors import Prior
from genjax.networks.bound import bind, check_outputs, output_shapes
from genjax.networks.heads import Heads
from genjax.networks.mlp import MLP, ImageMLP
from genjax.types import Key, Params, Stats

Images = Float[Array, "batch H W C"]
Latents = Float[Array, "batch latents"]
Classes = Float[Array, "batch classes"]


class Networks(NamedTuple):
    """Networks of an AAE; `params` holds their parameters under the same names."""

    encoder: nn.Module
    """Encoder from (images, train) to {"mean": [batch, latents]}. With "log_sigma" as well q(z|x) is Gaussian, else
    deterministic; with classes, "label" [batch, classes] holds the logits of q(y|x)."""
    decoder: nn.Module
    """Decoder from z, followed by y, [batch, latents + classes] to logits of the image [batch, H, W, C]."""
    discriminator: nn.Module
    """Discriminator D from codes to a logit [batch, 1]; if the prior has classes, a one-hot vector of length
    prior.classes + 1 follows the code."""
    latents: int
    """Dimension of z."""
    classes: int = 0
    """Number of classes of y; 0 if there is no y."""
    label_discriminator: nn.Module | None = None
    """Discriminator D_y from y [batch, classes] to a logit [batch, 1]."""


class Encoding(NamedTuple):
    """Distributions q(z|x) and, if there are classes, q(y|x)."""

    mean: Latents
    """Mean of q(z|x)."""
    log_sigma: Latents | None
    """Log standard deviation of q(z|x); None if the encoder is deterministic."""
    label_logits: Classes | None
    """Logits of q(y|x); None if there are no classes."""

    @property
    def label(self) -> Classes | None:
        """Probabilities q(y|x); None if there are no classes."""
        return None if self.label_logits is None else jax.nn.softmax(self.label_logits)

    def sample(self, key: Key) -> Latents:
        """Draw z = mean + sigma noise ~ q(z|x), which is the mean if the encoder is deterministic."""
        if self.log_sigma is None:
            return self.mean
        return self.mean + jnp.exp(self.log_sigma) * jax.random.normal(key, self.mean.shape, self.mean.dtype)


def encoding_of(outputs: Mapping[str, Array]) -> Encoding:
    """Return the encoder's outputs as an `Encoding`."""
    return Encoding(outputs["mean"], outputs.get("log_sigma"), outputs.get("label"))


def encode(networks: Networks, params: Params, stats: Stats, images: Images) -> Encoding:
    """Return q(z|x) and q(y|x), computed with the running statistics of the encoder."""
    return encoding_of(bind(networks, params, stats).encoder(images))


def decode(networks: Networks, params: Params, z: Latents, label: Classes | None = None) -> Images:
    """Return the mean of p(x|z, y), in [0, 1]."""
    return decoded(bind(networks, params, {}), z, label)


def decoded(bound: Networks, z: Latents, label: Classes | None) -> Images:
    """Return the mean of p(x|z, y), as `decode` does, from networks that are bound to their variables."""
    return jax.nn.sigmoid(bound.decoder(joined(z, label)))


def joined(z: Latents, label: Classes | None) -> Float[Array, "batch features"]:
    """Return the input of the decoder: z, followed by y if there are classes."""
    return z if label is None else jnp.concatenate([z, label], axis=-1)


def with_slot(z: Latents, slots: Int[Array, " batch"] | None, classes: int) -> Float[Array, "batch features"]:
    """Return the discriminator's input: z, followed by a one-hot vector of length classes + 1 if there are slots."""
    return z if slots is None else jnp.concatenate([z, jax.nn.one_hot(slots, classes + 1, dtype=z.dtype)], axis=-1)


def reconstruct(networks: Networks, params: Params, stats: Stats, images: Images) -> Images:
    """Return the decoder's mean at the mean of q(z|x) and at q(y|x)."""
    encoding = encode(networks, params, stats, images)
    return decode(networks, params, encoding.mean, encoding.label)


def example_inputs(networks: Networks, prior: Prior, images: Images) -> dict[str, tuple[Array, ...]]:
    """Return example inputs of each network."""
    z, label = (jnp.zeros((1, width), images.dtype) for width in (networks.latents, networks.classes))
    slots = jnp.zeros(1, jnp.int32) if prior.classes else None
    inputs = {
        "encoder": (images,),
        "decoder": (joined(z, label),),
        "discriminator": (with_slot(z, slots, prior.classes),),
    }
    return {**inputs, "label_discriminator": (label,)} if networks.classes else inputs


def check_networks(networks: Networks, prior: Prior, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError if the networks' outputs do not have the shapes of codes, labels, logits and images."""
    latents, classes = networks.latents, networks.classes
    if (networks.label_discriminator is None) != (classes == 0):
        there = "no" if networks.label_discriminator is None else "a"
        raise ValueError(f"networks: there is {there} label discriminator, classes={classes}")
    inputs = example_inputs(networks, prior, jnp.zeros((1, *image_shape)))
    heads = output_shapes(networks, encoder=inputs["encoder"])["encoder"]
    expected = {name: (1, latents) for name in ("mean", "log_sigma") if name == "mean" or name in heads}
    if classes or "label" in heads:
        expected["label"] = (1, classes)
    logits = {name: (1, 1) for name in inputs if name.endswith("discriminator")}
    check_outputs(networks, inputs, {"encoder": expected, "decoder": (1, *image_shape), **logits})


def mlp_networks(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (1000, 1000),
    latents: int = 8,
    gaussian: bool = False,
    classes: int = 0,
    normalized: bool = False,
) -> Networks:
    """Return dense networks with layers of `hidden` ReLU units (Makhzani et al. 2015, app. A) and a linear code.

    The paper has two layers of 1000 units. `gaussian` makes q(z|x) Gaussian instead of deterministic. With `classes`
    there is a label y; `normalized` adds batch normalization of its logits, without which most clusters soon stay
    empty.
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
    """Return dense layers of these widths with ReLU between them."""
    return MLP(tuple(widths), jax.nn.relu, activate_final=activate_final, kernel_init=he_normal())
