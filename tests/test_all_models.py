"""What every model owes, as a table: models x properties."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.core import TrainState, due_phases, init_state, make_step, select
from genjax.data.dataset import Split
from genjax.data.feed import make_feed
from genjax.front.export import programs
from genjax.precision import with_precision
from genjax.testing import assert_resume_equals
from genjax.training import copied, init_seeds, iterate, make_train_step, seed, with_seed_axis
from tests.model_cases import BATCH, EXAMPLES, MODELS
from tests.toys import load

KEY = jax.random.key(7)
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


@every_run
def test_float32_examples_can_be_used_where_jax_draws_in_float64(name):
    """Nothing is computed: types that do not go together are found by tracing. The state keeps its types."""
    with jax.enable_x64(True):
        model, examples, key = MODELS[name].make(), batch(name), jax.random.key(0)
        state = jax.eval_shape(lambda: init_state(model, key, examples))
        after = jax.eval_shape(lambda state: make_step(model.phases)(state, examples)[0], state)
        assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, state)
        for function in (model.evaluate, model.generate):
            jax.eval_shape(function, state.params, state.stats, examples, key)


@pytest.mark.parametrize("name", ["made", "infogan", "puzzle gan"])  # a scan, statistics, phases not always due
def test_float64_examples_leave_the_state_as_it_is(name):
    with jax.enable_x64(True):
        model, key = MODELS[name].make(), jax.random.key(0)
        examples = {key: jnp.asarray(array[:BATCH]) for key, array in MODELS[name].examples(np.float64).items()}
        state = jax.eval_shape(lambda: init_state(model, key, batch(name)))
        after = jax.eval_shape(lambda state: make_step(model.phases)(state, examples)[0], state)
        assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, state)
        jax.eval_shape(model.generate, state.params, state.stats, examples, key)


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
    # JAX may mix up integers of one function in and outside float64 mode.
    with jax.enable_x64(True):
        return with_precision(MODELS[name].make(), "float64")


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
def test_programs_are_written_for_accelerators(name):
    """On a host with a CPU: the state, such as a carry or a pool, and all arguments have a form that can be read."""
    written = programs(model_of(name), state_of(name), batch(name), batch(name), platforms=("cuda", "tpu"))
    for program in written.values():
        found = jax.export.deserialize(bytearray(program.serialize()))
        assert found.platforms == ("cuda", "tpu")
        assert found.in_tree == program.in_tree
        assert found.in_avals == program.in_avals


@every_run
def test_programs_in_bfloat16_have_no_other_products(name):
    """Unless they ask for the highest precision, as a change of an image's size does; the state keeps its types."""
    model, state, examples = with_precision(model_of(name), "bfloat16"), state_of(name), batch(name)
    written = programs(model, state, examples, examples, platforms=("cuda", "tpu"))
    after = jax.tree.unflatten(written["step"].out_tree, written["step"].out_avals)[0]
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, state)
    for kind, program in written.items():
        products = re.findall(r"stablehlo\.(?:dot_general|convolution).*", program.mlir_module())
        rounded = [line for line in products if re.search(r": \(tensor<\S*bf16>, tensor<\S*bf16>\) ->", line)]
        assert all("HIGHEST" in line for line in set(products) - set(rounded))
        assert rounded or kind != "step" or name == "tabular"


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
