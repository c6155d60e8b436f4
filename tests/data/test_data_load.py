import hashlib
from pathlib import Path

import jax
import numpy as np
import pytest
import sklearn.datasets

import genjax.data.dataset
from genjax.data.binarize import check_binarization, present
from genjax.data.dataset import Dataset, Split, arrays_sha256, make_source, resident
from genjax.data.load import load_dataset, mean_image, require_binary
from genjax.shuffle import permutation, uniform

KEY = jax.random.key(0)


def splits(dataset: Dataset) -> tuple[Split, Split, Split]:
    return dataset.train, dataset.validation, dataset.test


def images(dataset: Dataset, split: Split, key=KEY) -> np.ndarray:
    raw = jax.device_put(split.read(np.arange(split.size)))
    return np.asarray(dataset.load(raw, key)["image"])


def gradient(*, dtype=np.uint8, channels: int = 1, levels: int = 256) -> genjax.data.dataset.Source:
    """Images of 16 x 16 x channels, all with the same `levels` grey values."""
    grey = np.arange(256).reshape(16, 16, 1) * (levels - 1) // 255
    image = np.tile(grey[np.newaxis], (40, 1, 1, channels)).astype(dtype)
    parts = [resident({"image": image[a:b]}) for a, b in ((0, 20), (20, 30), (30, 40))]
    return make_source("gradient", *parts, files={})


# Digits


def test_digits_are_scikit_learns():
    dataset = load_dataset("digits", binarization="none")
    image = np.concatenate([images(dataset, split) for split in splits(dataset)])
    label = np.concatenate([split.arrays["label"] for split in splits(dataset)])
    order = permutation(1797)
    stored = sklearn.datasets.load_digits()
    np.testing.assert_array_equal(image[..., 0] * 16, stored.images[order])
    np.testing.assert_array_equal(label, stored.target[order])
    assert image.dtype == np.float32


def test_digits_are_split_1297_200_300():
    dataset = load_dataset("digits")
    assert [split.size for split in splits(dataset)] == [1297, 200, 300]
    assert dataset.image_shape == (8, 8, 1)
    assert all(set(split.arrays["label"]) == set(range(10)) for split in splits(dataset))


# The numbers that stay the same


def test_a_permutation_holds_each_index_once():
    np.testing.assert_array_equal(np.sort(permutation(1000)), np.arange(1000))
    assert (permutation(1000) != np.arange(1000)).mean() > 0.99
    assert (permutation(1000, seed=1) != permutation(1000)).any()


def test_uniform_numbers_belong_to_stream_and_example():
    numbers = np.stack([uniform(stream, index, (50, 100)) for stream in (1, 2) for index in (0, 1)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert len(np.unique(numbers)) == numbers.size
    # the mean of n uniform numbers has standard deviation 1/sqrt(12 n)
    assert abs(numbers.mean() - 0.5) < 5 / np.sqrt(12 * numbers.size)


# Binarization


def test_static_pixels_are_drawn_once_from_their_grey_value():
    first, second = (present(gradient(), "static") for _ in range(2))
    for split, again in zip(splits(first), splits(second), strict=True):
        np.testing.assert_array_equal(images(first, split, jax.random.key(1)), images(second, again, jax.random.key(2)))
    drawn = np.concatenate([images(first, split) for split in splits(first)])
    assert first.protocol == "static"
    assert_bernoulli(drawn)
    assert all((drawn[a] != drawn[b]).any() for a, b in ((0, 1), (0, 20), (0, 30), (20, 30)))


def assert_bernoulli(drawn: np.ndarray) -> None:
    """Whether images of `gradient` were drawn pixel by pixel with the right probability (z scores, 5 sigma)."""
    grey = np.arange(256).reshape(16, 16, 1) / 255
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_array_equal(drawn[:, 0, 0], 0)
    np.testing.assert_array_equal(drawn[:, -1, -1], 1)
    deviation = np.sqrt(np.maximum(grey * (1 - grey), 1e-12) / len(drawn))
    assert np.abs((drawn.mean(axis=0) - grey) / deviation).max() < 5
    assert np.abs(drawn.mean() - grey.mean()) < 5 * np.sqrt((grey * (1 - grey)).mean() / drawn.size)


def test_dynamic_pixels_are_drawn_under_the_key():
    dataset = present(gradient(), "dynamic")
    raw = jax.device_put(dataset.train.read(np.zeros(500, np.int64)))
    one, same, other = (np.asarray(dataset.load(raw, jax.random.key(k))["image"]) for k in (0, 0, 1))
    assert dataset.protocol == "dynamic"
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.1
    assert_bernoulli(one)
    assert one.dtype == np.float32


def test_threshold_is_above_one_half():
    dataset = present(gradient(), "threshold")
    expected = (np.arange(256).reshape(16, 16, 1) >= 128).astype(np.float32)  # 127/255 < 0.5 < 128/255
    np.testing.assert_array_equal(images(dataset, dataset.train)[0], expected)
    assert dataset.protocol == "threshold"


def test_none_leaves_grey_values():
    dataset = present(gradient(), "none")
    expected = (np.arange(256, dtype=np.float32) / np.float32(255)).reshape(16, 16, 1)
    loaded = images(dataset, dataset.train)[0]
    np.testing.assert_array_max_ulp(loaded, expected, maxulp=1)  # XLA may multiply by 1/255
    assert loaded.min() == 0
    assert loaded.max() == 1
    assert dataset.protocol == "real"


@pytest.mark.parametrize("binarization", ["static", "threshold"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_zeros_and_ones_stay_as_they_are(binarization, dtype):
    source = gradient(dtype=dtype, levels=2)
    dataset = present(source, binarization)
    np.testing.assert_array_equal(images(dataset, dataset.train), source.train.arrays["image"])
    assert dataset.protocol == "static"


def test_black_and_white_bytes_are_binary():
    source = gradient(levels=2)
    white = source._replace(
        **{n: resident({"image": getattr(source, n).arrays["image"] * 255}) for n in ("train", "test")}
    )
    white = white._replace(validation=white.test)
    dataset = present(white, "static")
    np.testing.assert_array_equal(images(dataset, dataset.train), source.train.arrays["image"])
    assert dataset.train.arrays is white.train.arrays


@pytest.mark.parametrize("binarization", ["static", "dynamic", "threshold"])
def test_images_of_0_and_1_stay_as_they_are(binarization):
    source = gradient(levels=2)
    data = present(source, binarization)
    assert data.protocol == "static"
    raw = data.train.read(np.arange(5))
    image = np.asarray(data.load({"image": jax.device_put(raw["image"])}, jax.random.key(3))["image"])
    np.testing.assert_array_equal(image, raw["image"] > 0)


@pytest.mark.parametrize("binarization", ["static", "dynamic", "threshold"])
def test_colour_images_cannot_become_binary(binarization):
    with pytest.raises(ValueError, match=f"binarization='{binarization}'.*3 channels; use binarization='none'"):
        present(gradient(channels=3), binarization)


def test_colour_images_load_as_they_are():
    assert present(gradient(channels=3), "none").image_shape == (16, 16, 3)


def test_static_pixels_are_the_same_when_read_from_the_disk():
    source = gradient()
    unread = source._replace(
        **{name: getattr(source, name)._replace(arrays=None) for name in ("train", "validation", "test")}
    )
    stored, streamed = present(source, "static"), present(unread, "static")
    indices = np.array([7, 3, 7])
    for split, other in zip(splits(stored), splits(streamed), strict=True):
        np.testing.assert_array_equal(split.read(indices)["image"], other.read(indices)["image"])
        assert other.arrays is None


# SHA-256


def test_sha256_is_of_names_types_shapes_and_bytes():
    image = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
    label = np.array([1, 2, 3], np.int32)
    train, rest = {"image": image, "label": label}, {"image": image[:1], "label": label[:1]}
    expected = hashlib.sha256()
    for split, count in (("train", 3), ("validation", 1), ("test", 1)):
        expected.update(f"{split}/image |u1 ({count}, 2, 2, 1)\n".encode() + bytes(range(4 * count)))
        little_endian = b"\1\0\0\0\2\0\0\0\3\0\0\0"[: 4 * count]
        expected.update(f"{split}/label <i4 ({count},)\n".encode() + little_endian)
    assert arrays_sha256(train, rest, rest) == expected.hexdigest()
    assert arrays_sha256(dict(reversed(train.items())), rest, rest) == expected.hexdigest()


def test_sha256_changes_with_one_pixel_and_not_with_the_binarization():
    source = gradient()
    image = source.test.arrays["image"].copy()
    image[-1, -1, -1, -1] -= 1
    other = make_source("gradient", source.train, source.validation, resident({"image": image}), files={})
    assert other.sha256 != source.sha256
    assert present(source, "static").sha256 == present(source, "dynamic").sha256 == source.sha256


def test_what_stays_on_the_disk_is_named_by_its_files(monkeypatch, tmp_path):
    monkeypatch.setattr(genjax.data.dataset, "IN_MEMORY_BYTES", 0)
    (tmp_path / "shard").write_bytes(b"abc")
    unread = gradient().train._replace(arrays=None)
    source = make_source("x", unread, unread, unread, files={"shard": tmp_path / "shard"})
    inner = hashlib.sha256(b"abc").hexdigest()
    assert source.sha256 == "files:" + hashlib.sha256(f"shard {inner}\n".encode()).hexdigest()
    assert source.train.arrays is None


# Helpers


def test_mean_image_is_the_mean_of_what_the_protocol_shows():
    source = gradient()
    mean = np.mean(source.train.arrays["image"] / 255, axis=0)
    np.testing.assert_allclose(mean_image(present(source, "none"), chunk=7), mean, atol=1e-6)
    static = present(source, "static")
    np.testing.assert_allclose(mean_image(static, chunk=7), static.train.arrays["image"].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(mean_image(present(source, "threshold")), mean > 0.5)


def test_require_binary():
    for binarization in ("static", "dynamic", "threshold"):
        require_binary(present(gradient(), binarization))
    with pytest.raises(ValueError, match=r"binarization='none': .*'gradient' are real.*static, dynamic or threshold"):
        require_binary(present(gradient(), "none"))


def test_an_unknown_binarization_is_refused():
    with pytest.raises(ValueError, match="binarization='bernoulli': must be one of static, dynamic, threshold, none"):
        check_binarization(gradient(), "bernoulli")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mnits", "nearest: .*mnist"),
        ("digit", "nearest: .*digits"),
        ("no such set", "TFDS cannot open it"),
        ("", "TFDS"),
    ],
)
def test_an_unknown_name_is_refused(name, hint):
    with pytest.raises(ValueError, match=f"dataset='{name}'.*{hint}"):
        load_dataset(name)


def test_an_unknown_name_that_is_a_folder_says_how_to_write_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    with pytest.raises(ValueError, match=r"for the folder write \./photos"):
        load_dataset("photos")


def test_shrunk_images_are_the_means_of_blocks():
    whole = load_dataset("digits", binarization="none")
    small = load_dataset("digits", binarization="none", shrink=2)
    blocks = whole.test.arrays["image"].reshape(-1, 4, 2, 4, 2, 1)
    np.testing.assert_allclose(small.test.arrays["image"], blocks.mean(axis=(2, 4)), rtol=1e-6)
    np.testing.assert_array_equal(small.test.arrays["label"], whole.test.arrays["label"])
    assert small.name == "digits-4x4"
    assert small.sha256 != whole.sha256
    with pytest.raises(ValueError, match="shrink=3 must divide the height and width of 'digits', 8 x 8"):
        load_dataset("digits", shrink=3)


def test_a_pixel_of_exactly_one_half_is_black_under_the_threshold():
    greys = np.array([0, 0.25, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 0.75, 1], np.float32)
    part = resident({"image": greys.reshape(1, 2, 3, 1)})
    dataset = present(make_source("greys", part, part, part, files={}), "threshold")
    np.testing.assert_array_equal(images(dataset, dataset.test).ravel(), [0, 0, 0, 1, 1, 1])
