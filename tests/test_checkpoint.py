import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.checkpoint import Checkpoints
from genjax.training import init_seeds
from tests.toys import grey_feed, two_players

# A read that fails leaves callbacks of Orbax's behind for an event loop that is closed by then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def state(seeds=(0, 1)):
    return init_seeds(two_players(), grey_feed(seeds), seeds)


def same(a, b):
    keyless = [tree._replace(key=jax.random.key_data(tree.key)) for tree in (a, b)]
    jax.tree.map(np.testing.assert_array_equal, *keyless)


def saved(folder, steps):
    checkpoints = Checkpoints(folder, keep=3)
    for step in steps:
        checkpoints.save(step, {"state": state()._replace(step=jnp.asarray(step, jnp.int32))}, {"seconds": step / 2})
    return checkpoints


def overwrite(folder):
    """Damage every array file of a checkpoint."""
    files = [path for path in folder.rglob("d/*") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(b"\0" * path.stat().st_size)


def test_what_is_saved_is_restored(tmp_path):
    found = saved(tmp_path / "c", [5]).restore_latest({"state": state()})
    same(found.tree["state"], state()._replace(step=jnp.asarray(5, jnp.int32)))
    assert found.tree["state"].key.dtype == state().key.dtype
    assert (found.step, found.facts, found.damaged) == (5, {"seconds": 2.5}, {})


def test_the_newest_are_kept(tmp_path):
    checkpoints = saved(tmp_path / "c", [1, 2, 3, 4])
    assert sorted(checkpoints.manager.all_steps()) == [2, 3, 4]


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert Checkpoints(tmp_path / "c").restore_latest({"state": state()}) is None


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(tmp_path):
    saved(tmp_path / "c", [1, 2]).close()
    overwrite(tmp_path / "c" / "2")
    checkpoints = Checkpoints(tmp_path / "c")
    found = checkpoints.restore_latest({"state": state()})
    assert found.step == 1
    assert list(found.damaged) == [2]
    assert str(tmp_path / "c" / "2") in found.damaged[2]
    checkpoints.set_aside(2)
    assert (tmp_path / "c-damaged-2").is_dir()
    assert checkpoints.restore_latest({"state": state()}).damaged == {}


def test_a_bit_flipped_in_an_array_is_noticed(tmp_path):
    """The digest notices what the file format lets pass: here another tree under the digest of the first."""
    checkpoints = saved(tmp_path / "c", [1])
    facts = tmp_path / "c" / "1" / "facts" / "metadata"
    text = facts.read_text()
    start = text.index("sha256") + len('sha256": "')
    facts.write_text(text[:start] + ("0" if text[start] != "0" else "1") + text[start + 1 :])
    with pytest.raises(ValueError, match=r"all checkpoints are damaged: .*do not match their SHA-256"):
        checkpoints.restore_latest({"state": state()})


def test_all_damaged_is_an_error(tmp_path):
    saved(tmp_path / "c", [1]).close()
    overwrite(tmp_path / "c" / "1")
    with pytest.raises(ValueError, match="all checkpoints are damaged"):
        Checkpoints(tmp_path / "c").restore_latest({"state": state()})


def test_reading_leaves_the_unfinished_save_of_another_process(tmp_path):
    saved(tmp_path / "c", [1]).close()
    unfinished = tmp_path / "c" / "2.orbax-checkpoint-tmp-7"
    unfinished.mkdir()
    assert Checkpoints(tmp_path / "c", read_only=True).restore_latest({"state": state()}).step == 1
    assert unfinished.exists()
    assert Checkpoints(tmp_path / "c").restore_latest({"state": state()}).step == 1
    assert not unfinished.exists()


@pytest.mark.parametrize("name", ["vae [latents=2]", "x[!a]", "a\\b", "[above]/c", "50% #1 ?*"])
def test_a_path_that_holds_signs_of_patterns_is_a_path(tmp_path, name):
    folder = tmp_path / name / "c"
    folder.parent.mkdir(parents=True)
    checkpoints = saved(folder, [5])
    checkpoints.close()
    reader = Checkpoints(folder, read_only=True)
    same(reader.restore_latest({"state": state()}).tree["state"], state()._replace(step=jnp.asarray(5, jnp.int32)))
    reader.close()
    assert (folder / "5").is_dir()
