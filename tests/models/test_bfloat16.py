"""Products in bfloat16 with parameters in float32: the same training, to within 1 % of the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.core import init_state, make_step
from genjax.data.levels import with_levels
from genjax.data.load import load_dataset
from genjax.data.text import encode, load_text
from genjax.models.autoregressive.char_rnn import char_rnn
from genjax.models.autoregressive.pixel_cnn import pixel_cnn
from genjax.models.autoregressive.pixel_rnn import pixel_rnn
from genjax.models.autoregressive.pixels import bernoulli, categorical
from genjax.precision import with_precision

STEPS, LAST = 60, 20


def digits(levels=2):
    """25 training digits per step, the same ones after 20 steps."""
    data = load_dataset("digits", binarization="threshold" if levels == 2 else "none")
    data = with_levels(data, levels)
    raw = jax.tree.map(jnp.asarray, data.train.read(np.arange(500)))
    image = np.asarray(data.load(raw, jax.random.key(0))["image"]).reshape(20, 25, 8, 8, 1)
    return lambda step: {"image": jnp.asarray(image[step % 20])}


def text():
    """8 rows of text, 20 characters of each per step."""
    source = load_text("descriptions")
    rows = encode(source.train, source.vocabulary)[: 8 * 20 * STEPS].reshape(8, -1)
    return lambda step: {"sequence": jnp.asarray(rows[:, 20 * step :][:, :20]), "continues": np.full(8, step > 0)}


VOCABULARY = len(load_text("descriptions").vocabulary)

MODELS = {
    "Gated PixelCNN": (pixel_cnn, digits, {"output": bernoulli(), "features": 8, "blocks": 1, "gated": True}),
    "PixelCNN, 4 levels": (
        pixel_cnn,
        lambda: digits(4),
        {"output": categorical(4), "features": 8, "blocks": 1, "first_kernel": 5},
    ),
    "Row LSTM": (pixel_rnn, digits, {"output": bernoulli(), "layer": "row", "features": 8, "layers": 1}),
    "Diagonal BiLSTM": (pixel_rnn, digits, {"output": bernoulli(), "layer": "diagonal", "features": 8, "layers": 1}),
    "char-RNN": (char_rnn, text, {"hidden": 32, "layers": 1}),
}


def train(model, start, batches):
    """The losses of all steps from the state that `start` makes, and the parameters after them."""
    step = jax.jit(make_step(model.phases), donate_argnums=0)
    state, losses = start(), []
    for index in range(STEPS):
        state, metrics = step(state, batches(index))
        losses.append(metrics["likelihood/loss"])
    return np.array(losses), state.params


@pytest.mark.parametrize("name", MODELS)
def test_training_in_bfloat16_reaches_the_same_loss(name):
    make, data, options = MODELS[name]
    size = VOCABULARY if make is char_rnn else (8, 8, 1)
    batches = data()
    models = [with_precision(make(size, **options), precision) for precision in ("float32", "bfloat16")]
    starts = [jax.jit(lambda model=model: init_state(model, jax.random.key(1), batches(0))) for model in models]
    start = starts[0]  # of both: the parameters do not depend on how products are computed
    assert jax.eval_shape(start) == jax.eval_shape(starts[1])
    (wide, _), (narrow, params) = (train(model, start, batches) for model in models)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert np.abs(wide - narrow).max() > 0, "nothing was computed in bfloat16"
    assert wide[-LAST:].mean() < 0.9 * wide[0]
    np.testing.assert_allclose(narrow[-LAST:].mean(), wide[-LAST:].mean(), rtol=0.01)
