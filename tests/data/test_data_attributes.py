"""Labels that give domains, targets in turn, and painted digits."""

import functools
import itertools

import jax
import numpy as np
import pytest

from genjax.data.attribute_sets import COLOURS, MADE, class_attributes, feature_attributes, made_attributes, painted
from genjax.data.attributes import Attribute, Schema
from genjax.data.dataset import Source, Split, resident

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
NAMES = ("colour", "polarity", "size")
VALUES = [MADE[name] for name in NAMES]


def greys(size):
    image = RNG.integers(0, 256, (size, 3, 2, 1)).astype(np.uint8)
    label = np.arange(size, dtype=np.int32) % 3
    return resident({"image": image, "label": label, "bold": label % 2, "round": (np.arange(size) // 3 % 2)})


SOURCE = Source("greys", greys(36), greys(13), greys(15), "0" * 64)


def in_reading(source):
    """Return the source without arrays in memory, as if its images were read from disk."""
    splits = (Split(split.size, split.read, None) for split in (source.train, source.validation, source.test))
    return Source(source.name, *splits, source.sha256)


@functools.cache
def made(*, halves=False, names=NAMES):
    return made_attributes(SOURCE, names, halves=halves)


def paint(image, colour, polarity, size):
    """Paint one image [H, W, 1] of bytes pixel by pixel."""
    height, width = image.shape[:2]
    canvas = np.zeros((2 * height, 2 * width, 3))
    for row, column in itertools.product(range(2 * height), range(2 * width)):
        if size == "large":
            value = image[row // 2, column // 2, 0]
        else:
            place = row - height // 2, column - width // 2
            inside = 0 <= place[0] < height and 0 <= place[1] < width
            value = image[(*place, 0)] if inside else 0
        value = 255 - int(value) if polarity == "light" else value
        canvas[row, column] = np.round(np.float32(value) * np.array(COLOURS[colour], np.float32))
    return canvas


def test_images_are_painted_place_by_place():
    image = SOURCE.test.arrays["image"][:12]
    values = list(itertools.product(*VALUES))
    rows = np.array([[MADE[name].index(value) for name, value in zip(NAMES, row, strict=True)] for row in values])
    found = painted(image, rows, NAMES, 255)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [paint(one, *row) for one, row in zip(image, values, strict=True)])
    real = painted(image[:2] / np.float32(255), np.array([[1], [0]]), ("polarity",), 1)
    np.testing.assert_allclose(real, np.stack([255 - image[0], image[1]]) / 255, atol=1e-6)
    grey = painted(image[:2], np.array([[1, 0], [1, 1]]), ("ground", "polarity"), 255).astype(float)
    lifted = 255 - (255 - image[:2]) / 2
    np.testing.assert_allclose(grey, np.stack([lifted[0], 255 - lifted[1]]), atol=0.5)
    assert real.dtype == np.float32


def test_bits_follow_the_order_of_attributes_and_values():
    assert made().schema.sizes == (3, 2, 2)
    assert [domain.name for domain in made().domains][:3] == ["red-dark-large", "red-dark-small", "red-light-large"]
    arrays = made().data.train.arrays
    counts = np.bincount(arrays["domain"], minlength=12)
    np.testing.assert_array_equal(counts, 3)  # of 36 images
    for domain, bits in zip(arrays["domain"], arrays["attributes"], strict=True):
        colour, polarity, size = np.unravel_index(domain, (3, 2, 2))
        expected = np.zeros(7)
        expected[[colour, 3 + polarity, 5 + size]] = 1
        np.testing.assert_array_equal(bits, expected)


@pytest.mark.parametrize("source", [SOURCE, in_reading(SOURCE)], ids=["in memory", "read"])
def test_a_made_image_has_its_labels_domain_and_its_truth_that_of_the_target(source):
    found = made_attributes(source, NAMES)
    indices = np.arange(15)
    examples, grey = found.data.test.read(indices), SOURCE.test.arrays["image"]
    every = list(itertools.product(*VALUES))
    for name, domains in (("image", examples["domain"]), ("truth", examples["target_domain"])):
        expected = [paint(one, *every[domain]) for one, domain in zip(grey, domains, strict=True)]
        np.testing.assert_array_equal(examples[name], expected)
    batch = found.data.load(jax.tree.map(jax.numpy.asarray, examples), KEY)
    np.testing.assert_allclose(batch["truth"] * 255, examples["truth"], atol=1e-4)
    np.testing.assert_array_equal(examples["label"], SOURCE.test.arrays["label"])
    assert (found.data.test.arrays is None) == (source is not SOURCE)


def test_targets_are_the_other_domains_in_turn():
    arrays = made(names=("colour",)).data.test.arrays
    assert (arrays["domain"] != arrays["target_domain"]).all()
    turns = (arrays["target_domain"] - arrays["domain"]) % 3
    np.testing.assert_array_equal(turns, 1 + np.arange(15) % 2)
    np.testing.assert_array_equal(arrays["target"].argmax(1), arrays["target_domain"])


def test_halves_know_the_first_attribute_or_the_others_and_keep_what_they_do_not():
    found = made(halves=True)
    assert found.schema.known == ((True, False, False), (False, True, True))
    names = [domain.name for domain in found.domains]
    assert names == ["red", "green", "blue", "dark-large", "dark-small", "light-large", "light-small"]
    np.testing.assert_array_equal(found.data.train.arrays["label_set"], np.arange(36) >= 18)
    arrays = found.data.test.arrays
    np.testing.assert_array_equal(arrays["label_set"], np.arange(15) % 2)
    assert set(arrays["target_set"].tolist()) == {0, 1}
    before, after = (np.stack(np.unravel_index(arrays[name], (3, 2, 2)), 1) for name in ("domain", "target_domain"))
    hidden = ~np.array(found.schema.known)[arrays["target_set"]]
    np.testing.assert_array_equal(after[hidden], before[hidden])
    assert (after != before).any(axis=0).all()
    assert (after != before).any(axis=1).all()  # what is asked for is not so already
    assert (arrays["image"] != arrays["truth"]).any(axis=(1, 2, 3)).all()


def test_classes_and_features_are_domains():
    classes = class_attributes(SOURCE)
    assert [domain.name for domain in classes.domains] == ["0", "1", "2"]
    assert not classes.paired
    np.testing.assert_array_equal(classes.data.test.arrays["attributes"].argmax(1), SOURCE.test.arrays["label"])
    features = feature_attributes(in_reading(SOURCE), ("bold", "round"))
    assert [domain.name for domain in features.domains] == ["none", "round", "bold", "bold-round"]
    assert features.schema.sizes == (1, 1)
    expected = np.stack([SOURCE.test.arrays[name] for name in ("bold", "round")], axis=1)
    np.testing.assert_array_equal(features.data.test.read(np.arange(15))["attributes"], expected)
    assert not {"truth"} & set(features.data.test.read(np.arange(1)))


def test_a_schema_counts_what_a_generator_reads():
    schema = Schema((Attribute("a", ("x", "y", "z")), Attribute("b", ("b",))), ((True, False), (False, True)))
    assert (schema.bits, schema.numbers, schema._replace(known=((True, True),)).numbers) == (4, 6, 4)
    np.testing.assert_array_equal(schema.known_bits, [[1, 1, 1, 0], [0, 0, 0, 1]])


def few(*rows):
    return SOURCE._replace(train=resident({name: array[list(rows)] for name, array in SOURCE.train.arrays.items()}))


COLOURED = SOURCE._replace(train=resident({"image": SOURCE.train.arrays["image"].repeat(3, axis=-1)}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: made_attributes(SOURCE, ("colour", "shape")),
            "must be one or more of colour, ground, polarity, size, each once",
        ),
        (lambda: made_attributes(SOURCE, ("size", "size")), "each once"),
        (lambda: made_attributes(SOURCE, ()), "must be one or more"),
        (lambda: made_attributes(SOURCE, ("size",), halves=True), "must be two or more, one for the first half"),
        (lambda: made_attributes(COLOURED, ("size",)), "of grey images only, those of 'greys' have 3 channels"),
        (
            lambda: made_attributes(few(*range(5)), ("colour",)),
            "domain '[a-z]+': 1 training images, must have at least 2",
        ),
        (lambda: class_attributes(few(*range(5))), "domain '2': 1 training images, must have at least 2"),
        (lambda: class_attributes(few(0, 1, 3, 4)), "data 'greys': class 2 has no training image"),
        (lambda: class_attributes(few(0, 3)), "class 0 is the only one, domains must be two or more"),
        (lambda: class_attributes(COLOURED), "the data have no labels"),
        (lambda: feature_attributes(few(0, 1, 2), ("round",)), "domain 'round': 0 training images"),
    ],
)
def test_what_cannot_be_a_domain_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
