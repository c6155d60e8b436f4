import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.core import TrainState
from genjax.data.dataset import Split, resident
from genjax.evaluation import (
    evaluate_split,
    make_evaluate_seeds,
    make_split_values,
    map_batches,
    map_split,
    means,
    select_better,
    select_none,
)

SIZE, BATCH = 7, 3


def split():
    return resident({"image": np.arange(SIZE, dtype=np.float32).reshape(SIZE, 1, 1, 1)})


def on_disk():
    held = split()
    return Split(SIZE, held.read, None)


def load(raw, key):
    """The value of each example plus one random number for the whole batch."""
    return {"image": raw["image"] + jax.random.uniform(key)}


def evaluate(params, stats, batch, key):
    drawn = jax.random.uniform(key, (len(batch["image"]),))
    return {"scaled": params["scale"] * batch["image"][:, 0, 0, 0] + stats["shift"], "drawn": drawn}


def expected(key, scale, shift):
    """The same by hand: batch i has the key folded with i, of which loading and evaluating take one half each."""
    scaled, drawn = [], []
    for index, rows in enumerate(([0, 1, 2], [3, 4, 5], [6, 0, 0])):
        load_key, evaluate_key = jax.random.split(jax.random.fold_in(key, index))
        image = np.array(rows, np.float32) + np.asarray(jax.random.uniform(load_key))
        scaled.append(scale * image + shift)
        drawn.append(np.asarray(jax.random.uniform(evaluate_key, (BATCH,))))
    return np.concatenate(scaled)[:SIZE], np.concatenate(drawn)[:SIZE]


SEEDS = {"scale": jnp.array([1.0, -2.0])}, {"shift": jnp.array([0.5, 3.0])}


@pytest.mark.parametrize("data", [split(), on_disk()], ids=["in memory", "on disk"])
def test_every_seed_and_example_is_evaluated_once_in_order_under_the_batchs_key(data):
    key = jax.random.key(4)
    found = evaluate_split(make_evaluate_seeds(evaluate, load), *SEEDS, data, key=key, batch_size=BATCH)
    for seed, (scale, shift) in enumerate(((1.0, 0.5), (-2.0, 3.0))):
        scaled, drawn = expected(key, scale, shift)
        np.testing.assert_allclose(found["scaled"][seed], scaled, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found["drawn"][seed], drawn)
    assert len(np.unique(found["drawn"][0])) == SIZE


def test_split_values_are_those_of_one_seed():
    key = jax.random.key(4)
    params, stats = jax.tree.map(lambda leaf: leaf[1], SEEDS)
    found = make_split_values(evaluate, load)(params, stats, split(), key)
    of_seeds = evaluate_split(make_evaluate_seeds(evaluate, load), *SEEDS, split(), key=key)
    for name in ("scaled", "drawn"):
        np.testing.assert_allclose(found[name], of_seeds[name][1], rtol=1e-5, atol=1e-6)
        assert found[name].shape == (SIZE,)


def test_map_split_gives_each_batch_a_key_and_drops_the_filling():
    key, keys = jax.random.key(2), []

    def function(raw, key):
        keys.append(jax.random.key_data(key).tolist())
        return {"image": raw["image"], "nested": {"sum": raw["image"].sum(axis=(1, 2, 3))}}

    found = map_split(function, split(), key=key, batch_size=BATCH)
    np.testing.assert_array_equal(found["image"], split().arrays["image"])
    np.testing.assert_array_equal(found["nested"]["sum"], np.arange(SIZE))
    assert keys == [jax.random.key_data(jax.random.fold_in(key, index)).tolist() for index in range(3)]


@pytest.mark.parametrize(("size", "batch_size"), [(7, 3), (6, 3), (2, 3), (1, 1)])
def test_all_batches_are_full_and_the_filling_is_example_0(size, batch_size):
    seen = []

    def function(index, rows):
        seen.append((index, rows.tolist()))
        return jnp.asarray(rows)

    kept = list(map_batches(function, size, batch_size))
    np.testing.assert_array_equal(np.concatenate(kept), np.arange(size))
    filled = [*range(size), *[0] * (-size % batch_size)]
    assert seen == [
        (index, filled[start : start + batch_size]) for index, start in enumerate(range(0, size, batch_size))
    ]


def test_batches_are_made_one_after_another():
    """A long list need not be in memory at once."""
    seen = []
    batches = map_batches(lambda index, rows: seen.append(index) or jnp.asarray(rows), 9, 3)
    next(batches)
    assert seen == [0]


def test_one_program_serves_all_batches():
    of_its_own = lambda *arguments: evaluate(*arguments)  # noqa: E731  # so that no other test has compiled it
    function = make_evaluate_seeds(of_its_own, load)
    evaluate_split(function, *SEEDS, split(), key=jax.random.key(0), batch_size=BATCH)
    assert function._cache_size() == 1


def test_means_are_of_float64():
    """In float32 the small values would be lost beside the large one."""
    values = np.array([[2.0**24, *[1.0] * 15], [3.0] * 16], np.float32)
    found = means({"nll_nats": values})["nll_nats"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [(2**24 + 15) / 16, 3.0])


def state_at(step, value):
    """Two seeds whose parameters are `value` and `value` + 10."""
    params = {"network": {"w": jnp.array([[value, value], [value + 10, value + 10]], jnp.float32)}}
    keys = jax.vmap(jax.random.key)(jnp.arange(2, dtype=jnp.uint32))
    return TrainState(params, {"network": {}}, {}, keys, jnp.asarray(step, jnp.int32))


def selected_after(scores, *, larger_is_better):
    selected = select_none(state_at(0, 0.0))
    for step, score in enumerate(scores, start=1):
        selected = select_better(
            selected, state_at(step, float(step)), jnp.asarray(score, jnp.float32), larger_is_better=larger_is_better
        )
    return selected


@pytest.mark.parametrize(("larger_is_better", "steps"), [(True, [2, 1]), (False, [3, 2])])
def test_each_seed_keeps_its_own_best(larger_is_better, steps):
    selected = selected_after([[1.0, 5.0], [2.0, 3.0], [0.0, 4.0]], larger_is_better=larger_is_better)
    assert selected.step.tolist() == steps
    np.testing.assert_array_equal(selected.params["network"]["w"][:, 0], [steps[0], steps[1] + 10])
    np.testing.assert_array_equal(selected.params["network"]["w"][:, 0], selected.params["network"]["w"][:, 1])


def test_of_equal_scores_the_first_is_kept():
    assert selected_after([[1.0, 2.0], [1.0, 2.0]], larger_is_better=True).step.tolist() == [1, 1]


@pytest.mark.parametrize("larger_is_better", [True, False])
def test_a_nan_score_is_beaten_by_any_and_beats_none(larger_is_better):
    nan = float("nan")
    selected = selected_after([[nan, 1.0], [3.0, nan], [nan, nan]], larger_is_better=larger_is_better)
    assert selected.step.tolist() == [2, 1]
    assert selected.score.tolist() == [3.0, 1.0]


def test_before_the_first_score_a_copy_of_the_start_is_kept():
    state = state_at(0, 7.0)
    selected = select_none(state)
    assert selected.step.tolist() == [0, 0]
    state.params["network"]["w"].delete()
    np.testing.assert_array_equal(selected.params["network"]["w"][:, 0], [7, 17])
