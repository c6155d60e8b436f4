"""The experiments on games with codes and captions: what they promise to measure and to draw, of tiny networks."""

import contextlib
import io
import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import text_to_image_scenes
from experiments.directory import RunError
from experiments.experiment import Run
from experiments.infogan import infogan
from experiments.restore import Restored
from experiments.sample import captioned
from experiments.text_to_image import text_to_image
from genjax.core import init_state
from genjax.metrics.scenes import ATTRIBUTES

READ = np.array([[3, 1, 0, 2], [-1] * 4])
"""Digit, colour, size and place, and nothing beside it."""

RUN = Run(binarization="none", steps=10)


def state_of(experiment, batch):
    return jax.jit(lambda key: init_state(experiment.model, key, batch))(jax.random.key(0))


def test_infogan():
    sizes = {"noise": 2, "categories": 3, "continuous": 1, "channels": (2, 2), "hidden": 3, "recognition_hidden": 2}
    experiment = infogan(RUN, **sizes, average=0.9)
    state = state_of(experiment, {"image": jnp.zeros((2, 8, 8, 1))})
    drawn = experiment.figures(state.params, state.stats, jax.random.key(1))
    assert set(drawn) == {"samples", "training", "categories", "number_1"}
    data = experiment.data
    found = experiment.measure(state.params, state.stats, data.test, jax.random.key(1))
    (seen, train), (unseen, test) = (categories(experiment, state, split) for split in (data.train, data.test))
    best = max(itertools.permutations(range(10), 3), key=lambda classes: np.sum(np.array(classes)[seen] == train))
    assert found["category_error"] == pytest.approx(np.mean(np.array(best)[unseen] != test))


def categories(experiment, state, split):
    """The most probable of three categories of each image, and its class."""
    embed = jax.jit(experiment.model.embed)
    found = embed(state.params, state.stats, {"image": jnp.asarray(split.arrays["image"])})
    return np.asarray(found[:, :3].argmax(axis=1)), split.arrays["label"]


def test_text_to_image(monkeypatch):
    read = lambda params, stats, batch, key: jnp.tile(params["read"], (len(batch["image"]), 1, 1))  # noqa: E731
    reader = SimpleNamespace(generate=read)
    monkeypatch.setattr(text_to_image_scenes, "scene_reader", lambda *, optimizer: reader)
    monkeypatch.setattr(text_to_image_scenes, "trained", lambda *reader_data_steps: {"read": jnp.asarray(READ)})
    sizes = {"filters": 1, "features": 3, "text_features": 2, "latents": 2, "hidden": 3}
    experiment = text_to_image(RUN, side=16, matching_steps=2, **sizes, average=0.9)
    raw = experiment.data.train.read(np.arange(2))
    batch = experiment.data.load({name: jnp.asarray(array) for name, array in raw.items()}, jax.random.key(0))
    state = state_of(experiment, batch)
    drawn = experiment.figures(state.params, state.stats, jax.random.key(1))
    assert set(drawn) == {"samples", "training", "zero_shot", "interpolation", "styles"}
    found = experiment.measure(state.params, state.stats, experiment.data.test, jax.random.key(1))
    scores = {f"{fake}{name}" for fake in ("", "fake_") for name in ("matching_score", "pair_logit")}
    assert {*found, *scores} == set(experiment.kinds)
    assert_reading_is_counted(found, experiment.data.test.arrays["objects"])
    assert_texts_are_checked(experiment)


def assert_reading_is_counted(found, objects):
    """Of a reader that sees one small green three at the top of any image, generated ones and real ones."""
    alone = (objects[:, 1] == -1).all(axis=1)
    agreed = alone[:, None] & (objects[:, 0] == READ[0])
    expected = {**dict(zip(ATTRIBUTES, agreed.mean(axis=0), strict=True)), "scene": agreed.all(axis=1).mean()}
    for name, share in expected.items():
        assert found[f"{name}_accuracy"] == found[f"real_{name}_accuracy"] == pytest.approx(share)
    assert 0 < found["zero_shot_digit_accuracy"] != found["digit_accuracy"]  # other scenes
    assert found["zero_shot_scene_accuracy"] == 0  # a green three is in none: threes are yellow there


def assert_texts_are_checked(experiment):
    """Words that are not known are named; a text without one that is known, or without any, is refused."""
    run = Restored({"experiment": "text_to_image"}, experiment, ((0,),), ())
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert captioned(run, "a purplish seven with a hat")["caption"].shape == (1, *experiment.caption("seven").shape)
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
        ({"matching_steps": 2, "style_steps": 9}, "--style-steps 9 must be from 1 to 8, the game's steps"),
        ({"filters": 0}, "--filters 0 must be above 0"),
        ({"run": Run(steps=10)}, "--binarization static: captioned images are in colour"),
    ],
)
def test_bad_options_of_text_to_image_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        text_to_image(**{"run": RUN, **options})
