"""Small models of sequences with random parameters."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.models.autoregressive import char_rnn
from genjax.models.autoregressive.char_rnn import categorical, gaussian_mixture, sequential

V = 3
read = jax.jit(char_rnn.conditionals, static_argnums=0)
read_anew = jax.jit(
    lambda core, params, x: char_rnn.conditionals(core, params, core.start(len(x)), x), static_argnums=0
)
jitted_log_probs = jax.jit(char_rnn.log_probs, static_argnums=0)
continuation = jax.jit(char_rnn.continuation, static_argnums=0, static_argnames="length")
TEXT_CORE = sequential(categorical(V), hidden=4, layers=2)
SERIES_CORE = sequential(gaussian_mixture(2, 0.5, 2.0), hidden=4, layers=1)


def random_params(core, key=0, scale=1.0):
    def init(key):
        return core.network.init(key, core.start(1).state, core.head.features(jnp.zeros((1, 1), core.head.dtype)))

    shapes = jax.eval_shape(init, jax.random.key(0))
    rng = np.random.default_rng(key)
    return jax.tree.map(
        lambda leaf: rng.normal(0, scale, leaf.shape).astype(jax.dtypes.canonicalize_dtype(float)), shapes["params"]
    )


def log_probs(core, params, x):
    return np.asarray(jitted_log_probs(core, params, x))


PARAMS = random_params(TEXT_CORE)
SERIES_PARAMS = random_params(SERIES_CORE)


def characters(x):
    """`genjax.testing` writes V levels as 0, 1 / (V - 1), ..., 1."""
    return np.round(np.asarray(x) * (V - 1)).astype(np.int32)


def string_log_prob(x):
    return log_probs(TEXT_CORE, PARAMS, characters(x)).sum(axis=1)


def text(shape, seed=0):
    return np.random.default_rng(seed).integers(0, V, shape).astype(np.int32)


def values(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(jax.dtypes.canonicalize_dtype(float))
