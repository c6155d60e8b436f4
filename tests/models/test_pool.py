"""What a pool answers, and what it keeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax.models.adversarial.pool import Pool, empty_pool, query

KEY = jax.random.key(0)
ASKED = 3000
ask = jax.jit(query)


def numbered(start, count):
    """Images that are their number everywhere."""
    return np.broadcast_to(np.arange(start, start + count, dtype=np.float32)[:, None, None, None], (count, 2, 2, 1))


def numbers(images):
    return np.asarray(images)[:, 0, 0, 0].astype(int).tolist()


def answers_to(images, *, size=50, batch=1, key=KEY):
    """The answers to images that come in batches, and the pool after the first `size` and at the end."""
    pool, answers, full = empty_pool(size, images.shape[1:]), [], None
    for start in range(0, len(images), batch):
        answered, pool = ask(pool, images[start : start + batch], jax.random.fold_in(key, start))
        answers += numbers(answered)
        full = pool if start + batch == size else full
    return answers, full, pool


def full_pool(size=5):
    return Pool(jnp.asarray(numbered(1, size)), jnp.asarray(size))


@pytest.mark.parametrize("batch", [1, 10])
def test_the_first_50_answers_are_the_images_and_the_pool_holds_them(batch):
    answers, full, pool = answers_to(numbered(1, 50), batch=batch)
    assert answers == numbers(full.images) == list(range(1, 51))
    assert int(pool.held) == 50


def test_while_it_fills_the_rest_is_black():
    _, _, pool = answers_to(numbered(1, 3))
    assert (numbers(pool.images), int(pool.held)) == ([1, 2, 3, *[0] * 47], 3)


def test_later_an_answer_is_the_image_or_leaves_the_pool_for_it():
    images = numbered(1, 400)
    pool = full_pool(50)
    for start in range(50, 400, 10):
        before = sorted(numbers(pool.images))
        answered, pool = ask(pool, images[start : start + 10], jax.random.fold_in(KEY, start))
        after = sorted(numbers(pool.images))
        assert len(after) == int(pool.held) == 50
        assert sorted(after + numbers(answered)) == sorted(before + numbers(images[start : start + 10]))


def test_half_of_the_answers_are_old_and_all_places_are_as_likely():
    answers, _ = ask(full_pool(), numbered(6, ASKED), KEY)
    old = int((np.asarray(answers) != numbered(6, ASKED)).any((1, 2, 3)).sum())
    assert scipy.stats.binomtest(old, ASKED, 0.5).pvalue > 1e-3
    keys = jax.random.split(jax.random.key(1), 500)
    ask_once = jax.jit(jax.vmap(query, (None, None, 0)))
    left = np.asarray(ask_once(full_pool(), numbered(9, 1), keys)[1].images)[:, :, 0, 0, 0] == 9
    assert scipy.stats.chisquare(left.sum(0)).pvalue > 1e-3
    assert set(left.sum(1).tolist()) == {0, 1}


def test_the_same_key_gives_the_same_answers():
    first, second, other = (
        np.asarray(ask(full_pool(), numbered(6, ASKED), jax.random.key(seed))[0]) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_a_pool_of_size_0_answers_with_the_image_and_a_negative_one_is_refused():
    assert answers_to(numbered(1, 8), size=0)[0] == list(range(1, 9))
    with pytest.raises(ValueError, match="pool_size=-1 must be at least 0"):
        empty_pool(-1, (2, 2, 1))
