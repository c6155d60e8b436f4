"""What every model owes, as a table: models x properties."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.core import Model, TrainState, due_phases, init_state, make_step, select
from genjax.data.attributes import Attribute, Schema
from genjax.data.dataset import Split
from genjax.data.feed import make_feed
from genjax.models import priors
from genjax.models.adversarial import (
    cyclegan,
    dcgan,
    gan,
    infogan,
    progressive_gan,
    puzzle_gan,
    stargan,
    text_to_image,
    text_to_image_networks,
)
from genjax.models.adversarial.average import with_average
from genjax.models.autoregressive import char_rnn, eonade, made, nade, pixel_rnn, rnade, tabular
from genjax.models.autoregressive.pixel_cnn import pixel_cnn
from genjax.models.autoregressive.pixels import bernoulli
from genjax.models.latent import aae, aae_networks, autoencoder, classifier, vae, vae_networks
from genjax.testing import assert_resume_equals
from genjax.training import copied, init_seeds, iterate, make_train_step, seed, with_seed_axis
from tests.toys import load

SHAPE = (4, 4, 1)
EXAMPLES = 24
BATCH = 8
KEY = jax.random.key(7)


def images(dtype=np.float32):
    """Left or right half on, and a little noise: something that can be learnt."""
    rng = np.random.default_rng(0)
    halves = np.repeat(rng.integers(0, 2, (EXAMPLES, 1, 1, 1)), 2, axis=2)
    clean = np.broadcast_to(np.concatenate([halves, 1 - halves], axis=2), (EXAMPLES, *SHAPE))
    return np.where(rng.random((EXAMPLES, *SHAPE)) < 0.05, 1 - clean, clean).astype(dtype)


def sequences(dtype=np.float32):
    """Rows of 0 and 1 in turn, beginning with either."""
    rows = (np.arange(6) + np.arange(EXAMPLES)[:, None]) % 2
    return {"sequence": rows.astype(dtype), "continues": np.arange(EXAMPLES) % 3 > 0}


def labelled(dtype=np.float32):
    """Images whose label says which half is on; every other one may be used."""
    image = images(dtype)
    label = (image[:, :, :2].mean((1, 2, 3)) > 0.5).astype(np.int32)
    return {"image": image, "label": label, "labelled": np.arange(EXAMPLES) % 2 > 0}


class Case(NamedTuple):
    """A model at its smallest."""

    make: Callable[[], Model]
    examples: Callable[..., dict] = lambda dtype=np.float32: {"image": images(dtype)}
    sample_shape: tuple[int, ...] = SHAPE
    sample_range: tuple[float, float] = (0, 1)
    descends: bool = True
    """Whether its loss falls on one batch; counting does not descend, and what one player gains the other loses."""
    draws: bool = True
    """Whether `generate` draws, and does not make its images of the batch's alone."""
    variant: bool = False
    """Whether another row has the same phases and other networks: what a run of several steps owes is shown there."""
    images: tuple[str, ...] = ("image",)
    """Arrays of a batch that are images of a fixed shape."""


def make_vae(networks):
    return vae.vae(SHAPE, networks, optimizer=optax.adam(1e-2), evaluation_samples=3)


def make_autoencoder(networks):
    return autoencoder.autoencoder(SHAPE, networks, optimizer=optax.adam(1e-2))


def make_frozen_classifier():
    encoder = autoencoder.mlp_networks(SHAPE, hidden=(6,), latents=3).encoder
    return classifier.classifier(encoder, 4, frozen=True, optimizer=optax.adam(3e-2))


def make_pixel_cnn(*, gated=False):
    sizes = {"features": 4, "blocks": 1, "first_kernel": 3}
    return pixel_cnn(SHAPE, output=bernoulli(), gated=gated, optimizer=optax.adam(1e-2), **sizes)


def make_pixel_rnn(layer):
    optimizer = optax.adam(1e-2)
    return pixel_rnn.pixel_rnn(SHAPE, layer=layer, output=bernoulli(), features=4, layers=1, optimizer=optimizer)


def make_aae():
    """With noise in the encoder, and a prior that labels shape."""
    networks = aae_networks.mlp_networks(SHAPE, hidden=(6,), latents=2, gaussian=True)
    optimizers = aae.Optimizers(*(optax.adam(1e-2) for _ in range(4)))
    return aae.aae(SHAPE, networks, priors.gaussian_mixture(2), optimizers=optimizers)


def make_gan():
    """With dropout and an average."""
    networks = gan.image_networks(SHAPE, hidden=(6,), maxout=(5,), pieces=2, prior=priors.gaussian(3))
    optimizers = gan.Optimizers(optax.adam(1e-2), optax.adam(1e-2))
    return with_average(gan.gan(SHAPE, networks, optimizers=optimizers), decay=0.9)


def make_dcgan():
    optimizers = gan.Optimizers(optax.adam(1e-2), optax.adam(1e-2))
    return dcgan.dcgan((8, 8, 1), optimizers=optimizers, filters=2, latents=3)


def enlarged(dtype=np.float32):
    """Each pixel as 2 x 2."""
    return {"image": images(dtype).repeat(2, axis=1).repeat(2, axis=2)}


def make_progressive_gan():
    optimizers = gan.Optimizers(optax.adam(1e-2), optax.adam(1e-2))
    sizes = progressive_gan.Sizes(latents=3, maps=3, maps_times_side=16)
    return progressive_gan.progressive_gan((8, 8, 1), optimizers=optimizers, sizes=sizes)


def fading(dtype=np.float32):
    """As they are while 8x8 is faded in."""
    return {**enlarged(dtype), "depth": np.full(EXAMPLES, 0.6, dtype)}


def make_text_to_image():
    """Whose encoders stop after two steps, so that three take in both kinds.

    By plain descent: some of its gradients are 0 but for rounding, and Adam would make steps of those.
    """
    sizes = {"filters": 2, "features": 4, "text_features": 3, "latents": 3, "hidden": 4}
    networks = text_to_image_networks.conv_networks((8, 8, 1), 4, **sizes)
    optimizers = text_to_image.Optimizers(*(optax.sgd(1e-2) for _ in range(4)))
    return text_to_image.text_to_image((8, 8, 1), networks, optimizers=optimizers, matching_steps=2)


def make_cyclegan():
    """With a pool that is full after half of a batch."""
    networks = cyclegan.conv_networks(SHAPE, SHAPE, filters=2, blocks=0, edge_size=3, discriminator_filters=2)
    optimizers = cyclegan.Optimizers(optax.adam(1e-2), optax.adam(1e-2))
    return cyclegan.cyclegan(SHAPE, SHAPE, networks, optimizers=optimizers, pool_size=BATCH // 2, paired=True)


def make_stargan():
    """With two label sets; by plain descent, since some of its gradients are 0 but for rounding."""
    schema = Schema(
        (Attribute("half", ("left", "right")), Attribute("bold", ("bold",))), ((True, False), (False, True))
    )
    networks = stargan.conv_networks(SHAPE, schema, filters=2, blocks=0, halved=0, edge_size=3, discriminator_filters=2)
    optimizers = gan.Optimizers(optax.sgd(1e-2), optax.sgd(1e-2))
    return stargan.stargan(SHAPE, networks, schema, optimizers=optimizers, discriminator_updates=2)


def make_puzzle_gan():
    """By plain descent, as text to image."""
    networks = puzzle_gan.conv_networks((8, 8, 1), filters=2, features=3, latents=3)
    optimizers = gan.Optimizers(optax.sgd(1e-2), optax.sgd(1e-2))
    schedule = puzzle_gan.weight_schedule(1e-2, 1e-3, 3)
    return puzzle_gan.puzzle_gan((8, 8, 1), networks, optimizers=optimizers, schedule=schedule)


def with_patches(dtype=np.float32):
    """Two squares of each, from the same places."""
    image = enlarged(dtype)["image"]
    mask = np.zeros_like(image)
    mask[:, :2, :2] = mask[:, 3:5, 4:6] = 1
    return {"image": image, "patches": np.stack([image[:, :2, :2], image[:, 3:5, 4:6]], axis=1), "mask": mask}


def make_infogan():
    networks = infogan.conv_networks(
        (8, 8, 1), sizes=infogan.Sizes(3, 2, 1), channels=(2, 2), hidden=4, recognition_hidden=3
    )
    adam = optax.adam(1e-2)
    return with_larger_kernels(infogan.infogan((8, 8, 1), networks, optimizers=infogan.Optimizers(adam, adam)))


def two_domains(dtype=np.float32):
    """Images, and others turned by a quarter."""
    image = images(dtype)
    return {"image": image, "other_image": np.rot90(image, axes=(1, 2))[::-1].copy()}


def attributed(dtype=np.float32):
    """Which half is on and whether it is bold, of each image one of these, and targets."""
    examples = labelled(dtype)
    bits = np.stack([1 - examples["label"], examples["label"], np.arange(EXAMPLES) // 2 % 2], axis=1)
    sets = (np.arange(EXAMPLES) % 2).astype(np.int32)
    target = {"target": bits[::-1].copy(), "target_set": sets[::-1].copy()}
    return {"image": examples["image"], "attributes": bits, "label_set": sets, **target}


def with_larger_kernels(model):
    """Kernels of 0.5 where the paper has 0.02, so that so few units tell images apart in float32."""

    def init(key, batch):
        params, stats = model.init(key, batch)
        return jax.tree.map(lambda leaf: 25 * leaf if leaf.ndim > 1 else leaf, params), stats

    return model._replace(init=init)


def captioned(dtype=np.float32):
    """The label in a word, and one more word or none."""
    examples = labelled(dtype)
    caption = np.stack([2 + examples["label"], 1 - np.arange(EXAMPLES) % 2], axis=1).astype(np.int32)
    return {"image": examples["image"].repeat(2, axis=1).repeat(2, axis=2), "caption": caption}


MODELS = {
    "tabular": Case(lambda: tabular.tabular(tabular.ar_contexts(16, 2), examples=EXAMPLES), descends=False),
    "nade": Case(lambda: nade.nade(SHAPE, hidden=5, optimizer=optax.adam(1e-2))),
    "nade tied": Case(lambda: nade.nade(SHAPE, hidden=5, tied=True, optimizer=optax.adam(1e-2)), variant=True),
    "made": Case(lambda: made.made(SHAPE, hidden=(8,), optimizer=optax.adam(1e-2))),
    "made masks": Case(
        lambda: made.made(SHAPE, hidden=(8, 8), masks=3, shuffle=True, optimizer=optax.adam(1e-2)), variant=True
    ),
    "eonade": Case(lambda: eonade.eonade(SHAPE, hidden=(8, 8), orderings=2, optimizer=optax.adam(1e-2))),
    "rnade": Case(
        lambda: rnade.rnade(SHAPE, hidden=5, components=2, std=np.full(SHAPE, 0.5), optimizer=optax.adam(1e-2)),
        sample_range=(-np.inf, np.inf),
    ),
    "pixel cnn": Case(make_pixel_cnn),
    "pixel cnn gated": Case(functools.partial(make_pixel_cnn, gated=True), variant=True),
    "row lstm": Case(lambda: make_pixel_rnn("row")),
    "diagonal bilstm": Case(lambda: make_pixel_rnn("diagonal")),
    "vae mlp": Case(lambda: make_vae(vae_networks.mlp_networks(SHAPE, hidden=(6,), latents=2))),
    "vae conv": Case(
        lambda: make_vae(vae_networks.conv_networks(SHAPE, channels=(2,), features=4, latents=2)), variant=True
    ),
    "char rnn": Case(
        lambda: char_rnn.char_rnn(2, hidden=4, layers=1, dropout=0.1, length=5, optimizer=optax.adam(3e-2)),
        examples=lambda dtype=None: sequences(np.int32),
        sample_shape=(5,),
        images=(),
    ),
    "series rnn": Case(
        lambda: char_rnn.series_rnn(components=2, hidden=4, length=5, optimizer=optax.adam(3e-2)),
        examples=sequences,
        sample_shape=(5,),
        sample_range=(-np.inf, np.inf),
        images=(),
    ),
    "vae two layers": Case(
        lambda: make_vae(
            vae_networks.with_top(
                vae_networks.mlp_networks(SHAPE, hidden=(6,), latents=3), latents=2, hidden=(4,), activation=jnp.tanh
            )
        ),
        variant=True,
    ),
    "autoencoder mlp": Case(
        lambda: make_autoencoder(autoencoder.mlp_networks(SHAPE, hidden=(6,), latents=2)), draws=False, variant=True
    ),
    "autoencoder conv": Case(
        lambda: make_autoencoder(
            autoencoder.conv_networks(SHAPE, channels=(2,), features=4, latents=2, reconstruction=autoencoder.BERNOULLI)
        ),
        draws=False,
    ),
    "classifier frozen": Case(
        make_frozen_classifier, examples=labelled, sample_shape=(), sample_range=(0, 3), draws=False, images=()
    ),
    "vae gaussian": Case(
        lambda: make_vae(vae_networks.mlp_networks(SHAPE, hidden=(6,), latents=2, gaussian=True)), variant=True
    ),
    "aae": Case(make_aae, examples=labelled),
    "gan": Case(make_gan, descends=False),
    "dcgan": Case(make_dcgan, examples=enlarged, sample_shape=(8, 8, 1), descends=False),
    "infogan": Case(make_infogan, examples=enlarged, sample_shape=(8, 8, 1), descends=False),
    "progressive gan": Case(
        make_progressive_gan,
        examples=fading,
        sample_shape=(8, 8, 1),
        descends=False,
        variant=True,
        images=(),  # a step takes images of the size of each level
    ),
    "cyclegan": Case(make_cyclegan, examples=two_domains, draws=False, descends=False, images=("image", "other_image")),
    "stargan": Case(make_stargan, examples=attributed, draws=False, descends=False),
    "puzzle gan": Case(make_puzzle_gan, examples=with_patches, sample_shape=(8, 8, 1), descends=False),
    "text to image": Case(make_text_to_image, examples=captioned, sample_shape=(8, 8, 1), descends=False),
}
every_model = pytest.mark.parametrize("name", MODELS)
every_run = pytest.mark.parametrize("name", [name for name, case in MODELS.items() if not case.variant])


@functools.cache
def model_of(name):
    return MODELS[name].make()


RECORDER = optax.GradientTransformation(
    lambda params: params, lambda gradients, state, params=None: (gradients, gradients)
)
"""An optimizer that goes up, and whose state is the last gradient."""


@functools.cache
def moves_of(name):
    """Of each phase: its loss, the gradients, and the state after its move alone."""
    phases = [phase._replace(every=1, start=0, stop=None, optimizer=RECORDER) for phase in model_of(name).phases]

    def move(phase, state, examples):
        before = state._replace(opt={phase.name: RECORDER.init(select(state.params, phase.wrt))})
        after, metrics = make_step([phase])(before, examples)
        return metrics[f"{phase.name}/loss"], after.opt[phase.name], after

    return jax.jit(lambda *arguments: [move(phase, *arguments) for phase in phases])(state_of(name), batch(name))


@functools.cache
def generate_of(name):
    return jax.jit(model_of(name).generate)


@functools.cache
def state_of(name):
    """Before the first step; of a model of which a run of several steps is shown, seed 3 of that run in float32."""
    if MODELS[name].variant:
        return jax.jit(lambda key: init_state(model_of(name), key, batch(name)))(jax.random.key(0))
    with jax.enable_x64(True):
        start = jax.device_get(seed(training_of(name).start, 0)._replace(key=None))
    narrow = lambda leaf: leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf  # noqa: E731
    return jax.device_put(jax.tree.map(narrow, start))._replace(key=jax.random.key(3))


def batch(name, size=BATCH):
    return jax.device_put({key: array[:size] for key, array in MODELS[name].examples().items()})


@functools.cache
def feed(name, seeds):
    arrays = MODELS[name].examples(np.float64)
    return make_feed(Split(EXAMPLES, lambda indices: arrays, arrays), load, seeds, BATCH)


def leaves_differ(a, b):
    leaves = zip(jax.tree.leaves(jax.device_get(a)), jax.tree.leaves(jax.device_get(b)), strict=True)
    return any((x != y).any() for x, y in leaves)


@every_model
def test_loss_is_finite_and_every_network_of_a_phase_gets_a_gradient(name):
    for phase, (value, gradients, _) in zip(model_of(name).phases, moves_of(name), strict=True):
        assert np.isfinite(value)
        for network in phase.wrt:
            assert any((leaf != 0).any() for leaf in jax.tree.leaves(jax.device_get(gradients[network]))), network


@every_model
def test_each_phase_changes_only_what_it_moves(name):
    state = state_of(name)
    for phase, (_, _, after) in zip(model_of(name).phases, moves_of(name), strict=True):
        changed = {network for network in state.params if leaves_differ(after.params[network], state.params[network])}
        assert changed == set(phase.wrt)


def in_float64(model):
    """The model with float64 parameters and statistics: Flax makes float32 ones whatever the inputs are."""

    def init(key, batch):
        params, stats = model.init(key, batch)
        wide = lambda leaf: leaf.astype(float) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf  # noqa: E731
        return jax.tree.map(wide, params), jax.tree.map(wide, stats)

    return model._replace(init=init)


class Training(NamedTuple):
    """Of seeds 3 and 5 together, in float64."""

    start: TrainState
    end: TrainState
    """After four steps."""
    steps: Sequence[Callable]
    """Jitted steps that it took, each once."""
    compiled: Sequence[int]
    """Number of programs that each of these had at the end."""


@functools.cache
def float64_model_of(name):
    return in_float64(MODELS[name].make())  # JAX may mix up integers of one function in and outside float64 mode


@functools.cache
def training_of(name):
    model, both = float64_model_of(name), feed(name, (3, 5))
    start = init_seeds(model, both, (3, 5))
    state, used = copied(start), set()
    for step, item in zip(range(4), both.items(0), strict=False):
        advance = make_train_step(model, both, due_phases(model.phases, step))
        state, _ = advance(state, both.arrays, item)
        used.add(advance)
    return Training(start, state, list(used), [advance._cache_size() for advance in used])


@every_run
def test_no_second_compilation(name):
    with jax.enable_x64(True):
        assert training_of(name).compiled == [1] * len({due_phases(model_of(name).phases, step) for step in range(4)})


@every_run
def test_a_seed_among_others_equals_the_seed_alone(name):
    """Its start is compared among other seeds too, its training without a seed axis; one model shows the start alone
    and the training with an axis for all.
    """
    with jax.enable_x64(True):
        model, alone = float64_model_of(name), feed(name, (5,))
        bare, axed = (seed(training_of(name).start, 1) for _ in range(2))  # copies: training gives them up
        for others in [(5, 8), *([(5,)] if name == "nade" else [])]:
            again = seed(init_seeds(model, feed(name, others), others), 0)
            close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)  # random numbers are of float32
            jax.tree.map(close, again.params, bare.params)
        together = seed(training_of(name).end, 1)
        for one in (bare, *([with_seed_axis(axed)] if name == "nade" else [])):
            *_, (_, state, _) = iterate(model, alone, one._replace(step=jnp.zeros((), jnp.int32)), 4)
            state = seed(with_seed_axis(state), 0)
            close = functools.partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-10)
            jax.tree.map(close, (together.params, together.stats), (state.params, state.stats))


@every_run
def test_a_resumed_run_equals_an_uninterrupted_one(name):
    with jax.enable_x64(True):
        assert_resume_equals(float64_model_of(name), feed(name, (3, 5)), (3, 5), 3, compile_again=False)


def losses_on_one_batch(name, steps):
    """Yield the sum of the losses of each step; of two seeds, by the steps of `training_of`, if it is run."""
    if MODELS[name].variant:
        state, step = state_of(name), jax.jit(make_step(model_of(name).phases))
        advance = lambda state: step(state, batch(name))  # noqa: E731
    else:
        both = feed(name, (3, 5))
        (step,), item = training_of(name).steps, next(both.items(0))
        state = copied(training_of(name).start)
        advance = lambda state: step(state, both.arrays, item)  # noqa: E731
    for _ in range(steps):
        state, metrics = advance(state)
        yield sum(jax.device_get(value) for key, value in metrics.items() if key.endswith("/loss"))


@every_model
def test_training_on_one_batch_lowers_the_loss(name):
    if not MODELS[name].descends:
        pytest.skip("no loss has to fall in counting or in a game: both have tests of their own")
    with jax.enable_x64(not MODELS[name].variant):
        losses = np.array(list(losses_on_one_batch(name, 60)))
    assert (losses[-5:].mean(0) < losses[:5].mean(0) - 0.5).all()


@every_model
def test_samples_have_the_datas_shape_and_range_and_follow_their_key(name):
    state, generate = state_of(name), generate_of(name)
    drawn = [np.asarray(generate(state.params, state.stats, batch(name), key)) for key in (KEY, KEY, jax.random.key(8))]
    least, greatest = MODELS[name].sample_range
    assert drawn[0].shape == (BATCH, *MODELS[name].sample_shape)
    assert np.isfinite(drawn[0]).all()
    assert drawn[0].min() >= least
    assert drawn[0].max() <= greatest
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any() == MODELS[name].draws


@every_model
def test_a_sample_does_not_depend_on_its_neighbours(name):
    state, generate = state_of(name), generate_of(name)
    many = generate(state.params, state.stats, batch(name), KEY)
    few = generate(state.params, state.stats, batch(name, 3), KEY)
    np.testing.assert_allclose(many[:3], few, rtol=1e-5, atol=1e-6)


@every_model
def test_an_evaluation_is_per_example_and_does_not_depend_on_neighbours(name):
    state, evaluate = state_of(name), jax.jit(model_of(name).evaluate)
    many = evaluate(state.params, state.stats, batch(name), KEY)
    few = evaluate(state.params, state.stats, batch(name, 3), KEY)
    for metric, values in many.items():
        assert values.shape == (BATCH,)
        np.testing.assert_allclose(values[:3], few[metric], rtol=1e-4, atol=1e-5)


@every_model
def test_features_are_one_vector_per_example(name):
    state, model = state_of(name), model_of(name)
    if model.embed is None:
        pytest.skip("this model has no features")
    features = jax.jit(model.embed)(state.params, state.stats, batch(name))
    assert features.ndim == 2
    assert len(features) == BATCH
    assert (features.std(0) > 0).all()


def wrong_shapes(name, image):
    """Larger, smaller, and with the channels first."""
    count, height, width, channels = image.shape
    shapes = [(2 * height, 2 * width, channels), (height - 1, width - 1, channels)]
    if name != "tabular":  # which knows the number of pixels alone
        shapes.append((channels, height, width))
    return [jnp.zeros((count, *shape), image.dtype) for shape in shapes]


@every_model
def test_images_of_another_shape_are_refused(name):
    model, examples, state = model_of(name), batch(name), state_of(name)
    uses = {
        "init": lambda examples: model.init(KEY, examples),
        "step": lambda examples: make_step(model.phases)(state, examples),
        "evaluate": lambda examples: model.evaluate(state.params, state.stats, examples, KEY),
        "generate": lambda examples: model.generate(state.params, state.stats, examples, KEY),
    }
    if model.embed is not None:
        uses["embed"] = lambda examples: model.embed(state.params, state.stats, examples)
    for array in MODELS[name].images:
        for wrong in wrong_shapes(name, examples[array]):
            for use in uses.values():
                with pytest.raises(ValueError, match=rf"batch\['{array}'\]"):
                    jax.eval_shape(use, {**examples, array: wrong})


@every_model
def test_a_kind_is_declared_of_metrics_that_there_are(name):
    state, model = state_of(name), model_of(name)
    assert set(model.kinds) <= set(jax.eval_shape(model.evaluate, state.params, state.stats, batch(name), KEY))
