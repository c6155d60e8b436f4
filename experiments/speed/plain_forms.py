"""Implementations of NADE and the VAE to compare: the code of genjax, and plain versions of it, each as a call."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from einops import rearrange
from jaxtyping import Array, Float

from genjax.core import TrainState, init_state, make_step
from genjax.data.dataset import resident
from genjax.data.feed import make_feed
from genjax.losses.bound import elbo
from genjax.losses.likelihood import bernoulli_log_prob
from genjax.models.autoregressive import eonade, nade
from genjax.models.latent.vae import bound_terms, vae
from genjax.models.latent.vae_networks import encode, mlp_networks
from genjax.training import init_seeds, make_train_step, seed
from genjax.types import Metrics

SHAPE = (28, 28, 1)
DIMENSIONS = 784
HIDDEN = 500
BATCH = 100
EXAMPLES = 2000
"""Number of images of the data set from which the VAE's batches are taken."""

SEEDS = (0, 1, 2)
"""Seeds that are trained together, or one after another."""

Call = Callable[[], Any]
"""Function without arguments that runs the timed computation once and returns its arrays."""

Logits = Callable[[nade.Weights, Float[Array, "B D"]], Float[Array, "B D"]]


def cumulative_logits(weights: nade.Weights, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Return NADE's logits by a cumulative sum over all pixels, which keeps D x H activations for every image."""
    terms = x[:, :, None] * weights.W
    activations = weights.c + jnp.cumsum(terms, axis=1) - terms
    return (jax.nn.sigmoid(activations) * weights.V).sum(-1) + weights.b


def scanned_logits(weights: nade.Weights, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Return NADE's logits by a scan over single pixels."""

    def pixel(a: Array, row: tuple[Array, ...]) -> tuple[Array, Array]:
        W, V, b, value = row
        return a + value[:, None] * W, jax.nn.sigmoid(a) @ V + b

    start = jnp.broadcast_to(weights.c, (len(x), weights.c.size))
    _, logits = jax.lax.scan(pixel, start, (weights.W, weights.V, weights.b, x.T))
    return logits.T


def checkpointed_logits(weights: nade.Weights, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Return NADE's logits by genjax's scan over chunks, with an automatic derivative that recomputes each chunk."""
    J = nade.CHUNK
    rows = [rearrange(rows, "(n j) k -> n j k", j=J) for rows in (weights.W, weights.V, weights.b[:, None], x.T)]
    chunks = nade.Chunk(rows[0], rows[1], rows[2][..., 0], rearrange(rows[3], "n j b -> n b j"))
    start = jnp.broadcast_to(weights.c, (len(x), weights.c.size))
    _, (logits, _) = jax.lax.scan(jax.checkpoint(nade.forward), start, chunks)
    return rearrange(logits, "n b j -> b (n j)")


def binary_images(count: int) -> Float[np.ndarray, "N H W C"]:
    """Return random binary images with about as many white pixels as those of MNIST."""
    return (np.random.default_rng(0).random((count, *SHAPE)) < 0.13).astype(np.float32)


def nade_weights() -> nade.Weights:
    """Return initial weights of NADE."""
    key = jax.random.key(0)
    return nade.weights(nade.init_weights(key, np.full(DIMENSIONS, 0.13), hidden=HIDDEN, tied=False))


def training_step(logits: Logits) -> Call:
    """Return one Adam step of NADE on one batch, with the conditionals computed by `logits`."""
    optimizer = optax.adam(1e-3)
    x = jnp.asarray(binary_images(BATCH).reshape(BATCH, -1))
    weights = nade_weights()
    carry = [(weights, optimizer.init(weights))]

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry: Any) -> Any:
        weights, state = carry
        gradients = jax.grad(lambda weights: -bernoulli_log_prob(logits(weights, x), x).sum(-1).mean())(weights)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state

    def call() -> Array:
        carry[0] = step(carry[0])
        return carry[0][0].c

    return call


@functools.partial(jax.jit, static_argnames="count")
def sample_anew(weights: nade.Weights, key: Array, count: int) -> Float[Array, "B D"]:
    """Return samples of NADE by a plain sampler that recomputes all conditionals at each pixel."""
    uniform = jax.random.uniform(key, (count, DIMENSIONS))

    def pixel(d: Array, x: Array) -> Array:
        logit = nade.logits(weights, x)[:, d]
        return x.at[:, d].set((uniform[:, d] < jax.nn.sigmoid(logit)).astype(x.dtype))

    return jax.lax.fori_loop(0, DIMENSIONS, pixel, jnp.zeros((count, DIMENSIONS)))


def samplers() -> tuple[Call, Call]:
    """Return the sampler of NADE, and the plain sampler that recomputes all conditionals at each pixel."""
    weights, key = nade_weights(), jax.random.key(0)
    return lambda: nade.sample(weights, key, BATCH), lambda: sample_anew(weights, key, BATCH)


def sorted_sets(key: Array, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Return sets of pixels as `eonade.draw_observed` does, by sorting random words, under a key for each example."""

    def one(index: Array) -> Array:
        number_key, set_key = jax.random.split(jax.random.fold_in(key, index))
        words = jax.random.bits(set_key, x.shape[1:], jnp.uint32)
        return words < jnp.sort(words)[jax.random.randint(number_key, (), 0, x.shape[1])]

    return jax.vmap(one)(jnp.arange(len(x))).astype(x.dtype)


def eonade_step(draw: Callable[[Array, Array], Array]) -> Call:
    """Return one Adam step of EoNADE on one batch, whose sets of observed pixels are drawn by `draw`."""
    optimizer, start = optax.adam(1e-3), jax.random.key(0)
    x = jnp.asarray(binary_images(BATCH).reshape(BATCH, -1))
    params = eonade.init_weights(start, np.full(DIMENSIONS, 0.13), (HIDDEN,))
    carry = [(params, optimizer.init(params), start)]

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry: Any) -> Any:
        params, state, key = carry
        key, draw_key = jax.random.split(key)
        observed = draw(draw_key, x)

        def loss(params: Any) -> Array:
            log_probs = bernoulli_log_prob(eonade.logits(params, x, observed), x)
            return eonade.order_agnostic_nll(log_probs, observed).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state, key

    def call() -> Array:
        carry[0] = step(carry[0])
        return carry[0][0]["c"]

    return call


def framework_step(seeds: Sequence[int]) -> Call:
    """Return a training step of the VAE as experiments run it: with feed, phases, and a seed axis for several seeds."""
    networks = mlp_networks(SHAPE, hidden=(HIDDEN,), latents=50)
    model = vae(SHAPE, networks, optimizer=optax.adam(1e-3))
    feed = make_feed(resident({"image": binary_images(EXAMPLES)}), lambda raw, key: dict(raw), seeds, BATCH)
    step, items = make_train_step(model, feed), feed.items(0)
    start = init_seeds(model, feed, seeds)
    carry = [start if len(seeds) > 1 else seed(start, 0)]

    def call() -> Array:
        carry[0], metrics = step(carry[0], feed.arrays, next(items))
        return metrics["bound/loss"]

    return call


def make_step_alone() -> Call:
    """Return a training step of the VAE through `make_step`, on the batches of `handwritten_step`."""
    networks = mlp_networks(SHAPE, hidden=(HIDDEN,), latents=50)
    model = vae(SHAPE, networks, optimizer=optax.adam(1e-3))
    images = jnp.asarray(binary_images(EXAMPLES))
    advance, batches = make_step(model.phases), shuffled_batches()

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: TrainState, images: Array, indices: Array) -> tuple[TrainState, Metrics]:
        return advance(state, {"image": images[indices]})

    carry = [init_state(model, jax.random.key(0), {"image": images[:1]})]

    def call() -> Array:
        carry[0], metrics = step(carry[0], images, next(batches))
        return metrics["bound/loss"]

    return call


def handwritten_step() -> Call:
    """Return the VAE's training step as a script would write it: a loss, its gradient, an update."""
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

    carry = [(params, optimizer.init(params), jnp.zeros((), jnp.int32))]
    batches, key = shuffled_batches(), jax.random.key(2)

    def call() -> Array:
        carry[0], value = step(*carry[0], images, next(batches), key)
        return value

    return call


def shuffled_batches() -> Iterator[np.ndarray]:
    """Yield the indices of batches, epoch after epoch."""
    rng = np.random.default_rng(0)
    while True:
        yield from rng.permutation(EXAMPLES).reshape(-1, BATCH).astype(np.int32)


def one_after_another() -> Call:
    """Return a VAE training step of each seed, one after another, each in a program of its own."""
    calls = [framework_step((one,)) for one in SEEDS]
    return lambda: [call() for call in calls]
