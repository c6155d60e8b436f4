"""An experiment that measures its samples against real images as well: the option --quality."""

from collections.abc import Mapping

import numpy as np

from genjax.capabilities import Writer
from genjax.data.dataset import Split
from genjax.evaluation import Measure, make_split_values
from genjax.measures.extractor import Extractor, train_extractor
from genjax.measures.features import first
from genjax.measures.quality import generated_count, image_quality, real_images
from genjax.metrics.patches import SIZE
from genjax.runs.directory import RunError
from genjax.runs.experiment import Experiment
from genjax.types import Batch, Key, Metrics, Params, Stats


def with_quality(experiment: Experiment) -> Experiment:
    """The experiment that measures `image_quality`, with anchors on the test split; its facts have the protocols.

    The extractor is trained here. Raises RunError where no images are generated, there are no labels to train it with,
    or images are below 7x7 pixels.
    """
    data = experiment.data
    if (
        not experiment.draws
        or experiment.capability(Writer) is not None
        or "image" not in data.train.read(np.zeros(1, np.int64))
    ):
        raise RunError("--quality is for experiments that draw images from noise", exit_code=2)
    if min(data.image_shape[:2]) < SIZE:
        raise RunError(f"--quality needs images of {SIZE}x{SIZE} or more, got {data.image_shape}", exit_code=2)
    real, held_out = (real_images(data, split) for split in (data.test, data.validation))
    try:
        extractor = train_extractor(data)
        anchor = image_quality(extractor, real, held_out[: generated_count(data, data.test)], split="test")
    except ValueError as error:
        raise RunError(f"--quality: {error}", exit_code=2) from error
    anchors = {f"validation_{name}": value for name, value in anchor.values.items()}
    protocols = {f"{name}_protocol": protocol for name, protocol in anchor.protocols.items()}
    return experiment._replace(
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
        fake = generate(params, stats, first(split, generated_count(data, split)), key)["image"]
        try:
            quality = image_quality(extractor, real_images(data, split), fake, split="this split")
        except ValueError as error:  # a split of one or two images
            raise RunError(f"--quality: {error}") from error
        beside = anchors if split is data.test else {}
        return {**(own(params, stats, split, key) if own else {}), **quality.values, **beside}

    return measure
