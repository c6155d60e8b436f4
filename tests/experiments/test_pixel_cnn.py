"""The experiment on PixelCNN: the conditions of its tasks, and its pictures."""

import functools

import jax
import numpy as np
import pytest

from experiments.pixel_cnn import Options, classes_of, coarse, grey, pixel_cnn, with_condition
from genjax.data.dataset import Dataset, resident
from genjax.data.load import load_dataset
from genjax.runs.options import Data, Run

THRESHOLD = Data(binarization="threshold")


def data_set(shape, labels=None):
    image = np.random.default_rng(0).random((12, *shape)).astype(np.float32)
    split = resident({"image": image} if labels is None else {"image": image, "label": np.asarray(labels, np.int32)})
    return Dataset("made", "real", split, split, split, lambda raw, key: dict(raw), sha256="")


def test_a_grey_image_is_the_mean_of_the_channels_at_the_images_levels():
    image = np.float32([[0.0, 0.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]).reshape(1, 1, 3, 3)
    found = np.asarray(jax.jit(functools.partial(grey, levels=3))(image))
    np.testing.assert_allclose(found[0, 0, :, 0], [0.5, 1.0, 0.5])  # 1/3 and 2/3 are nearest to 1/2


def test_a_coarse_image_repeats_the_mean_of_each_block():
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    expected = np.kron([[2.5, 4.5], [10.5, 12.5]], np.ones((2, 2)))
    found = np.asarray(jax.jit(functools.partial(coarse, factor=2))(image))
    np.testing.assert_allclose(found[0, :, :, 0], expected)


@pytest.mark.parametrize(("task", "channels"), [("colorize", 1), ("super-resolution", 3)])
def test_a_task_adds_its_condition_to_every_batch(task, channels):
    data = data_set((4, 4, 3))
    load = jax.jit(with_condition(data, task, factor=2, levels=8).load)
    batch = load(data.train.read(np.arange(5)), jax.random.key(0))
    assert batch["condition"].shape == (5, 4, 4, channels)


def test_classes_are_counted_up_to_the_greatest_label():
    assert classes_of(data_set((2, 2, 1), labels=[0, 3, 1] * 4)) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: classes_of(data_set((2, 2, 1))), "--task labels: 'made' has no labels"),
        (lambda: with_condition(data_set((4, 4, 1)), "colorize", factor=2, levels=8), "'made' are grey"),
        (lambda: with_condition(data_set((4, 6, 1)), "super-resolution", factor=4, levels=8), "--factor 4 must be at"),
        (lambda: pixel_cnn(Options(THRESHOLD, levels=8)), "levels=8 of threshold data"),
        (lambda: pixel_cnn(Options(THRESHOLD, features=0)), "features=0 must be at least 1"),
    ],
)
def test_what_cannot_be_done_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("levels", [2, 17])
def test_every_picture_of_a_conditional_model_is_drawn(levels):
    images = THRESHOLD if levels == 2 else Data(binarization="none")
    task = "labels" if levels == 2 else "super-resolution"
    sizes = {"features": 1, "blocks": 1, "first_kernel": 3, "levels": levels}
    experiment = pixel_cnn(Options(images, Run(batch_size=4), task=task, **sizes))
    batch = jax.jit(experiment.data.load)(load_dataset("digits").test.read(np.arange(4)), jax.random.key(0))
    params, stats = jax.jit(experiment.model.init)(jax.random.key(0), batch)
    assert set(experiment.figures(params, stats, jax.random.key(1))) == {"samples", "completions", "receptive_field"}
