"""Folders of saved states: what is recognized as one, and how one replaces another."""

import jax
import jax.numpy as jnp
import pytest

import genjax
from genjax.checkpoint import Checkpoints
from genjax.front import save as saving
from tests.front_door_cases import grey

MODEL = genjax.Model(
    init=lambda key, batch: ({"net": {"w": jnp.zeros(())}}, {}),
    phases=(),
    evaluate=lambda params, stats, batch, key: {},
    generate=lambda params, stats, batch, key: batch["image"],
)


def state_with(w):
    return genjax.TrainState({"net": {"w": jnp.float32(w)}}, {}, {}, jax.random.key(0), jnp.int32(7))


def saved_w(path):
    return float(genjax.restore(path, MODEL, grey()).params["net"]["w"])


def test_hidden_entries_are_ignored_and_nothing_is_left_beside(tmp_path):
    genjax.save(tmp_path / "run", state_with(1))
    (tmp_path / "run" / ".DS_Store").write_text("")
    assert saved_w(tmp_path / "run") == 1
    genjax.save(tmp_path / "run", state_with(2), overwrite=True)
    assert saved_w(tmp_path / "run") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_checkpoint_of_something_else_is_refused_and_kept(tmp_path):
    folder = tmp_path / "seeds-0"
    checkpoints = Checkpoints(folder)
    checkpoints.save(5, {"w": jnp.zeros(3)}, {"seconds": 1.0})
    checkpoints.close()
    with pytest.raises(ValueError, match=r"is no folder that genjax\.save has written"):
        genjax.restore(folder, MODEL, grey())
    with pytest.raises(ValueError, match=r"is no folder that genjax\.save has written"):
        genjax.save(folder, state_with(1), overwrite=True)
    assert (folder / "5").is_dir()


def test_a_folder_of_a_year_is_not_overwritten(tmp_path):
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"is no folder that genjax\.save has written"):
        genjax.save(tmp_path / "photos", state_with(1), overwrite=True)
    assert (tmp_path / "photos" / "2024").is_dir()


def test_the_old_state_comes_back_if_the_new_one_cannot_be_put_in_its_place(tmp_path, monkeypatch):
    genjax.save(tmp_path / "run", state_with(1))
    monkeypatch.setattr(saving, "write", lambda folder, state: None)
    with pytest.raises(FileNotFoundError):
        genjax.save(tmp_path / "run", state_with(2), overwrite=True)
    assert saved_w(tmp_path / "run") == 1
