"""What CycleGAN's generators make of images: how far it is from the truth, which digits are read in it, pictures."""

import functools
from collections.abc import Callable, Mapping

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.parts.domains import make_reader, rows_of_images
from genjax.capabilities import Translation
from genjax.data.dataset import Split
from genjax.data.domains import Domains
from genjax.data.labels import class_count, labels_of
from genjax.evaluation import Measure, make_split_values
from genjax.models.adversarial import cyclegan as model_of
from genjax.networks.named import applied
from genjax.pictures.figures import Figures, test_batch
from genjax.types import Batch, Key, Metrics, Params, Stats

COLUMNS = 12
"""Images of a picture."""


def is_read(found: Domains) -> bool:
    """Whether digits are to be the same before and after, and there is something to read them by."""
    return found.paired and class_count(found.first) > 1


ERRORS = ("cycle_error", "real_score", "fake_score")
READ = ("digit_agreement", "real_digit_agreement")
UNCHANGED = "unchanged_paired_error"


def metric_names(found: Domains) -> list[str]:
    """What the model and `make_measure` measure."""
    names = [*ERRORS, *(["paired_error"] if found.paired else []), *(READ if is_read(found) else [])]
    return [f"{direction}{name}" for direction in ("", "other_") for name in names] + [UNCHANGED] * found.paired


def translations(networks: model_of.Networks, params: Params, stats: Stats, batch: Batch) -> dict[str, jax.Array]:
    """What the generators make of a batch, and of that: G(x), F(G(x)), F(y) and G(F(y))."""

    def out(name: str, images: jax.Array) -> jax.Array:
        return applied(networks, name, params, stats, images)

    there, back = out("generator_y", batch["image"]), out("generator_x", batch["other_image"])
    return {
        "made": there,
        "returned": out("generator_x", there),
        "other_made": back,
        "other_returned": out("generator_y", back),
    }


def make_measure(networks: model_of.Networks, found: Domains) -> Measure | None:
    """Of pairs, how far an image is from what it is to become, and how often a classifier reads its digit after it."""
    if not found.paired:
        return None

    def seen(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        made = translations(networks, params, stats, batch)
        images = {name: {**batch, **made}[name] for name in ("image", "other_image", "made", "other_made")}
        return {**images, UNCHANGED: abs(batch["image"] - batch["other_image"]).mean(axis=(1, 2, 3))}

    values, agreement = make_split_values(seen, found.both.load), make_agreement(found) if is_read(found) else None

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        measured = values(params, stats, split, key)
        unchanged = {UNCHANGED: float(measured[UNCHANGED].mean())}
        return {**unchanged, **(agreement(measured, labels_of(split)) if agreement else {})}

    return measure


def make_agreement(found: Domains) -> Callable[[Mapping[str, np.ndarray], np.ndarray], dict[str, float]]:
    """How often a classifier of a domain reads in what was made of an image, and in a real one, the right digit."""
    read, read_other = make_reader(found.second), make_reader(found.first)

    def agreement(images: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, float]:
        digits = {
            "digit_agreement": read(images["made"]),
            "real_digit_agreement": read(images["other_image"]),
            "other_digit_agreement": read_other(images["other_made"]),
            "other_real_digit_agreement": read_other(images["image"]),
        }
        return {name: float((one == labels).mean()) for name, one in digits.items()}

    return agreement


def make_figures(networks: model_of.Networks, found: Domains) -> Figures:
    """Test images of each domain, what is made of them, and what of that."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        batch = test_batch(found.both, COLUMNS)
        made = jax.jit(functools.partial(translations, networks))(params, stats, batch)
        directions = {"": found.names, "other_": found.names[::-1]}
        return {
            f"to_{names[1]}": direction_figure(prefix, names, batch, made, paired=found.paired)
            for prefix, names in directions.items()
        }

    return figures


def direction_figure(
    prefix: str, names: tuple[str, str], batch: Batch, made: Mapping[str, jax.Array], *, paired: bool
) -> Figure:
    """Source, translation and cycle of each image in a column, and where it is known what was to be made."""
    source, truth = ("other_image", "image") if prefix else ("image", "other_image")
    rows = {names[0]: batch[source], f"to {names[1]}": made[f"{prefix}made"]}
    if paired:
        rows["the truth"] = batch[truth]
    rows["and back"] = made[f"{prefix}returned"]
    arrays = {name: np.asarray(images) for name, images in rows.items()}
    return rows_of_images(arrays, title=f"{names[0]} to {names[1]} and back")


def make_translation(networks: model_of.Networks, found: Domains) -> Translation:
    """Each domain of the other's images."""
    first, second = found.names
    generators = {second: "generator_y", first: "generator_x"}
    reads = dict(zip(generators, found.shapes, strict=True))
    return Translation(
        reads, lambda params, stats, images, to: applied(networks, generators[to], params, stats, images)
    )
