"""What generated images are worth beside real ones: all of genjax/metrics that compares two sets of images, by name.

    frechet_[hash]      Frechet distance between features, 0 where their moments agree     genjax/metrics/frechet.py
    kernel_[hash]       unbiased squared MMD with a cubic kernel, 0 where equal            kernel_distance.py
    precision_[hash]    share of generated images among real ones, in [0, 1]               precision_recall.py
    recall_[hash]       share of real images among generated ones, in [0, 1]               precision_recall.py
    class_score_[hash]  exp E KL(p(y|x) || p(y)), from 1 to the number of classes          class_score.py
    patch_distance      sliced Wasserstein-1 of 7x7 patches, 0 where equal                 patches.py
    ms_ssim             of pairs of generated images, 1 where all are the same             ms_ssim.py

The hash is of the parameters of the extractor (genjax/measures/extractor.py), a classifier trained on this data: none of
these numbers compares with one of another extractor, and none is called by the name of the usual one.

Any experiment that draws images of labelled data measures them with --quality, of 5000 generated and test images at
most. Generated images are what `sample` draws: those of a VAE are means of p(x|z), grey where binary data are not. On
the test split, beside each number there is its anchor validation_...: the same number with as many validation images in
place of generated ones, which is what a perfect sampler gets. Training images are no anchor: the extractor has fitted
them, and is surer of them than of all others. result.json has each number's protocol.
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


def generated_count(data: Dataset, split: Split) -> int:
    """How many generated images are compared with those of a split: no more than there are for the anchor."""
    return min(split.size, data.validation.size, COUNT)


def real_images(data: Dataset, split: Split) -> Float[np.ndarray, "n H W C"]:
    """The first images of a split, as its protocol shows them."""
    return images_of(data, split, np.arange(min(split.size, COUNT))).reshape(-1, *data.image_shape)
