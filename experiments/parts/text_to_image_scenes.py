"""Metrics and figures of the text-to-image experiment: a classifier recognizes the objects in generated scenes."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from experiments.parts.captioned import Captioned, objects_of, texts, with_other_captions
from genjax.core import Model
from genjax.data.dataset import Split
from genjax.evaluation import Measure, make_split_values
from genjax.measures.extractor import trained
from genjax.measures.scene_classifier import scene_model
from genjax.metrics.detection import auroc
from genjax.metrics.scenes import ATTRIBUTES, agreement
from genjax.models.adversarial import text_to_image as model_of
from genjax.models.adversarial.average import averaged
from genjax.models.adversarial.text_to_image_networks import Networks
from genjax.networks.bound import bind
from genjax.pictures.figures import Figures, captioned_grid, first_test_batch
from genjax.pictures.sample_history import sample_history, sample_history_figure
from genjax.types import Batch, Key, Metrics, Params, Stats

ACCURACIES = (*ATTRIBUTES, "scene")
"""Names of the measured accuracies: each attribute, and `scene` for all attributes together."""

Objects = Int[np.ndarray, "N 2 4"]


def chances(found: Captioned) -> dict[str, float]:
    """Return the accuracies by chance: how often the objects of unrelated test scenes agree."""
    if found.held_out is None:
        return {}
    objects = objects_of(found.data.test)
    return accuracies("chance_", np.roll(objects, 1, axis=0), found.data.test)


def make_measure(model: Model, networks: Networks, found: Captioned, *, classifier_steps: int) -> Measure:
    """Return the measure of the areas under the matching curves and, for scenes, of the classifier's accuracies."""
    matching, classified = make_matching(networks, found), make_classified(model, found, classifier_steps)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        measured = matching(params, stats, split, key)
        if found.held_out is None:
            return measured
        return {
            **measured,
            **accuracies("", classified.generated(params, stats, split, key), split),
            **accuracies("real_", classified.real(split, key), split),
            **accuracies("zero_shot_", classified.generated(params, stats, found.held_out, key), found.held_out),
        }

    return measure


def make_matching(networks: Networks, found: Captioned) -> Callable[[Params, Stats, Split, Key], dict[str, float]]:
    """Return the measure of how well scores tell an image's own caption from the caption of another image."""

    def scores(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        metrics = {
            name: model_of.pair_metrics(networks, params, stats, batch["image"], batch[name])
            for name in ("caption", "other_caption")
        }
        return {f"{kind}/{name}": values for kind, each in metrics.items() for name, values in each.items()}

    split_scores = make_split_values(scores, found.data.load)

    def matching(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        with_others, differ = with_other_captions(split)
        values = split_scores(params, stats, with_others, key)
        return {
            name: auroc(values[f"caption/{score}"], values[f"other_caption/{score}"][differ])
            for name, score in (("matching_auroc", "matching_score"), ("pair_auroc", "pair_logit"))
        }

    return matching


class Classified(NamedTuple):
    """Objects that the scene classifier finds."""

    generated: Callable[[Params, Stats, Split, Key], Objects]
    """Function of (params, stats, split, key): objects in images generated from the captions of the split."""
    real: Callable[[Split, Key], Objects]
    """Function of (split, key): objects in the images of the split."""


def make_classified(model: Model, found: Captioned, steps: int) -> Classified:
    """Return the functions that classify scenes; the classifier is trained when one of them is first called."""
    classifier = scene_model(optimizer=optax.adam(optax.cosine_decay_schedule(1e-3, steps)))

    @functools.cache
    def weights() -> Params:
        if found.all_pairs is None:
            raise ValueError("these images are not scenes of digits: there is nothing to classify")
        return trained(classifier, found.all_pairs(), steps)

    def objects_generated(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        images = model.generate(params["model"], stats, batch, key)
        return {"objects": classifier.generate(params["classifier"], {}, {"image": images}, key)}

    def objects_real(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        return {"objects": classifier.generate(params, stats, batch, key)}

    of_generated = make_split_values(objects_generated, found.data.load)
    of_real = make_split_values(objects_real, found.data.load)

    def generated(params: Params, stats: Stats, split: Split, key: Key) -> Objects:
        return of_generated({"model": params, "classifier": weights()}, stats, split, key)["objects"]

    return Classified(generated, lambda split, key: of_real(weights(), {}, split, key)["objects"])


def accuracies(prefix: str, objects: Objects, split: Split) -> dict[str, float]:
    """Return the fraction of scenes whose objects agree with the objects of the split, by attribute and in all."""
    agreed = agreement(objects, objects_of(split))
    return {f"{prefix}{name}_accuracy": float(agreed[name].mean()) for name in ACCURACIES}


ROWS, COLUMNS = 8, 8
"""Numbers of rows and columns of a figure."""

Variables = tuple[Params, Stats]
"""Parameters and statistics of all networks."""


def make_figures(model: Model, networks: Networks, found: Captioned) -> Figures:
    """Return the figures: images for seen and held-out captions, interpolations of captions, and style transfer."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        drawn = {
            "samples": caption_figure(model, found, first_test_batch(found.data, ROWS), params, stats, key, "seen"),
            "training": sample_history_figure(sample_history(stats)),
        }
        if found.held_out is not None:
            batch = first_test_batch(found.data._replace(test=found.held_out), ROWS)
            drawn["zero_shot"] = caption_figure(model, found, batch, params, stats, key, "held out")
        variables = averaged(params, stats)
        drawn["interpolation"] = interpolation_figure(networks, variables, found, key)
        drawn["styles"] = style_figure(networks, variables, found)
        return drawn

    return figures


def caption_figure(
    model: Model, found: Captioned, batch: Batch, params: Params, stats: Stats, key: Key, captions: str
) -> Figure:
    """Return a figure with a row for each caption: a real image and generated images."""
    batch = jax.device_get(batch)
    repeated = {name: np.repeat(array, COLUMNS - 1, axis=0) for name, array in batch.items()}
    fake = np.asarray(jax.jit(model.generate)(params, stats, repeated, key))
    rows = fake.reshape(ROWS, COLUMNS - 1, *fake.shape[1:])
    images = np.concatenate([batch["image"][:, None], rows], axis=1)
    title = f"captions {captions} in training: a real image, generated ones"
    return captioned_grid(images, texts(batch["caption"], found), title=title)


def interpolation_figure(networks: Networks, variables: Variables, found: Captioned, key: Key) -> Figure:
    """Return a figure whose rows interpolate between the embeddings of two captions under fixed noise."""

    @jax.jit
    def images(variables: Variables, captions: jax.Array, key: Key) -> jax.Array:
        bound = bind(networks, *variables)
        h = bound.text_encoder(captions).reshape(2, ROWS, 1, -1)
        fraction = jnp.linspace(0, 1, COLUMNS)[:, None]
        between = ((1 - fraction) * h[0] + fraction * h[1]).reshape(ROWS * COLUMNS, -1)
        z = jnp.repeat(model_of.drawn_noise(bound.prior, key, ROWS), COLUMNS, axis=0)
        return bound.generator(z, between)

    captions = first_test_batch(found.data, 2 * ROWS)["caption"]
    names = texts(captions, found)
    rows = [f"{start}\n-> {end}" for start, end in zip(names[:ROWS], names[ROWS:], strict=True)]
    return captioned_grid(rows_of(images(variables, captions, key)), rows, title="from one caption to another")


def style_figure(networks: Networks, variables: Variables, found: Captioned) -> Figure:
    """Return a figure whose rows show one caption each, in the styles of the real images in the first row."""

    @jax.jit
    def images(variables: Variables, real: jax.Array, captions: jax.Array) -> jax.Array:
        bound = bind(networks, *variables)
        style = jnp.tile(bound.style_encoder(real), (len(captions), 1))
        return bound.generator(style, jnp.repeat(bound.text_encoder(captions), COLUMNS, axis=0))

    batch = jax.device_get(first_test_batch(found.data, COLUMNS + ROWS - 1))
    real, captions = batch["image"][:COLUMNS], batch["caption"][COLUMNS:]
    rows = rows_of(np.concatenate([real, images(variables, real, captions)]))
    return captioned_grid(rows, ["styles of these", *texts(captions, found)], title="captions in the style of images")


def rows_of(images: jax.Array | np.ndarray) -> Float[np.ndarray, "rows columns H W C"]:
    """Arrange ROWS x COLUMNS images in rows."""
    return np.asarray(images).reshape(ROWS, COLUMNS, *images.shape[1:])
