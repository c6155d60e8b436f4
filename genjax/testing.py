"""Correctness checks for generative models, on inputs so small that all of them can be enumerated.

Each check raises AssertionError with an explanation if the model fails.
"""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from genjax.core import Model
from genjax.data.feed import Feed
from genjax.training import init_seeds, iterate
from genjax.types import Key, PyTree

LogProb = Callable[[Array], Array]
"""Inputs [N, *shape] -> log p in nats [N]."""

Logits = Callable[[Array], Array]
"""Inputs [N, *shape] -> parameters of each element's conditional, [N, *shape] or [N, *shape, K]."""

Pattern = Callable[[Logits, Array], Bool[np.ndarray, "n n"]]
"""Function that finds which outputs (rows) depend on which inputs (columns), both flattened."""

MAX_INPUTS = 2**20
"""Largest number of inputs that `all_inputs` enumerates."""


def all_inputs(shape: tuple[int, ...], *, levels: int = 2) -> Float[Array, "N ..."]:
    """Return every input of `shape` with elements k / (levels - 1), k = 0, ..., levels - 1, the last varying fastest.

    Raises ValueError if there are more than 2^20 inputs.
    """
    size = int(np.prod(shape))
    if levels**size > MAX_INPUTS:
        raise ValueError(f"shape={shape}, levels={levels}: {levels}^{size} inputs, more than {MAX_INPUTS}")
    values = np.array(list(itertools.product(range(levels), repeat=size)), np.float64)
    return jnp.asarray(values.reshape(-1, *shape) / (levels - 1), float)


def assert_normalized(log_prob: LogProb, shape: tuple[int, ...], *, levels: int = 2, atol: float = 1e-5) -> None:
    """Check that the probabilities of all inputs of `shape` sum to 1: |log of the sum| <= `atol` nats."""
    log_probs = np.asarray(log_prob(all_inputs(shape, levels=levels)), np.float64)
    with np.errstate(invalid="ignore"):
        log_sum = np.logaddexp.reduce(log_probs)
    if not abs(log_sum) <= atol:
        raise AssertionError(
            f"probabilities of all {len(log_probs)} inputs sum to {np.exp(log_sum)}, not 1 (atol={atol})"
        )


def jacobian_pattern(logits: Logits, x: Num[Array, "N ..."]) -> Bool[np.ndarray, "n n"]:
    """Find the entries of the Jacobian of `logits` that are not exactly 0 at one or more of the inputs `x` [N, *shape].

    Raises AssertionError if the Jacobian holds NaN or infinity.
    """
    size = int(np.prod(x.shape[1:]))
    jacobian = jax.jit(jax.vmap(jax.jacrev(lambda one: logits(one[None])[0])))(x)
    jacobian = np.asarray(jacobian).reshape(len(x), size, -1, size)
    if not np.isfinite(jacobian).all():
        raise AssertionError("the Jacobian of the logits holds NaN or infinity")
    return (jacobian != 0).any(axis=(0, 2))


def flip_pattern(logits: Logits, x: Num[Array, "N ..."]) -> Bool[np.ndarray, "n n"]:
    """Find which outputs change in any bit when one element v of an input in `x` [N, *shape] is replaced by 1 - v.

    Use it for models that look inputs up in a table instead of computing with them. An element of 1/2 would not change:
    avoid it.
    """
    size = int(np.prod(x.shape[1:]))
    flat = np.asarray(x).reshape(len(x), size)

    def outputs(inputs: np.ndarray) -> np.ndarray:
        return np.asarray(logits(jnp.asarray(inputs.reshape(x.shape)))).reshape(len(x), size, -1)

    before = outputs(flat)
    flips = [np.where(np.arange(size) == j, 1 - flat, flat).astype(flat.dtype) for j in range(size)]
    return np.stack([(outputs(flipped) != before).any(axis=(0, 2)) for flipped in flips], axis=1)


def assert_autoregressive(
    logits: Logits,
    x: Num[Array, "N ..."],
    *,
    ordering: Sequence[int] | np.ndarray | None = None,
    full: bool = True,
    pattern: Pattern = jacobian_pattern,
) -> None:
    """Check that each conditional depends on earlier elements only, exactly, and that it does depend on them.

    Args:
        logits: Function under test, from [N, *shape] to [N, *shape] or [N, *shape, K].
        x: Several inputs [N, *shape]. A dependence seen at one of them counts, so accidental zeros do no harm.
        ordering: Flattened element indices in generation order; row by row by default.
        full: Whether each element must depend on all earlier ones, or only on the one just before it.
        pattern: Function that finds dependences: `jacobian_pattern` or `flip_pattern`.
    """
    size = int(np.prod(x.shape[1:]))
    order = np.arange(size) if ordering is None else np.asarray(ordering)
    depends = pattern(logits, x)[np.ix_(order, order)]
    required = np.tri(size, k=-1, dtype=bool) if full else np.eye(size, k=-1, dtype=bool)
    leaks = depends & ~np.tri(size, k=-1, dtype=bool)
    report_pairs(leaks, order, "depends on", "itself or a later one")
    report_pairs(required & ~depends, order, "does not depend on", "an earlier one it should see")


def report_pairs(wrong: Bool[np.ndarray, "n n"], order: np.ndarray, verb: str, what: str) -> None:
    """Raise AssertionError that names the first of the `wrong` (output, input) pairs, if there is one."""
    pairs = np.argwhere(wrong)
    if len(pairs):
        output, given = order[pairs[0]]
        raise AssertionError(
            f"the conditional of element {output} {verb} element {given}, {what}; {len(pairs)} such pairs"
        )


def assert_sampler_matches(
    samples: Num[Array, "N ..."], log_prob: LogProb, *, levels: int = 2, significance: float = 1e-4
) -> None:
    """Compare `samples` [N, *shape] with the enumerated probabilities exp(`log_prob`) by a chi-square test.

    Inputs that are expected fewer than 5 times are pooled into one class. A correct sampler fails with probability
    `significance` (over keys). A sample of probability 0, or with a value other than k / (levels - 1), always fails.
    Raises ValueError if there are too few samples for two classes.
    """
    from scipy.stats import chi2

    probs = np.exp(np.asarray(log_prob(all_inputs(samples.shape[1:], levels=levels)), np.float64))
    observed = np.bincount(input_index(np.asarray(samples), levels), minlength=len(probs))
    if impossible := observed[probs == 0].sum():
        raise AssertionError(f"{impossible} of {len(samples)} samples have probability 0 under log_prob")
    expected = len(samples) * probs / probs.sum()
    observed, expected = pool_rare(observed, expected)
    freedom = len(expected) - 1
    if freedom == 0 and (probs > 0).sum() > 1:
        raise ValueError(f"samples: {len(samples)} are too few for a test on {len(probs)} inputs")
    statistic = float(((observed - expected) ** 2 / expected).sum())
    p_value = chi2.sf(statistic, freedom) if freedom else 1.0
    if not p_value >= significance:
        raise AssertionError(
            f"samples do not follow log_prob: chi-square {statistic:.1f} with {freedom} degrees of freedom, "
            f"p = {p_value:.2g} < {significance}"
        )


def input_index(samples: np.ndarray, levels: int) -> np.ndarray:
    """Return the index of each sample in `all_inputs`; raise AssertionError for values other than k / (levels - 1)."""
    values = samples.reshape(len(samples), -1).astype(np.float64) * (levels - 1)
    if not (np.abs(values - values.round()) < 1e-4).all() or values.min() < -0.5 or values.max() > levels - 0.5:
        raise AssertionError(f"samples hold values other than k / {levels - 1}, k = 0, ..., {levels - 1}")
    digits = values.round().astype(np.int64)
    return digits @ levels ** np.arange(digits.shape[1])[::-1]


def pool_rare(observed: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pool all classes that are expected fewer than 5 times, with the next rarest ones until together they reach 5."""
    order = np.argsort(expected)
    rare = int(np.searchsorted(expected[order], 5))
    if rare:
        rare = max(rare, int(np.searchsorted(np.cumsum(expected[order]), 5)) + 1)
    first, rest = order[:rare], order[rare:]
    pooled = [np.append(counts[rest], counts[first].sum()) if rare else counts for counts in (observed, expected)]
    return pooled[0], pooled[1]


def assert_samplers_equal(fast: Callable[[Key], Array], naive: Callable[[Key], Array], key: Key) -> None:
    """Check that two samplers, such as one with a cache and one without, give identical samples under one key."""
    first, second = np.asarray(fast(key)), np.asarray(naive(key))
    if first.shape != second.shape:
        raise AssertionError(f"shapes of the samples differ: {first.shape} and {second.shape}")
    differing = (first != second).reshape(len(first), -1).any(axis=1)
    if differing.any():
        raise AssertionError(
            f"{differing.sum()} of {len(first)} samples differ, the first is number {differing.argmax()}"
        )


def assert_stable(loss: Callable[[Array], Array], shape: tuple[int, ...] = (2,), *, at: float = 1e4) -> None:
    """Check that value and gradient of `loss` are finite at logits of 0, `at`, -`at` and alternating +-`at`."""
    alternating = np.where(np.arange(np.prod(shape, dtype=int)) % 2, -at, at).reshape(shape)
    both = jax.jit(lambda logits: (loss(logits), jax.grad(lambda logits: loss(logits).sum())(logits)))
    for logits in (np.zeros(shape), np.full(shape, at), np.full(shape, -at), alternating, -alternating):
        value, gradient = both(jnp.asarray(logits, float))
        for name, array in (("value", value), ("gradient", gradient)):
            if not np.isfinite(np.asarray(array)).all():
                raise AssertionError(f"the {name} of the loss is not finite at logits {logits.tolist()}: {array}")


def assert_resume_equals(
    model: Model, feed: Feed, seeds: Sequence[int], steps: int, *, compile_again: bool = True
) -> None:
    """Check that a training interrupted after `steps` of 2 `steps` steps equals one without a break, bit for bit.

    The state is copied through host memory in between, as a checkpoint would. The resumed training compiles its steps
    again, as another process does, which finds what a model keeps outside its state; it does not with
    `compile_again=False`.
    """
    state = halfway = init_seeds(model, feed, seeds)
    for done, trained, _ in iterate(model, feed, state, 2 * steps):
        state = trained
        halfway = through_host(state) if done == steps else halfway
    resumed = halfway
    if compile_again:  # by another function to load batches
        feed = feed._replace(load=lambda arrays, item, key, load=feed.load: load(arrays, item, key))
    for _, trained, _ in iterate(model, feed, halfway, 2 * steps):
        resumed = trained
    paths = jax.tree_util.tree_leaves_with_path(to_host(state))
    for (path, one), other in zip(paths, jax.tree.leaves(to_host(resumed)), strict=True):
        if one.dtype != other.dtype or one.shape != other.shape or one.tobytes() != other.tobytes():
            raise AssertionError(
                f"state{jax.tree_util.keystr(path)} differs between a resumed run and one without a break"
            )


def to_host(tree: PyTree) -> PyTree:
    """Return NumPy copies of all leaves; random keys are replaced by their raw data."""
    return jax.tree.map(lambda leaf: np.array(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def through_host(tree: PyTree) -> PyTree:
    """Return the tree rebuilt from the arrays that a checkpoint would hold."""
    return jax.tree.map(
        lambda leaf, copy: jax.random.wrap_key_data(copy) if is_key(leaf) else jax.device_put(copy), tree, to_host(tree)
    )


def is_key(leaf: Array) -> bool:
    """Whether the array holds random keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
