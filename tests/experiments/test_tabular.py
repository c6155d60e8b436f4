"""The experiment on tabular models: its choices, and its numbers on real data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.tabular import SMOOTHINGS, ContextKind, Options, make_contexts, pick_smoothing
from experiments.tabular import tabular as tabular_experiment
from genjax.data.dataset import Dataset, resident
from genjax.data.feed import make_feed
from genjax.data.levels import with_levels
from genjax.data.load import load_dataset
from genjax.evaluation import evaluate_split, make_evaluate_seeds, means
from genjax.models.autoregressive.tabular import (
    OFFSETS,
    ar_contexts,
    ar_parameters,
    free_parameters,
    markov_parameters,
    offset_contexts,
    tabular,
)
from genjax.runs.options import Data
from genjax.training import init_seeds, iterate
from tests.models.tabular_cases import CASES, HEIGHT, RASTER, WIDTH, counted_by_hand, random_values, to_image


def data_set(train, validation, levels=2, protocol="static"):
    train, held_out = resident({"image": to_image(train, levels)}), resident({"image": to_image(validation, levels)})
    return Dataset("made", protocol, train, held_out, held_out, lambda raw, key: dict(raw), sha256="")


@pytest.mark.parametrize(("strange", "best"), [(0, 0.01), (8, 0.5)])
def test_smoothing_is_the_best_on_the_validation_split(strange, best):
    """The training images again, and `strange` ones that are not like them."""
    train = random_values(60, 2)
    validation = np.concatenate([train, random_values(40, 2, key=1)[:strange]])
    _, neighbours, tied = CASES["ar-3 in an order"]
    nll = [counted_by_hand(train, validation, neighbours, tied, 2, a).mean() for a in SMOOTHINGS]
    assert SMOOTHINGS[int(np.argmin(nll))] == best
    assert pick_smoothing(CASES["ar-3 in an order"][0], data_set(train, validation)) == best


def test_levels_are_rounded_and_named():
    grey = data_set(random_values(5, 5), random_values(5, 5), levels=5, protocol="real")
    data = with_levels(grey, 3)
    image = data.load({"image": jnp.array([0.0, 0.2, 0.3, 0.7, 0.8, 1.0])}, jax.random.key(0))["image"]
    assert data.protocol == "levels-3"
    np.testing.assert_array_equal(image, [0, 0, 0.5, 0.5, 1, 1])
    with pytest.raises(ValueError, match="levels=3 of static data"):
        with_levels(data_set(random_values(5, 2), random_values(5, 2)), 3)
    with pytest.raises(ValueError, match="binary"):
        with_levels(grey, 2)


def test_contexts_by_name():
    names: dict[ContextKind, int] = {
        "independent": 6,
        "markov": 11,
        "ar": ar_parameters(6, 2),
        "full": 63,
        "2d-tied": 4,
    }
    for name, parameters in names.items():
        contexts = make_contexts(name, (HEIGHT, WIDTH, 1), k=2, ordering="raster", levels=2)
        assert free_parameters(contexts) == parameters
    order = make_contexts("ar", (HEIGHT, WIDTH, 1), k=2, ordering="random", levels=2).order
    assert sorted(order) == list(RASTER) != list(order)
    for options in ({"k": 13, "ordering": "raster"}, {"k": 2, "ordering": "random"}):
        with pytest.raises(ValueError, match="--contexts 2d needs --ordering raster"):
            make_contexts("2d", (HEIGHT, WIDTH, 1), levels=2, **options)


@pytest.fixture(scope="module")
def binarized_mnist(tfds_dir):
    return load_dataset("binarized_mnist", data_dir=tfds_dir)


def test_binarized_mnist_is_larochelles(binarized_mnist):
    data = binarized_mnist
    assert [split.size for split in (data.train, data.validation, data.test)] == [50000, 10000, 10000]
    assert data.image_shape == (28, 28, 1)
    assert data.protocol == "static"
    images = [split.arrays["image"] for split in (data.train, data.validation, data.test)]
    # means of the official files, to the printed digits
    np.testing.assert_allclose([image.mean() for image in images], [0.130562, 0.131127, 0.132512], atol=5e-7)


@pytest.mark.parametrize(
    ("contexts", "smoothing", "expected"),
    [
        (ar_contexts(784, 0), 0.1, 205.792),
        (ar_contexts(784, 1), 0.1, 145.350),
        (ar_contexts(784, 9), 0.5, 138.252),
        (offset_contexts(28, 28, OFFSETS[:10]), 0.5, 97.243),
    ],
    ids=["independent", "markov", "ar-9", "2d"],
)
@pytest.mark.usefixtures("optimized")
def test_binarized_mnist(binarized_mnist, contexts, smoothing, expected):
    """Measured by counting in NumPy on the same files."""
    data = binarized_mnist
    model = tabular(contexts, examples=data.train.size, smoothing=smoothing)
    feed = make_feed(data.train, data.load, (0,), 1000)  # counts are the same for every batch size
    *_, (_, state, _) = iterate(model, feed, init_seeds(model, feed, (0,)), 50)
    evaluate = make_evaluate_seeds(model.evaluate, data.load)
    nll = means(evaluate_split(evaluate, state.params, state.stats, data.test, key=jax.random.key(0), batch_size=1000))
    np.testing.assert_allclose(nll["nll_nats"], expected, atol=0.01)


def test_shrunk_images_have_a_table_of_their_size():
    """16 pixels of 17 levels each, a pixel's table once and its neighbour's 15 times."""
    options = Options(Data(binarization="none"), contexts="markov", levels=17, shrink=2, smoothing=0.1)
    experiment = tabular_experiment(options)
    assert experiment.data.image_shape == (4, 4, 1)
    assert experiment.facts["parameters"] == markov_parameters(16, levels=17)
