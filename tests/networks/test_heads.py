import jax
import jax.numpy as jnp
import numpy as np

from genjax.networks.heads import Heads
from genjax.networks.mlp import MLP

X = jax.random.normal(jax.random.key(1), (6, 4))
HEADS = Heads(MLP((5,), activate_final=True), (("code", 2), ("label", 3)), normalized=("label",))


def variables_of(heads):
    return jax.jit(heads.init)(jax.random.key(0), X)


def test_each_output_is_linear_in_the_features():
    params = variables_of(Heads(HEADS.body, HEADS.widths))
    outputs = Heads(HEADS.body, HEADS.widths).apply(params, X)
    own = params["params"]
    features = np.tanh(X @ own["body"]["dense_0"]["kernel"])
    for name, width in HEADS.widths:
        np.testing.assert_allclose(outputs[name], features @ own[name]["kernel"], rtol=1e-4, atol=1e-6)
        assert outputs[name].shape == (6, width)


def test_a_normalized_output_has_mean_0_and_its_scale_over_the_batch():
    variables = variables_of(HEADS)
    scale = jnp.array([0.5, 1.0, 2.0])
    variables["params"]["label_norm"]["scale"] = scale
    outputs, updated = HEADS.apply(variables, X, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(outputs["label"].mean(0), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(outputs["label"].std(0), scale, rtol=1e-2)
    plain, own = Heads(HEADS.body, HEADS.widths), variables["params"]
    assert "bias" not in own["label"]
    raw = plain.apply({"params": {**own, "label": {**own["label"], "bias": jnp.zeros(3)}}}, X)
    np.testing.assert_allclose(outputs["code"], raw["code"], rtol=1e-5)
    running = updated["batch_stats"]["label_norm"]
    np.testing.assert_allclose(running["mean"], 0.01 * raw["label"].mean(0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(running["var"], 0.99 + 0.01 * raw["label"].var(0), rtol=1e-5)


def test_outside_training_an_example_does_not_depend_on_the_others():
    variables = variables_of(HEADS)
    np.testing.assert_allclose(
        HEADS.apply(variables, X)["label"][:2], HEADS.apply(variables, X[:2])["label"], rtol=1e-5
    )
