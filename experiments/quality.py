"""What generated images are worth beside real ones: all of genjax/metrics that compares two sets of images, by name.

    frechet_[hash]      Frechet distance between features, 0 where their moments agree     genjax/metrics/frechet.py
    kernel_[hash]       unbiased squared MMD with a cubic kernel, 0 where equal            kernel_distance.py
    precision_[hash]    share of generated images among real ones, in [0, 1]               precision_recall.py
    recall_[hash]       share of real images among generated ones, in [0, 1]               precision_recall.py
    class_score_[hash]  exp E KL(p(y|x) || p(y)), from 1 to the number of classes          class_score.py
    patch_distance      sliced Wasserstein-1 of 7x7 patches, 0 where equal                 patches.py
    ms_ssim             of pairs of generated images, 1 where all are the same             ms_ssim.py

The hash is of the parameters of the extractor (experiments/extractor.py), a classifier trained on this data: none of
these numbers compares with one of another extractor, and none is called by the name of the usual one. Put validation
images in place of the generated ones for the anchor: what a perfect sampler gets at this number of images. Training
images are none: the extractor has fitted them, and is surer of them than of all others.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.extractor import Extractor
from genjax.metrics.class_score import class_score
from genjax.metrics.features import FeatureSets
from genjax.metrics.frechet import frechet_distance
from genjax.metrics.kernel_distance import kernel_distance
from genjax.metrics.ms_ssim import WINDOW, diversity
from genjax.metrics.patches import SIZE, patch_distance
from genjax.metrics.precision_recall import precision_recall

EXTRACTED = ("frechet", "kernel", "precision", "recall", "class_score")
OTHERS = ("patch_distance", "ms_ssim")

PATCHES, DIRECTIONS = 32, 128
"""Of `patch_distance`; the paper's 128 and 512 take sixteen times as long."""


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
    drawn = {"smallest": SIZE, "patches": PATCHES, "directions": DIRECTIONS}
    patches = patch_distance(real[:fewer], fake[:fewer], split=split, **drawn)
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
