import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.models.autoregressive import pixel_rnn
from genjax.models.autoregressive.pixels import bernoulli, categorical, fill_by_passes
from genjax.testing import (
    assert_autoregressive,
    assert_normalized,
    assert_sampler_matches,
    jacobian_pattern,
)
from tests.samples import assert_same_samples

KEY = jax.random.key(0)
BINARY, LEVELS = bernoulli(), categorical(3)


class Example:
    """A model whose parameters are random, and not 0 where a mask is."""

    def __init__(self, layer, shape, output=BINARY, *, layers=1, scale=0.5, **options):
        rng = np.random.default_rng(1)
        self.shape, self.output = shape, output
        self.mean = rng.random(shape).astype(np.float32)
        options |= {"layer": layer, "features": 4 * shape[2], "layers": layers}
        self.model = pixel_rnn.pixel_rnn(shape, output=output, mean=self.mean, **options)
        self.network = pixel_rnn.make_network(shape[2], output, **options)
        shapes, _ = jax.eval_shape(self.model.init, KEY, {})
        self.params = jax.tree.map(lambda leaf: rng.normal(0, scale, leaf.shape).astype(leaf.dtype), shapes)

    def conditionals(self, image):
        return pixel_rnn.conditionals(self.network, jax.tree.map(jnp.asarray, self.params), self.mean, image)

    def log_prob(self, image):
        return -np.asarray(jax.jit(self.model.evaluate)(self.params, {}, {"image": image}, KEY)["nll_nats"])

    def generate(self, batch):
        return np.asarray(jax.jit(self.model.generate)(self.params, {}, batch, KEY))

    def images(self, count):
        levels = np.random.default_rng(2).integers(0, self.output.levels, (count, *self.shape))
        return (levels / (self.output.levels - 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("layer", "shape", "output"),
    [
        ("row", (3, 3, 1), BINARY),
        ("diagonal", (2, 4, 1), BINARY),
        ("row", (1, 2, 3), LEVELS),
        ("diagonal", (1, 2, 3), LEVELS),
    ],
)
def test_probabilities_sum_to_one(layer, shape, output):
    assert_normalized(Example(layer, shape, output).log_prob, shape, levels=output.levels, atol=1e-5)


@pytest.mark.parametrize(("shape", "output", "layers"), [((3, 4, 1), BINARY, 2), ((2, 3, 3), LEVELS, 1)])
def test_diagonal_bilstm_sees_all_elements_before_and_no_other(shape, output, layers):
    example = Example("diagonal", shape, output, layers=layers)
    assert_autoregressive(jax.jit(example.conditionals), example.images(8))


def reach_of_row_lstm(height, width, layers):
    """Which pixels each pixel's conditional sees, [H, W, H, W], propagated layer by layer and row by row."""
    seen = np.zeros((height, width, height, width), bool)
    for r, j in np.ndindex(height, width):
        seen[r, j, max(r - 3, 0) : r, max(j - 3, 0) : j + 4] = True
        seen[r, j, r, max(j - 3, 0) : j] = True
    for _ in range(layers):
        state = np.zeros_like(seen)
        for r, j in np.ndindex(height, width):
            state[r, j] = seen[r, j] | (seen[r, j - 1] if j else False)
            if r:
                state[r, j] |= state[r - 1, max(j - 1, 0) : j + 2].any(axis=0)
        seen = seen | state
    return seen


@pytest.mark.parametrize(("shape", "output", "layers"), [((4, 8, 1), BINARY, 2), ((2, 5, 3), LEVELS, 1)])
def test_row_lstm_sees_its_triangle_and_misses_the_rest(shape, output, layers):
    height, width, channels = shape
    example = Example("row", shape, output, layers=layers)
    depends = jacobian_pattern(jax.jit(example.conditionals), example.images(8))
    depends = depends.reshape(height * width, channels, height * width, channels)
    pixels = reach_of_row_lstm(height, width, layers).reshape(height * width, height * width)
    same_pixel, earlier_channel = np.eye(height * width, dtype=bool), np.tri(channels, k=-1, dtype=bool)
    expected = pixels[:, None, :, None] | (same_pixel[:, None, :, None] & earlier_channel[:, None, :])
    np.testing.assert_array_equal(depends, expected)
    missed = np.tri(height * width, k=-1, dtype=bool) & ~pixels
    assert missed.sum() > 0


@pytest.mark.parametrize(
    ("layer", "shape", "output", "layers"), [("row", (3, 3, 3), LEVELS, 1), ("diagonal", (4, 5, 1), BINARY, 2)]
)
def test_sampler_with_states_equals_the_plain_one(layer, shape, output, layers):
    """Also where a first part is known, another for each image."""
    example = Example(layer, shape, output, layers=layers)
    image = example.images(16)
    first = np.arange(np.prod(shape)).reshape(shape) < np.arange(16)[:, None, None, None] // 2
    known = first.astype(np.float32)
    batch = {"image": image, "known": known}
    plain = jax.jit(functools.partial(fill_by_passes, example.conditionals, output))
    filled = example.generate(batch)
    assert_same_samples(filled, plain(KEY, image, known))
    assert (filled[first] == image[first]).all()
    assert (filled != image).any()


@pytest.mark.parametrize(
    ("layer", "shape", "output"),
    [("diagonal", (2, 3, 1), BINARY), ("row", (2, 3, 1), BINARY), ("row", (1, 2, 3), LEVELS)],
)
def test_sampler_draws_from_the_density(layer, shape, output):
    example = Example(layer, shape, output)
    images = example.generate({"image": np.zeros((20_000, *shape), np.float32)})
    assert_sampler_matches(images, example.log_prob, levels=output.levels)


def test_completion_of_pixels_that_are_no_prefix_is_refused():
    example = Example("diagonal", (4, 5, 1), layers=2)
    known = np.ones((16, 4, 5, 1), np.float32)
    known[1, 0, 0] = 0
    batch = {"image": jnp.asarray(example.images(16)), "known": jnp.asarray(known)}
    with pytest.raises(ValueError, match="known: the model completes what follows a prefix"):
        example.model.generate(example.params, {}, batch, KEY)
    with pytest.raises(ValueError, match="known: shape"):
        example.model.generate(example.params, {}, {**batch, "known": batch["known"][:, :, :1]}, KEY)


def test_loss_and_gradient_are_finite_at_extreme_logits():
    example = Example("diagonal", (3, 3, 1), LEVELS, scale=30)
    batch = {"image": jnp.asarray(example.images(4))}
    loss = lambda params: example.model.phases[0].loss(params, {}, batch, KEY)[0]  # noqa: E731
    value, gradient = jax.jit(jax.value_and_grad(loss))(example.params)
    assert value > 1000
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradient)))


@pytest.mark.parametrize(
    ("layer", "of_a_layer"),
    [("row", 7 * 16 * 64 + 64 + 32), ("diagonal", 2 * (4 * 16 * 64 + 64 + 32))],
)
def test_parameter_count(layer, of_a_layer):
    """Kernel 7x7 to 2h; per layer K_is, K_ss, bias and first state of each stream, and 1x1 to 2h; 1x1 to 2h, to 1."""
    model = pixel_rnn.pixel_rnn((28, 28, 1), layer=layer, output=BINARY)
    params, _ = jax.eval_shape(model.init, KEY, {})
    expected = 28 * 32 + 32 + 7 * (of_a_layer + 16 * 32 + 32) + 32 * 32 + 32 + 32 + 1
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 4}, "features=4 must be a multiple of the channels, 3"),
        ({"head_features": 0}, "head_features=0 must be a multiple of the channels, 3"),
        ({"layers": 0}, "layers=0 must be at least 1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        pixel_rnn.pixel_rnn((2, 2, 3), output=LEVELS, **{"features": 3, **options})
