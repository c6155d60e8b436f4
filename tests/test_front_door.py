"""The front door: six lines on a user's own arrays."""

import contextlib
import functools
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import genjax
from genjax.core import with_inputs
from genjax.data.arrays import ArrayDataset
from genjax.data.load import load_dataset
from genjax.front import train as training
from tests.front_door_cases import COUNT, IMAGES, LABELS, SHAPE, SYSTEMS, TEXT, data_of, grey, model_of, state_of
from tests.toys import descending, two_players


def same(a, b):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if jax.numpy.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_array_equal(one, other)


def close(a, b):
    """Equal up to rounding, and in a weight of a hundred up to two of Adam's updates.

    Adam makes a whole update of a gradient that is 0 but for rounding, and its sign depends on the machine.
    """
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.isclose(one, other, rtol=1e-3, atol=1e-5).mean() >= 0.99
        np.testing.assert_allclose(one, other, atol=5e-3)


@pytest.mark.parametrize("name", SYSTEMS)
def test_six_lines(name, tmp_path):
    data, model, state = data_of(name), model_of(name), state_of(name)
    metrics = genjax.evaluate(model, state, data.test)
    assert metrics
    assert all(isinstance(value, float) and np.isfinite(value) for value in metrics.values())
    images = genjax.sample(model, state, seed=1, **SYSTEMS[name][2])
    assert images.shape == (4, *SHAPE)
    assert images.min() >= 0
    assert images.max() <= 1
    genjax.save(tmp_path / "run", state)
    same(genjax.restore(tmp_path / "run", model, data), state)


def test_six_lines_on_a_text(tmp_path):
    data = genjax.text_dataset(TEXT, sequence_length=10)
    model = genjax.char_rnn(data.vocabulary, hidden=4, layers=1)
    state = genjax.train(model, data, steps=2, seed=0, batch_size=4)
    assert genjax.evaluate(model, state, data.test)["nats_per_character"] < 10
    text = genjax.sample(model, state, 7, seed=1, prompt="to be", temperature=0.5)
    assert isinstance(text, str)
    assert len(text) == 7
    assert set(text) <= set(data.vocabulary)
    genjax.save(tmp_path / "run", state)
    same(genjax.restore(tmp_path / "run", model, data), state)


def test_a_series_is_drawn_in_rows():
    data = genjax.series_dataset(np.sin(np.arange(500) / 7), sequence_length=10)
    model = genjax.series_rnn(hidden=3, components=2, length=6)
    state = genjax.train(model, data, steps=1, batch_size=4)
    assert genjax.sample(model, state, 3).shape == (3, 6)


IMAGE_FACTORIES = (
    *("tabular", "nade", "rnade", "made", "eonade", "pixel_cnn", "pixel_rnn", "autoencoder", "vae", "aae"),
    *("gan", "dcgan", "infogan", "puzzle_gan", "cyclegan", "stargan", "progressive_gan"),
)


@pytest.mark.parametrize("name", IMAGE_FACTORIES)
def test_the_papers_defaults_suit_small_images(name):
    model = getattr(genjax, name)(SHAPE)
    assert model.inputs["image"].shape == SHAPE
    assert model.seeds_together == (name in ("tabular", "eonade", "vae", "aae", "gan"))
    assert model.draws == (name not in ("autoencoder", "puzzle_gan", "cyclegan", "stargan"))


def test_a_growing_model_has_its_own_batch_size():
    growth = genjax.Growth(fade_images=8, stable_images=8, batch_size=8)
    model = genjax.progressive_gan(SHAPE, growth=growth, latents=3, channels=3)
    with pytest.raises(ValueError, match=r"growth=genjax.Growth\(batch_size=16\)"):
        genjax.train(model, grey(), steps=3, batch_size=16)


def test_defaults_train_on_grey_bytes():
    data = genjax.dataset(IMAGES)
    model = genjax.vae(data.image_shape, latents=20)
    state = genjax.train(model, data, steps=1, seed=0)
    assert set(genjax.evaluate(model, state, data.test)) >= {"elbo_nats", "iwae_500_nats"}


def test_a_step_is_compiled_once_for_all_seeds_and_trainings():
    """The loss is called when a step is traced, and a step is traced before it is compiled."""
    model, calls = genjax.nade(SHAPE, hidden=4), []
    (phase,) = model.phases
    counted = phase._replace(loss=lambda *arguments: calls.append(arguments) or phase.loss(*arguments))
    model = model._replace(phases=(counted,))
    assert not model.seeds_together
    genjax.train(model, data_of("nade"), steps=2, seeds=range(3), batch_size=16)
    state = genjax.train(model, data_of("nade"), steps=1, seed=3, batch_size=16)
    genjax.train(model, data_of("nade"), steps=1, state=state, batch_size=16)
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["vae", "dcgan"])
def test_five_seeds_at_once_equal_each_alone(name):
    model, data = model_of(name), data_of(name)
    states = genjax.train(model, data, steps=2, seeds=range(5), batch_size=16)
    assert states.key.shape == (5,)
    assert all(leaf.shape[0] == 5 for leaf in jax.tree.leaves(states.params))
    assert states.step.shape == ()
    alone = genjax.train(model, data, steps=2, seed=3, batch_size=16)
    third = jax.tree.map(lambda leaf: leaf[3], states.params)
    close(third, alone.params)
    metrics = genjax.evaluate(model, states, data.test)
    assert all(values.shape == (5,) for values in metrics.values())
    assert genjax.sample(model, states, 2).shape == (5, 2, *SHAPE)


def test_going_on_is_as_if_it_had_not_stopped():
    model, data = model_of("nade"), data_of("nade")
    first = genjax.train(model, data, steps=2, seed=4, batch_size=16)
    kept = jax.tree.map(np.asarray, first.params)
    on = genjax.train(model, data, steps=3, state=first, batch_size=16)
    same(on, genjax.train(model, data, steps=5, seed=4, batch_size=16))
    same(first.params, kept)


def test_seeds_and_state_are_refused_together():
    with pytest.raises(ValueError, match="one of seed, seeds and state"):
        genjax.train(model_of("nade"), data_of("nade"), steps=1, seed=0, state=state_of("nade"))


def test_the_best_parameters_on_the_validation_split_are_kept():
    model, data = model_of("nade"), data_of("nade")
    run = functools.partial(genjax.train, model, data, seed=0, batch_size=16)
    worst = run(steps=4, best=genjax.Best("nll_nats", "max", every=2))
    scores = {steps: genjax.evaluate(model, run(steps=steps), data.validation)["nll_nats"] for steps in (2, 4)}
    found = genjax.evaluate(model, worst, data.validation)["nll_nats"]
    assert found == pytest.approx(max(scores.values()), rel=1e-5)
    with pytest.raises(ValueError, match=r"no metric 'nlls'; the model has .*nll_nats"):
        run(steps=10**9, best=genjax.Best("nlls", "min"))


def test_a_loss_that_is_not_finite_stops_the_training():
    data = data_of("nade")
    model = genjax.nade(data.image_shape, hidden=5, learning_rate=float("inf"))
    with pytest.raises(FloatingPointError, match=r"training stopped: step 1, phase 'likelihood'.*not finite"):
        genjax.train(model, data, steps=3, seed=0, batch_size=16)


def test_a_state_that_is_not_finite_is_never_returned():
    def loss(params, stats, batch, key):
        return batch["image"].mean() * params["net"]["w"], ({}, stats)

    model = genjax.Model(
        init=lambda key, batch: ({"net": {"w": jax.numpy.zeros(())}}, {}),
        phases=(genjax.Phase("only", loss, ("net",), optax.sgd(float("inf"))),),
        evaluate=lambda params, stats, batch, key: {},
        generate=lambda params, stats, batch, key: batch["image"],
    )
    with pytest.raises(FloatingPointError, match=r"step 1, phase 'only' \(loss \[0.0\]\).*\['net'\]\['w'\]"):
        genjax.train(model, grey(), steps=1)


def test_a_bar_is_shown_on_request(capsys):
    genjax.train(model_of("nade"), data_of("nade"), steps=1, batch_size=16, progress=True)
    assert "likelihood" in capsys.readouterr().out
    genjax.train(model_of("nade"), data_of("nade"), steps=1, batch_size=16)
    assert not capsys.readouterr().out


def test_a_bar_counts_the_steps_of_all_groups_of_seeds(monkeypatch):
    steps, took = [], []

    @contextlib.contextmanager
    def bar(total, *, shown):
        steps.append(total)
        yield lambda done, losses: took.append(done)

    monkeypatch.setattr(training, "progress_bar", bar)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    genjax.train(two_players()._replace(seeds_together=False), grey(), steps=2, seeds=(0, 1))
    assert (steps, took) == ([4], [2, 2])


def test_a_data_set_and_a_model_of_the_long_form_go_through_the_front_door():
    data = load_dataset("digits", binarization="threshold")
    model = with_inputs(two_players(), image=genjax.Input(SHAPE))
    state = genjax.train(model, data, steps=2)
    assert all(np.isfinite(value) for value in genjax.evaluate(model, state, data).values())


def test_same_key_same_samples_and_known_pixels_stay():
    model, state = model_of("nade"), state_of("nade")
    first = genjax.sample(model, state, 16, seed=1)
    np.testing.assert_array_equal(first, genjax.sample(model, state, 16, key=jax.random.key(1)))
    assert (first != genjax.sample(model, state, 16, seed=2)).any()
    known = np.arange(8)[:, None] < 4
    image = (IMAGES[:5] > 127).astype(np.uint8)
    completed = genjax.sample(model, state, image=image, known=np.broadcast_to(known, (8, 8)))
    np.testing.assert_array_equal(completed[:, :4, :, 0], image[:, :4])


OTHER_PROCESS = """
import sys, numpy as np, jax, genjax
data = genjax.dataset(np.load(sys.argv[1] + "/images.npy"))
model = genjax.vae(data.image_shape, hidden=(6,), latents=2, evaluation_samples=3)
state = genjax.restore(sys.argv[1] + "/run", model, data)
np.savez(sys.argv[1] + "/found.npz", *[np.asarray(leaf) for leaf in jax.tree.leaves(state.params)],
         key=jax.random.key_data(state.key), step=state.step)
"""


def test_another_process_restores_bit_for_bit(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    genjax.save(tmp_path / "run", state_of("vae"))
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, str(tmp_path)], check=True, cwd=Path(__file__).parents[1])
    state, found = state_of("vae"), np.load(tmp_path / "found.npz")
    leaves = jax.tree.leaves(state.params)
    for index, leaf in enumerate(leaves):
        np.testing.assert_array_equal(found[f"arr_{index}"], leaf)
    np.testing.assert_array_equal(found["key"], jax.random.key_data(state.key))
    assert found["step"] == 1


def test_a_state_is_never_overwritten_unasked(tmp_path):
    state = state_of("nade")
    genjax.save(tmp_path / "run", state)
    with pytest.raises(ValueError, match="exists; choose another path, or pass overwrite=True"):
        genjax.save(tmp_path / "run", state)
    genjax.save(tmp_path / "run", state, overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"no folder that genjax\.save has written"):
        genjax.save(tmp_path / "mine", state, overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_state_of_another_model_is_refused_as_such(tmp_path):
    data = data_of("nade")
    genjax.save(tmp_path / "run", state_of("nade"))
    with pytest.raises(ValueError, match=r"saved by another model: .*'W'.*\[64, 5\] there and float32\[64, 6\] here"):
        genjax.restore(tmp_path / "run", genjax.nade(data.image_shape, hidden=6), data)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        genjax.restore(tmp_path / "nothing", model_of("nade"), data)


def test_several_seeds_are_saved_and_restored(tmp_path):
    model, data = model_of("nade"), data_of("nade")
    states = genjax.train(model, data, steps=1, seeds=(3, 5), batch_size=16)
    genjax.save(tmp_path / "run", states)
    same(genjax.restore(tmp_path / "run", model, data), states)


@pytest.mark.parametrize("binarization", ["none", "static", "dynamic", "threshold"])
def test_bytes_and_the_same_as_floats_give_the_same_batches(binarization):
    sets = [genjax.dataset(images, LABELS, binarization=binarization) for images in (IMAGES, IMAGES / 255)]
    for name in ("train", "validation", "test"):
        one, other = (getattr(data, name).batch(COUNT) for data in sets)
        np.testing.assert_allclose(one["image"], other["image"], atol=1e-7)
        np.testing.assert_array_equal(one["label"], other["label"])


def test_splits_are_a_fixed_partition():
    data = genjax.dataset(IMAGES, validation=0.2, test=0.1)
    again = genjax.dataset(IMAGES, validation=0.2, test=0.1)
    assert (data.train.size, data.validation.size, data.test.size) == (42, 12, 6)
    parts = [getattr(data, name).arrays["image"] for name in ("train", "validation", "test")]
    found = np.sort(np.concatenate(parts).reshape(COUNT, -1), axis=0)
    np.testing.assert_array_equal(found, np.sort(IMAGES.reshape(COUNT, -1), axis=0))
    np.testing.assert_array_equal(parts[2], again.test.arrays["image"])


def test_held_out_images_may_be_given():
    data = genjax.dataset(IMAGES[:40], LABELS[:40], test=(IMAGES[40:], LABELS[40:]))
    np.testing.assert_array_equal(data.test.arrays["image"][..., 0], IMAGES[40:])
    assert (data.train.size, data.validation.size, data.test.size) == (36, 4, 20)
    with pytest.raises(ValueError, match="make them alike"):
        genjax.dataset(IMAGES[:40], LABELS[:40], test=IMAGES[40:])


def test_held_out_images_may_be_a_list_an_array_of_jax_or_a_path(tmp_path):
    np.savez(tmp_path / "held.npz", image=IMAGES[50:])
    for given in (list(IMAGES[50:]), jax.numpy.asarray(IMAGES[50:]), tmp_path / "held.npz"):
        data = genjax.dataset(IMAGES[:50], validation=given, test=np.float64(0.2))
        np.testing.assert_array_equal(data.validation.arrays["image"][..., 0], IMAGES[50:])
        assert (data.train.size, data.test.size) == (40, 10)
    assert genjax.dataset(tmp_path / "held.npz").train.size == 8


def test_public_names_are_there_and_nothing_else():
    assert set(genjax.__all__) == set(genjax.HOMES)
    assert set(genjax.__all__) <= set(dir(genjax))
    assert all(getattr(genjax, name) is not None for name in genjax.__all__)
    with pytest.raises(AttributeError, match="no attribute 'vea'"):
        genjax.vea  # noqa: B018
    assert isinstance(genjax.dataset("digits"), ArrayDataset)


@pytest.mark.parametrize(("better", "steps", "kept"), [("min", 3, 2), ("max", 4, 4), ("max", 3, 1)])
def test_the_best_parameters_have_the_least_score_or_the_greatest(better, steps, kept):
    """Scores are 1, 0, 1 and 2 after the four steps, and the first of two equal ones is kept."""
    state = genjax.train(descending(), grey(), steps=steps, best=genjax.Best("score", better, every=1))
    assert float(state.params["net"]["w"]) == -kept
