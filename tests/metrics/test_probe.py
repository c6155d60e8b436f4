import functools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genjax.metrics.probe import Labelled, linear_probe


def clouds(count, *, distance, classes=3, features=5, seed=0):
    """Gaussian clouds of unit width whose centres lie `distance` along axes of their own, at unequal scales."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % classes
    noise = rng.normal(size=(count, features))
    x = (noise + distance * np.eye(features)[label]) * 10.0 ** (np.arange(features) % 5) + 3
    return Labelled(x.astype(np.float32), label)


def parts(**options):
    return [clouds(count, seed=seed, **options) for seed, count in enumerate((120, 60, 500))]


def test_separable_classes_are_told_apart():
    assert linear_probe(*parts(distance=20.0)) == 0


def test_noise_gives_chance():
    train, validation, _ = parts(distance=0.0)
    error = linear_probe(train, validation, clouds(6000, distance=0.0, seed=9))
    assert error == pytest.approx(2 / 3, abs=5 * np.sqrt(2 / 9 / 6000) + 0.01)


def test_the_error_is_that_of_scikit_learn_with_the_penalty_that_validation_picks():
    sizes = enumerate((40, 200, 1000))  # few training examples of many features: a weak penalty overfits
    train, validation, test = [clouds(count, distance=2.0, features=25, seed=seed) for seed, count in sizes]
    strengths = (1e-5, 1e-2, 1e3)

    def fitted(strength):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=10_000, tol=1e-8))
        return model.fit(train.features.astype(float), train.label)

    models = [fitted(strength) for strength in strengths]
    scores = [model.score(validation.features, validation.label) for model in models]
    expected = [1 - model.score(test.features, test.label) for model in models]
    others = [error for error in expected if error != expected[np.argmax(scores)]]
    assert min(abs(error - expected[np.argmax(scores)]) for error in others) > 0.02  # the choice matters
    found = linear_probe(train, validation, test, regularizations=strengths[::-1])
    assert found == pytest.approx(expected[np.argmax(scores)], abs=0.003)


def test_the_training_part_alone_sets_the_scale_and_repeats_give_one_number():
    train, validation, test = parts(distance=1.5)
    first = linear_probe(train, validation, test)
    scaled = [part._replace(features=part.features * 4 - 7) for part in (train, validation, test)]
    assert linear_probe(train, validation, test) == first
    assert linear_probe(*scaled) == pytest.approx(first, abs=0.003)
    shifted = test._replace(features=test.features + 5 * test.features.std(axis=0))
    assert linear_probe(train, validation, shifted) > first + 0.1


def test_misuse_is_named():
    train, validation, test = parts(distance=1.0)
    one_class = train._replace(label=np.zeros_like(train.label))
    holes = test._replace(features=np.where(np.arange(5) == 2, np.nan, test.features))
    for message, call in {
        "one class only": lambda: linear_probe(one_class, validation, test),
        "test: features hold NaN": lambda: linear_probe(train, validation, holes),
        r"validation: features \(60, 4\) and labels \(60,\), must be \[N, 5\]": lambda: linear_probe(
            train, validation._replace(features=validation.features[:, 1:]), test
        ),
        r"test: features \(0, 5\)": lambda: linear_probe(
            train, validation, Labelled(test.features[:0], test.label[:0])
        ),
        r"regularizations=\(\): needs": lambda: linear_probe(train, validation, test, regularizations=()),
        "each above 0": lambda: linear_probe(train, validation, test, regularizations=(0.0, 1.0)),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()


def at(x, *label):
    """Examples of one feature, all of the value x."""
    return Labelled(np.full((len(label), 1), x), np.array(label))


def test_the_penalty_is_picked_by_validation_and_not_by_the_test_split():
    """Three examples of class 0 lie at -1, one of class 1 at 1: a strong penalty says 0 everywhere, a weak one not."""
    train = Labelled(np.array([[-1.0], [-1.0], [-1.0], [1.0]]), np.array([0, 0, 0, 1]))
    probe = functools.partial(linear_probe, train, regularizations=(1e-4, 1e4))
    assert probe(at(1.0, 0), at(1.0, 1)) == 1  # strong: right in validation, wrong in the test
    assert probe(at(1.0, 1), at(1.0, 0)) == 1  # weak
    assert probe(at(1.0, 0, 0, 1), at(1.0, 0, 0, 0, 1)) == 1 / 4
    assert probe(at(-1.0, 0), at(1.0, 1)) == 1  # validation does not tell them apart: the stronger penalty
