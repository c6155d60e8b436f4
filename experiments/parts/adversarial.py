"""Parts that several adversarial experiments share: losses by name, checks, optimizers, and figures of samples."""

import functools
import math
from collections.abc import Mapping
from typing import Literal

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.losses.adversarial import (
    HINGE,
    LEAST_SQUARES,
    MINIMAX,
    NONSATURATING,
    WASSERSTEIN,
    AdversarialLoss,
    discriminator_loss,
    least_squares_discriminator_loss,
)
from genjax.models.adversarial.average import with_average
from genjax.pictures.drawing import drawn
from genjax.pictures.figures import image_grid
from genjax.pictures.sample_history import sample_history, sample_history_figure, with_sample_history
from genjax.runs.options import option
from genjax.types import Key, Params, Stats

LossName = Literal["minimax", "nonsaturating", "least-squares", "wasserstein", "hinge"]

LOSSES = {loss.name: loss for loss in (MINIMAX, NONSATURATING, LEAST_SQUARES, WASSERSTEIN, HINGE)}

WITH_TARGETS = {
    "minimax": discriminator_loss,
    "nonsaturating": discriminator_loss,
    "least-squares": least_squares_discriminator_loss,
}
"""Discriminator losses, by name, whose targets for real and for generated examples can be smoothed."""

ROWS = 8
"""Number of rows of a grid of samples, and of rows of the sample history besides the row drawn before training."""

COLUMNS = 12
"""Number of images in a row of the sample history."""


def adversarial_loss(name: LossName, smoothing: float) -> AdversarialLoss:
    """Return the losses of both networks by name, with one-sided label smoothing (Salimans et al. 2016, sec. 3.4).

    The discriminator's target for real examples is 1 - `smoothing`. Raises ValueError where `smoothing` is above 0 and
    the loss has no targets.
    """
    loss = LOSSES[name]
    if not smoothing:
        return loss
    if name not in WITH_TARGETS:
        raise ValueError(f"--smoothing {smoothing}: --loss {name} has no targets that could be smoothed")
    return loss._replace(discriminator=functools.partial(WITH_TARGETS[name], real_target=1 - smoothing))


def check_fractions(**options: float) -> None:
    """Raise ValueError where an option is not at least 0 and below 1."""
    for name, value in options.items():
        if not 0 <= value < 1:
            raise ValueError(f"{option(name)} {value} must be at least 0 and below 1")


def check_not_negative(**options: float) -> None:
    """Raise ValueError where an option is negative or not finite."""
    for name, value in options.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{option(name)} {value} must be at least 0 and finite")


def adam(learning_rate: float) -> optax.GradientTransformation:
    """Return Adam with b1 = 0.5, since gradients of an adversarial loss are soon out of date (Radford et al. 2016)."""
    return optax.adam(learning_rate, b1=0.5)


def blank_images(data: Dataset) -> Mapping[str, np.ndarray]:
    """Return a batch of blank images, for the sample history of a model that needs only the number of images."""
    return {"image": np.zeros((COLUMNS, *data.image_shape), np.float32)}


def with_average_and_history(
    model: Model, batch: Mapping[str, np.ndarray | jax.Array], *, average: float, steps: int
) -> Model:
    """Return the model with a moving average of its generator and a sample history over `steps` of training.

    `average` is the decay of the moving average, 0 for none; the history holds outputs of `model.generate` on `batch`.
    """
    model = with_average(model, decay=average) if average else model
    return with_sample_history(model, batch, frames=ROWS, steps=steps)


def sample_figures(model: Model, data: Dataset, params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
    """Return a grid of samples and the sample history, samples of the same noise at several steps of training."""
    samples = drawn(model, data, params, stats, ROWS**2, key)
    return {
        "samples": image_grid(samples, columns=ROWS, title="samples"),
        "training": sample_history_figure(sample_history(stats)),
    }
