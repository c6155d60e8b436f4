"""Metrics and figures of CycleGAN's translations: errors against the true translation, digits that stay the same."""

import functools
from collections.abc import Callable, Mapping

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.parts.domains import make_classify, rows_of_images
from genjax.capabilities import Translator
from genjax.data.dataset import Split
from genjax.data.domains import Domains
from genjax.data.labels import class_count, labels_of
from genjax.evaluation import Measure, make_split_values
from genjax.models.adversarial import cyclegan as model_of
from genjax.networks.bound import bind
from genjax.pictures.figures import Figures, first_test_batch
from genjax.types import Batch, Key, Metrics, Params, Stats

COLUMNS = 12
"""Number of images in a row of a figure."""

UNCHANGED = "unchanged_paired_error"


def keeps_class(found: Domains) -> bool:
    """Return whether a translation should keep the digit or other class of an image, and the data have classes."""
    return found.paired and class_count(found.first) > 1


def translations(networks: model_of.Networks, params: Params, stats: Stats, batch: Batch) -> dict[str, jax.Array]:
    """Translate a batch both ways, and back: G(x), F(G(x)), F(y) and G(F(y))."""
    bound = bind(networks, params, stats)
    G, F = bound.generator_y, bound.generator_x
    translated, other_translated = G(batch["image"]), F(batch["other_image"])
    return {
        "translated": translated,
        "returned": F(translated),
        "other_translated": other_translated,
        "other_returned": G(other_translated),
    }


def make_measure(networks: model_of.Networks, found: Domains) -> Measure | None:
    """Return the measure of the errors of unchanged images and of digits that stay the same; None without pairs."""
    if not found.paired:
        return None

    def seen(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        both = {**batch, **translations(networks, params, stats, batch)}
        images = {name: both[name] for name in ("image", "other_image", "translated", "other_translated")}
        return {**images, UNCHANGED: abs(batch["image"] - batch["other_image"]).mean(axis=(1, 2, 3))}

    values = make_split_values(seen, found.both.load)
    agreement = make_agreement(found) if keeps_class(found) else None

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        measured = values(params, stats, split, key)
        unchanged = {UNCHANGED: float(measured[UNCHANGED].mean())}
        return {**unchanged, **(agreement(measured, labels_of(split)) if agreement else {})}

    return measure


def make_agreement(found: Domains) -> Callable[[Mapping[str, np.ndarray], np.ndarray], dict[str, float]]:
    """Return the function that computes how often classifiers find the right digit in translated and in real images."""
    classify_first, classify_second = make_classify(found.first), make_classify(found.second)

    def agreement(images: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, float]:
        digits = {
            "digit_agreement": classify_second(images["translated"]),
            "real_digit_agreement": classify_second(images["other_image"]),
            "other_digit_agreement": classify_first(images["other_translated"]),
            "other_real_digit_agreement": classify_first(images["image"]),
        }
        return {name: float((found == labels).mean()) for name, found in digits.items()}

    return agreement


def make_figures(networks: model_of.Networks, found: Domains) -> Figures:
    """Return the figures: for both directions, test images, their translations, and the way back."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        batch = first_test_batch(found.both, COLUMNS)
        images = jax.jit(functools.partial(translations, networks))(params, stats, batch)
        directions = {"": found.names, "other_": found.names[::-1]}
        return {
            f"to_{names[1]}": direction_figure(prefix, names, batch, images, paired=found.paired)
            for prefix, names in directions.items()
        }

    return figures


def direction_figure(
    prefix: str, names: tuple[str, str], batch: Batch, images: Mapping[str, jax.Array], *, paired: bool
) -> Figure:
    """Return a figure whose columns show an image, its translation, the true translation if known, and the way back."""
    source, truth = ("other_image", "image") if prefix else ("image", "other_image")
    rows = {names[0]: batch[source], f"to {names[1]}": images[f"{prefix}translated"]}
    if paired:
        rows["the truth"] = batch[truth]
    rows["and back"] = images[f"{prefix}returned"]
    arrays = {name: np.asarray(row) for name, row in rows.items()}
    return rows_of_images(arrays, title=f"{names[0]} to {names[1]} and back")


def make_translator(networks: model_of.Networks, found: Domains) -> Translator:
    """Return the capability to translate images of each domain to the other."""
    first, second = found.names

    def translate(params: Params, stats: Stats, images: jax.Array, to: str) -> jax.Array:
        bound = bind(networks, params, stats)
        return bound.generator_y(images) if to == second else bound.generator_x(images)

    return Translator({second: found.shapes[0], first: found.shapes[1]}, translate)
