"""Both sides of a comparison of speed compute the same numbers."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from experiments.speed import benchmark as speed
from experiments.speed import plain_adversarial, plain_forms, plain_samplers
from genjax.models.autoregressive import eonade, nade
from tests.samples import assert_same_samples


@functools.cache
def nade_weights():
    init = functools.partial(nade.init_weights, marginals=np.full(28, 0.3), hidden=4, tied=False)
    return jax.jit(lambda key: nade.weights(init(key)))(jax.random.key(0))


@pytest.mark.parametrize(
    "form", [plain_forms.cumulative_logits, plain_forms.scanned_logits, plain_forms.checkpointed_logits]
)
def test_the_plain_forms_of_nade_equal_ours(form):
    x = np.random.default_rng(0).integers(0, 2, (3, 28)).astype(np.float32)
    found, expected = (jax.jit(logits)(nade_weights(), x) for logits in (form, nade.logits))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("draw", [eonade.draw_observed, plain_forms.sorted_sets])
def test_both_draws_of_eonade_have_sets_of_every_size_equally_often(draw):
    count = 6000
    sets = np.asarray(jax.jit(draw)(jax.random.key(0), jnp.zeros((count, 3))))
    sizes = np.bincount(sets.sum(axis=1).astype(int), minlength=4)
    assert sizes[3] == 0
    assert chisquare(sizes[:3]).pvalue > 1e-3
    assert chisquare(sets[sets.sum(axis=1) == 1].sum(axis=0)).pvalue > 1e-3


@pytest.mark.parametrize("model", ["pixel_cnn", "row", "diagonal"])
def test_the_samplers_of_pixel_models_draw_the_same_images_as_the_plain_ones(model, monkeypatch):
    monkeypatch.setitem(plain_samplers.PIXEL_CNN, "blocks", 2)
    monkeypatch.setitem(plain_samplers.PIXEL_CNN, "features", 4)
    samplers = {"pixel_cnn": plain_samplers.pixel_cnn_samplers}.get(
        model, functools.partial(plain_samplers.pixel_rnn_samplers, model)
    )
    ours, plain = (np.asarray(call()) for call in samplers(side=5))
    assert ours.shape == (plain_samplers.IMAGES, 5, 5, 1)
    assert 0 < ours.mean() < 1
    assert_same_samples(ours, plain)


def test_the_ratio_is_the_other_over_ours(monkeypatch):
    """By a clock that the calls themselves advance."""
    calls, clock = {"ours": 0, "other": 0}, [0.0]
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def counting(name, seconds):
        def call():
            calls[name] += 1
            clock[0] += seconds

        return call

    comparison = speed.Comparison("a", "b", lambda: (counting("ours", 2.0), counting("other", 40.0)), 2.0, (2, 1), 3)
    np.testing.assert_allclose(speed.measure(comparison), [2, 40, 20])
    assert calls == {"ours": 7, "other": 4}


@pytest.mark.parametrize("level", [0, 1])
def test_a_step_of_a_level_is_on_images_of_its_size(level, monkeypatch):
    monkeypatch.setattr(plain_adversarial, "ADVERSARIAL_BATCH", 3)
    monkeypatch.setattr(
        plain_adversarial,
        "random_images",
        lambda side, draw=plain_adversarial.random_images: asked.append(side) or draw(side),
    )
    asked = []
    losses = np.array(plain_adversarial.level_step(level, side=14)())
    assert asked == [7 * 2**level]
    assert np.isfinite(losses).all()


def test_two_steps_of_an_experiment_update_all_of_its_networks(monkeypatch):
    monkeypatch.setattr(plain_adversarial, "ADVERSARIAL_BATCH", 3)
    call = plain_adversarial.system_step("gan")
    losses = np.array([[call()[f"{network}/loss"] for network in ("discriminator", "generator")] for _ in range(2)])
    assert np.isfinite(losses).all()
    assert (losses[0] != losses[1]).all()


def test_the_forms_of_a_step_of_dcgan_have_the_same_losses(monkeypatch):
    monkeypatch.setattr(plain_adversarial, "FILTERS", 2)
    monkeypatch.setattr(plain_adversarial, "ADVERSARIAL_BATCH", 3)
    ours, branched = (
        [call() for _ in range(2)] for call in (plain_adversarial.dcgan_step(8), plain_adversarial.branched_step(8))
    )
    np.testing.assert_allclose(branched, ours, rtol=1e-4)
    assert ours[0] != ours[1]
