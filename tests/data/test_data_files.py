import pickle
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

import genjax.data.dataset
from genjax.data.files import common_shape
from genjax.data.load import load_dataset
from genjax.shuffle import permutation


def save(path, array, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(array).save(path, **options)


def pictures(folder, *, count: int = 20, shape=(5, 4), named: str = "{:02}.png") -> list[np.ndarray]:
    """Different images, written in reverse order."""
    arrays = list(np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8))
    for index in reversed(range(count)):
        save(folder / named.format(index), arrays[index])
    return arrays


def all_arrays(dataset, name="image") -> np.ndarray:
    return np.concatenate([split.arrays[name] for split in (dataset.train, dataset.validation, dataset.test)])


def load(path, binarization="none"):
    return load_dataset(str(path), binarization=binarization)


# A folder


def test_a_folder_is_split_80_10_10_in_a_fixed_order(tmp_path):
    arrays = pictures(tmp_path)
    (tmp_path / "notes.txt").write_text("not an image")
    save(tmp_path / ".cache" / "hidden.png", np.zeros((9, 9), np.uint8))
    dataset = load(tmp_path)
    assert [split.size for split in (dataset.train, dataset.validation, dataset.test)] == [16, 2, 2]
    assert dataset.image_shape == (5, 4, 1)
    assert "label" not in dataset.train.arrays
    np.testing.assert_array_equal(all_arrays(dataset)[..., 0], np.stack(arrays)[permutation(20)])


def test_sub_folders_are_labels(tmp_path):
    for index, name in enumerate(["zebra", "ant", "cat"]):
        pictures(tmp_path / name, count=4 + index, shape=(2, 2, 3), named="{}.PNG")
    dataset = load(tmp_path)
    assert dataset.image_shape == (2, 2, 3)
    np.testing.assert_array_equal(all_arrays(dataset, "label"), np.repeat([0, 1, 2], [5, 6, 4])[permutation(15)])


def test_grey_jpeg_palette_and_bits_are_read(tmp_path):
    grey = np.array([[0, 255], [255, 0]], np.uint8)
    save(tmp_path / "a.png", grey)
    PIL.Image.fromarray(grey).convert("1").save(tmp_path / "b.png")
    save(tmp_path / "c.jpg", grey, quality=100)
    images = all_arrays(load(tmp_path))[..., 0][np.argsort(permutation(3))]
    np.testing.assert_array_equal(images[:2], [grey, grey])
    np.testing.assert_array_equal(images[2], np.asarray(PIL.Image.open(tmp_path / "c.jpg")))


def test_a_palette_is_colour(tmp_path):
    colours = np.random.default_rng(0).choice([0, 255], (4, 4, 3)).astype(np.uint8)
    for index in range(3):
        PIL.Image.fromarray(colours).quantize(8).save(tmp_path / f"{index}.png")
    np.testing.assert_array_equal(all_arrays(load(tmp_path))[0], colours)


def test_a_large_folder_stays_on_the_disk(tmp_path, monkeypatch):
    pictures(tmp_path / "a")
    resident = load(tmp_path)
    monkeypatch.setattr(genjax.data.dataset, "IN_MEMORY_BYTES", 20 * 20 - 1)
    streamed = load(tmp_path)
    indices = np.array([1, 0, 1])
    assert streamed.test.arrays is None
    for name in ("image", "label"):
        np.testing.assert_array_equal(streamed.test.read(indices)[name], resident.test.read(indices)[name])
    save(tmp_path / "a" / "00.png", np.zeros((5, 4), np.uint8))
    assert load(tmp_path).sha256 != streamed.sha256


def test_sha256_sees_one_pixel_and_one_label(tmp_path):
    arrays = pictures(tmp_path / "a")
    first = load(tmp_path).sha256
    assert load(tmp_path).sha256 == first
    arrays[3][0, 0] ^= 1
    save(tmp_path / "a" / "03.png", arrays[3])
    second = load(tmp_path).sha256
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "19.png").rename(tmp_path / "b" / "19.png")
    assert len({first, second, load(tmp_path).sha256}) == 3


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere'?: no such folder"):
        load(tmp_path / "nowhere")


def test_sub_folders_train_validation_and_test_are_the_splits(tmp_path):
    for number, name in enumerate(("train/a/0", "train/b/1", "validation/b/2", "test/a/3")):
        save(tmp_path / f"{name}.png", np.full((5, 4), number, np.uint8))
    dataset = load(tmp_path)
    assert [split.size for split in (dataset.train, dataset.validation, dataset.test)] == [2, 1, 1]
    assert all_arrays(dataset)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert all_arrays(dataset, "label").tolist() == [0, 1, 1, 0]
    (tmp_path / "test/a/3.png").unlink()
    with pytest.raises(ValueError, match="has images in train, validation; a folder with train or test must have all"):
        load(tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match=r"no images in the folder \(\.png, \.jpg, \.jpeg\)"):
        load(tmp_path)


def test_too_few_images(tmp_path):
    pictures(tmp_path, count=2)
    with pytest.raises(ValueError, match="2 images, needs at least 3"):
        load(tmp_path)


def test_images_of_different_shape(tmp_path):
    pictures(tmp_path)
    save(tmp_path / "07.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"(07\.png.*|.*07.png has )\(4, 5, 1\)"):
        load(tmp_path)


def test_images_with_transparency_or_16_bits(tmp_path):
    for array, mode in ((np.zeros((5, 4, 4), np.uint8), "RGBA"), (np.zeros((5, 4), np.uint16), "I;16")):
        pictures(tmp_path)
        save(tmp_path / "07.png", array)
        with pytest.raises(ValueError, match=rf"07\.png: image of mode {mode}, must be one of 1, L, P, RGB"):
            load(tmp_path)


def damage(path, kind) -> None:
    whole = path.read_bytes()
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    ihdr = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    damaged = {
        "text": b"not an image",
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "truncated header": whole[:20],
        "huge": whole[:8] + ihdr + whole[33:],
        "another format": b"GIF89a" + whole[6:],
    }
    path.write_bytes(damaged[kind])


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "truncated header", "huge", "another format"])
def test_a_damaged_image_is_named(tmp_path, kind):
    pictures(tmp_path, shape=(40, 40))
    damage(tmp_path / "07.png", kind)
    with pytest.raises(ValueError, match=r"07\.png: cannot be read as a PNG or JPEG image"):
        load(tmp_path)


def test_an_image_of_suspiciously_many_pixels_is_refused_by_its_header(tmp_path, monkeypatch):
    pictures(tmp_path)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 5 * 4 - 1)
    with pytest.raises(ValueError, match=r"\.png: cannot be read as a PNG or JPEG image.*exceeds limit of 19 pixels"):
        common_shape([tmp_path / "00.png", tmp_path / "01.png"])


# An .npz file

GREY = np.random.default_rng(1).integers(0, 256, (20, 5, 4), dtype=np.uint8)


def npz(path, **arrays):
    np.savez(path / "my.npz", **arrays)
    return path / "my.npz"


def test_an_npz_of_three_splits(tmp_path):
    label = np.arange(20)
    path = npz(
        tmp_path, train=GREY[:10], validation=GREY[10:14, ..., None][..., 0], test=GREY[14:],
        train_label=label[:10], validation_label=label[10:14], test_label=label[14:],
    )  # fmt: skip
    dataset = load(path)
    assert [split.size for split in (dataset.train, dataset.validation, dataset.test)] == [10, 4, 6]
    np.testing.assert_array_equal(all_arrays(dataset)[..., 0], GREY)
    np.testing.assert_array_equal(all_arrays(dataset, "label"), label)
    assert dataset.train.arrays["label"].dtype == np.int32
    assert dataset.name == "my"


def test_an_npz_of_images_is_split_80_10_10(tmp_path):
    dataset = load(npz(tmp_path, image=GREY, label=np.arange(20)))
    assert [split.size for split in (dataset.train, dataset.validation, dataset.test)] == [16, 2, 2]
    np.testing.assert_array_equal(all_arrays(dataset)[..., 0], GREY[permutation(20)])
    np.testing.assert_array_equal(all_arrays(dataset, "label"), permutation(20))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_kept(tmp_path, dtype):
    images = (GREY >> 4).astype(dtype) / 16
    dataset = load(npz(tmp_path, image=images))
    assert dataset.train.arrays["image"].dtype == np.float32
    np.testing.assert_array_equal(all_arrays(dataset)[..., 0], images[permutation(20)].astype(np.float32))


def test_bits_are_binary(tmp_path):
    dataset = load(npz(tmp_path, image=GREY > 100), "threshold")
    assert dataset.protocol == "static"
    np.testing.assert_array_equal(all_arrays(dataset)[..., 0], (GREY > 100)[permutation(20)])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train": GREY, "test": GREY}, "lacks validation; needs train, validation, test, or image"),
        ({}, "lacks train, validation, test"),
        ({"image": GREY.astype(np.float32)}, r"image has values from 0\.0 to 255\.0, floats must be in \[0, 1\]"),
        ({"image": GREY / 255 - 0.5}, r"floats must be in \[0, 1\]"),
        ({"image": np.where(GREY > 250, np.nan, 0.5)}, r"values from nan to nan"),
        ({"image": GREY.astype(np.int32)}, "image is int32, must be uint8, bool, or floats"),
        ({"image": GREY.astype("U3")}, "image is <U3, must be"),
        ({"image": GREY[0]}, r"image has shape \(5, 4\), must be \[N, H, W\]"),
        ({"image": GREY[:0]}, r"image has shape \(0, 5, 4\).*not empty"),
        ({"image": GREY[:, :, :0]}, r"shape \(20, 5, 0\).*not empty"),
        ({"image": GREY[:2]}, "2 images, needs at least 3"),
        ({"image": GREY, "label": np.arange(19)}, r"label is int64 \(19,\), must be integers of shape \(20,\)"),
        ({"image": GREY, "label": np.zeros(20)}, "label is float64"),
        ({"train": GREY, "validation": GREY[:, 1:], "test": GREY}, r"must be alike.*\(5, 4, 1\).*\(4, 4, 1\)"),
        ({"train": GREY, "validation": GREY, "test": GREY / 255}, "must be alike.*uint8.*float32"),
        ({"train": GREY, "validation": GREY, "test": GREY, "test_label": np.arange(20)}, "must be alike.*label"),
    ],
)
def test_unsuitable_arrays(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=f"dataset='.*my.npz': .*{message}"):
        load(npz(tmp_path, **arrays))


class Trap:
    """An object that would create a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickled_objects_are_refused_and_never_unpickled(tmp_path):
    sprung = tmp_path / "sprung"
    path = npz(tmp_path, image=np.array([Trap(sprung)] * 3, dtype=object))
    with pytest.raises(ValueError, match=r"my\.npz': not an \.npz file of plain arrays .*allow_pickle=False"):
        load(path)
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(ValueError, match=r"not an \.npz file of plain arrays"):
        load(path)
    assert not sprung.exists()


def test_damaged_npz_files(tmp_path):
    path = npz(tmp_path, image=GREY)
    whole = path.read_bytes()
    array = tmp_path / "array.npy"
    np.save(array, GREY)
    entry = whole[:30] + bytes(200) + whole[230:]
    for damaged in (b"", b"text", whole[: len(whole) // 2], array.read_bytes(), entry):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"not an \.npz file of plain arrays"):
            load(path)


def test_a_missing_npz_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz'?: no such file"):
        load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize(
    "label", [2**32 + np.arange(9), 2**31 + np.arange(9), np.arange(9).astype(np.uint64) + 2**63, -np.arange(9)]
)
def test_labels_that_are_no_classes_are_refused(tmp_path, label):
    np.savez(tmp_path / "x.npz", image=np.zeros((9, 2, 2), np.uint8), label=label)
    with pytest.raises(ValueError, match=r"label has values from -?\d+ to \d+; must be classes from 0 on, below 2\^31"):
        load(tmp_path / "x.npz")
