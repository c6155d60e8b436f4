"""Progressive GAN as a model: growth in training, and what is drawn while it grows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.data.dataset import resident
from genjax.data.growth import growing, growing_feed, moment, starts
from genjax.losses.adversarial import WASSERSTEIN
from genjax.models.adversarial.average import with_average
from genjax.models.adversarial.gan import Optimizers
from genjax.models.adversarial.progressive_gan import Sizes, all_channels, grown, progressive_gan, with_restarts
from genjax.models.adversarial.progressive_gan_networks import doubled, halved
from genjax.testing import through_host, to_host
from genjax.training import init_seeds, iterate, seed

SHAPE = (8, 8, 1)
SIZES = Sizes(latents=3, maps=3, maps_times_side=16)
STAGES = growing((6, 4), fade=16, stable=12)
"""Two steps at 4x4, then alpha is 0, 1/4, 1/2, 3/4, 1, 1, ..."""
STEPS = 7
KEY = jax.random.key(0)


def make(**options):
    """With optimizers whose state is the number of their updates."""
    counting = optax.sgd(lambda count: 0.01)
    return progressive_gan(SHAPE, **{"optimizers": Optimizers(counting, counting), "sizes": SIZES, **options})


def random_start(key, batch):
    """Parameters from NumPy, and statistics of 0: nothing to compile."""
    rng = np.random.default_rng(0)
    params, stats = jax.eval_shape(make().init, key, batch)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape).astype(leaf.dtype)), params), jax.tree.map(
        lambda leaf: jnp.asarray(np.zeros(leaf.shape, leaf.dtype)), stats
    )


@functools.cache
def model_and_feed():
    images = np.random.default_rng(0).random((20, *SHAPE)).astype(np.float32)
    feed = growing_feed(resident({"image": images}), lambda raw, key: dict(raw), (0,), STAGES, levels=1)
    model = make(adversarial=WASSERSTEIN, penalty=None, restarts=starts(STAGES)[1:])
    return with_average(model._replace(init=random_start), decay=0.9), feed


def trained(state):
    """Copies of the states and metrics after each step that is left."""
    model, feed = model_and_feed()
    return [
        (through_host(now), {name: float(value) for name, value in metrics.items()})
        for _, now, metrics in iterate(model, feed, state, STEPS)
    ]


@functools.cache
def history():
    model, feed = model_and_feed()
    start = seed(init_seeds(model, feed, (0,)), 0)
    return through_host(start), trained(start)


def equal(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all((np.asarray(x) == np.asarray(y)).all() for x, y in pairs)


def test_training_follows_the_schedule():
    _, after = history()
    expected = [moment(STAGES, step) for step in range(STEPS)]
    assert [metrics["discriminator/side"] for _, metrics in after] == [4 * 2**now.stage.level for now in expected]
    alphas = [1, 1, 0, 0.25, 0.5, 0.75, 1]
    assert [metrics["discriminator/alpha"] for _, metrics in after] == alphas
    assert [float(state.stats["depth"]) for state, _ in after] == [now.depth for now in expected]


def test_a_run_that_is_resumed_inside_a_fade_ends_bit_for_bit_where_another_does():
    """From the state of step 4, where alpha is 1/2, which went through the host's memory as through a checkpoint."""
    _, after = history()
    again = trained(through_host(after[3][0]))
    assert len(again) == STEPS - 4
    paths = jax.tree_util.tree_leaves_with_path(to_host(after[-1][0]._asdict()))
    for (path, one), other in zip(paths, jax.tree.leaves(to_host(again[-1][0]._asdict())), strict=True):
        assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes()), path


def test_a_level_is_untouched_before_it_begins_and_moves_when_it_has_weight():
    start, after = history()
    for network, new, old in (("generator", "conv_1_0", "conv_0_1"), ("discriminator", "conv_1_0", "conv_0_0")):
        states = (start, after[1][0], after[2][0], after[3][0])
        weights = [state.params[network]["params"] for state in states]
        assert equal(weights[0][new], weights[1][new])
        assert equal(weights[1][new], weights[2][new])  # at alpha = 0 it has no part in anything
        assert not equal(weights[2][new], weights[3][new])
        assert not equal(weights[0][old], weights[1][old])


def test_optimizers_begin_anew_at_each_level():
    _, after = history()
    for phase in ("discriminator", "generator"):
        counts = [int(state.opt[phase].inner[1].count) for state, _ in after]
        assert counts == [1, 2, 1, 2, 3, 4, 5]


def moved(optimizer, updates):
    """What each update is under a gradient of 1."""
    state, found, move = jax.jit(optimizer.init)(0.0), [], jax.jit(optimizer.update)
    for _ in range(updates):
        update, state = move(1.0, state, 0.0)
        found.append(float(update))
    return found


def test_an_optimizer_that_begins_anew_has_forgotten_all():
    """A momentum of 1/2 makes of gradients of 1 steps of 1, 3/2, 7/4, ..."""
    found = moved(with_restarts(optax.sgd(1.0, momentum=0.5), (2, 5)), 6)
    np.testing.assert_allclose(found, [-1, -1.5, -1, -1.5, -1.75, -1])


def test_a_generator_that_moves_less_often_begins_anew_at_the_same_step():
    """Of steps 0 to 7 it moves in 1, 3, 5 and 7: its third move is the first one after step 4 began."""
    momentum = optax.sgd(1.0, momentum=0.5)
    phase = make(discriminator_updates=2, restarts=(4,), optimizers=Optimizers(momentum, momentum)).phases[1]
    assert phase.every == 2
    np.testing.assert_allclose(moved(phase.optimizer, 4), [-1, -1.5, -1, -1.5])


def test_a_loss_sees_networks_and_real_images_of_the_batchs_level_and_depth():
    """In [-1, 1], mixed as fig. 2 has it."""

    def make_loss(at):
        level, depth = at
        return lambda params, stats, batch, key: (depth, ({"level": jnp.asarray(level), "seen": batch["image"]}, {}))

    loss = jax.jit(grown(lambda level, depth: (level, depth), 4, make_loss, report=True))
    images = np.random.default_rng(0).random((2, *SHAPE)).astype(np.float32)
    batch = {"image": images, "depth": np.full(2, 0.25, np.float32)}
    depth, (metrics, stats) = jax.device_get(loss({}, {}, batch, KEY))
    assert depth == stats["depth"] == metrics["alpha"] == 0.25
    assert (metrics["level"], metrics["side"]) == (1, 8)
    signed = 2 * images - 1
    coarse = signed.reshape(2, 4, 2, 4, 2, 1).mean((2, 4)).repeat(2, 1).repeat(2, 2)
    np.testing.assert_allclose(metrics["seen"], 0.75 * coarse + 0.25 * signed, rtol=1e-4, atol=1e-6)


def of_a_constant(params, output):
    """The parameters of networks of which the discriminator says `output` of everything."""
    zeros = jax.tree.map(np.zeros_like, params)
    last = zeros["discriminator"]["params"]["output"]
    last["bias"] = np.full_like(last["bias"], output)
    return zeros


def test_the_critic_of_a_constant_pays_for_its_gradient_of_0_and_for_its_drift():
    """By default 10 (0 - 1)^2 + 0.001 output^2; what it says of real and generated images is the same."""
    model = make()
    batch = {"image": jnp.asarray(np.full((4, *SHAPE), 0.3)), "depth": jnp.asarray(np.ones(4))}
    params, stats = random_start(KEY, batch)
    loss, _ = jax.jit(model.phases[0].loss)(of_a_constant(params, 3.0), stats, batch, KEY)
    np.testing.assert_allclose(loss, 10 + 0.001 * 9, rtol=1e-6)
    found = jax.jit(model.evaluate)(of_a_constant(params, 3.0), stats, batch, KEY)
    for name, value in {"real_logit": 3, "fake_logit": 3, "discriminator_loss": 0.009, "generator_loss": -3}.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4)


def test_what_is_drawn_has_the_depth_of_the_last_step():
    model, (state, _) = model_and_feed()[0], history()[1][-1]
    generate, coarse = jax.jit(model.generate), jax.jit(lambda images: doubled(halved(images)))
    for depth in (0.0, 0.5, 1.0):
        stats = {**state.stats, "depth": jnp.asarray(depth)}
        images = np.asarray(generate(state.params, stats, {"image": np.zeros((3, *SHAPE))}, KEY))
        assert (np.abs(coarse(images) - images).max() < 1e-5) == (depth == 0)


def test_the_maps_are_those_of_the_papers_table():
    assert all_channels((1024, 1024, 3), Sizes()) == (512, 512, 512, 512, 256, 128, 64, 32, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": SIZES._replace(start=3)}, r"image_shape=\(8, 8, 1\): height and width must be start=3 times one"),
        (
            {"sizes": SIZES._replace(maps=0)},
            "maps=0, .* discriminator_updates=1: group must be at least 0, the others 1",
        ),
        ({"sizes": SIZES._replace(latents=0)}, "dimension=0 must be above 0"),
        ({"discriminator_updates": 0}, "discriminator_updates=0: group"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)
