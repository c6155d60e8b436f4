"""Factories of the adversarial models that draw images of one size: GAN, DCGAN, InfoGAN, text to image.

Each returns a `Model` for `genjax.train`. To choose networks, adversarial losses, penalties and optimizers yourself,
call the function of the same name in genjax/models/adversarial.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import optax
from jax.nn.initializers import constant, zeros

from genjax.capabilities import Captioner
from genjax.core import Input, Model
from genjax.data.captions import Vocabulary, encode
from genjax.factories.wrap import (
    ImageShape,
    Mean,
    Rate,
    adversarial_adam,
    averaged,
    fitted,
    on_batches,
    unchanged,
)
from genjax.models.adversarial import dcgan as dcgan_model
from genjax.models.adversarial import gan as gan_model
from genjax.models.adversarial import infogan as infogan_model
from genjax.models.adversarial import text_to_image as text_to_image_model
from genjax.models.adversarial import text_to_image_networks
from genjax.models.adversarial.gan import Optimizers
from genjax.models.priors import uniform
from genjax.precision import Precision
from genjax.types import Batch, Key

MARGINAL = 0.01
"""Margin from 0 and 1 to which mean pixel values are clipped before the GAN's generator starts from their logits."""

STEPS_PER_EPOCH = 500
"""Steps per epoch, 50 000 images in batches of 100; the authors' momentum schedule counts in epochs."""


def gan(
    image_shape: ImageShape,
    *,
    latents: int = 100,
    hidden: Sequence[int] = (1200, 1200),
    maxout: Sequence[int] = (240, 240),
    pieces: int = 5,
    mean: Mean = None,
    average: float = 0.0,
    optimizers: Optimizers | None = None,
    precision: Precision = "float32",
) -> Model:
    """Return a GAN with the networks of Goodfellow et al. (2014) for MNIST.

    Args:
        image_shape: Height, width and channels.
        latents: Number of dimensions of the noise.
        hidden: Widths of the generator's layers.
        maxout: Widths of the discriminator's layers.
        pieces: Number of linear functions per maxout unit.
        mean: Mean training image (`data.mean`), whose logits initialize the generator's output biases.
        average: Decay of the running average of the generator's weights, which draws the samples; 0 for no average.
        optimizers: Optimizers of both networks; by default the authors' gradient descent with momentum. Adam with b1
            0.5 and learning rates of 2e-4 needs fewer steps.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    networks = gan_model.image_networks(
        image_shape,
        hidden=hidden,
        maxout=maxout,
        pieces=pieces,
        prior=uniform(latents, limit=3**0.5),
        bias_init=zeros if mean is None else constant(marginal_logits(mean)),
    )
    chosen = Optimizers(discriminator=momentum(0.05), generator=momentum(0.1)) if optimizers is None else optimizers
    model = gan_model.gan(image_shape, networks, optimizers=chosen)
    return fitted(averaged(model, average), image_shape, precision=precision)


def marginal_logits(mean: np.ndarray) -> np.ndarray:
    """Return the logits of a mean image whose values are clipped to [0.01, 0.99]."""
    inside = np.clip(mean, MARGINAL, 1 - MARGINAL)
    return np.log(inside) - np.log1p(-inside)


def momentum(learning_rate: float) -> optax.GradientTransformation:
    """Return the authors' gradient descent, whose rate falls by a factor 1.000004 per step down to 1e-6.

    The momentum rises linearly from 0.5 to 0.7 over 250 epochs.
    """
    return optax.inject_hyperparams(optax.sgd)(
        learning_rate=lambda count: jnp.maximum(learning_rate / 1.000004**count, 1e-6),
        momentum=optax.linear_schedule(0.5, 0.7, 250 * STEPS_PER_EPOCH),
    )


def dcgan(
    image_shape: ImageShape,
    *,
    latents: int = 100,
    filters: int = 128,
    average: float = 0.0,
    learning_rate: Rate = 2e-4,
    discriminator_learning_rate: Rate = 2e-4,
    precision: Precision = "float32",
) -> Model:
    """Return a deep convolutional GAN (Radford, Metz & Chintala 2016).

    Args:
        image_shape: Height, width and channels; height and width are 4, 5, 6 or 7 times a power of 2, and at least 8.
        latents: Number of dimensions of the noise.
        filters: Channels of the discriminator's first convolution; each next convolution has twice as many.
        average: Decay of the running average of the generator's weights, which draws the samples; 0 for no average.
        learning_rate: Learning rate of the generator's Adam optimizer.
        discriminator_learning_rate: Learning rate of the discriminator's Adam optimizer.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    optimizers = Optimizers(
        discriminator=adversarial_adam(discriminator_learning_rate), generator=adversarial_adam(learning_rate)
    )
    model = dcgan_model.dcgan(image_shape, optimizers=optimizers, filters=filters, latents=latents)
    return fitted(averaged(model, average), image_shape, precision=precision)


def infogan(
    image_shape: ImageShape,
    *,
    noise: int = 62,
    categories: int = 10,
    continuous: int = 2,
    channels: tuple[int, int] = (64, 128),
    hidden: int = 1024,
    recognition_hidden: int = 128,
    information: float = 1.0,
    continuous_information: float = 0.03,
    average: float = 0.0,
    learning_rate: Rate = 1e-3,
    discriminator_learning_rate: Rate = 2e-4,
    precision: Precision = "float32",
) -> Model:
    """Return an InfoGAN with the paper's networks for MNIST (Chen et al. 2016).

    `genjax.sample(model, state, labels=...)` draws images whose codes have these categories.

    Args:
        image_shape: Height, width and channels; height and width are multiples of 4.
        noise: Dimensions of the noise.
        categories: Number of categories of the code.
        continuous: Number of continuous codes.
        channels: Channels of the discriminator's convolutions; the generator mirrors them.
        hidden: Width of the dense layers of generator and discriminator.
        recognition_hidden: Width of the recognition network's own layer.
        information: Weight of the mutual information with the category.
        continuous_information: Weight of the mutual information with the continuous codes.
        average: Decay of the running average of the generator's weights, which draws the samples; 0 for no average.
        learning_rate: Learning rate of the generator's Adam optimizer.
        discriminator_learning_rate: Learning rate of the Adam optimizer of discriminator and recognition network.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    networks = infogan_model.conv_networks(
        image_shape,
        sizes=infogan_model.Sizes(noise, categories, continuous),
        channels=channels,
        hidden=hidden,
        recognition_hidden=recognition_hidden,
    )
    model = infogan_model.infogan(
        image_shape,
        networks,
        optimizers=infogan_model.Optimizers(
            discriminator=adversarial_adam(discriminator_learning_rate), generator=adversarial_adam(learning_rate)
        ),
        information=information,
        continuous_information=continuous_information,
    )
    model = fitted(on_batches(averaged(model, average), unchanged, with_code), image_shape, precision=precision)
    return model._replace(conditions={"label": Input((), f"classes-{categories}")})


def with_code(batch: Batch, key: Key) -> Batch:
    """Return the batch with its labels, if it has any, copied to `code`, the categories to generate."""
    del key
    return {**batch, "code": batch["label"]} if "label" in batch else batch


def text_to_image(
    image_shape: ImageShape,
    words: Vocabulary,
    *,
    filters: int = 64,
    features: int = 1024,
    text_features: int = 128,
    latents: int = 100,
    hidden: int = 512,
    matching_steps: int = 2000,
    interpolation: float = 1.0,
    average: float = 0.0,
    matching_learning_rate: Rate = 1e-3,
    learning_rate: Rate = 2e-4,
    precision: Precision = "float32",
) -> Model:
    """Return GAN-INT-CLS, which draws images of captions (Reed et al. 2016); its text encoder is trained first.

    `genjax.sample(model, state, captions=["a red seven", ...])` draws an image for each caption.

    Args:
        image_shape: Height, width and channels; height and width are 4, 5, 6 or 7 times a power of 2, and at least 8.
        words: Words of the captions (`data.words`).
        filters: Channels of the discriminator's first convolution; each next convolution has twice as many.
        features: Number of dimensions of the embedding of captions and images.
        text_features: Number of dimensions to which generator and discriminator project a caption's embedding.
        latents: Number of dimensions of the noise.
        hidden: Units of the text encoder's GRU.
        matching_steps: Number of steps that train text and image encoder, before the adversarial training begins.
        interpolation: Weight of the losses on texts interpolated between two captions; 0 for no interpolation.
        average: Decay of the running average of the generator's weights, which draws the samples; 0 for no average.
        matching_learning_rate: Learning rate of the encoders' Adam optimizer.
        learning_rate: Learning rate of the Adam optimizers of generator, discriminator and style encoder.
        precision: Type of the computation: "float32", "bfloat16" for products of rounded numbers, or "float64".
    """
    networks = text_to_image_networks.conv_networks(
        image_shape,
        words.size,
        filters=filters,
        features=features,
        text_features=text_features,
        latents=latents,
        hidden=hidden,
    )
    adversarial = [adversarial_adam(learning_rate) for _ in range(3)]
    model = text_to_image_model.text_to_image(
        image_shape,
        networks,
        optimizers=text_to_image_model.Optimizers(optax.adam(matching_learning_rate), *adversarial),
        matching_steps=matching_steps,
        interpolation=interpolation,
    )
    captions = Input((words.length,), f"classes-{words.size}")
    captioner = Captioner(lambda text: encode([text], words)[0])
    model = fitted(averaged(model, average), image_shape, caption=captions, precision=precision)
    return model._replace(capabilities=(captioner,))
