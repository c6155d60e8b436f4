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
"""Samples from which the metrics are computed."""

SHOWN = 2000
"""Points in a figure."""

HISTORY_POINTS = 500
"""Points in each frame of the movie."""

FRAMES = 50
"""Frames of the movie after the first, which is drawn before training."""

MARGIN = 1.25
"""Limit of the axes and of the divergence's grid, as a multiple of the largest coordinate of a mean."""

FAIR = 10
"""A mode counts as covered from one FAIR-th of its fair share of good samples on."""

TRUE_STREAM = 9
"""Random stream of the points of the mixture that are measured as a baseline; none of them is in the data set."""

NAMES = ("modes_covered", "high_quality", "jsd_nats")

Points = Float[np.ndarray, "N 2"]


def blank_points(mixture: Mixture, count: int) -> dict[str, np.ndarray]:
    """A batch of `count` points at 0, from which the model needs only their number."""
    return {"point": np.zeros((count, mixture.means.shape[1]), np.float32)}


def drawn(model: Model, mixture: Mixture, params: Params, stats: Stats, count: int, key: Key) -> Points:
    """Draw `count` samples of a model."""
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
    """Return the measure of covered modes, of the fraction of good samples, and of the divergence from the mixture."""

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        return numbers(*compare(drawn(model, mixture, params, stats, DRAWN, key), mixture))

    return measure


def compare(samples: Points, mixture: Mixture) -> tuple[Modes, Divergence]:
    """Compare samples with the mixture by the metrics of genjax/metrics/modes.py."""
    least = len(samples) // (FAIR * len(mixture.means))
    modes = mode_coverage(samples, mixture.means, mixture.std, least=least)
    return modes, grid_divergence(samples, mixture.means, mixture.std, limit=reach(mixture))


def numbers(modes: Modes, divergence: Divergence) -> dict[str, float]:
    """The metrics by name."""
    return dict(zip(NAMES, (float(modes.covered), modes.high_quality, divergence.nats), strict=True))


def facts(mixture: Mixture) -> dict[str, int | float | str]:
    """The protocols of the metrics, and as a baseline the metrics of points of the mixture itself."""
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
    """Points of the mixture on the left, as many samples on the right."""
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


def movie(film: SampleHistory, mixture: Mixture) -> Movie:
    """The samples of each frame, with a circle at each mean of the mixture."""
    figure = Figure(figsize=(4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    frame(axes, mixture)
    axes.scatter(*mixture.means.T, s=60, facecolors="none", edgecolors="0.6")
    dots = axes.scatter(*film.samples[0].T, s=4, linewidths=0, color="tab:blue")

    def draw(number: int) -> None:
        dots.set_offsets(film.samples[number])
        axes.set_title(f"step {film.steps[number]}", fontsize=9)

    return Movie(figure, draw, len(film.steps))


def frame(axes: Axes, mixture: Mixture) -> None:
    """Show the same part of the plane in all figures."""
    axes.set_aspect("equal")
    axes.set_xlim(-reach(mixture), reach(mixture))
    axes.set_ylim(-reach(mixture), reach(mixture))


def reach(mixture: Mixture) -> float:
    """The largest coordinate, in absolute value, that figures and histograms include."""
    return MARGIN * float(np.abs(mixture.means).max())
