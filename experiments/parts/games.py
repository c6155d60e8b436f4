"""What the experiments on adversarial games share: the games, and samples of images with a film of some."""

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
from genjax.data.load import load_dataset
from genjax.losses.adversarial import (
    HINGE,
    LEAST_SQUARES,
    MINIMAX,
    NONSATURATING,
    WASSERSTEIN,
    Game,
    discriminator_loss,
    least_squares_discriminator_loss,
)
from genjax.models.adversarial.average import with_average
from genjax.pictures.drawing import drawn
from genjax.pictures.figures import image_grid
from genjax.pictures.sample_history import sample_history, sample_history_figure, with_sample_history
from genjax.runs.experiment import Run, option
from genjax.types import Key, Params, Stats

GAMES = {game.name: game for game in (MINIMAX, NONSATURATING, LEAST_SQUARES, WASSERSTEIN, HINGE)}
GameName = Literal["minimax", "nonsaturating", "least-squares", "wasserstein", "hinge"]

TARGETED = {
    "minimax": discriminator_loss,
    "nonsaturating": discriminator_loss,
    "least-squares": least_squares_discriminator_loss,
}
"""The losses of discriminators that have a target for each kind of example."""

KINDS: dict[str, str] = dict.fromkeys(("real_logit", "fake_logit", "discriminator_loss", "generator_loss"), "estimate")

ROWS = 8
"""Of a grid of samples, and of a film of images, but the first."""

COLUMNS = 12
"""Images in a row of the film."""


def game_of(name: GameName, smoothing: float) -> Game:
    """The game of this name; with `smoothing` above 0 the discriminator's target for real examples is so much below 1.

    One-sided label smoothing (Salimans et al. 2016, sec. 3.4). Raises ValueError where the game has no targets.
    """
    game = GAMES[name]
    if not smoothing:
        return game
    if name not in TARGETED:
        raise ValueError(f"--smoothing {smoothing}: --loss {name} has no targets that could be smoothed")
    return game._replace(discriminator=functools.partial(TARGETED[name], real_target=1 - smoothing))


def check_shares(**options: float) -> None:
    """Raise ValueError where an option is not at least 0 and below 1."""
    for name, value in options.items():
        if not 0 <= value < 1:
            raise ValueError(f"{option(name)} {value} must be at least 0 and below 1")


def check_finite(**options: float) -> None:
    """Raise ValueError where an option is not a finite number from 0 on."""
    for name, value in options.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{option(name)} {value} must be at least 0 and finite")


def load_images(run: Run) -> Dataset:
    """The images of a run."""
    return load_dataset(run.dataset, data_dir=run.data_dir, binarization=run.binarization)


def adam(learning_rate: float) -> optax.GradientTransformation:
    """Adam with b1 0.5: a player's gradient is soon out of date (Radford et al. 2016)."""
    return optax.adam(learning_rate, b1=0.5)


def empty_batch(data: Dataset) -> Mapping[str, np.ndarray]:
    """What a film has images of, where nothing says what is in them."""
    return {"image": np.zeros((COLUMNS, *data.image_shape), np.float32)}


def with_extras(model: Model, batch: Mapping[str, np.ndarray | jax.Array], *, average: float, steps: int) -> Model:
    """The model with an average of its generator, where `average` is not 0, and a film of what it makes of `batch`."""
    model = with_average(model, decay=average) if average else model
    return with_sample_history(model, batch, frames=ROWS, steps=steps)


def sample_figures(model: Model, data: Dataset, params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
    """Samples, and how some came to be over training."""
    samples = drawn(model, data, params, stats, ROWS**2, key)
    return {"samples": image_grid(samples, columns=ROWS, title="samples"), "training": sample_history_figure(sample_history(stats))}
