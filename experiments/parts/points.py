"""Metrics and figures of models of points whose true density is known."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.data.points import Mixture, points
from genjax.evaluation import Measure
from genjax.metrics.modes import Divergence, Modes, grid_divergence, mode_coverage
from genjax.models.adversarial.average import with_average
from genjax.pictures.figures import Figures, Movie, Picture
from genjax.pictures.sample_history import SampleHistory, sample_history, with_sample_history
from genjax.runs.experiment import Experiment
from genjax.types import Key, Params, Stats

DRAWN = 10_000
"""Number of samples from which the metrics are computed."""

SHOWN = 2000
"""Number of points in a figure."""

HISTORY_POINTS = 500
"""Number of points in each frame of the movie."""

FRAMES = 50
"""Number of frames of the movie besides the first, which is drawn before training."""

MARGIN = 1.25
"""Limit of the axes and of the grid of the divergence, as a multiple of the largest coordinate of a mean."""

FAIR = 10
"""Divisor of the threshold of coverage: a mode is covered by DRAWN / modes / FAIR or more high-quality samples."""

TRUE_STREAM = 9
"""Number of the random stream of baseline points of the mixture, none of which is in the data set."""

NAMES = ("modes_covered", "high_quality", "jsd_nats")

Points = Float[np.ndarray, "N 2"]


def blank_points(mixture: Mixture, count: int) -> dict[str, np.ndarray]:
    """Return a batch of `count` points at 0, for a model that needs only the number of points."""
    return {"point": np.zeros((count, mixture.means.shape[1]), np.float32)}


def drawn(model: Model, mixture: Mixture, params: Params, stats: Stats, count: int, key: Key) -> Points:
    """Return `count` samples of a model."""
    batch = {name: jnp.asarray(array) for name, array in blank_points(mixture, count).items()}
    return np.asarray(jax.jit(model.generate)(params, stats, batch, key))


def point_experiment(model: Model, mixture: Mixture, data: Dataset, *, average: float, steps: int) -> Experiment:
    """Return the experiment of a GAN of points, with its movie, its metrics and its figures.

    `average` is the decay of the generator's moving average, 0 for none.
    """
    model = with_average(model, decay=average) if average else model
    model = with_sample_history(model, blank_points(mixture, HISTORY_POINTS), frames=FRAMES, steps=steps)
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(model, mixture),
        measure=make_measure(model, mixture),
        facts=facts(mixture),
    )


def make_measure(model: Model, mixture: Mixture) -> Measure:
    """Return the measure of samples: covered modes, fraction near a mode, and Jensen-Shannon divergence in nats."""

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        return numbers(*compare(drawn(model, mixture, params, stats, DRAWN, key), mixture))

    return measure


def compare(samples: Points, mixture: Mixture) -> tuple[Modes, Divergence]:
    """Compare samples with the mixture by the metrics of genjax/metrics/modes.py."""
    least = len(samples) // (FAIR * len(mixture.means))
    modes = mode_coverage(samples, mixture.means, mixture.std, least=least)
    return modes, grid_divergence(samples, mixture.means, mixture.std, limit=reach(mixture))


def numbers(modes: Modes, divergence: Divergence) -> dict[str, float]:
    """Return the metrics by name."""
    return dict(zip(NAMES, (float(modes.covered), modes.high_quality, divergence.nats), strict=True))


def facts(mixture: Mixture) -> dict[str, int | float | str]:
    """Return facts for the result: how metrics are computed, and their values for points of the mixture itself."""
    modes, divergence = compare(points(mixture, DRAWN, stream=TRUE_STREAM), mixture)
    true = {f"true_{name}": value for name, value in numbers(modes, divergence).items()}
    protocols = {"modes_protocol": modes.protocol, "jsd_protocol": divergence.protocol}
    return {"modes": len(mixture.means), **protocols, **true}


def make_figures(model: Model, mixture: Mixture) -> Figures:
    """Return the figures: samples next to points of the mixture, and a movie of samples over training."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Picture]:
        samples = drawn(model, mixture, params, stats, SHOWN, key)
        return {"samples": beside_truth(samples, mixture), "training": movie(sample_history(stats), mixture)}

    return figures


def beside_truth(samples: Points, mixture: Mixture) -> Figure:
    """Return a figure with points of the mixture on the left and as many samples on the right."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    for axes, shown, title in zip(
        figure.subplots(1, 2, sharex=True, sharey=True),
        (points(mixture, len(samples)), samples),
        (f"{mixture.name}: true density", "samples"),
        strict=True,
    ):
        frame(axes, mixture)
        axes.scatter(*shown.T, s=3, linewidths=0, color="tab:blue")
        axes.set_title(title, fontsize=9)
    return figure


def movie(history: SampleHistory, mixture: Mixture) -> Movie:
    """Return a movie of the samples over training, with a circle at each mean of the mixture."""
    figure = Figure(figsize=(4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    frame(axes, mixture)
    axes.scatter(*mixture.means.T, s=60, facecolors="none", edgecolors="0.6")
    dots = axes.scatter(*history.samples[0].T, s=4, linewidths=0, color="tab:blue")

    def draw(number: int) -> None:
        dots.set_offsets(history.samples[number])
        axes.set_title(f"step {history.steps[number]}", fontsize=9)

    return Movie(figure, draw, len(history.steps))


def frame(axes: Axes, mixture: Mixture) -> None:
    """Set the limits of the axes, the same in all figures."""
    axes.set_aspect("equal")
    axes.set_xlim(-reach(mixture), reach(mixture))
    axes.set_ylim(-reach(mixture), reach(mixture))


def reach(mixture: Mixture) -> float:
    """Return the largest coordinate, in absolute value, that figures and histograms include."""
    return MARGIN * float(np.abs(mixture.means).max())
