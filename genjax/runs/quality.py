"""Option --quality, with which an experiment also compares its samples with real images."""

from collections.abc import Iterable, Mapping

from genjax.capabilities import Writer
from genjax.data.dataset import Split
from genjax.evaluation import Measure, make_split_values
from genjax.measures.extractor import Extractor, train_extractor
from genjax.measures.features import first
from genjax.measures.quality import generated_count, image_quality, real_images
from genjax.metrics.patches import SIZE
from genjax.runs.directory import RunError
from genjax.runs.experiment import Baseline, Experiment
from genjax.types import Batch, Key, Metrics, Params, Stats

BASELINE = "validation_"
"""Prefix of a metric computed on validation images in place of samples."""


def quality_baselines(metrics: Iterable[str]) -> tuple[Baseline, ...]:
    """Return the baselines among the metrics of a run with --quality."""
    names = set(metrics)
    return tuple(
        Baseline(name, BASELINE + name, "validation images in place of samples")
        for name in sorted(names)
        if BASELINE + name in names
    )


def with_quality(experiment: Experiment) -> Experiment:
    """Return the experiment with `image_quality` as further metrics, and with baselines on the test split.

    The function trains the extractor; the experiment's facts name the protocols. RunError if no images are generated,
    there are no labels to train the extractor with, or images are below 7x7 pixels.
    """
    data = experiment.data
    example = data.train.first()
    from_noise = experiment.model.draws and "image" in example and "condition" not in example
    if not from_noise or experiment.capability(Writer) is not None:
        raise RunError("--quality is for experiments that draw images from noise", exit_code=2)
    if min(data.image_shape[:2]) < SIZE:
        raise RunError(f"--quality needs images of {SIZE}x{SIZE} or more, got {data.image_shape}", exit_code=2)
    real, held_out = (real_images(data, split) for split in (data.test, data.validation))
    try:
        extractor = train_extractor(data)
        baseline = image_quality(extractor, real, held_out[: generated_count(data, data.test)], split="test")
    except ValueError as error:
        raise RunError(f"--quality: {error}", exit_code=2) from error
    baselines = {BASELINE + name: value for name, value in baseline.values.items()}
    protocols = {f"{name}_protocol": protocol for name, protocol in baseline.protocols.items()}
    return experiment._replace(
        facts={**experiment.facts, **protocols},
        measure=make_measure(experiment, extractor, baselines),
    )


def make_measure(experiment: Experiment, extractor: Extractor, baselines: Mapping[str, float]) -> Measure:
    """Return the experiment's measure, extended by the quality of images generated for the first examples of a split.

    The baselines belong to the test split, and are returned for the test split only.
    """
    data, own = experiment.data, experiment.measure

    def generated(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        return {"image": experiment.model.generate(params, stats, batch, key)}

    generate = make_split_values(generated, data.load)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        fake = generate(params, stats, first(split, generated_count(data, split)), key)["image"]
        try:
            quality = image_quality(extractor, real_images(data, split), fake, split="this split")
        except ValueError as error:  # such as a split of only one or two images
            raise RunError(f"--quality: {error}") from error
        of_test = baselines if split is data.test else {}
        return {**(own(params, stats, split, key) if own else {}), **quality.values, **of_test}

    return measure
