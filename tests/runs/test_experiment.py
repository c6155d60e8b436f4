"""An experiment finds the capabilities of its model."""

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import genjax
from genjax.capabilities import Feeder, Writer
from genjax.runs.checkpoint_state import initial_checkpoint_state
from genjax.runs.experiment import Experiment, Select
from genjax.runs.loop import Group
from genjax.runs.options import Run
from tests.front_door_cases import SHAPE, grey
from tests.toys import descending


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


@pytest.mark.parametrize(("best", "kept"), [("min", [2, 2]), ("max", [4, 1])])
def test_a_run_keeps_the_parameters_of_the_least_score_or_of_the_greatest(best, kept, tmp_path):
    """Scores are 1, 0, 1 and 2 after the four steps of one seed; the other one goes back and has 1, 0, 1 and 0."""
    experiment = Experiment(descending(), grey().dataset, lambda *_: {}, select=Select("score", best))
    group = Group(experiment, Run(batch_size=8), (0, 1), tmp_path, Console())
    checkpoint = initial_checkpoint_state(experiment, group.feed, group.seeds)
    for step, values in enumerate([(1, 1), (2, 2), (3, 3), (4, 2)], start=1):
        params = {"net": {"w": -jnp.array(values, jnp.float32)}}
        checkpoint = checkpoint._replace(state=checkpoint.state._replace(params=params, step=jnp.array(step)))
        checkpoint, _ = group.validate(checkpoint)
    np.testing.assert_array_equal(checkpoint.chosen()[0]["net"]["w"], -np.array(kept))
