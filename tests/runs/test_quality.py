"""The option --quality: quality of generated images as numbers of an experiment."""

import functools

import jax
import numpy as np
import pytest

from genjax.core import Model
from genjax.data.dataset import Dataset, Split, resident
from genjax.data.load import load_dataset
from genjax.measures.extractor import train_extractor
from genjax.measures.quality import image_quality, quality_names
from genjax.runs import quality
from genjax.runs.directory import RunError
from genjax.runs.experiment import Experiment
from genjax.runs.quality import with_quality


@functools.cache
def digits() -> Dataset:
    return load_dataset("digits", binarization="none")


@functools.cache
def trained(steps=150):
    return train_extractor(digits(), steps=steps)


def experiment_that_shows(images_of_batch, **others) -> Experiment:
    """A model that generates the function of the images of the batch."""
    model = Model(
        init=lambda key, batch: ({}, {}),
        phases=(),
        evaluate=lambda params, stats, batch, key: {},
        generate=lambda params, stats, batch, key: images_of_batch(batch["image"]),
    )
    return Experiment(model, digits(), kinds={"size": "exact"}, figures=lambda *_: {}, **others)


def test_any_experiment_on_images_measures_quality_beside_its_own_numbers(monkeypatch):
    """A model that generates the first of the images it is compared with, as many as there are validation images."""
    monkeypatch.setattr(quality, "train_extractor", lambda data: trained())
    found = with_quality(
        experiment_that_shows(lambda x: x, measure=lambda p, s, split, key: {"size": float(split.size)})
    )
    numbers = found.measure({"unused": np.zeros(1)}, {}, digits().test, jax.random.key(0))
    names = quality_names(trained())
    assert set(numbers) == {"size", *names, *(f"validation_{name}" for name in names)}
    test, validation = (split.arrays["image"] for split in (digits().test, digits().validation))
    assert len(validation) < len(test)
    expected = image_quality(trained(), test, test[: len(validation)], split="test").values
    baselines = image_quality(trained(), test, validation, split="test").values
    assert numbers == pytest.approx(
        {"size": len(test)} | expected | {f"validation_{name}": value for name, value in baselines.items()}, rel=1e-5
    )


def test_baselines_are_for_the_test_split_only_and_small_splits_are_told(monkeypatch):
    monkeypatch.setattr(quality, "train_extractor", lambda data: trained())
    found = with_quality(experiment_that_shows(lambda x: x))
    numbers = found.measure({"unused": np.zeros(1)}, {}, digits().validation, jax.random.key(0))
    assert set(numbers) == set(quality_names(trained()))
    one = resident({name: array[:1] for name, array in digits().validation.arrays.items()})
    with pytest.raises(RunError, match="--quality: "):
        with_quality(experiment_that_shows(lambda x: x)._replace(data=digits()._replace(validation=one)))
    with pytest.raises(RunError, match="--quality: "):
        found.measure({"unused": np.zeros(1)}, {}, one, jax.random.key(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": False}, "--quality is for experiments that draw images from noise"),
        (
            {"data": digits()._replace(train=Split(4, lambda rows: {"point": np.zeros((4, 2))[rows]}, None))},
            "that draw images from noise",
        ),
        ({"data": digits()._replace(train=resident({"image": np.zeros((4, 6, 8, 1))}))}, "images of 7x7 or more"),
        ({"data": digits()._replace(train=resident({"image": np.zeros((4, 8, 8, 1))}))}, "--quality: .* needs labels"),
    ],
)
def test_quality_says_what_it_needs(change, message):
    experiment = experiment_that_shows(lambda x: x)
    if "draws" in change:
        change = {"model": experiment.model._replace(**change)}
    with pytest.raises(RunError, match=message):
        with_quality(experiment._replace(**change))
