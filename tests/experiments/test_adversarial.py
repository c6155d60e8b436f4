"""The experiments on InfoGAN and text to image: their metrics and figures of tiny networks, and their errors."""

import contextlib
import io
import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from experiments import infogan as infogan_file
from experiments import text_to_image as text_to_image_file
from experiments.parts import text_to_image_scenes
from experiments.parts.captioned import Scenes
from genjax.capabilities import Captioner
from genjax.commands.sample import captioned
from genjax.core import init_state
from genjax.metrics.scenes import ATTRIBUTES
from genjax.models.adversarial import text_to_image as model_of
from genjax.runs.directory import RunError
from genjax.runs.options import Data, Run
from genjax.runs.restore import Restored

READ = np.array([[3, 1, 0, 2], [-1] * 4])
"""Digit, colour, size and position of one object, and no second one."""

DATA, RUN = Data(binarization="none"), Run(steps=10)
SIZES = {"filters": 1, "features": 3, "text_features": 2, "latents": 2, "hidden": 3}


def text_to_image(data=DATA, run=RUN, scenes=None, **options):
    scenes = scenes or Scenes(side=16, captions=1)
    return text_to_image_file.text_to_image(text_to_image_file.Options(data, run, scenes, **options))


def state_of(experiment, batch):
    return jax.jit(lambda key: init_state(experiment.model, key, batch))(jax.random.key(0))


def test_infogan():
    sizes = {"noise": 2, "categories": 3, "continuous": 1, "channels": (2, 2), "hidden": 3, "recognition_hidden": 2}
    experiment = infogan_file.infogan(infogan_file.Options(DATA, RUN, **sizes, average=0.9))
    state = state_of(experiment, {"image": jnp.zeros((2, 8, 8, 1))})
    drawn = experiment.figures(state.params, state.stats, jax.random.key(1))
    assert set(drawn) == {"samples", "training", "categories", "continuous_1"}
    data = experiment.data
    found = experiment.measure(state.params, state.stats, data.test, jax.random.key(1))
    (seen, train), (unseen, test) = (categories(experiment, state, split) for split in (data.train, data.test))
    best = max(itertools.permutations(range(10), 3), key=lambda classes: np.sum(np.array(classes)[seen] == train))
    assert {experiment.kind(name) for name in found} == {"exact"}
    assert experiment.kind("category_information_nats") == "estimate"
    assert found["category_error"] == pytest.approx(np.mean(np.array(best)[unseen] != test))


def categories(experiment, state, split):
    """The most probable of three categories of each image, and its class."""
    embed = jax.jit(experiment.model.embed)
    found = np.asarray(embed(state.params, state.stats, {"image": split.arrays["image"]}))
    return found[:, :3].argmax(axis=1), split.arrays["label"]


def test_text_to_image(monkeypatch):
    reader = SimpleNamespace(generate=lambda params, stats, batch, key: read_as(params["read"], batch["image"]))
    monkeypatch.setattr(text_to_image_scenes, "scene_model", lambda *, optimizer: reader)
    monkeypatch.setattr(text_to_image_scenes, "trained", lambda *model_data_steps: {"read": jnp.asarray(READ)})
    experiment = text_to_image(matching_steps=2, **SIZES, average=0.9)
    batch = jax.jit(experiment.data.load)(dict(experiment.data.train.read(np.arange(2))), jax.random.key(0))
    state = state_of(experiment, batch)
    drawn = experiment.figures(state.params, state.stats, jax.random.key(1))
    assert set(drawn) == {"samples", "training", "zero_shot", "interpolation", "styles"}
    found = experiment.measure(state.params, state.stats, experiment.data.test, jax.random.key(1))
    accuracies = {f"{kind}{name}_accuracy" for kind in ("", "real_", "zero_shot_") for name in (*ATTRIBUTES, "scene")}
    assert set(found) == {"matching_auroc", "pair_auroc", *accuracies}
    assert {experiment.kind(name) for name in (*found, "matching_score")} == {"estimate"}
    assert_reading_is_counted(found, experiment.data.test.arrays)
    assert_captions_are_told_apart(found, experiment, state)
    assert_texts_are_checked(experiment)


def read_as(objects, images):
    """These objects in all images, but for the digit, which follows the brightness."""
    digit = jnp.floor(1000 * images.mean(axis=(1, 2, 3))).astype(int) % 10
    return jnp.tile(objects, (len(images), 1, 1)).at[:, 0, 0].set(digit)


def assert_reading_is_counted(found, test):
    """Of a reader that sees one small green digit at the top of any image, generated ones and real ones."""
    objects, seen = test["objects"], np.asarray(jax.jit(read_as)(READ, test["image"] / np.float32(255)))
    alone = (objects[:, 1] == -1).all(axis=1)
    agreed = alone[:, None] & (objects[:, 0] == seen[:, 0])
    expected = {**dict(zip(ATTRIBUTES, agreed.mean(axis=0), strict=True)), "scene": agreed.all(axis=1).mean()}
    for name, share in expected.items():
        assert found[f"real_{name}_accuracy"] == pytest.approx(share, abs=0.01)  # of rounding
        if name in ("colour", "size", "place"):
            assert found[f"{name}_accuracy"] == pytest.approx(share)
    assert found["digit_accuracy"] != found["real_digit_accuracy"]  # other images
    assert 0 < found["zero_shot_digit_accuracy"] != found["digit_accuracy"]  # other scenes


def assert_captions_are_told_apart(found, experiment, state):
    """An image's one caption from that of the one before it."""
    test = experiment.data.test.arrays
    evaluate = jax.jit(experiment.model.evaluate)
    image, captions = test["image"] / np.float32(255), test["caption"][:, 0]
    own, other = (
        evaluate(state.params, state.stats, {"image": image, "caption": each}, jax.random.key(0))
        for each in (captions, np.roll(captions, 1, axis=0))
    )
    differ = (test["objects"] != np.roll(test["objects"], 1, axis=0)).any(axis=(1, 2))
    for name, score in (("matching_auroc", "matching_score"), ("pair_auroc", "pair_logit")):
        scores = np.concatenate([own[score], np.asarray(other[score])[differ]])
        expected = roc_auc_score(np.arange(len(scores)) < len(captions), scores)
        assert found[name] == pytest.approx(expected, abs=1e-3)


def test_options_of_text_to_image_reach_the_model(monkeypatch):
    asked = {}
    make = model_of.text_to_image
    monkeypatch.setattr(
        model_of, "text_to_image", lambda *shape, **options: asked.update(options) or make(*shape, **options)
    )
    weights = {"matching_weight": 0.3, "interpolation": 0.7}
    text_to_image(matching_steps=2, **SIZES, **weights, style_steps=3)
    assert {name: asked[name] for name in weights} == weights
    assert (asked["matching_steps"], asked["style_start"]) == (2, 7)


def test_a_folder_whose_captions_are_all_alike_is_named(tmp_path):
    for index in range(30):
        Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(tmp_path / f"{index:02}.png")
        (tmp_path / f"{index:02}.txt").write_text("a grey square")
    with pytest.raises(
        ValueError, match=r"--dataset .*: validation has 3 images whose captions are the same; needs two"
    ):
        text_to_image(Data(str(tmp_path), binarization="none"), matching_steps=2)


def assert_texts_are_checked(experiment):
    """Words that are not known are named; a text without one that is known, or without any, is refused."""
    run = Restored(text_to_image, SimpleNamespace(name="text_to_image"), experiment, ((0,),), ())
    tokens = experiment.capability(Captioner).tokens
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert captioned(run, "a purplish seven with a hat")["caption"].shape == (1, *tokens("seven").shape)
        assert said.getvalue() == "warning: --text: no caption of the training has purplish, with, hat\n"
        captioned(run, "seven")
    assert len(said.getvalue().splitlines()) == 1
    for text in ("purplish", "", " "):
        with pytest.raises(RunError, match=f"--text: caption '{text}': none of its words is known; known are"):
            captioned(run, text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": 1.0}, "--average 1.0 must be at least 0 and below 1"),
        ({"matching_steps": 10}, "--matching-steps 10 must be from 1 to --steps 10 less 1"),
        (
            {"matching_steps": 2, "style_steps": 9},
            "--style-steps 9 must be from 1 to 8, the steps after --matching-steps",
        ),
        ({"filters": 0}, "--filters 0 must be above 0"),
        ({"matching_weight": np.inf}, "--matching-weight inf must be at least 0 and finite"),
        ({"interpolation": -1.0}, "--interpolation -1.0 must be at least 0 and finite"),
        ({"matching_steps": 2, "scenes": Scenes(side=18)}, "--side 18: image_shape="),
        ({"run": Run(steps=10, batch_size=1)}, "--batch-size 1: captions are compared"),
        ({"data": Data()}, "--binarization static: captioned images are in colour"),
    ],
)
def test_bad_options_of_text_to_image_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        text_to_image(**options)
