import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from matplotlib.figure import Figure
from PIL import Image

from genjax.core import Model, Phase, init_state, make_step
from genjax.pictures.figures import Movie
from genjax.pictures.sample_history import SEED, sample_history, with_sample_history
from genjax.runs.loop import due_metrics
from genjax.runs.runner import save_picture


def counter():
    """A model whose sample is how often its one number went up."""

    def loss(params, stats, batch, key):
        return -params["number"]["x"], ({}, stats)

    return Model(
        init=lambda key, batch: ({"number": {"x": jnp.zeros(())}}, {}),
        phases=(Phase("rise", loss, ("number",), optax.sgd(1.0)),),
        evaluate=lambda params, stats, batch, key: {},
        generate=lambda params, stats, batch, key: (
            params["number"]["x"] + 0 * batch["image"] + jax.random.uniform(key, batch["image"].shape)
        ),
    )


@pytest.mark.parametrize(
    ("steps", "frames", "taken"), [(10, 5, [0, 2, 4, 6, 8, 10]), (7, 3, [0, 3, 6]), (2, 9, [0, 1, 2])]
)
def test_a_history_has_the_samples_before_training_and_at_equal_distances(steps, frames, taken):
    model = with_sample_history(counter(), {"image": np.zeros(2, np.float32)}, frames=frames, steps=steps)
    state, step = init_state(model, jax.random.key(0), {}), jax.jit(make_step(model.phases))
    for done in range(steps):
        assert sample_history(state.stats).steps.tolist() == [one for one in taken if one <= done]
        state, _ = step(state, {})
    history = sample_history(state.stats)
    noise = np.asarray(jax.random.uniform(jax.random.key(SEED), (2,)))
    assert history.steps.tolist() == taken
    np.testing.assert_allclose(history.samples, np.array(taken)[:, None] + noise, rtol=1e-5)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="frames=0 and steps=3 must be at least 1"):
        with_sample_history(counter(), {}, frames=0, steps=3)


def test_a_phase_that_updates_nothing_is_told_of_only_where_it_is_alone():
    model = with_sample_history(counter(), {"image": np.zeros(2, np.float32)}, frames=1, steps=1)
    metrics = {"rise/loss": 1.0, "film/loss": 0.0}
    assert due_metrics(model.phases, metrics, 1) == {"rise/loss": 1.0}
    assert due_metrics(model.phases[1:], metrics, 1) == {"film/loss": 0.0}


def test_a_movie_is_saved_frame_by_frame(tmp_path):
    figure = Figure(figsize=(1, 1))
    axes = figure.add_axes((0, 0, 1, 1))
    shades = ["black", "white", "black"]
    path = save_picture(tmp_path / "movie", Movie(figure, lambda frame: axes.set_facecolor(shades[frame]), 3))
    with Image.open(path) as saved:
        assert (path.suffix, saved.format, saved.n_frames) == (".gif", "GIF", 3)
        seen = []
        for frame in range(3):
            saved.seek(frame)
            seen.append(saved.convert("L").getpixel((40, 40)))
    assert seen == [0, 255, 0]
