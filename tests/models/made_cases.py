"""Small MADEs with random parameters, and a plain form of theirs in NumPy."""

import functools

import jax
import numpy as np
import pytest

from genjax.models.autoregressive import made
from genjax.networks.masked import layer_masks
from genjax.shuffle import permutation

SHAPE = (2, 3, 1)
D = 6
KEY = jax.random.key(0)
ORDER = [3, 0, 5, 1, 4, 2]


def random_params(model, seed=0, scale=1.0):
    """Parameters far from their start, float64 under x64."""
    shapes, _ = jax.eval_shape(model.init, KEY, {"image": np.zeros((1, *SHAPE))})
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: rng.normal(0, scale, leaf.shape).astype(jax.dtypes.canonicalize_dtype(float)), shapes
    )


def log_prob_of(model, params):
    evaluate = jax.jit(model.evaluate)
    return lambda image: -np.asarray(evaluate(params, {}, {"image": image}, KEY)["nll_nats"])


@functools.cache
def model_of(case):
    """The model of a case, for single precision."""
    return made.made(SHAPE, **CASES[case])


def orders_of(masks, *, shuffle):
    """The orderings of the masks as `made` has them."""
    return [permutation(D, seed=mask) if shuffle else np.asarray(ORDER) for mask in range(masks)]


def one_of(every, mask):
    """The degrees of one mask, as `mask_of` of the library selects them."""
    return tuple(layer[mask] for layer in every)


def plain_log_probs(params, degrees, x):
    """Log p_m(x) [B] of one mask in NumPy, ReLU units."""
    weights, h = jax.tree.map(np.asarray, params["made"]), x
    *hidden, last = (np.asarray(mask) for mask in jax.jit(layer_masks)(degrees))
    for index, mask in enumerate(hidden, start=1):
        layer = weights[f"hidden_{index}"]
        h = np.maximum(h @ (layer["kernel"] * mask) + layer["bias"], 0)
    out = h @ (weights["output"]["kernel"] * last) + weights["output"]["bias"]
    if "direct" in weights:
        out = out + x @ (weights["direct"]["kernel"] * (degrees[0] > degrees[0][:, None]))
    return -np.logaddexp(0, np.where(x == 1, -out, out)).sum(-1)


CASES = {
    "one mask": {"hidden": (7,), "ordering": ORDER},
    "two layers": {"hidden": (7, 5), "ordering": ORDER, "direct": False},
    "masks and orderings": {"hidden": (7, 8), "masks": 3, "shuffle": True},
}
every_case = pytest.mark.parametrize("case", CASES)
