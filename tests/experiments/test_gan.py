"""The experiments on GAN and DCGAN: their errors about bad options, their metrics and their figures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import dcgan as dcgan_file
from experiments.dcgan import PROBES, dcgan
from experiments.gan import Options, gan, momentum
from experiments.ledger import kept_entry, references_of
from experiments.parts.adversarial import adversarial_loss
from experiments.parts.points import DRAWN, FRAMES, compare
from genjax.core import init_state
from genjax.data.points import points, ring
from genjax.pictures.figures import Movie
from genjax.runs.options import Data, Run

DATA, RING = Data(binarization="none"), Data(dataset="ring")
RUN = Run(steps=10)
SMALL = {"run": RUN, "hidden": (4,), "maxout": (3,), "pieces": 2, "latents": 3}


def small(**options):
    return gan(Options(**{"data": DATA, **SMALL, **options}))


def small_dcgan(**options):
    return dcgan(dcgan_file.Options(DATA, RUN, **{"filters": 1, **options}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discriminator_moves": 0}, "--discriminator-moves 0 must be above 0"),
        ({"penalty_weight": 0.0}, "--penalty-weight 0.0 must be above 0"),
        ({"average": 1.0}, "--average 1.0 must be at least 0 and below 1"),
        ({"dropout": (0.2, 1.0)}, "--dropout 1.0 must be at least 0 and below 1"),
        ({"maxout": (3, 0)}, "--maxout 0 must be above 0"),
        ({"smoothing": 1.0}, "--smoothing 1.0 must be at least 0 and below 1"),
        ({"smoothing": 0.1, "loss": "hinge"}, "--smoothing 0.1: --loss hinge has no targets"),
        ({"data": RING, "parzen": True}, "the density of --dataset ring is known"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_bad_options_of_dcgan_are_named():
    for options, message in (
        ({"filters": 0}, "--filters 0 must be above 0"),
        ({"average": -0.1}, "--average -0.1 must be at least 0"),
        ({"discriminator_moves": 0}, "--discriminator-moves 0 must be above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            small_dcgan(**options)


def state_of(experiment, batch):
    return jax.jit(lambda key: init_state(experiment.model, key, batch))(jax.random.key(0))


def test_smoothing_lowers_the_target_of_real_examples_alone():
    """The best output at real examples is then logit(0.9), not infinite; at fake ones nothing changes."""
    plain, smooth = adversarial_loss("nonsaturating", 0.0), adversarial_loss("nonsaturating", 0.1)
    slopes = [jax.jit(jax.grad(loss.discriminator, argnums=(0, 1)))(np.log(9.0), -0.7) for loss in (plain, smooth)]
    (plain_at_real, plain_at_fake), (smooth_at_real, smooth_at_fake) = slopes
    np.testing.assert_allclose(smooth_at_real, 0, atol=1e-6)
    assert float(plain_at_real) < -0.05
    np.testing.assert_allclose(smooth_at_fake, plain_at_fake, rtol=1e-5)
    assert smooth.generator is plain.generator


def test_points_are_measured_against_their_density_and_drawn_beside_it():
    experiment = small(data=RING)
    state = state_of(experiment, {"point": jnp.zeros((2, 2))})
    found = experiment.measure(state.params, state.stats, experiment.data.test, jax.random.key(1))
    assert found["modes_covered"] < 8
    assert found["jsd_nats"] > 0.3
    assert experiment.facts["true_modes_covered"] == experiment.facts["modes"] == 8
    assert 0.98 < experiment.facts["true_high_quality"] < 0.995
    assert experiment.facts["true_jsd_nats"] < 0.01
    drawn = experiment.figures(state.params, state.stats, jax.random.key(1))
    assert set(drawn) == {"samples", "training"}
    assert isinstance(drawn["training"], Movie)
    assert drawn["training"].frames == 1  # nothing is trained yet
    assert set(found) == {"modes_covered", "high_quality", "jsd_nats"}
    assert {experiment.kind(name) for name in found} == {"estimate"}
    assert FRAMES > 1


def test_a_mode_is_covered_by_a_tenth_of_its_share_of_good_samples():
    """Half of all samples at one mode, the others far from any but for some at a second."""
    mixture = ring()
    for few, covered in ((124, 1), (125, 2)):
        far = DRAWN - DRAWN // 2 - few
        samples = np.repeat([mixture.means[0], mixture.means[3], [0.0, 0.0]], [DRAWN // 2, few, far], axis=0)
        modes, _ = compare(samples, mixture)
        assert modes.covered == covered
        np.testing.assert_allclose(modes.high_quality, 0.5 + few / DRAWN)
    assert compare(points(mixture, DRAWN), mixture)[0].covered == 8


def test_images_have_parzen_where_it_is_asked_for():
    experiment = small(parzen=True, parzen_samples=20)
    state = state_of(experiment, {"image": jnp.zeros((2, 8, 8, 1))})
    found = experiment.measure(state.params, state.stats, experiment.data.test, jax.random.key(1))
    assert {experiment.kind(name) for name in found} == {"estimate"}
    assert found["parzen_nats"] < found["parzen_training_images_nats"]
    drawn = experiment.figures(state.params, state.stats, jax.random.key(1))
    assert set(drawn) == {"samples", "training", "nearest"}
    assert small().measure is None


def test_a_generator_of_images_starts_at_the_mean_image():
    experiment = small()
    state = state_of(experiment, {"image": jnp.zeros((2, 8, 8, 1))})
    generate = jax.jit(experiment.model.generate)
    (sample,) = np.asarray(generate(state.params, state.stats, {"image": jnp.zeros((1, 8, 8, 1))}, jax.random.key(0)))
    mean = experiment.data.train.arrays["image"].mean(axis=0)
    np.testing.assert_allclose(sample, np.clip(mean, 0.01, 0.99), atol=0.01)


def test_dcgan_draws_all_it_promises():
    experiment = small_dcgan(latents=3, average=0.9)
    assert {experiment.kind(name) for name in PROBES} == {"exact"}
    assert experiment.kind("real_logit") == "estimate"
    assert small_dcgan(probe=False).measure is None
    state = state_of(experiment, {"image": jnp.zeros((2, 8, 8, 1))})
    drawn = experiment.figures(state.params, state.stats, jax.random.key(1))
    assert set(drawn) == {"samples", "training", "interpolation"}


def test_the_authors_descent_follows_its_schedules():
    """Two steps under a constant gradient of 1: the momentum is 0.5, then on its way to 0.7 after 250 epochs."""
    optimizer = momentum(0.1, 4)
    params = jnp.zeros(())
    state, advance = jax.jit(optimizer.init)(params), jax.jit(optimizer.update)
    velocity = 0.0
    for step in range(3):
        update, state = advance(jnp.ones(()), state, params)
        velocity = (0.5 + 0.2 * step / 1000) * velocity + 1
        np.testing.assert_allclose(update, -0.1 / 1.000004**step * velocity, rtol=1e-5)


def test_the_published_number_stands_beside_runs_on_mnist():
    command = "python -m experiments.gan --preset paper"
    dataset = {"name": "mnist", "protocol": "real"}
    one = kept_entry({"experiment": "gan", "command": command, "dataset": dataset, "metrics": {}})
    assert [reference.value for reference in references_of(one, "parzen_nats")] == [225]
