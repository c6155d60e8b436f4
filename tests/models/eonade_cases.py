"""Small EoNADEs with random parameters, and a plain form of theirs in NumPy."""

import math

import jax
import numpy as np
import pytest

from genjax.models.autoregressive import eonade
from genjax.testing import all_inputs

SHAPE = (2, 3, 1)
D = 6
KEY = jax.random.key(0)
WIDTHS = {"one layer": (5,), "three layers": (5, 4, 6)}
every_depth = pytest.mark.parametrize("depth", WIDTHS)


def random_params(widths, *, dimensions=D, seed=0, scale=1.0):
    """Parameters far from their start, float64 under x64."""
    rng = np.random.default_rng(seed)
    params = jax.eval_shape(lambda key: eonade.init_weights(key, np.full(dimensions, 0.5), widths), KEY)
    return jax.tree.map(
        lambda leaf: rng.normal(0, scale, leaf.shape).astype(jax.dtypes.canonicalize_dtype(float)), params
    )


def plain_logits(params, x, observed):
    """The network in NumPy on the input [x m ; m]."""
    p = jax.tree.map(np.asarray, params)
    h = np.concatenate([x * observed, observed], axis=-1) @ np.concatenate([p["W"], p["F"]]) + p["c"]
    h = np.maximum(h, 0)
    for layer in p["deeper"]:
        h = np.maximum(h @ layer["W"] + layer["c"], 0)
    return h @ p["V"].T + p["b"]


def plain_log_probs(params, x, observed):
    out = plain_logits(params, x, observed)
    return -np.logaddexp(0, np.where(x == 1, -out, out))


def plain_log_prob(params, order, x):
    """Log p_o(x), each conditional by itself."""
    total, observed = np.zeros(len(x)), np.zeros_like(x)
    for index in order:
        total += plain_log_probs(params, x, observed)[:, index]
        observed[:, index] = 1
    return total


def mixture_log_prob(model, params):
    evaluate = jax.jit(model.evaluate)
    return lambda image: -np.asarray(evaluate(params, {}, {"image": image}, KEY)["nll_nats"])


def all_masks():
    """Every proper subset of the pixels [63, D], and its probability: d uniform on 0 ... D - 1, then the set."""
    masks = np.asarray(all_inputs((D,)), np.float64)[:-1]
    return masks, np.array([1 / (D * math.comb(D, int(mask.sum()))) for mask in masks])
