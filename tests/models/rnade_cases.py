"""Small RNADEs with random weights, and a plain form of theirs in NumPy."""

import functools

import jax
import numpy as np
import scipy.special
import scipy.stats

from genjax.models.autoregressive import rnade
from genjax.models.autoregressive.rnade import Weights

SHAPE = (3, 4, 1)
D = 12
KEY = jax.random.key(0)
SIZES = {"hidden": 5, "components": 3}
conditionals = jax.jit(rnade.conditionals, static_argnames="chunk")
log_prob = jax.jit(rnade.log_prob)
noise = jax.jit(rnade.noise)


@functools.cache
def raster():
    """The model in raster order, for single precision; one compilation of each function for all tests."""
    return rnade.rnade(SHAPE, **SIZES)


def random_weights(seed, *, dimensions=D, hidden=5, components=3, scale=0.3):
    rng = np.random.default_rng(seed)
    outputs = 3 * components
    shapes = Weights((dimensions, hidden), (dimensions, hidden, outputs), (dimensions, outputs), (hidden,), dimensions)
    return Weights(*(rng.normal(0, scale, shape).astype(jax.dtypes.canonicalize_dtype(float)) for shape in shapes))


def with_biases(w, columns, values):
    """The weights with these columns of the biases replaced."""
    b = w.b.copy()
    b[:, columns] = values
    return w._replace(b=b)


def random_images(seed, count=6, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(jax.dtypes.canonicalize_dtype(float))


def nll_nats(model, w, image):
    return jax.jit(model.evaluate)(as_params(w), {}, {"image": image}, KEY)["nll_nats"]


def as_params(weights):
    return {"rnade": weights._asdict()}


def naive_mixtures(w, x):
    """Each conditional by itself, in NumPy: weights, means and standard deviations, [B, D, K] each."""
    w = Weights(*map(np.asarray, w))
    rows = []
    for d in range(x.shape[1]):
        h = np.maximum(w.rho[d] * (w.c + x[:, :d] @ w.W[:d]), 0)
        rows.append(h @ w.V[d] + w.b[d])
    alpha, mu, log_sigma = np.split(np.stack(rows, axis=1), 3, axis=-1)
    return scipy.special.softmax(alpha, axis=-1), mu, np.exp(np.clip(log_sigma, -7, 7))


def naive_log_probs(w, x):
    """Log density of each element, [B, D]."""
    alpha, mu, sigma = naive_mixtures(w, x)
    return scipy.special.logsumexp(np.log(alpha) + scipy.stats.norm.logpdf(x[..., None], mu, sigma), axis=-1)
