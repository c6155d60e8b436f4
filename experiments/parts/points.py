"""What a model of points is measured by and drawn as, where their density is known."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.parts.games import KINDS
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
"""Points that the metrics are of."""

SHOWN = 2000
"""Points in a picture."""

FILMED = 500
"""Points in each frame of a movie."""

FRAMES = 50
"""Of a movie, but the first."""

MARGIN = 1.25
"""How far pictures and the divergence's grid reach, in the greatest coordinate of a mean."""

FAIR = 10
"""A mode is covered by a tenth of its share of good samples."""

TRUE_STREAM = 9
"""Of the points that are as many as the samples, none of them in the data set."""

NAMES = ("modes_covered", "high_quality", "jsd_nats")

Points = Float[np.ndarray, "N 2"]


def like(mixture: Mixture, count: int) -> dict[str, np.ndarray]:
    """A batch of `count` points."""
    return {"point": np.zeros((count, mixture.means.shape[1]), np.float32)}


def drawn(model: Model, mixture: Mixture, params: Params, stats: Stats, count: int, key: Key) -> Points:
    """Samples of a model."""
    batch = {name: jnp.asarray(array) for name, array in like(mixture, count).items()}
    return np.asarray(jax.jit(model.generate)(params, stats, batch, key))


def point_experiment(model: Model, mixture: Mixture, data: Dataset, *, average: float, steps: int) -> Experiment:
    """A GAN of points with its movie, its metrics and its pictures; `average` as in `with_extras` of games.py."""
    model = with_average(model, decay=average) if average else model
    filming = with_sample_history(model, like(mixture, FILMED), frames=FRAMES, steps=steps)
    return Experiment(
        model=filming,
        data=data,
        kinds={**KINDS, **dict.fromkeys(NAMES, "estimate")},
        figures=make_figures(filming, mixture),
        measure=make_measure(filming, mixture),
        facts=facts(mixture),
    )


def make_measure(model: Model, mixture: Mixture) -> Measure:
    """The modes covered, the share of good samples, and the divergence from the mixture."""

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        return numbers(*compare(drawn(model, mixture, params, stats, DRAWN, key), mixture))

    return measure


def compare(samples: Points, mixture: Mixture) -> tuple[Modes, Divergence]:
    """What genjax/metrics/modes.py says of samples."""
    least = len(samples) // (FAIR * len(mixture.means))
    modes = mode_coverage(samples, mixture.means, mixture.std, least=least)
    return modes, grid_divergence(samples, mixture.means, mixture.std, limit=reach(mixture))


def numbers(modes: Modes, divergence: Divergence) -> dict[str, float]:
    """The metrics by their names."""
    return dict(zip(NAMES, (float(modes.covered), modes.high_quality, divergence.nats), strict=True))


def facts(mixture: Mixture) -> dict[str, int | float | str]:
    """How the metrics are measured, and what points of the mixture itself would have."""
    modes, divergence = compare(points(mixture, DRAWN, stream=TRUE_STREAM), mixture)
    true = {f"true_{name}": value for name, value in numbers(modes, divergence).items()}
    protocols = {"modes_protocol": modes.protocol, "jsd_protocol": divergence.protocol}
    return {"modes": len(mixture.means), **protocols, **true}


def make_figures(model: Model, mixture: Mixture) -> Figures:
    """Samples beside the truth, and how they came to be over training."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Picture]:
        samples = drawn(model, mixture, params, stats, SHOWN, key)
        return {"samples": beside_truth(samples, mixture), "training": movie(sample_history(stats), mixture)}

    return figures


def beside_truth(samples: Points, mixture: Mixture) -> Figure:
    """Samples to the right of as many points of the mixture."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    for axes, shown, title in zip(
        figure.subplots(1, 2, sharex=True, sharey=True),
        (points(mixture, len(samples)), samples),
        (f"{mixture.name}: the truth", "samples"),
        strict=True,
    ):
        frame(axes, mixture)
        axes.scatter(*shown.T, s=3, linewidths=0, color="tab:blue")
        axes.set_title(title, fontsize=9)
    return figure


def movie(film: SampleHistory, mixture: Mixture) -> Movie:
    """The samples of each frame over the means of the mixture."""
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
    """The same part of the plane in all pictures."""
    axes.set_aspect("equal")
    axes.set_xlim(-reach(mixture), reach(mixture))
    axes.set_ylim(-reach(mixture), reach(mixture))


def reach(mixture: Mixture) -> float:
    """How far from 0 a coordinate may lie to be seen."""
    return MARGIN * float(np.abs(mixture.means).max())
