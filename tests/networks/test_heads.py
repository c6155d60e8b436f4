import functools

import jax
import numpy as np

from genjax.networks.heads import Heads
from genjax.networks.mlp import MLP

X = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
HEADS = Heads(MLP((5,), activate_final=True), (("code", 2), ("label", 3)), normalized=("label",))


def variables_of(heads):
    return jax.device_get(jax.jit(heads.init)(jax.random.key(0), X))


def test_each_output_is_linear_in_the_features():
    heads = Heads(HEADS.body, HEADS.widths)
    variables = variables_of(heads)
    outputs, own = jax.jit(heads.apply)(variables, X), variables["params"]
    features = np.tanh(X @ own["body"]["dense_0"]["kernel"])
    for name, width in HEADS.widths:
        np.testing.assert_allclose(outputs[name], features @ own[name]["kernel"], rtol=1e-4, atol=1e-6)
        assert outputs[name].shape == (6, width)


def test_a_normalized_output_has_mean_0_and_its_scale_over_the_batch():
    variables = variables_of(HEADS)
    scale = np.array([0.5, 1.0, 2.0])
    variables["params"]["label_norm"]["scale"] = scale
    apply = jax.jit(functools.partial(HEADS.apply, train=True, mutable=["batch_stats"]))
    outputs, updated = jax.device_get(apply(variables, X))
    np.testing.assert_allclose(outputs["label"].mean(0), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(outputs["label"].std(0), scale, rtol=1e-2)
    plain, own = Heads(HEADS.body, HEADS.widths), variables["params"]
    assert "bias" not in own["label"]
    raw = jax.jit(plain.apply)({"params": {**own, "label": {**own["label"], "bias": np.zeros(3)}}}, X)
    raw = jax.device_get(raw)
    np.testing.assert_allclose(outputs["code"], raw["code"], rtol=1e-5)
    running = updated["batch_stats"]["label_norm"]
    np.testing.assert_allclose(running["mean"], 0.01 * raw["label"].mean(0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(running["var"], 0.99 + 0.01 * raw["label"].var(0), rtol=1e-5)


def test_outside_training_an_example_does_not_depend_on_the_others():
    apply, variables = jax.jit(HEADS.apply), variables_of(HEADS)
    np.testing.assert_allclose(
        np.asarray(apply(variables, X)["label"])[:2], apply(variables, X[:2])["label"], rtol=1e-5
    )
