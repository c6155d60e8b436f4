"""An experiment finds the capabilities of its model."""

import numpy as np
import pytest

import genjax
from genjax.capabilities import Feeder, Writer
from genjax.runs.experiment import Experiment
from tests.front_door_cases import SHAPE, grey


def test_a_model_of_a_factory_writes_in_an_experiment():
    data = genjax.text_dataset("to be or not to be. " * 30)
    experiment = Experiment(genjax.char_rnn(data.vocabulary), data.dataset, lambda *_: {})
    assert experiment.capability(Writer) is not None
    own = Writer(lambda *_: "own")
    assert experiment._replace(capabilities=(own,)).capability(Writer) is own


def test_the_images_of_a_growing_model_grow_in_an_experiment():
    growth = genjax.Growth(fade_images=8, stable_images=8, batch_size=8)
    experiment = Experiment(genjax.progressive_gan(SHAPE, growth=growth), grey().dataset, lambda *_: {})
    feed = experiment.training_feed((0,), 8)
    depths = [item.depth for _, item in zip(range(3), feed.items(0), strict=False)]
    np.testing.assert_array_equal(depths, [[0], [0], [1]])
    assert experiment.capability(Feeder).steps == 3
    with pytest.raises(ValueError, match="batch_size=16: that of a growing model is 8"):
        experiment.training_feed((0,), 16)
