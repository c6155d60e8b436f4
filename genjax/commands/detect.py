"""Detect out-of-distribution images by their likelihood: python -m genjax detect RUN.

The score of an image is log p(x) (for a latent variable model its bound), or log p(x) - log p_background(x) where a
second run is given: the likelihood ratio of Ren et al. (2019), which removes what any simple model of the same data
explains, such as the fraction of ink. The background can be a run of `experiments.tabular --contexts independent`.

    python -m genjax detect RUN --against OTHER --background BACKGROUND_RUN

The test images are compared with corruptions of themselves and, with --against, with the test images of other data. The
AUROC is the probability that a test image scores above an image of another kind: 0.5 is chance, and below 0.5 the other
images are *more* likely, as flat images are under every model of natural images.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from genjax.data.dataset import Dataset, Split
from genjax.evaluation import EVALUATION_BATCH, evaluate_split, evaluation_key, make_evaluate_seeds
from genjax.mesh import mesh_of
from genjax.metrics.detection import auroc
from genjax.pictures.figures import first_test_batch
from genjax.runs.config import build, with_option
from genjax.runs.directory import RunError, write_json
from genjax.runs.experiment import Experiment
from genjax.runs.report import mean_and_deviation, summary
from genjax.runs.restore import Restored, restore_run
from genjax.types import Batch, Evaluate, Key, Metrics, Params, Stats

SIGNS = {"nll_nats": -1, "elbo_nats": 1}
"""Metrics that give an image's likelihood, and the sign by which each is multiplied to get log p."""

Scores = Float[np.ndarray, "seeds examples"]


def noisy(image: Array, key: Key) -> Array:
    """Return the images with one element in ten taken from the image before it in the batch."""
    return jnp.where(jax.random.bernoulli(key, 0.1, image.shape), jnp.roll(image, 1, axis=0), image)


CORRUPTIONS: Mapping[str, Callable[[Array, Key], Array]] = {
    "noise": noisy,
    "inverted": lambda image, key: 1 - image,
    "upside down": lambda image, key: image[:, ::-1],
    "halves swapped": lambda image, key: jnp.roll(image, image.shape[1] // 2, axis=1),
    "flat": lambda image, key: image.mean(axis=(1, 2), keepdims=True) * jnp.ones_like(image),
}
"""Corruptions by name: functions of images [B, H, W, C] in [0, 1], whose results are rounded to the data's levels."""


def corrupted(data: Dataset, corrupt: Callable[[Array, Key], Array]) -> Dataset:
    """Return the data with `corrupt` applied to every batch; dequantized images keep their noise within a level."""
    kind, _, number = data.protocol.partition("-")
    levels = {"real": None, "levels": int(number or 2), "dequantized": int(number or 2)}.get(kind, 2)

    def load(raw: Mapping[str, Array], key: Key) -> Batch:
        load_key, corrupt_key = jax.random.split(key)
        batch = data.load(raw, load_key)
        image = batch["image"]
        if levels is None:
            return {**batch, "image": corrupt(image, corrupt_key)}
        if kind != "dequantized":
            return {**batch, "image": jnp.round(corrupt(image, corrupt_key) * (levels - 1)) / (levels - 1)}
        level = jnp.clip(jnp.floor(image * levels), 0, levels - 1)
        other = jnp.round(corrupt(level / (levels - 1), corrupt_key) * (levels - 1))
        return {**batch, "image": (other + image * levels - level) / levels}

    return data._replace(load=load)


def make_log_probs(run: Restored) -> Callable[[Dataset, int], Scores]:
    """Return the function that gives log p, or its bound, in nats of the first test images of data, under every seed.

    The model is compiled once for all data, apart from the program that loads their images.
    """
    metric = next((name for name in SIGNS if name in run.experiment.model.kinds), None)
    if metric is None:
        raise RunError(f"{run.config.name} measures no likelihood ({' or '.join(SIGNS)})")
    mesh = mesh_of(run.checkpoints[0].state.params)
    evaluate_seeds = make_evaluate_seeds(evaluation_of(run.experiment, metric), lambda batch, key: dict(batch), mesh)

    def log_probs(data: Dataset, count: int) -> Scores:
        @jax.jit
        def load(raw: Mapping[str, Array], key: Key) -> Batch:
            load_key, _ = jax.random.split(key)  # as in every evaluation
            return data.load(raw, load_key)

        def evaluate(params: Params, stats: Stats, raw: Mapping[str, Array], key: Key) -> Metrics:
            return evaluate_seeds(params, stats, load(raw, key), key)

        split = Split(min(count, data.test.size), data.test.read, None)
        size = min(EVALUATION_BATCH, split.size)
        parts = [
            evaluate_split(evaluate, *checkpoint.chosen(), split, key=evaluation_key(), batch_size=size)[metric]
            for checkpoint in run.checkpoints
        ]
        return SIGNS[metric] * np.concatenate(parts)

    return log_probs


def evaluation_of(experiment: Experiment, metric: str) -> Evaluate:
    """Return the experiment's validation function, which is cheaper, if it gives `metric`, else its evaluation."""
    own, validate = experiment.model.evaluate, experiment.validate
    if validate is None:
        return own

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        values = validate(params, stats, batch, key)
        return values if metric in values else own(params, stats, batch, key)

    return evaluate


def other_data(run: Restored, name: str) -> Dataset:
    """Return another data set, binarized (or rounded to levels) like the run's own data."""
    config = with_option(run.config, "dataset", name, flag="--against")
    data = build(run.function, config).data
    if data.image_shape != run.experiment.data.image_shape:
        shapes = f"{data.image_shape}, must be {run.experiment.data.image_shape} as those of the run"
        raise RunError(f"--against {name}: images of shape {shapes}", exit_code=2)
    return data


def detect(
    directory: Annotated[Path, tyro.conf.Positional],
    *,
    against: tuple[str, ...] = (),
    background: Path | None = None,
    count: int = 2000,
    data_dir: Path | None = None,
) -> None:
    """Score test images, corruptions of them and other data; print and save the AUROC of each.

    Args:
        directory: Run directory of a model with a likelihood or a bound.
        against: Other data sets, named as for --dataset, of the same image size.
        background: Run of a simpler model on the same data, whose log p is subtracted.
        count: Largest number of test images of each kind.
        data_dir: TFDS directory, if it differs from that of the training.
    """
    if count < 2:
        raise RunError(f"--count {count} must be at least 2", exit_code=2)
    run = restore_run(directory, data_dir=data_dir)
    own = run.experiment.data
    if "condition" in first_test_batch(own, 1):
        raise RunError(f"{directory} gives log p of an image given another one: it scores no image alone")
    log_p = make_log_probs(run)
    behind = None if background is None else restored_background(background, run.experiment, data_dir)
    log_p_behind = None if behind is None else make_log_probs(behind)

    def score(data: Dataset) -> Scores:
        return log_p(data, count) - (0 if log_p_behind is None else log_p_behind(data, count)[:1])

    usual = score(own)
    others = {name: score(corrupted(own, corrupt)) for name, corrupt in CORRUPTIONS.items()}
    others |= {name: score(other_data(run, name)) for name in against}
    kind = "log p" if behind is None else "log p - log p of the background"
    title = f"{run.config.name} on {own.name} ({own.protocol}): {kind}"
    aurocs = {
        name: summary(np.array([auroc(*pair) for pair in zip(usual, scores, strict=True)]), "exact")
        for name, scores in others.items()
    }
    Console().print(auroc_table(aurocs, title))
    stem = "detection" if behind is None else "detection-ratio"
    write_json(directory / f"{stem}.json", {"score": kind, "images": usual.shape[1], "auroc": aurocs})
    picture = directory / "figures" / f"{stem}.png"
    picture.parent.mkdir(exist_ok=True)
    histograms({f"{own.name}, test": usual[0], **{name: scores[0] for name, scores in others.items()}}, title).savefig(
        picture, dpi=150
    )
    print(f"saved: {directory / f'{stem}.json'}, {picture}")


def restored_background(directory: Path, experiment: Experiment, data_dir: Path | None) -> Restored:
    """Return the run of the background model; RunError if its data are not those of the experiment."""
    background = restore_run(directory, data_dir=data_dir)
    own, other = experiment.data, background.experiment.data
    if (own.sha256, own.protocol) != (other.sha256, other.protocol):
        there = f"{other.name} ({other.protocol})"
        raise RunError(f"--background {directory} is of {there}, must be of {own.name} ({own.protocol})", exit_code=2)
    return background


def auroc_table(aurocs: Mapping[str, Mapping[str, object]], title: str) -> Table:
    """Return a table of AUROCs with one row for each kind of other images."""
    table = Table(title=title, min_width=len(title))
    for column in ("against", "AUROC, mean ± s.d."):
        table.add_column(column)
    for name, values in aurocs.items():
        table.add_row(name, mean_and_deviation(values))
    return table


def histograms(scores: Mapping[str, Float[np.ndarray, " N"]], title: str) -> Figure:
    """Draw the histogram of each kind's scores as an outline; scores far from the first kind's are in the end bins."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    usual = next(iter(scores.values()))
    margin = 2 * float(np.ptp(usual)) or 1.0
    low, high = usual.min() - margin, usual.max() + margin
    for name, values in scores.items():
        bins = np.linspace(low, high, 101).tolist()
        axes.hist(values.clip(low, high), bins=bins, density=True, histtype="step", label=name)
    axes.set_xlabel("nats")
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=7)
    return figure
