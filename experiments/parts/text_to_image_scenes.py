"""What images made of captions are measured by, a network that reads scenes, and drawn as."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int
from matplotlib.figure import Figure

from experiments.parts.captioned import Captioned, objects_of, texts, with_other_captions
from genjax.core import Model
from genjax.data.dataset import Split
from genjax.evaluation import Measure, make_split_values
from genjax.measures.extractor import trained
from genjax.measures.scene_classifier import scene_reader
from genjax.metrics.detection import auroc
from genjax.metrics.scenes import ATTRIBUTES, agreement
from genjax.models.adversarial import text_to_image as model_of
from genjax.models.adversarial.average import averaged
from genjax.models.adversarial.text_to_image_networks import Networks
from genjax.networks.named import applied
from genjax.pictures.figures import Figures, captioned_grid, test_batch
from genjax.pictures.sample_history import sample_history, sample_history_figure
from genjax.types import Batch, Key, Metrics, Params, Stats

READER_STEPS = 2000

ACCURACIES = (*ATTRIBUTES, "scene")


def metric_names(found: Captioned) -> list[str]:
    """What the model and `make_measure` measure."""
    scores = [f"{fake}{name}" for fake in ("", "fake_") for name in ("matching_score", "pair_logit")]
    accuracies = [f"{kind}{name}_accuracy" for kind in ("", "real_", "zero_shot_") for name in ACCURACIES]
    return [*scores, "matching_auroc", "pair_auroc", *(accuracies if found.held_out else [])]


def chances(found: Captioned) -> dict[str, float]:
    """How often unrelated captions of the test split agree."""
    if found.held_out is None:
        return {}
    objects = objects_of(found.data.test)
    agreed = agreement(np.roll(objects, 1, axis=0), objects)
    return {f"chance_{name}_accuracy": float(agreed[name].mean()) for name in ACCURACIES}


def make_measure(model: Model, networks: Networks, found: Captioned) -> Measure:
    """The areas under the curves of matching, and what the reader finds in generated and in real scenes."""

    def scores(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        pairs = {name: batch[name] for name in ("caption", "other_caption")}
        metrics = {
            name: model_of.pair_metrics(networks, params, stats, batch["image"], captions)
            for name, captions in pairs.items()
        }
        return {f"{kind}/{name}": values for kind, each in metrics.items() for name, values in each.items()}

    split_scores = make_split_values(scores, found.data.load)
    read = make_read(model, found)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        beside, differ = with_other_captions(split)
        values = split_scores(params, stats, beside, key)
        measured = {
            name: auroc(values[f"caption/{score}"], values[f"other_caption/{score}"][differ])
            for name, score in (("matching_auroc", "matching_score"), ("pair_auroc", "pair_logit"))
        }
        if found.held_out is None:
            return measured
        return {
            **measured,
            **accuracies("", read.generated(params, stats, split, key), split),
            **accuracies("real_", read.real(split, key), split),
            **accuracies("zero_shot_", read.generated(params, stats, found.held_out, key), found.held_out),
        }

    return measure


Objects = Int[np.ndarray, "N 2 4"]


class Read(NamedTuple):
    """What the reader finds in the images of a split, by (params, stats, split, key)."""

    generated: Callable[[Params, Stats, Split, Key], Objects]
    """In images that the model makes of its captions."""
    real: Callable[[Split, Key], Objects]


def make_read(model: Model, found: Captioned) -> Read:
    """The reader is trained when it is first asked."""
    reader = scene_reader(optimizer=optax.adam(optax.cosine_decay_schedule(1e-3, READER_STEPS)))

    @functools.cache
    def weights() -> Params:
        if found.all_pairs is None:
            raise ValueError("these images are no scenes: there is nothing to read")
        return trained(reader, found.all_pairs(), READER_STEPS)

    def objects_of_generated(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        images = model.generate(params["model"], stats, batch, key)
        return {"objects": reader.generate(params["reader"], {}, {"image": images}, key)}

    of_generated = make_split_values(objects_of_generated, found.data.load)
    of_real = make_split_values(
        lambda params, stats, batch, key: {"objects": reader.generate(params, stats, batch, key)}, found.data.load
    )
    return Read(
        lambda params, stats, split, key: of_generated({"model": params, "reader": weights()}, stats, split, key)[
            "objects"
        ],
        lambda split, key: of_real(weights(), {}, split, key)["objects"],
    )


def accuracies(kind: str, read: Objects, split: Split) -> dict[str, float]:
    """The shares of scenes that agree with the split's objects."""
    agreed = agreement(read, objects_of(split))
    return {f"{kind}{name}_accuracy": float(agreed[name].mean()) for name in ACCURACIES}


ROWS, COLUMNS = 8, 8
"""Of a picture."""


def make_figures(model: Model, networks: Networks, found: Captioned) -> Figures:
    """Images of captions that were seen and held out, of texts between two, and of styles of real images."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        drawn = {
            "samples": caption_figure(model, found, test_batch(found.data, ROWS), params, stats, key, "seen"),
            "training": sample_history_figure(sample_history(stats)),
        }
        if found.held_out is not None:
            batch = test_batch(found.data._replace(test=found.held_out), ROWS)
            drawn["zero_shot"] = caption_figure(model, found, batch, params, stats, key, "held out")
        drawn["interpolation"] = interpolation_figure(networks, found, *averaged(params, stats), key)
        drawn["styles"] = style_figure(networks, found, *averaged(params, stats))
        return drawn

    return figures


def caption_figure(
    model: Model, found: Captioned, batch: Batch, params: Params, stats: Stats, key: Key, what: str
) -> Figure:
    """A real image of each caption, and generated ones."""
    repeated = {name: jnp.repeat(array, COLUMNS - 1, axis=0) for name, array in batch.items()}
    fake = np.asarray(jax.jit(model.generate)(params, stats, repeated, key))
    rows = fake.reshape(ROWS, COLUMNS - 1, *fake.shape[1:])
    images = np.concatenate([np.asarray(batch["image"])[:, None], rows], axis=1)
    return captioned_grid(images, texts(batch["caption"], found), title=f"{what}: a real image, generated ones")


def interpolation_figure(networks: Networks, found: Captioned, params: Params, stats: Stats, key: Key) -> Figure:
    """In each row one noise and texts on the line from one caption to another."""
    captions = test_batch(found.data, 2 * ROWS)["caption"]
    h = applied(networks, "text_encoder", params, stats, captions).reshape(2, ROWS, 1, -1)
    share = jnp.linspace(0, 1, COLUMNS)[:, None]
    between = ((1 - share) * h[0] + share * h[1]).reshape(ROWS * COLUMNS, -1)
    z = jnp.repeat(model_of.drawn_noise(networks.prior, key, ROWS), COLUMNS, axis=0)
    images = np.asarray(applied(networks, "generator", params, stats, z, between))
    names = texts(captions, found)
    rows = [f"{start}\n-> {end}" for start, end in zip(names[:ROWS], names[ROWS:], strict=True)]
    return captioned_grid(images.reshape(ROWS, COLUMNS, *images.shape[1:]), rows, title="from one caption to another")


def style_figure(networks: Networks, found: Captioned, params: Params, stats: Stats) -> Figure:
    """In each row one caption and the styles of the real images in the first row."""
    batch = test_batch(found.data, COLUMNS + ROWS - 1)
    real, captions = batch["image"][:COLUMNS], batch["caption"][COLUMNS:]
    style = jnp.tile(applied(networks, "style_encoder", params, stats, real), (len(captions), 1))
    h = applied(networks, "text_encoder", params, stats, captions)
    images = applied(networks, "generator", params, stats, style, jnp.repeat(h, COLUMNS, axis=0))
    rows = np.concatenate([np.asarray(real), np.asarray(images)]).reshape(ROWS, COLUMNS, *real.shape[1:])
    return captioned_grid(rows, ["styles of these", *texts(captions, found)], title="captions in the style of images")
