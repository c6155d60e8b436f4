import jax
import numpy as np
import pytest
from PIL import Image

from genjax.data.dataset import Source, Split, resident
from genjax.data.domains import (
    RED,
    class_domains,
    coloured,
    inverted,
    made_domains,
    rotated,
    set_domains,
)
from genjax.data.files import folder

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def greys(size, start):
    """Images whose first pixel is their index."""
    image = RNG.integers(0, 256, (size, 3, 2, 1)).astype(np.uint8)
    image[:, 0, 0, 0] = np.arange(start, start + size)
    return resident({"image": image, "label": np.arange(size, dtype=np.int32) % 3})


SOURCE = Source("greys", greys(20, 1), greys(6, 101), greys(6, 201), "0" * 64)


def in_reading(source):
    """Return the source without arrays in memory, as if its images were read from disk."""
    splits = (Split(split.size, split.read, None) for split in (source.train, source.validation, source.test))
    return Source(source.name, *splits, source.sha256)


def batch_of(found, split, count):
    return jax.device_get(jax.jit(found.both.load)(dict(split.read(np.arange(count))), KEY))


def test_transforms_are_what_they_say():
    image = SOURCE.test.arrays["image"]
    np.testing.assert_array_equal(inverted(image, 255), 255 - image)
    np.testing.assert_array_equal(inverted(image / np.float32(255), 1), 1 - image / np.float32(255))
    turned = rotated(image, 255)
    assert turned.shape == (6, 2, 3, 1)
    np.testing.assert_array_equal(turned[:, 0, 0], image[:, 0, 1])  # the right edge is the upper one now
    red = coloured(image, 255)
    np.testing.assert_allclose(red, np.round(image * np.float32(RED)), atol=0)
    assert {array.dtype for array in (inverted(image, 255), turned, red)} == {np.dtype(np.uint8)}
    with pytest.raises(ValueError, match="images of 3 channels cannot be coloured"):
        coloured(red, 255)


@pytest.mark.parametrize("source", [SOURCE, in_reading(SOURCE)], ids=["in memory", "read"])
def test_what_is_made_has_its_partner_in_the_test_split_and_none_in_training(source):
    found = made_domains(source, "inverted")
    assert found.paired
    assert found.names == ("greys", "inverted")
    numbers = [one.train.read(np.arange(10))["image"][:, 0, 0, 0] for one in (found.first, found.second)]
    assert numbers[0].tolist() == list(range(1, 11))
    assert (255 - numbers[1]).tolist() == list(range(11, 21))
    for split in (found.both.validation, found.both.test):
        batch = batch_of(found, split, 6)
        np.testing.assert_allclose(batch["other_image"], 1 - batch["image"], atol=1e-6)
        np.testing.assert_array_equal(batch["other_label"], batch["label"])
    assert (found.both.test.arrays is None) == (source is not SOURCE)


def test_classes_are_domains():
    found = class_domains(SOURCE, (2, 0))
    assert found.names == ("greys-2", "greys-0")
    assert (found.first.train.size, found.second.train.size, found.both.train.size) == (6, 7, 6)
    batch = batch_of(found, found.both.test, 2)
    assert (batch["label"].tolist(), batch["other_label"].tolist()) == ([2, 2], [0, 0])
    assert not found.paired


def test_batches_are_of_all_images_of_both_in_orders_of_their_own():
    found = class_domains(SOURCE, (2, 0))
    feed = found.feed((0, 5), 3)
    load, seen = jax.jit(feed.load), []
    for _, item in zip(range(14), feed.items(0), strict=False):
        assert [part.shape for part in item] == [(2, 3), (2, 3)]
        alone = jax.tree.map(lambda part: part[0], item)
        batch = jax.device_get(load(feed.arrays, alone, KEY))
        seen.append([np.round(255 * batch[name][:, 0, 0, 0]).astype(int) for name in ("image", "other_image")])
    first, second = (np.concatenate(part) for part in zip(*seen, strict=True))
    np.testing.assert_array_equal(np.unique(first, return_counts=True), [np.arange(3, 21, 3), [7] * 6])
    np.testing.assert_array_equal(np.unique(second, return_counts=True), [np.arange(1, 21, 3), [6] * 7])
    alone = jax.tree.map(lambda part: part[0], next(feed.items(5)))  # as a run that goes on asks for it
    np.testing.assert_array_equal(np.asarray(feed.arrays[0]["image"])[alone[0]][:, 0, 0, 0], seen[5][0])
    with pytest.raises(ValueError, match="batch_size=7 must be from 1 to 6"):
        found.feed((0,), 7)


def test_data_are_named_by_what_they_hold():
    digests = {made_domains(SOURCE, name).both.sha256 for name in ("inverted", "coloured")}
    assert len(digests | {class_domains(SOURCE, (0, 1)).both.sha256, class_domains(SOURCE, (1, 0)).both.sha256}) == 4
    assert made_domains(SOURCE, "inverted").both.sha256 in digests


def save(path, shape, count=4, **options):
    path.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(np.full(shape, index, np.uint8), **options).save(path / f"{index}.png")


def test_two_folders_are_domains_and_bad_ones_are_named(tmp_path):
    save(tmp_path / "a/photos", (4, 4, 3), 5)
    save(tmp_path / "b/photos", (4, 4), 4)
    found = set_domains(folder(tmp_path / "a/photos"), folder(tmp_path / "b/photos"))
    assert found.names == ("photos", "photos-2")
    assert found.shapes == ((4, 4, 3), (4, 4, 1))
    save(tmp_path / "large", (6, 4, 3))
    with pytest.raises(ValueError, match=r"'photos' and 'large': images of shapes \(4, 4, 3\) and \(6, 4, 3\)"):
        set_domains(folder(tmp_path / "a/photos"), folder(tmp_path / "large"))
    save(tmp_path / "one", (4, 4, 3), 3)
    with pytest.raises(ValueError, match="domain 'one': 1 training images, must have at least 2"):
        set_domains(folder(tmp_path / "one"), folder(tmp_path / "a/photos"))
    save(tmp_path / "none", (4, 4, 3), 0)
    with pytest.raises(ValueError, match=r"none': no images in the folder"):
        folder(tmp_path / "none")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a/photos/grey.png")
    with pytest.raises(ValueError, match=r"grey.png: image of shape \(4, 4, 1\); all must have one shape"):
        folder(tmp_path / "a/photos")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: made_domains(SOURCE, "painted"), "domains='painted': must be one of inverted, rotated, coloured"),
        (lambda: class_domains(SOURCE, (1, 1)), r"classes=\(1, 1\): must be two"),
        (lambda: class_domains(SOURCE, (1, 7)), "'greys' has no image of class 7 in a split with 0, 1, 2"),
    ],
)
def test_what_cannot_be_a_domain_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_no_domain_of_any_seed_has_the_order_of_another():
    """Both have ten images, so that one order for both would show the same pairs in every epoch."""
    items = made_domains(SOURCE, "inverted").feed((0, 5), 10).items(0)
    orders = [tuple(order) for _, item in zip(range(2), items, strict=False) for part in item for order in part]
    assert len(orders) == 8  # of two epochs, two domains and two seeds
    assert len(set(orders)) == 8
    assert all(sorted(order) == list(range(10)) for order in orders)
