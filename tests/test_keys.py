"""Numbers folded into keys: no two uses of a key share random numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax import keys
from genjax.core import Model, Phase, init_state, make_step
from genjax.evaluation import evaluation_key, make_split_values
from genjax.training import init_seeds, iterate, load_batch, seed
from tests.toys import grey_feed, grey_split, load, two_players


def data_of(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_all_numbers_differ_and_are_above_those_of_steps_and_phases():
    numbers = [value for name, value in vars(keys).items() if name.isupper()]
    assert len(numbers) >= 4
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) > 2**30


def test_no_key_of_seed_0_is_used_twice():
    """Initialization, batches and phases of two steps, evaluation and its batches: seen where they arrive."""
    seen = []

    def noted(key):
        jax.debug.callback(lambda data: seen.append(tuple(np.asarray(data).tolist())), jax.random.key_data(key))

    def init(key, batch):
        noted(key)
        return {"a": {"x": jnp.zeros(())}}, {}

    def loss(params, stats, batch, key):
        noted(key)
        return params["a"]["x"] ** 2, ({}, stats)

    def evaluate(params, stats, batch, key):
        noted(key)
        return {"nll_nats": batch["image"].mean((1, 2, 3))}

    def loaded(raw, key):
        noted(key)
        return dict(raw)

    phases = tuple(Phase(name, loss, ("a",), optax.sgd(0.1)) for name in ("first", "second"))
    model = Model(init, phases, evaluate, lambda *_: jnp.zeros(()))
    feed = grey_feed()._replace(load=lambda arrays, item, key: loaded({"image": jnp.zeros((2, 2, 2, 1))}, key))
    state = seed(init_seeds(model, feed, (0,)), 0)
    for item, _ in zip(feed.items(0), range(2), strict=False):
        state, _ = make_step(phases)(state, load_batch(feed, state, feed.arrays, item[0]))
    make_split_values(evaluate, loaded)(state.params, state.stats, grey_split(), evaluation_key())
    jax.effects_barrier()
    used = set(seen)
    # Two for the initialization, three for each step, two for the evaluation's batch.
    assert len(used) == 2 + 2 * 3 + 2
    assert len(seen) == len(used)


def test_the_key_of_evaluations_is_no_key_of_a_training():
    root = jax.random.key(0)
    others = [jax.random.fold_in(root, number) for number in (keys.INIT, 0, 1, 2**31 - 1)]
    state = init_state(two_players(), root, load(grey_split().arrays, root))
    assert data_of(evaluation_key()) not in {data_of(key) for key in [root, state.key, *others]}


def test_an_initialization_may_split_its_key_without_taking_one_of_a_step():
    """`jax.random.split(key, n)` holds `fold_in(key, i)` for all i below n: of the root they are the keys of steps."""
    seen = []
    model = two_players()._replace(init=lambda key, batch: (seen.append(key), two_players().init(key, batch))[1])
    root = jax.random.key(7)
    init_state(model, root, load(grey_split().arrays, root))
    taken = {data_of(key) for key in (*seen, *jax.random.split(seen[0], 4))}
    assert taken.isdisjoint({data_of(root), *(data_of(jax.random.fold_in(root, step)) for step in range(4))})


def test_a_compiled_step_loads_its_batch_and_takes_its_phases_under_keys_of_their_own():
    """Two steps of two seeds, each with a batch and two phases that draw one number each: all twelve differ."""

    def loss(params, stats, batch, key):
        metrics = {"batch": batch["image"].mean(), "drawn": jax.random.uniform(key)}
        return params["a"]["x"] ** 2, (metrics, stats)

    phases = tuple(Phase(name, loss, ("a",), optax.sgd(0.1)) for name in ("first", "second"))
    model = two_players()._replace(phases=phases)
    feed = grey_feed((0, 1))._replace(load=lambda arrays, item, key: {"image": jax.random.uniform(key, (1, 1, 1, 1))})
    numbers = [
        value
        for _, _, metrics in iterate(model, feed, init_seeds(model, feed, (0, 1)), 2)
        for name in ("first/batch", "first/drawn", "second/drawn")
        for value in np.asarray(metrics[name]).tolist()
    ]
    assert len(set(numbers)) == len(numbers) == 12
