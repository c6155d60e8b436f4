"""Text to image (Reed, Akata, Yan, Logeswaran, Schiele & Lee 2016): GAN-CLS and GAN-INT, with a learnt text encoder.

A text encoder f(t), a GRU over words, and an image encoder f(x) are trained first, for --matching-steps, until images
match their own captions better than others'; then the text encoder stays as it is, and a DCGAN plays on pairs of an
image and an embedded caption h = f(t):

    matching         (1/B) sum_m max(0, 1 + f(x_n).f(t_m) - f(x_n).f(t_n)), and with images and captions changed about
    discriminator    -log D(x, h) - (log(1 - D(x, h')) + log(1 - D(G(z, h), h))) / 2,   h' of another caption
    generator        -log D(G(z, h), h) - log D(G(z, h''), h''),   h'' halfway between two captions (GAN-INT, eq. 5)
    style            |z - S(G(z, h))|^2 (eq. 6)

The losses are `structured_joint_loss` in genjax/losses/matching.py and `matching_aware_discriminator_loss` in
genjax/losses/adversarial.py, the phases in genjax/models/adversarial/text_to_image.py.

**Data.** Captioned scenes made of real digits (genjax/data/scenes.py): one or two digits, each in one of five colours,
two sizes and five places, described by a small grammar with synonyms. Ten pairs of a digit and a colour are held out:
no training caption has them. --dataset takes any set of grey, square digits with labels, or a folder of images of your
own with captions beside them (a.png and a.txt, a line each).

    python -m experiments.text_to_image                                              scenes of the embedded digits
    python -m experiments.text_to_image --preset small --data-dir DIR                scenes of MNIST, 32x32
    python -m experiments.sample RUN --text "a small red seven on the left"

`sample` names words of the text that no caption has, and draws all the same, as long as it knows one.

**Numbers.** A network that has seen all pairs of digits and colours (`scene_reader` in genjax/models/scene_reader.py)
is trained on real scenes and then reads generated ones: `digit_accuracy`, `colour_accuracy`, `size_accuracy` and
`place_accuracy` are the shares of scenes in which it finds the values that the caption names, `scene_accuracy` all of
them together. `real_...` is the same for real scenes, its ceiling, `zero_shot_...` for captions of the held-out pairs,
and `chance_...` in result.json what unrelated captions agree on. `matching_auroc` and `pair_auroc` say how well
f(x).f(t) and the discriminator's logit tell an image's caption from another's.

    --preset quick    digit_accuracy 0.05, colour 0.41, size 0.51, place 0.49 (one seed, three minutes on two cores)
    --preset small    not measured yet
    --preset paper    not measured yet; the paper's own images are photographs of birds and flowers

Where we leave the paper: the text encoder reads words with a GRU where the paper's reads characters with convolutions,
and is trained in the run; the caption that does not belong is that of the next image in the batch; batch normalization
of real, wrong and generated pairs is apart, and samples are drawn by running statistics.

Known failures: after the 1100 steps of the game in `quick` colours and places begin to follow the caption, digits do
not yet.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int
from matplotlib.figure import Figure

from experiments.captioned import Captioned, load, objects_of, texts, with_other_captions
from experiments.experiment import Common, Experiment, Figures, Measure, Run, check_positive
from experiments.extractor import trained
from experiments.figures import captioned_grid, test_batch
from experiments.film import film_of, film_rows
from experiments.games import adam, check_shares, with_extras
from experiments.runner import main
from experiments.training import make_split_values
from genjax.core import Model
from genjax.data.captions import encode
from genjax.data.dataset import Split
from genjax.metrics.detection import auroc
from genjax.metrics.scenes import ATTRIBUTES, agreement
from genjax.models.adversarial import text_to_image as model_of
from genjax.models.adversarial.average import averaged
from genjax.models.scene_reader import scene_reader
from genjax.networks.named import applied
from genjax.types import Batch, Key, Metrics, Params, Stats

READER_STEPS = 2000
READER_BATCH = 100

ACCURACIES = (*ATTRIBUTES, "scene")


def text_to_image(
    run: Common = Run(binarization="none", batch_size=64),  # noqa: B008 (frozen)
    *,
    side: int = 32,
    captions: int = 5,
    copies: int = 1,
    pairs: float = 0.25,
    matching_steps: int = 2000,
    interpolation: float = 1.0,
    average: float = 0.0,
    filters: int = 64,
    features: int = 1024,
    text_features: int = 128,
    latents: int = 100,
    hidden: int = 512,
    matching_learning_rate: float = 1e-3,
    learning_rate: float = 2e-4,
    discriminator_learning_rate: float = 2e-4,
) -> Experiment:
    """A GAN of images and their captions.

    Args:
        run: What every experiment has; --dataset is a set of labelled digits, or a folder of captioned images.
        side: Of a scene of digits, in pixels.
        captions: Sentences for each scene.
        copies: Scenes for each digit of the data set.
        pairs: Share of the scenes with two digits.
        matching_steps: Steps in which the text encoder is trained, before the game begins.
        interpolation: Weight of texts between two captions; 0 for none (GAN-CLS).
        average: Decay of the average of the generator that images are of; 0 for none.
        filters: Maps of the discriminator's first convolution; each next one has twice as many, and the generator
            mirrors them.
        features: Dimensions of the embedding of captions and images.
        text_features: Dimensions to which each player projects it.
        latents: Dimensions of the noise.
        hidden: Units of the GRU.
        matching_learning_rate: Adam's step size, of the encoders.
        learning_rate: Of the generator and of the style encoder.
        discriminator_learning_rate: Of the discriminator.
    """
    check_positive(
        filters=filters,
        features=features,
        text_features=text_features,
        latents=latents,
        hidden=hidden,
        matching_learning_rate=matching_learning_rate,
        learning_rate=learning_rate,
        discriminator_learning_rate=discriminator_learning_rate,
    )
    check_shares(average=average)
    if run.binarization != "none":
        raise ValueError(f"--binarization {run.binarization}: captioned images are in colour; use --binarization none")
    if not 1 <= matching_steps < run.steps:
        raise ValueError(f"--matching-steps {matching_steps} must be from 1 to --steps {run.steps} less 1")
    found = load(run, side=side, captions=captions, copies=copies, pairs=pairs)
    data = found.data
    networks = model_of.conv_networks(
        data.image_shape,
        found.vocabulary.size,
        filters=filters,
        features=features,
        text_features=text_features,
        latents=latents,
        hidden=hidden,
    )
    model = model_of.text_to_image(
        data.image_shape,
        networks,
        optimizers=model_of.Optimizers(
            matching=optax.adam(matching_learning_rate),
            discriminator=adam(discriminator_learning_rate),
            generator=adam(learning_rate),
            style=adam(learning_rate),
        ),
        matching_steps=matching_steps,
        interpolation=interpolation,
    )
    model = with_extras(model, test_batch(data, COLUMNS), average=average, steps=run.steps)
    return Experiment(
        model=model,
        data=data,
        kinds=dict.fromkeys(metric_names(found), "estimate"),
        figures=make_figures(model, networks, found),
        seeds_together=False,
        facts=chances(found),
        measure=make_measure(model, networks, found),
        caption=lambda text: encode([text], found.vocabulary)[0],
    )


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


def make_measure(model: Model, networks: model_of.Networks, found: Captioned) -> Measure:
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


def make_figures(model: Model, networks: model_of.Networks, found: Captioned) -> Figures:
    """Images of captions that were seen and held out, of texts between two, and of styles of real images."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        drawn = {
            "samples": caption_figure(model, found, test_batch(found.data, ROWS), params, stats, key, "seen"),
            "training": film_rows(film_of(stats)),
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


def interpolation_figure(
    networks: model_of.Networks, found: Captioned, params: Params, stats: Stats, key: Key
) -> Figure:
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


def style_figure(networks: model_of.Networks, found: Captioned, params: Params, stats: Stats) -> Figure:
    """In each row one caption and the styles of the real images in the first row."""
    batch = test_batch(found.data, COLUMNS + ROWS - 1)
    real, captions = batch["image"][:COLUMNS], batch["caption"][COLUMNS:]
    style = jnp.tile(applied(networks, "style_encoder", params, stats, real), (len(captions), 1))
    h = applied(networks, "text_encoder", params, stats, captions)
    images = applied(networks, "generator", params, stats, style, jnp.repeat(h, COLUMNS, axis=0))
    rows = np.concatenate([np.asarray(real), np.asarray(images)]).reshape(ROWS, COLUMNS, *real.shape[1:])
    return captioned_grid(rows, ["styles of these", *texts(captions, found)], title="captions in the style of images")


PRESETS = {
    "quick": {
        "run": Run(steps=1500, batch_size=64, binarization="none", evaluate_every=500),
        "side": 16,
        "copies": 4,
        "matching_steps": 400,
        "filters": 16,
        "features": 64,
        "text_features": 32,
        "latents": 32,
        "hidden": 64,
    },
    "small": {
        "run": Run(dataset="mnist", steps=12_000, batch_size=64, binarization="none", evaluate_every=2000),
        "filters": 32,
        "features": 128,
        "text_features": 64,
        "latents": 64,
        "hidden": 128,
    },
    "paper": {
        "run": Run(dataset="mnist", steps=500_000, batch_size=64, binarization="none", evaluate_every=10_000),
        "side": 64,
        "matching_steps": 50_000,
    },
}

REFERENCES = ()

if __name__ == "__main__":
    main(text_to_image, PRESETS)
