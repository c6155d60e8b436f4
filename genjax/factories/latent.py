"""Factories of models with a latent code: autoencoder, VAE and adversarial autoencoder.

Each returns a `Model` for `genjax.train`. To choose networks, losses and optimizers yourself, call the function of the
same name in genjax/models/latent.
"""

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
import optax

from genjax.core import Input, Model
from genjax.factories.wrap import ImageShape, Mean, Rate, adversarial_adam, fitted, on_batches, unchanged
from genjax.losses.bound import elbo, iwae_bound
from genjax.models import priors
from genjax.models.latent import aae as aae_model
from genjax.models.latent import aae_networks, vae_networks
from genjax.models.latent import autoencoder as autoencoder_model
from genjax.models.latent import vae as vae_model
from genjax.precision import Precision
from genjax.types import Batch, Key


def autoencoder(
    image_shape: ImageShape,
    *,
    network: Literal["mlp", "conv"] = "conv",
    hidden: Sequence[int] = (256, 128),
    channels: Sequence[int] = (32, 64, 128, 256),
    latents: int = 32,
    mean: Mean = None,
    learning_rate: Rate = 1e-3,
    precision: Precision = "float32",
) -> Model:
    """Return an autoencoder that minimizes the squared error (Hinton & Salakhutdinov 2006).

    `genjax.sample(model, state, image=images)` gives reconstructions: an autoencoder draws no images.

    Args:
        image_shape: Height, width and channels.
        network: Architecture: "conv" for convolutions with one dense layer, "mlp" for dense layers.
        hidden: Widths of the encoder's dense layers; the decoder mirrors them ("mlp").
        channels: Channels of the encoder's convolutions; the decoder mirrors them ("conv").
        latents: Number of dimensions of the code.
        mean: Mean training image (`data.mean`): the encoder subtracts it, and the decoder's output starts from it.
        learning_rate: Learning rate of Adam.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    if network == "conv":
        networks = autoencoder_model.conv_networks(image_shape, channels=channels, latents=latents, mean=mean)
    else:
        networks = autoencoder_model.mlp_networks(image_shape, hidden=hidden, latents=latents, mean=mean)
    model = autoencoder_model.autoencoder(image_shape, networks, optimizer=optax.adam(learning_rate))
    return fitted(model, image_shape, precision=precision)


def vae(
    image_shape: ImageShape,
    *,
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian",
    network: Literal["mlp", "conv"] = "mlp",
    hidden: Sequence[int] = (200, 200),
    channels: Sequence[int] = (32, 64),
    latents: int = 50,
    bound: Literal["elbo", "iwae"] = "elbo",
    samples: int = 1,
    beta: float = 1.0,
    evaluation_samples: int = 500,
    mean: Mean = None,
    learning_rate: Rate = 1e-3,
    precision: Precision = "float32",
) -> Model:
    """Return a VAE (Kingma & Welling 2014), or an IWAE, with the networks of Burda et al. (2016).

    Args:
        image_shape: Height, width and channels.
        likelihood: Distribution of the pixels given the code. "gaussian", with one learned variance, is a density of
            grey and colour values, so that nats may be positive and compare with densities of the same values only.
            "bernoulli" is a probability of binary pixels, such as `dataset(..., binarization="dynamic")` has.
        network: Architecture: "mlp" for dense layers, "conv" for convolutions of stride 2 with one dense layer.
        hidden: Widths of the encoder's tanh layers; the decoder mirrors them ("mlp").
        channels: Channels of the encoder's convolutions; the decoder mirrors them ("conv").
        latents: Number of dimensions of the code.
        bound: Objective to maximize: the evidence lower bound, or the importance weighted bound.
        samples: Number of samples of the code per image and training step.
        beta: Weight, in training, of the KL divergence of the code from its prior.
        evaluation_samples: Number of samples of the code per image in `evaluate`.
        mean: Mean training image (`data.mean`): the encoder subtracts it, and the decoder's output starts from it.
        learning_rate: Learning rate of Adam, whose epsilon is 1e-4.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    gaussian = likelihood == "gaussian"
    if network == "mlp":
        networks = vae_networks.mlp_networks(image_shape, hidden=hidden, latents=latents, mean=mean, gaussian=gaussian)
    else:
        networks = vae_networks.conv_networks(
            image_shape, channels=channels, latents=latents, mean=mean, gaussian=gaussian
        )
    model = vae_model.vae(
        image_shape,
        networks,
        optimizer=optax.adam(learning_rate, eps=1e-4),
        bound=iwae_bound if bound == "iwae" else elbo,
        samples=samples,
        evaluation_samples=evaluation_samples,
        beta=beta,
    )
    return fitted(model, image_shape, "unit" if gaussian else "binary", precision=precision)


def aae(
    image_shape: ImageShape,
    *,
    hidden: Sequence[int] = (1000, 1000),
    latents: int = 8,
    std: float = 5.0,
    prior: priors.Prior | None = None,
    classes: int = 0,
    learning_rate: Rate = 1e-3,
    discriminator_learning_rate: Rate = 5e-4,
    regularization_learning_rate: Rate = 5e-4,
    precision: Precision = "float32",
) -> Model:
    """Return an adversarial autoencoder (Makhzani et al. 2015).

    Args:
        image_shape: Height, width and channels.
        hidden: Widths of the layers of the encoder and the discriminator; the decoder mirrors them.
        latents: Number of dimensions of the code.
        std: Standard deviation of the Gaussian prior of the code.
        prior: Prior of the code instead of the Gaussian (genjax/models/priors.py); it must have no classes.
        classes: Number of classes, which the encoder predicts in addition to the code, from all labels; 0 for none.
        learning_rate: Learning rate of the Adam optimizers of reconstruction and classification.
        discriminator_learning_rate: Learning rate of the discriminator's Adam optimizer.
        regularization_learning_rate: Learning rate of the encoder's Adam optimizer for its adversarial loss.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    distribution = priors.gaussian(latents, std=std) if prior is None else prior
    if distribution.classes:
        raise ValueError("prior: has classes; take genjax.models.latent.aae, whose batches say which labels are used")
    optimizers = aae_model.Optimizers(
        reconstruction=optax.adam(learning_rate),
        discriminator=adversarial_adam(discriminator_learning_rate),
        regularization=adversarial_adam(regularization_learning_rate),
        semi_supervised=optax.adam(learning_rate),
    )
    networks = aae_networks.mlp_networks(image_shape, hidden=hidden, latents=latents, classes=classes)
    model = aae_model.aae(image_shape, networks, distribution, optimizers=optimizers, semi_supervised=classes > 0)
    if not classes:
        return fitted(model, image_shape, precision=precision)
    labels = Input((), f"classes-{classes}")
    return fitted(on_batches(model, all_labelled, unchanged), image_shape, label=labels, precision=precision)


def all_labelled(batch: Batch, key: Key) -> Batch:
    """Return the batch with `labelled` true for every example, so that all labels are used."""
    del key
    return {**batch, "labelled": jnp.ones(len(batch["image"]), bool)}
