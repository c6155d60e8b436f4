"""The experiments on games with codes and captions: what they promise to measure and to draw, of tiny networks."""

import contextlib
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import text_to_image as text_to_image_experiment
from experiments.directory import RunError
from experiments.experiment import Run
from experiments.infogan import infogan
from experiments.restore import Restored
from experiments.sample import captioned
from experiments.text_to_image import text_to_image
from genjax.core import init_state

RUN = Run(binarization="none", steps=10)


def state_of(experiment, batch):
    return jax.jit(lambda key: init_state(experiment.model, key, batch))(jax.random.key(0))


def test_infogan():
    sizes = {"noise": 2, "categories": 3, "continuous": 1, "channels": (2, 2), "hidden": 3, "recognition_hidden": 2}
    experiment = infogan(RUN, **sizes, average=0.9)
    state = state_of(experiment, {"image": jnp.zeros((2, 8, 8, 1))})
    drawn = experiment.figures(state.params, state.stats, jax.random.key(1))
    assert set(drawn) == {"samples", "training", "categories", "number_1"}
    found = experiment.measure(state.params, state.stats, experiment.data.test, jax.random.key(1))
    assert 0.5 < found["category_error"] <= 1  # three categories tell three classes of ten at most


def test_text_to_image(monkeypatch):
    monkeypatch.setattr(text_to_image_experiment, "READER_STEPS", 2)
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
    assert all(0 <= value <= 1 for value in found.values())
    assert_texts_are_checked(experiment)


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
        ({"filters": 0}, "--filters 0 must be above 0"),
        ({"run": Run(steps=10)}, "--binarization static: captioned images are in colour"),
    ],
)
def test_bad_options_of_text_to_image_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        text_to_image(**{"run": RUN, **options})
