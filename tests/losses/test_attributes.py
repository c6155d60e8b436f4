import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from genjax.losses.attributes import attribute_losses
from genjax.testing import assert_stable

SIZES = (3, 1, 2)
LOGITS = np.random.default_rng(0).normal(size=(2, 6))
BITS = np.array([[0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 1]], float)


def test_each_attribute_has_its_columns_and_its_cross_entropy():
    """Losses equal the negative log-softmax of several values and log-sigmoid of a single one."""
    found = jax.jit(functools.partial(attribute_losses, sizes=SIZES))(LOGITS, BITS)
    first, last = log_softmax(LOGITS[:, :3], axis=1), log_softmax(LOGITS[:, 4:], axis=1)
    single = [np.log(expit(LOGITS[0, 3])), np.log(1 - expit(LOGITS[1, 3]))]
    expected = [[first[0, 1], single[0], last[0, 0]], [first[1, 0], single[1], last[1, 1]]]
    np.testing.assert_allclose(found, -np.array(expected), rtol=1e-5)


def test_a_loss_reads_no_other_columns():
    for attribute, columns in enumerate([(0, 1, 2), (3,), (4, 5)]):
        gradient = jax.grad(lambda x, bits, a=attribute: attribute_losses(x, bits, SIZES)[:, a].sum())
        seen = (np.asarray(jax.jit(gradient)(LOGITS, BITS)) != 0).all(axis=0)
        np.testing.assert_array_equal(np.flatnonzero(seen), columns)


def test_values_and_gradients_are_finite_at_large_logits():
    assert_stable(lambda x: attribute_losses(x, jnp.asarray(BITS), SIZES), (2, 6))


@pytest.mark.parametrize("sizes", [(), (3, 2), (3, 1, 3), (6, 0)])
def test_sizes_must_be_those_of_the_columns(sizes):
    with pytest.raises(ValueError, match=r"must be that of logits \(2, 6\) and bits \(2, 6\)"):
        attribute_losses(jnp.asarray(LOGITS), jnp.asarray(BITS), sizes)
