"""The experiment on AAEs: its errors for bad options, and its measurements."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.aae import Options, aae
from experiments.ledger import kept_entry, references_of
from genjax.core import init_state
from genjax.data.dataset import Dataset, resident
from genjax.measures.baselines import NAMES, parzen_numbers
from genjax.metrics.parzen import parzen
from genjax.runs.options import Run

TINY = Options(run=Run(steps=10), hidden=(4,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"labels": 2000, "prior": "mixture", "latents": 2},
            "--labels 2000 must be from 0 to 1297, the labelled training images of 'digits'",
        ),
        ({"labels": -1}, "--labels -1 must be from 0"),
        ({"labels": 10}, "nothing uses them"),
        ({"task": "semi-supervised"}, "needs labels"),
        ({"task": "clustering", "labels": 10}, "--task clustering takes none"),
        ({"prior": "swiss-roll", "latents": 3}, "samples have 2 dimensions, the code has latents=3"),
        ({"std": 0.0}, "std=0.0 must be above 0"),
        ({"clusters": 0, "task": "clustering"}, "--clusters 0 must be above 0"),
        ({"dropout": 1.0}, "dropout=1.0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        aae(dataclasses.replace(TINY, **options))


def test_a_plain_autoencoder_has_no_adversarial_phases():
    phases = [aae(dataclasses.replace(TINY, adversary=adversary)).model.phases for adversary in (True, False)]
    assert [phase.name for phase in phases[1]] == ["reconstruction"]
    assert len(phases[0]) == 3


def test_labels_that_may_be_used_are_as_many_as_asked_for():
    shaped = aae(dataclasses.replace(TINY, prior="mixture", latents=2, labels=30)).data.train.arrays
    assert shaped is not None
    assert shaped["labelled"].sum() == 30
    feed = aae(dataclasses.replace(TINY, task="semi-supervised", labels=10)).training_feed((0,), 50)
    loaded = jax.jit(feed.load)(feed.arrays, next(feed.items(0))[0], jax.random.key(0))
    assert len(np.unique(np.asarray(loaded["labelled_image"]).reshape(50, -1), axis=0)) <= 10
    assert "labelled" not in loaded


def test_a_run_on_clusters_measures_and_draws_all_it_promises():
    experiment = aae(dataclasses.replace(TINY, task="clustering", clusters=3, prior="gaussian", latents=2))
    batch = {"image": jnp.zeros((2, 8, 8, 1))}
    state = jax.jit(lambda key: init_state(experiment.model, key, batch))(jax.random.key(0))
    found = experiment.measure(state.params, state.stats, experiment.data.test, jax.random.key(1))
    assert {name: experiment.kind(name) for name in found} == {"code_mmd2": "estimate", "cluster_error_rate": "exact"}
    assert found["code_mmd2"] > 0.1  # codes of an untrained network are near 0, those of the prior of deviation 5 not
    assert 0 < found["cluster_error_rate"] < 1
    drawn = experiment.figures(state.params, state.stats, jax.random.key(1))
    assert set(drawn) == {"samples", "reconstructions", "codes", "styles"}


def test_the_parzen_log_likelihood_has_training_images_and_centres_as_baselines():
    """On images of one pixel: the centres of two tight groups are the groups' means."""
    rng = np.random.default_rng(0)

    def images(count):
        groups = rng.integers(0, 2, (count, 1, 1, 1)) * 0.5 + 0.25
        return resident({"image": (groups + rng.normal(0, 0.01, groups.shape)).astype(np.float32)})

    data = Dataset("groups", "real", images(60), images(30), images(40), lambda raw, key: dict(raw), "")
    samples = np.array([[0.25], [0.75]])
    found = parzen_numbers(data, data.test, samples)
    assert tuple(found) == NAMES
    flat = [split.arrays["image"].reshape(-1, 1) for split in (data.validation, data.test)]
    np.testing.assert_allclose(found["parzen_nats"], parzen(samples, *flat).nats, rtol=1e-6)
    np.testing.assert_allclose(found["parzen_kmeans_nats"], found["parzen_nats"], rtol=0.02)
    assert np.isfinite(found["parzen_training_images_nats"])


def test_published_numbers_stand_beside_the_runs_they_are_of():
    def references(words, metric):
        command = f"python -m experiments.aae --preset paper {words}"
        dataset = {"name": "mnist", "protocol": "real"}
        one = kept_entry({"experiment": "aae", "command": command, "dataset": dataset, "metrics": {}})
        return references_of(one, metric)

    (hundred,) = references("--task semi-supervised --labels 100", "error_rate")
    (thirty,) = references("--task clustering --clusters 30", "cluster_error_rate")
    (parzen,) = references("--parzen", "parzen_nats")
    assert (hundred.value, thirty.value, parzen.value) == (0.019, 0.041, 340)
    assert not references("--task semi-supervised --labels 200", "error_rate")
