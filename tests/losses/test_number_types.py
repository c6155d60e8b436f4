"""Numbers of any real type, shape and memory order: a loss gives what float64 gives, and NaN for NaN."""

import math
import warnings

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import scipy.special as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from genjax.losses import adversarial, bound, divergence, likelihood
from genjax.losses import reconstruction as rec
from genjax.metrics.latent import active_units

TYPES = (np.uint8, np.int8, np.int16, np.int32, np.int64, np.bool_, np.float16, ml_dtypes.bfloat16, np.float32, float)
SPECIAL = (np.nan, np.inf, -np.inf)

bce = lambda logits, x: x * sp.log_expit(logits) + (1 - x) * sp.log_expit(-logits)  # noqa: E731
per_example = lambda x: x.reshape(len(x), math.prod(x.shape[1:]))  # noqa: E731
softplus = lambda x: np.logaddexp(0, x)  # noqa: E731


def normal(x, mean, log_var):
    return -0.5 * (np.log(2 * np.pi) + log_var + (x - mean) ** 2 * np.exp(-log_var))


def kl(mean, log_var):
    return 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(-1)


LOSSES = {
    "discriminator": (adversarial.discriminator_loss, 2, lambda r, f: softplus(-r) + softplus(f)),
    "minimax": (adversarial.minimax_generator_loss, 1, lambda f: -softplus(f)),
    "nonsaturating": (adversarial.nonsaturating_generator_loss, 1, lambda f: softplus(-f)),
    "least squares": (adversarial.least_squares_discriminator_loss, 2, lambda r, f: ((r - 1) ** 2 + f**2) / 2),
    "least squares generator": (adversarial.least_squares_generator_loss, 1, lambda f: (f - 1) ** 2 / 2),
    "critic": (adversarial.wasserstein_critic_loss, 2, lambda r, f: f - r),
    "wasserstein generator": (adversarial.wasserstein_generator_loss, 1, lambda f: -f),
    "hinge": (adversarial.hinge_discriminator_loss, 2, lambda r, f: np.maximum(0, 1 - r) + np.maximum(0, 1 + f)),
    "hinge generator": (adversarial.hinge_generator_loss, 1, lambda f: -f),
    "matching aware": (
        adversarial.matching_aware_discriminator_loss,
        3,
        lambda r, w, f: softplus(-r) + (softplus(w) + softplus(f)) / 2,
    ),
    "information": (adversarial.mutual_information_bound, 2, lambda q, h: q + h),
    "gradient penalty": (
        adversarial.gradient_penalty,
        1,
        lambda g: (np.sqrt((per_example(g) ** 2).sum(1)) - 1) ** 2,
    ),
    "r1 penalty": (adversarial.r1_penalty, 1, lambda g: (per_example(g) ** 2).sum(1) / 2),
    "squared error": (rec.squared_error, 2, lambda a, b: (per_example(a - b) ** 2).sum(1)),
    "absolute error": (rec.absolute_error, 2, lambda a, b: abs(per_example(a - b)).sum(1)),
    "mean absolute error": (rec.mean_absolute_error, 2, lambda a, b: abs(per_example(a - b)).mean(1)),
    "mean squared error": (rec.mean_squared_error, 2, lambda a, b: (per_example(a - b) ** 2).mean(1)),
    "bernoulli": (likelihood.bernoulli_log_prob, 2, bce),
    "gaussian": (likelihood.gaussian_log_prob, 3, normal),
    "sum of pixels": (likelihood.sum_pixels, 1, lambda x: per_example(x).sum(1)),
    "bits per dim": (lambda x: likelihood.bits_per_dim(x, 7), 1, lambda x: x / (7 * np.log(2))),
    "KL": (divergence.gaussian_kl, 2, kl),
    "KL between": (
        divergence.gaussian_kl_between,
        4,
        lambda m, v, n, w: 0.5 * (np.exp(v - w) + (m - n) ** 2 * np.exp(-w) - 1 - v + w).sum(-1),
    ),
    "log weights": (lambda *terms: bound.log_weights(bound.Terms(*terms)), 4, lambda a, b, c, d: a + b - c),
    "elbo": (lambda *terms: bound.elbo(bound.Terms(*terms)), 4, lambda a, b, c, d: (a - d).mean(0)),
    "iwae": (
        lambda *terms: bound.iwae_bound(bound.Terms(*terms)),
        4,
        lambda a, b, c, d: sp.logsumexp(a + b - c, axis=0) - np.log(len(a)),
    ),
}
"""Function, number of arrays of one shape, and the same in NumPy."""


def drawn(data, shape, *, special=False):
    """An array of one of the types, of small numbers that all hold, perhaps not contiguous, perhaps not finite."""
    kind = np.dtype(data.draw(st.sampled_from(TYPES)))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    low = 0 if kind.kind in "ub" else -3
    values = rng.integers(low, 2 if kind.kind == "b" else 4, tuple(2 * side for side in shape))
    array = values.astype(np.float64)
    if kind.kind not in "iub":
        array = array + rng.integers(0, 4, array.shape) / 4  # exact in bfloat16
        if special and array.size and data.draw(st.booleans()):
            array.flat[0] = data.draw(st.sampled_from(SPECIAL))
    array = array.astype(kind)
    strided = tuple(slice(None, None, 2) for _ in shape)
    return array[strided] if data.draw(st.booleans()) else np.ascontiguousarray(array[strided])


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_loss_computes_in_float32_at_least(name, data):
    function, count, oracle = LOSSES[name]
    shape = data.draw(st.sampled_from([(3, 2), (1, 1), (0, 2)]))
    if 0 in shape and name in ("elbo", "iwae"):
        shape = (2, 0)
    arrays = [drawn(data, shape, special=True) for _ in range(count)]
    found = function(*arrays)
    assert found.dtype == jnp.float32
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = oracle(*(array.astype(np.float64) for array in arrays))
    found = np.asarray(found, np.float64)
    assert np.isnan(found[np.isnan(expected)]).all()
    # Of infinity some losses have a limit that the oracle's form has not.
    both = np.isfinite(expected) & np.isfinite(found)
    np.testing.assert_allclose(found[both], expected[both], rtol=2e-5, atol=2e-5)
    if all(np.isfinite(array.astype(np.float64)).all() for array in arrays):
        assert both.all()


@pytest.mark.parametrize("kind", [np.complex64, np.complex128, "datetime64[s]"])
def test_what_holds_no_real_numbers_is_refused_by_its_type(kind):
    with pytest.raises(ValueError, match="must be of real numbers"):
        rec.squared_error(np.zeros((2, 2), kind), np.zeros((2, 2), kind))
    with pytest.raises(ValueError, match="must be of real numbers"):
        active_units(np.zeros((2, 2), kind))


def test_axes_and_sizes_of_numpy_are_numbers():
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    found = likelihood.log_mean_exp(x, axis=np.int64(1))
    np.testing.assert_allclose(found, sp.logsumexp(x, axis=1) - np.log(4), rtol=1e-5)
    np.testing.assert_allclose(likelihood.bits_per_dim(x, np.prod((2, 3))), x / (6 * np.log(2)), rtol=1e-5)
