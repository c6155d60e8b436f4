import functools

import jax
import numpy as np
import optax
from scipy.special import log_softmax

from genjax.core import init_state, make_step
from genjax.data.digits import digits
from genjax.data.scenes import scenes
from genjax.measures.scene_classifier import EMPTY, at_positions, cross_entropy, most_likely, scene_model
from genjax.metrics.scenes import agreement

OBJECTS = np.array([[[7, 4, 1, 2], [3, 0, 0, 3]], [[0, 1, 0, 4], [-1, -1, -1, -1]]], np.int32)


def test_each_position_has_its_object():
    found = np.asarray(jax.jit(at_positions)(OBJECTS))
    np.testing.assert_array_equal(found[..., 0], [[EMPTY, EMPTY, 7, 3, EMPTY], [EMPTY, EMPTY, EMPTY, EMPTY, 0]])
    np.testing.assert_array_equal(found[0, 2], [7, 4, 1, 2])
    np.testing.assert_array_equal(found[1, 4], [0, 1, 0, 4])


def random_logits():
    rng = np.random.default_rng(0)
    return {column: rng.normal(size=(2, 5, width)) for column, width in {0: 11, 1: 5, 2: 2}.items()}


def test_the_cross_entropy_is_of_every_position_and_of_colour_and_size_where_a_digit_is():
    logits = random_logits()
    log_p = {column: log_softmax(values, axis=-1) for column, values in logits.items()}
    expected = []
    for scene, objects in enumerate(OBJECTS):
        total = 0.0
        standing = {one[3]: one for one in objects.tolist() if one[0] >= 0}
        for position in range(5):
            digit, colour, size, _ = standing.get(position, (EMPTY, None, None, None))
            total -= log_p[0][scene, position, digit]
            if colour is not None:
                total -= log_p[1][scene, position, colour] + log_p[2][scene, position, size]
        expected.append(total)
    np.testing.assert_allclose(jax.jit(cross_entropy)(logits, OBJECTS), expected, rtol=1e-5)


def test_certain_logits_give_the_objects_back():
    truth = np.asarray(jax.jit(at_positions)(OBJECTS))
    sure = {column: 20 * np.eye(width)[truth[..., column]] for column, width in {0: 11, 1: 5, 2: 2}.items()}
    found = np.asarray(jax.jit(most_likely)(sure))
    assert all(agreement(found, OBJECTS)["scene"])


def test_a_scene_has_at_least_one_digit():
    empty = {0: 20 * np.eye(11)[np.full((1, 5), EMPTY)], 1: np.zeros((1, 5, 5)), 2: np.zeros((1, 5, 2))}
    found = np.asarray(jax.jit(most_likely)(empty))
    assert found[0, 0].min() >= 0
    assert (found[0, 1] == -1).all()


def test_the_classifier_fits_a_few_scenes():
    train = scenes(digits(), side=16, captions=1, pairs=0.5).source.train.arrays
    batch = {"image": train["image"][:16] / np.float32(255), "objects": train["objects"][:16]}
    model = scene_model(optimizer=optax.adam(3e-3), channels=(8, 16), features=64)
    state = jax.jit(functools.partial(init_state, model))(jax.random.key(0), batch)
    step = jax.jit(make_step(model.phases))
    for _ in range(150):
        state, _ = step(state, batch)
    found = np.asarray(jax.jit(model.generate)(state.params, state.stats, batch, jax.random.key(0)))
    assert agreement(found, batch["objects"])["scene"].mean() > 0.9
