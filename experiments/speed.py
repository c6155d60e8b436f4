"""Speed, as ratios measured side by side in one run: python -m experiments.speed.

Each comparison runs its two sides in turn, round after round, and reports the median of the rounds' ratios: a machine
that is slow for a while slows both. Sizes are those of the papers: D = 784, H = 500, batches of 100. Milliseconds are
shown on an accelerator only; on a shared CPU they would say nothing.
"""

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from einops import rearrange
from jaxtyping import Array, Float
from rich.console import Console
from rich.table import Table

from experiments.directory import write_json
from experiments.report import origin_of, surroundings
from experiments.session import CACHE_VARIABLE, configure, user_errors
from genjax.data.dataset import resident
from genjax.data.feed import make_feed
from genjax.losses.bound import elbo
from genjax.losses.likelihood import bernoulli_log_prob
from genjax.models.autoregressive import nade
from genjax.models.latent.vae import bound_terms, encode, mlp_networks, vae
from genjax.train import init_seeds, make_train_step

SHAPE = (28, 28, 1)
DIMENSIONS = 784
HIDDEN = 500
BATCH = 100
EXAMPLES = 2000
SEEDS = (0, 1, 2)

Call = Callable[[], Any]
"""Does once what is timed, and returns its arrays."""


class Comparison(NamedTuple):
    """Two ways to do the same thing."""

    ours: str
    other: str
    make: Callable[[], tuple[Call, Call]]
    target: float | None
    """The least ratio we promise."""
    calls: tuple[int, int] = (6, 2)
    """Per round: of ours, of the other."""
    rounds: int = 5


class Timing(NamedTuple):
    """Seconds per call of ours and of the other, and their ratio other / ours: medians over rounds."""

    ours: float
    other: float
    ratio: float


def measure(comparison: Comparison) -> Timing:
    """Time both sides in turn, after one call of each that compiles."""
    ours, other = comparison.make()
    jax.block_until_ready((ours(), other()))
    rounds = []
    for _ in range(comparison.rounds):
        seconds = [seconds_per_call(call, count) for call, count in zip((ours, other), comparison.calls, strict=True)]
        rounds.append((*seconds, seconds[1] / seconds[0]))
    return Timing(*np.median(rounds, axis=0).tolist())


def seconds_per_call(call: Call, count: int) -> float:
    """The mean of `count` calls."""
    start = time.perf_counter()
    jax.block_until_ready([call() for _ in range(count)])
    return (time.perf_counter() - start) / count


Logits = Callable[[nade.Weights, Float[Array, "B D"]], Float[Array, "B D"]]


def cumulative_logits(weights: nade.Weights, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """NADE's conditionals by a cumulative sum over all pixels: D activations of H units are kept for every image."""
    terms = x[:, :, None] * weights.W
    activations = weights.c + jnp.cumsum(terms, axis=1) - terms
    return (jax.nn.sigmoid(activations) * weights.V).sum(-1) + weights.b


def scanned_logits(weights: nade.Weights, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """NADE's conditionals by a scan over single pixels."""

    def pixel(a: Array, row: tuple[Array, ...]) -> tuple[Array, Array]:
        W, V, b, value = row
        return a + value[:, None] * W, jax.nn.sigmoid(a) @ V + b

    start = jnp.broadcast_to(weights.c, (len(x), weights.c.size))
    _, logits = jax.lax.scan(pixel, start, (weights.W, weights.V, weights.b, x.T))
    return logits.T


def checkpointed_logits(weights: nade.Weights, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """NADE's conditionals by our scan over chunks, left to automatic differentiation with recomputed chunks."""
    J = nade.CHUNK
    rows = [rearrange(rows, "(n j) k -> n j k", j=J) for rows in (weights.W, weights.V, weights.b[:, None], x.T)]
    chunks = nade.Chunk(rows[0], rows[1], rows[2][..., 0], rearrange(rows[3], "n j b -> n b j"))
    start = jnp.broadcast_to(weights.c, (len(x), weights.c.size))
    _, (logits, _) = jax.lax.scan(jax.checkpoint(nade.forward), start, chunks)
    return rearrange(logits, "n b j -> b (n j)")


def binary_images(count: int) -> Float[np.ndarray, "N H W C"]:
    """Random images with MNIST's share of ink."""
    return (np.random.default_rng(0).random((count, *SHAPE)) < 0.13).astype(np.float32)


def nade_weights() -> nade.Weights:
    """NADE at its start."""
    key = jax.random.key(0)
    return nade.weights(nade.init_weights(key, np.full(DIMENSIONS, 0.13), hidden=HIDDEN, tied=False))


def training_step(logits: Logits) -> Call:
    """One Adam step of NADE on one batch, its conditionals computed by `logits`."""
    optimizer = optax.adam(1e-3)
    x = jnp.asarray(binary_images(BATCH).reshape(BATCH, -1))
    weights = nade_weights()
    memory = [(weights, optimizer.init(weights))]

    @functools.partial(jax.jit, donate_argnums=0)
    def step(memory: Any) -> Any:
        weights, state = memory
        gradients = jax.grad(lambda weights: -bernoulli_log_prob(logits(weights, x), x).sum(-1).mean())(weights)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state

    def call() -> Array:
        memory[0] = step(memory[0])
        return memory[0][0].c

    return call


@functools.partial(jax.jit, static_argnames="count")
def sample_anew(weights: nade.Weights, key: Array, count: int) -> Float[Array, "B D"]:
    """Samples for which all conditionals are computed again at each pixel."""
    uniform = jax.random.uniform(key, (count, DIMENSIONS))

    def pixel(d: Array, x: Array) -> Array:
        logit = nade.logits(weights, x)[:, d]
        return x.at[:, d].set((uniform[:, d] < jax.nn.sigmoid(logit)).astype(x.dtype))

    return jax.lax.fori_loop(0, DIMENSIONS, pixel, jnp.zeros((count, DIMENSIONS)))


def samplers() -> tuple[Call, Call]:
    """NADE's sampler, and the one that starts anew at each pixel."""
    weights, key = nade_weights(), jax.random.key(0)
    return lambda: nade.sample(weights, key, BATCH), lambda: sample_anew(weights, key, BATCH)


def framework_step(seeds: Sequence[int]) -> Call:
    """A training step of the VAE as every experiment does it: feed, phases, seed axis."""
    networks = mlp_networks(SHAPE, hidden=(HIDDEN,), latents=50)
    model = vae(SHAPE, networks, optimizer=optax.adam(1e-3))
    feed = make_feed(resident({"image": binary_images(EXAMPLES)}), lambda raw, key: dict(raw), seeds, BATCH)
    step, items = make_train_step(model, feed), feed.items(0)
    memory = [init_seeds(model, feed, seeds)]

    def call() -> Array:
        memory[0], metrics = step(memory[0], feed.arrays, next(items))
        return metrics["bound/loss"]

    return call


def handwritten_step() -> Call:
    """The same step as a script would have it: a loss, its gradient, an update."""
    networks = mlp_networks(SHAPE, hidden=(HIDDEN,), latents=50)
    images = jnp.asarray(binary_images(EXAMPLES))
    optimizer = optax.adam(1e-3)
    encoder, decoder = networks.encoder, networks.decoder
    params = {
        "encoder": encoder.init(jax.random.key(0), images[:1]),
        "decoder": decoder.init(jax.random.key(1), jnp.zeros((1, 50))),
    }

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params: Any, state: Any, count: Array, images: Array, indices: Array, key: Array) -> Any:
        batch = images[indices]
        key = jax.random.fold_in(key, count)

        def loss(params: Any) -> Array:
            posterior = encode(networks, params, batch)
            noise = jax.random.normal(key, (1, BATCH, 50))
            return -elbo(bound_terms(networks, params, batch, posterior, noise)).mean()

        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state, count + 1), value

    memory = [(params, optimizer.init(params), jnp.zeros((), jnp.int32))]
    batches, key = shuffled_batches(), jax.random.key(2)

    def call() -> Array:
        memory[0], value = step(*memory[0], images, next(batches), key)
        return value

    return call


def shuffled_batches() -> Iterator[np.ndarray]:
    """Indices of one batch after another, epoch after epoch."""
    rng = np.random.default_rng(0)
    while True:
        yield from rng.permutation(EXAMPLES).reshape(-1, BATCH).astype(np.int32)


def one_after_another() -> Call:
    """A step of each seed, in a program of its own."""
    calls = [framework_step((seed,)) for seed in SEEDS]
    return lambda: [call() for call in calls]


COMPARISONS = (
    Comparison(
        "NADE training step: scan over chunks, derivative by hand",
        "cumulative sum over all pixels",
        lambda: (training_step(nade.logits), training_step(cumulative_logits)),
        8,
        (6, 1),
    ),
    Comparison(
        "NADE training step: scan over chunks, derivative by hand",
        "scan over single pixels",
        lambda: (training_step(nade.logits), training_step(scanned_logits)),
        1.5,
        (6, 3),
        9,
    ),
    Comparison(
        "NADE training step: scan over chunks, derivative by hand",
        "the same scan, automatic derivative (jax.checkpoint)",
        lambda: (training_step(nade.logits), training_step(checkpointed_logits)),
        None,
        (6, 6),
        9,
    ),
    Comparison("NADE sampler: one row added per pixel", "all conditionals anew at each pixel", samplers, 50, (3, 1), 1),
    Comparison(
        "VAE training step through make_step, with feed and seed axis",
        "the same step written by hand",
        lambda: (framework_step((0,)), handwritten_step()),
        1 / 1.05,
        (40, 40),
        15,
    ),
    Comparison(
        "VAE training step of three seeds in one program",
        "the three seeds one after another",
        lambda: (framework_step(SEEDS), one_after_another()),
        None,
        (20, 20),
        9,
    ),
)

FIRST_STEP = "from experiments.speed import first_step; first_step()"


def first_step() -> None:
    """What `time_to_first_step` runs in a process of its own."""
    configure()
    jax.block_until_ready(framework_step((0,))())
    print("done", flush=True)


def time_to_first_step(cache: Path) -> float:
    """Seconds from the start of a process to the end of its first training step."""
    start = time.perf_counter()
    environment = {**os.environ, CACHE_VARIABLE: str(cache)}
    subprocess.run([sys.executable, "-c", FIRST_STEP], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def start_up(rounds: int = 3) -> Timing:
    """Process start to first step with the compilation cache filled, and with an empty one."""
    timings = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = (time_to_first_step(Path(cache)) for _ in range(2))
        timings.append((warm, cold, cold / warm))
    return Timing(*np.median(timings, axis=0).tolist())


def rows() -> Iterator[dict[str, Any]]:
    """Every comparison as it is done, as a row of the table."""
    for comparison in COMPARISONS:
        yield row(comparison.ours, comparison.other, measure(comparison), comparison.target)
    timing = start_up()
    ours = f"process start to first step, compilation cache filled ({timing.ours:.1f} s)"
    yield row(ours, f"with an empty cache ({timing.other:.1f} s)", timing, None)


def row(ours: str, other: str, timing: Timing, target: float | None) -> dict[str, Any]:
    """One row: the ratio, and on an accelerator the times it is made of."""
    times = {} if jax.default_backend() == "cpu" else {"ours_ms": 1e3 * timing.ours, "other_ms": 1e3 * timing.other}
    return {"ours": ours, "other": other, "ratio": timing.ratio, "target": target, **times}


def speed(*, out: Path = Path("runs/speed.json")) -> None:
    """Measure, print and save the table.

    Args:
        out: JSON file to write.
    """
    table = Table(title=f"speed on {surroundings()['device']}: other / ours", caption="medians, measured side by side")
    for column in ("ours", "other", "ratio", "promised"):
        table.add_column(column)
    measured = []
    for one in rows():
        measured.append(one)
        table.add_row(
            one["ours"], one["other"], f"{one['ratio']:.2f}", "" if one["target"] is None else f"≥ {one['target']:.2f}"
        )
    Console().print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, {"rows": measured, **surroundings(), **origin_of("speed", [])})
    print(f"saved: {out}")


if __name__ == "__main__":
    configure()
    with user_errors():
        tyro.cli(speed, prog="python -m experiments.speed", description=__doc__)
