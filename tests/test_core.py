import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.core import Phase, due_phases, init_state, make_step, with_batches
from tests.toys import two_players

BATCH = {"image": jnp.full((4, 2, 2, 1), 0.5)}


def start(model, seed=0):
    return init_state(model, jax.random.key(seed), BATCH)


def test_a_step_is_the_phases_by_hand():
    """SGD with step size r moves x by -2 r (x - target); the second phase sees the first one's result."""
    state = start(two_players())
    after, metrics = jax.jit(make_step(two_players().phases))(state, BATCH)
    key = jax.random.fold_in(jax.random.fold_in(state.key, 0), 0)
    target = 0.5 + 0.1 * jax.random.normal(key)
    a = state.params["a"]["x"] - 0.2 * (state.params["a"]["x"] - target)
    np.testing.assert_allclose(after.params["a"]["x"], a, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after.params["b"]["x"], 0.2 * a, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metrics["first/loss"], (state.params["a"]["x"] - target) ** 2, rtol=1e-5)
    assert set(metrics) == {"first/loss", "first/target", "second/loss"}
    assert int(after.step) == 1
    assert int(after.stats["seen"]) == 4


@pytest.mark.parametrize("index", [0, 1])
def test_a_phase_changes_only_what_it_moves(index):
    model = two_players()
    state = start(model)
    after, _ = make_step(model.phases[index : index + 1])(state, BATCH)
    moved, still = ("a", "b") if index == 0 else ("b", "a")
    assert after.params[moved]["x"] != state.params[moved]["x"]
    assert after.params[still]["x"] == state.params[still]["x"]


def test_a_phase_moves_in_every_kth_step_and_its_metrics_are_nan_in_the_others():
    model = two_players(every=3)
    state, step = start(model), jax.jit(make_step(model.phases))
    changed, losses = [], []
    for _ in range(6):
        before = state
        state, metrics = step(state, BATCH)
        changed.append(bool(before.params["b"]["x"] != state.params["b"]["x"]))
        losses.append(bool(np.isnan(metrics["second/loss"])))
    assert changed == [False, False, True] * 2
    assert losses == [True, True, False] * 2


def test_a_phase_moves_from_its_start_until_its_stop_and_its_optimizer_counts_its_own_moves():
    first, second = two_players().phases
    falling = optax.sgd(lambda count: 0.1 / (1 + count))
    model = two_players()._replace(phases=(first, second._replace(start=2, stop=4, optimizer=falling)))
    state, step = start(model), jax.jit(make_step(model.phases))
    for index in range(6):
        before = state
        state, metrics = step(state, BATCH)
        b, a = before.params["b"]["x"], state.params["a"]["x"]
        rate = {2: 0.1, 3: 0.05}.get(index, 0.0)
        np.testing.assert_allclose(state.params["b"]["x"], b - 2 * rate * (b - a), rtol=1e-5, atol=1e-6)
        assert bool(np.isnan(metrics["second/loss"])) == (rate == 0)


def test_a_step_for_the_phases_that_are_due_is_the_step_with_branches():
    first, second = two_players(every=3).phases
    phases = (first._replace(stop=4), second)
    branches, state = jax.jit(make_step(phases)), start(two_players())
    for index in range(6):
        due = due_phases(phases, index)
        assert due == (index < 4, index in (2, 5))
        expected = branches(state, BATCH)
        found = jax.jit(make_step(phases, due))(state, BATCH)
        close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
        jax.tree.map(close, found[0].params, expected[0].params)
        assert {name for name, value in found[1].items() if np.isnan(value)} == {
            name for name, value in expected[1].items() if np.isnan(value)
        }
        state = expected[0]


def test_one_program_has_all_steps_of_a_phase_that_trains_no_network():
    """It adds 100 in every third step: the steps with and without it do not differ in what is due."""

    def add(params, stats, batch, key):
        return jnp.zeros(()), ({}, {**stats, "seen": stats["seen"] + 100})

    model = two_players()
    phases = (*model.phases, Phase("add", add, (), optax.identity(), every=3))
    state = start(model._replace(phases=phases))
    (due,) = {due_phases(phases, index) for index in range(7)}
    step = jax.jit(make_step(phases, due))
    for index in range(7):
        before = state
        state, metrics = step(state, BATCH)
        assert int(state.stats["seen"] - before.stats["seen"]) == (104 if index in (2, 5) else 4)
        assert bool(np.isnan(metrics["add/loss"])) == (index not in (2, 5))
        assert state.params["a"]["x"] != before.params["a"]["x"]


def test_steps_draw_new_noise_from_a_root_key_that_stays():
    model = two_players()
    first, one = make_step(model.phases)(start(model), BATCH)
    second, two = make_step(model.phases)(first, BATCH)
    assert one["first/target"] != two["first/target"]
    assert (jax.random.key_data(second.key) == jax.random.key_data(jax.random.key(0))).all()


def loss(params, stats, batch, key):
    del batch, key
    return params["a"]["x"], ({}, stats)


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ((Phase("p", loss, ("c",), optax.sgd(1.0)),), r"phase 'p': wrt names \['c'\]; the networks are \['a', 'b'\]"),
        ((Phase("p", loss, ("a",), optax.sgd(1.0), 0),), "phase 'p': every=0 must be at least 1"),
        (
            (Phase("p", loss, ("a",), optax.sgd(1.0), start=3, stop=3),),
            "phase 'p': start=3 must .* and stop=3 above it",
        ),
        ((Phase("p", loss, ("a",), optax.sgd(1.0), start=-1),), "phase 'p': start=-1 must be at least 0"),
        ((Phase("p", loss, ("a",), optax.sgd(1.0)),) * 2, "phases: names must differ"),
    ],
)
def test_phases_that_cannot_run_are_named(phases, message):
    with pytest.raises(ValueError, match=message):
        start(two_players()._replace(phases=phases))


def test_every_function_of_a_model_sees_the_changed_batch():
    seen = []

    def change(batch, key):
        seen.append(key)
        return {"image": batch["image"][:2]}

    def count(batch):
        return jnp.asarray(len(batch["image"]))

    model = two_players()._replace(
        init=lambda key, batch: ({"count": count(batch)}, {}),
        phases=(Phase("first", lambda params, stats, batch, key: (count(batch), ({}, stats)), (), optax.identity()),),
        evaluate=lambda params, stats, batch, key: {"count": count(batch)},
        generate=lambda params, stats, batch, key: count(batch),
        embed=lambda params, stats, batch: count(batch),
    )
    key = jax.random.key(3)
    changed = with_batches(model, change)
    assert changed.init(key, BATCH)[0]["count"] == 2
    assert changed.phases[0].loss({}, {}, BATCH, key)[0] == 2
    assert changed.evaluate({}, {}, BATCH, key)["count"] == 2
    assert changed.generate({}, {}, BATCH, key) == 2
    assert changed.embed({}, {}, BATCH) == 2
    assert all(one is key for one in seen[:4])
    assert with_batches(model, change, generating=lambda batch, key: batch).generate({}, {}, BATCH, key) == 4


@pytest.mark.parametrize("due", [None, (True, False)])
def test_a_phase_that_is_not_due_holds_no_nan_where_jax_would_stop_at_it(due):
    """JAX checks the results of each program inside the context."""
    model = two_players(every=2)
    step = jax.jit(make_step(model.phases, due))
    assert np.isnan(step(start(model), BATCH)[1]["second/loss"])
    with jax.debug_nans(True):
        assert jax.jit(make_step(model.phases, due))(start(model), BATCH)[1]["second/loss"] == np.inf
        with pytest.raises(FloatingPointError):
            step(start(model), {"image": BATCH["image"] * np.nan})
