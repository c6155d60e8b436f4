"""What generated images are worth beside real ones: all of genjax/metrics that compares two sets of images, by name.

    frechet_[hash]      Frechet distance between features, 0 where their moments agree     genjax/metrics/frechet.py
    kernel_[hash]       unbiased squared MMD with a cubic kernel, 0 where equal            kernel_distance.py
    precision_[hash]    share of generated images among real ones, in [0, 1]               precision_recall.py
    recall_[hash]       share of real images among generated ones, in [0, 1]               precision_recall.py
    class_score_[hash]  exp E KL(p(y|x) || p(y)), from 1 to the number of classes          class_score.py
    patch_distance      sliced Wasserstein-1 of 7x7 patches, 0 where equal                 patches.py
    ms_ssim             of pairs of generated images, 1 where all are the same             ms_ssim.py

The hash is of the parameters of the extractor (experiments/extractor.py), a classifier trained on this data: none of
these numbers compares with one of another extractor, and none is called by the name of the usual one.

Any experiment that draws images of labelled data measures them with --quality, of 5000 generated and test images at
most. Generated images are what `sample` draws: those of a VAE are means of p(x|z), grey where binary data are not. On
the test split, beside each number there is its anchor validation_...: the same number with as many validation images in
place of generated ones, which is what a perfect sampler gets. Training images are no anchor: the extractor has fitted
them, and is surer of them than of all others. result.json has each number's protocol.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.anchors import images_of
from experiments.directory import RunError
from experiments.distances import patches_apart
from experiments.experiment import Experiment, Measure
from experiments.extractor import Extractor, train_extractor
from experiments.features import first
from experiments.training import make_split_values
from genjax.data.dataset import Dataset, Split
from genjax.metrics.class_score import class_score
from genjax.metrics.features import FeatureSets
from genjax.metrics.frechet import frechet_distance
from genjax.metrics.kernel_distance import kernel_distance
from genjax.metrics.ms_ssim import WINDOW, diversity
from genjax.metrics.patches import SIZE
from genjax.metrics.precision_recall import precision_recall
from genjax.types import Batch, Key, Metrics, Params, Stats

EXTRACTED = ("frechet", "kernel", "precision", "recall", "class_score")
OTHERS = ("patch_distance", "ms_ssim")

COUNT = 5000
"""Generated images, and real ones, at most."""


class Quality(NamedTuple):
    """Numbers, and how each was made, by the names of `quality_names`."""

    values: dict[str, float]
    protocols: dict[str, str]


def quality_names(extractor: Extractor) -> tuple[str, ...]:
    """The names of what `image_quality` measures."""
    return (*(f"{name}_{extractor.sha256}" for name in EXTRACTED), *OTHERS)


def image_quality(
    extractor: Extractor, real: Float[np.ndarray, "n H W C"], fake: Float[np.ndarray, "m H W C"], *, split: str
) -> Quality:
    """All metrics of generated images in [0, 1] against real ones of `split`.

    `patch_distance` takes as many of both as there are of the fewer. Images below 7x7 pixels are refused (ValueError).
    """
    sets = FeatureSets(extractor.features(real), extractor.features(fake), extractor.name, split)
    frechet, kernel, manifolds = frechet_distance(sets), kernel_distance(sets), precision_recall(sets)
    score = class_score(extractor.probabilities(fake), classifier=extractor.name)
    fewer = min(len(real), len(fake))
    patches = patches_apart(real[:fewer], fake[:fewer], split=split)
    pairs = diversity(fake, window=largest_window(fake.shape[1:3]))
    measured = [
        (frechet.value, frechet.protocol),
        (kernel.value, kernel.protocol),
        (manifolds.precision, manifolds.protocol),
        (manifolds.recall, manifolds.protocol),
        (score.value, score.protocol),
        (patches.value, patches.protocol),
        (pairs.value, pairs.protocol),
    ]
    named = dict(zip(quality_names(extractor), measured, strict=True))
    return Quality(
        {name: value for name, (value, _) in named.items()},
        {name: protocol for name, (_, protocol) in named.items()},
    )


def largest_window(sides: tuple[int, ...]) -> int:
    """The paper's window, or the largest odd one that fits."""
    side = min(sides)
    return min(WINDOW, side if side % 2 else side - 1)


def with_quality(experiment: Experiment) -> Experiment:
    """The experiment that measures `image_quality`, with anchors on the test split; its facts have the protocols.

    The extractor is trained here. Raises RunError where no images are generated, there are no labels to train it with,
    or images are below 7x7 pixels.
    """
    data = experiment.data
    if not experiment.draws or experiment.write is not None or "image" not in data.train.read(np.zeros(1, np.int64)):
        raise RunError("--quality is for experiments that draw images from noise", exit_code=2)
    if min(data.image_shape[:2]) < SIZE:
        raise RunError(f"--quality needs images of {SIZE}x{SIZE} or more, got {data.image_shape}", exit_code=2)
    real, held_out = (real_images(data, split) for split in (data.test, data.validation))
    try:
        extractor = train_extractor(data)
        anchor = image_quality(extractor, real, held_out[: fakes_beside(data, data.test)], split="test")
    except ValueError as error:
        raise RunError(f"--quality: {error}", exit_code=2) from error
    anchors = {f"validation_{name}": value for name, value in anchor.values.items()}
    protocols = {f"{name}_protocol": protocol for name, protocol in anchor.protocols.items()}
    return experiment._replace(
        kinds={**experiment.kinds, **dict.fromkeys((*anchor.values, *anchors), "estimate")},
        facts={**experiment.facts, **protocols},
        measure=make_measure(experiment, extractor, anchors),
    )


def make_measure(experiment: Experiment, extractor: Extractor, anchors: Mapping[str, float]) -> Measure:
    """What the experiment measures of a split, and the quality of images generated for its first examples.

    The anchors are numbers against the test split, and stand beside it only.
    """
    data, own = experiment.data, experiment.measure

    def generated(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        return {"image": experiment.model.generate(params, stats, batch, key)}

    generate = make_split_values(generated, data.load)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        fake = generate(params, stats, first(split, fakes_beside(data, split)), key)["image"]
        try:
            quality = image_quality(extractor, real_images(data, split), fake, split="this split")
        except ValueError as error:  # a split of one or two images
            raise RunError(f"--quality: {error}") from error
        beside = anchors if split is data.test else {}
        return {**(own(params, stats, split, key) if own else {}), **quality.values, **beside}

    return measure


def fakes_beside(data: Dataset, split: Split) -> int:
    """How many generated images are compared with those of a split: no more than there are for the anchor."""
    return min(split.size, data.validation.size, COUNT)


def real_images(data: Dataset, split: Split) -> Float[np.ndarray, "n H W C"]:
    """The first images of a split, as its protocol shows them."""
    return images_of(data, split, np.arange(min(split.size, COUNT))).reshape(-1, *data.image_shape)
