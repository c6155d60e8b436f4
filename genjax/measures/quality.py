"""Quality of generated images: all metrics of genjax/metrics that compare two sets of images, by name.

    frechet_[hash]      Frechet distance between features, 0 where their moments agree     genjax/metrics/frechet.py
    kernel_[hash]       unbiased squared MMD with a cubic kernel, 0 where equal            kernel_distance.py
    precision_[hash]    fraction of generated images among real ones, in [0, 1]            precision_recall.py
    recall_[hash]       fraction of real images among generated ones, in [0, 1]            precision_recall.py
    class_score_[hash]  exp E KL(p(y|x) || p(y)), from 1 to the number of classes          class_score.py
    patch_distance      sliced Wasserstein-1 of 7x7 patches, 0 where equal                 patches.py
    ms_ssim             of pairs of generated images, 1 where all are the same             ms_ssim.py

The hash identifies the parameters of the extractor (genjax/measures/extractor.py), a classifier trained on the same
data. Numbers of different extractors cannot be compared, and none of these metrics has the name of the usual one.

Any experiment that generates images of labelled data measures them with --quality, on at most 5000 generated and 5000
test images. Generated images are those that `sample` draws: a VAE's are means of p(x|z), which are grey even if the
data are binary. On the test split each number has a baseline validation_...: the same number with as many validation
images in place of generated ones, which is the result of a perfect sampler. Training images would be no baseline: the
extractor was fitted to them, and is surer of them than of all other images. result.json states the protocol of each
number.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from genjax.data.dataset import Dataset, Split
from genjax.measures.baselines import images_of
from genjax.measures.distances import patches_apart
from genjax.measures.extractor import Extractor
from genjax.metrics.class_score import class_score
from genjax.metrics.features import FeatureSets
from genjax.metrics.frechet import frechet_distance
from genjax.metrics.kernel_distance import kernel_distance
from genjax.metrics.ms_ssim import WINDOW, diversity
from genjax.metrics.precision_recall import precision_recall

EXTRACTED = ("frechet", "kernel", "precision", "recall", "class_score")
"""Metrics that depend on the extractor."""
OTHERS = ("patch_distance", "ms_ssim")
"""Metrics that need no extractor."""

COUNT = 5000
"""Largest number of generated images, and of real images."""


class Quality(NamedTuple):
    """Quality numbers and the protocol behind each, by the names of `quality_names`."""

    values: dict[str, float]
    protocols: dict[str, str]


def quality_names(extractor: Extractor) -> tuple[str, ...]:
    """Names of the numbers that `image_quality` measures."""
    return (*(f"{name}_{extractor.sha256}" for name in EXTRACTED), *OTHERS)


def image_quality(
    extractor: Extractor, real: Float[np.ndarray, "n H W C"], fake: Float[np.ndarray, "m H W C"], *, split: str
) -> Quality:
    """Compare generated images in [0, 1] with real images of `split` by all metrics.

    `patch_distance` uses equally many images of both sets. Raises ValueError for images below 7x7 pixels.
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
    """Window of MS-SSIM: the paper's size, or the largest odd size that fits the images."""
    side = min(sides)
    return min(WINDOW, side if side % 2 else side - 1)


def generated_count(data: Dataset, split: Split) -> int:
    """Number of generated images to compare with a split: no more than its baseline has validation images."""
    return min(split.size, data.validation.size, COUNT)


def real_images(data: Dataset, split: Split) -> Float[np.ndarray, "n H W C"]:
    """Return the first images of a split in [0, 1], as the data's protocol prepares them."""
    return images_of(data, split, np.arange(min(split.size, COUNT))).reshape(-1, *data.image_shape)
