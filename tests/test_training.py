import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.core import init_state, make_step
from genjax.errors import ArgumentError
from genjax.training import (
    empty_seeds,
    first_failure,
    first_nonfinite,
    init_seeds,
    iterate,
    load_batch,
    make_train_step,
    seed,
)
from tests.toys import grey_feed, two_players


def train(model, feed, seeds, steps):
    *_, (_, state, _) = iterate(model, feed, init_seeds(model, feed, seeds), steps)
    return state


def test_a_seed_among_others_equals_the_seed_alone():
    with jax.enable_x64(True):
        model = two_players()
        together = seed(train(model, grey_feed((3, 5, 7)), (3, 5, 7), 11), 1)
        alone = seed(train(model, grey_feed((5,)), (5,), 11), 0)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), together.params, alone.params)


def test_a_generator_that_gives_a_seed_other_numbers_among_others_trains_one_at_a_time():
    """As rbg does: vmapped over keys it draws other numbers than with each of them."""
    with jax.default_prng_impl("rbg"):
        keys = jax.vmap(jax.random.key)(jnp.arange(2))
        together, alone = jax.vmap(jax.random.normal)(keys), jnp.stack([jax.random.normal(key) for key in keys])
        assert (together != alone).any()
        with pytest.raises(ArgumentError, match=r"seeds=\(3, 5\): JAX_DEFAULT_PRNG_IMPL=rbg .* train one at a time"):
            init_seeds(two_players(), grey_feed((3, 5)), (3, 5))
        assert np.isfinite(train(two_players(), grey_feed((3,)), (3,), 2).params["b"]["x"]).all()


def test_iterate_is_make_step_in_a_python_loop():
    model, feed = two_players(), grey_feed()
    state = init_seeds(model, feed, (0,))
    one = seed(state, 0)
    for item, _ in zip(feed.items(0), range(5), strict=False):
        batch = load_batch(feed, one, feed.arrays, item[0])
        one, _ = make_step(model.phases)(one, batch)
    np.testing.assert_allclose(
        seed(train(model, feed, (0,), 5), 0).params["b"]["x"], one.params["b"]["x"], rtol=1e-5, atol=1e-6
    )


def test_seeds_differ_in_start_and_in_order_of_the_data():
    state = train(two_players(), grey_feed((0, 1)), (0, 1), 3)
    assert state.params["a"]["x"][0] != state.params["a"]["x"][1]
    first, second = next(grey_feed((0, 1)).items(0))
    assert (first != second).any()


def test_iterate_counts_steps_in_all_and_stops():
    model, feed = two_players(), grey_feed()
    state = train(model, feed, (0,), 4)
    assert [step for step, _, _ in iterate(model, feed, state, 7)] == [5, 6, 7]
    assert list(iterate(model, feed, train(model, feed, (0,), 4), 4)) == []


def test_no_second_compilation():
    model, feed = two_players(every=2), grey_feed((0, 1))
    state, step = init_seeds(model, feed, (0, 1)), make_train_step(model, feed)
    for item, _ in zip(feed.items(0), range(4), strict=False):
        state, _ = step(state, feed.arrays, item)
    assert step._cache_size() == 1


@pytest.mark.usefixtures("optimized")  # as users have it
def test_an_empty_state_has_the_arrays_of_the_first_one():
    model, feed = two_players(), grey_feed((0, 1))
    empty, first = empty_seeds(model, feed, (0, 1)), init_seeds(model, feed, (0, 1))
    assert jax.tree.structure(empty) == jax.tree.structure(first)
    for zero, leaf in zip(jax.tree.leaves(empty), jax.tree.leaves(first), strict=True):
        assert (zero.shape, zero.dtype) == (leaf.shape, leaf.dtype)
    assert not any(leaf.any() for leaf in jax.tree.leaves(empty.params))


def test_init_seeds_equals_init_state_of_each():
    model, feed = two_players(), grey_feed((4, 9))
    batch = {"image": jnp.zeros((4, 2, 2, 1))}
    alone = init_state(model, jax.random.key(9), batch)
    np.testing.assert_allclose(
        init_seeds(model, feed, (4, 9)).params["a"]["x"][1], alone.params["a"]["x"], rtol=1e-5, atol=1e-6
    )


def exploding_at(step_of_failure):
    """`two_players` whose second phase divides by zero in one step."""
    model = two_players()

    def second(params, stats, batch, key):
        loss, (metrics, stats) = model.phases[1].loss(params, stats, batch, key)
        return loss / jnp.where(stats["seen"] == 4 * step_of_failure, 0.0, 1.0), (metrics, stats)

    return model._replace(phases=(model.phases[0], model.phases[1]._replace(loss=second)))


def test_first_failure_names_step_phase_and_array():
    model, feed = exploding_at(3), grey_feed()
    where = first_failure(model, feed, init_seeds(model, feed, (0,)), 10)
    assert where is not None
    assert where.startswith("step 3, phase 'second' (loss [")
    assert where.endswith("the first array that is not finite is ['params']['b']['x']")
    assert first_failure(model, feed, init_seeds(model, feed, (0,)), 2) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_first_nonfinite_names_the_first_bad_array(bad):
    tree = {"a": jnp.ones(3), "b": jnp.array([1.0, bad]), "c": jnp.array([bad]), "n": jnp.arange(3)}
    assert first_nonfinite(tree) == "['b']"
    assert first_nonfinite({"a": tree["a"], "n": tree["n"]}) is None
