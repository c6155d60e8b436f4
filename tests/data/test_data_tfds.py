import io
import logging
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import genjax
import genjax.data.dataset
from genjax.data.dataset import Split, resident
from genjax.data.load import load_dataset
from genjax.data.tfds import flag_paths, read_split, tfds_images, three_splits

SHARD = "binarized_mnist-{}.array_record-00000-of-00001"


@pytest.fixture(scope="module")
def mnist(tfds_dir):
    return load_dataset("mnist", data_dir=tfds_dir, binarization="dynamic")


def test_mnist_holds_out_the_last_sixth(mnist, tfds_dir):
    import tensorflow_datasets as tfds

    assert [split.size for split in (mnist.train, mnist.validation, mnist.test)] == [50000, 10000, 10000]
    assert mnist.protocol == "dynamic"
    records = tfds.data_source("mnist", split="train", data_dir=tfds_dir, download=False)
    for split, index, offset in (
        (mnist.train, 49999, 0),
        (mnist.validation, 0, 50000),
        (mnist.validation, 9999, 50000),
    ):
        np.testing.assert_array_equal(split.arrays["image"][index], records[offset + index]["image"])
        assert split.arrays["label"][index] == records[offset + index]["label"]


def test_mnist_is_the_official_set(mnist):
    """Examples per digit in LeCun's files, and the pixel mean and deviation that PyTorch's example uses."""
    image, label = (np.concatenate([mnist.train.arrays[k], mnist.validation.arrays[k]]) for k in ("image", "label"))
    np.testing.assert_array_equal(np.bincount(label), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    np.testing.assert_allclose([image.mean() / 255, image.std() / 255], [0.1307, 0.3081], atol=5e-5)


def test_jpeg_sets_decode_as_tfds_does_and_without_its_advice(tfds_dir, monkeypatch, caplog):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(genjax.data.dataset, "IN_MEMORY_BYTES", 0)
    dataset = load_dataset("cifar10_jpeg", data_dir=tfds_dir, binarization="none")
    with caplog.at_level(logging.WARNING):
        read = dataset.validation.read(np.array([5, 2]))
    assert not caplog.records
    assert dataset.validation.arrays is None
    assert dataset.image_shape == (32, 32, 3)
    records = tfds.data_source("cifar10_jpeg", split="train", data_dir=tfds_dir, download=False)
    start = len(records) - dataset.validation.size
    assert dataset.validation.size == len(records) // 6
    for row, index in enumerate((5, 2)):
        np.testing.assert_array_equal(read["image"][row], records[start + index]["image"])
        assert read["label"][row] == records[start + index]["label"]
    assert read["label"].dtype == np.int32


def test_large_sets_stay_on_the_disk(tfds_dir, monkeypatch):
    monkeypatch.setattr(genjax.data.dataset, "IN_MEMORY_BYTES", 2**20)
    source = tfds_images("mnist", tfds_dir)
    assert source.train.arrays is None
    assert source.sha256.startswith("files:")
    assert source.train.read(np.array([3]))["image"].shape == (1, 28, 28, 1)


def split(size: int) -> Split:
    return resident({"image": np.arange(size, dtype=np.uint8).reshape(-1, 1, 1, 1)})


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("train", "validation", "test"), (36, 36, 36)),
        (("train", "test"), (30, 6, 36)),
        (("train", "validation"), (30, 36, 6)),
        (("train",), (25, 5, 6)),
    ],
)
def test_missing_splits_are_held_out_of_the_training_split(names, sizes):
    splits = three_splits("x", {name: split(36) for name in names})
    assert tuple(split.size for split in splits) == sizes
    if names == ("train",):
        np.testing.assert_array_equal(np.concatenate([s.arrays["image"] for s in splits]).ravel(), np.arange(36))


def test_splits_must_have_examples():
    with pytest.raises(ValueError, match="dataset='x': needs a split named train; it has test"):
        three_splits("x", {"test": split(3)})
    with pytest.raises(ValueError, match="dataset='x': no examples in split validation"):
        three_splits("x", {"train": split(3), "validation": split(0)})


# Bad directories


def test_a_missing_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data_dir=.*nowhere.*no such directory"):
        load_dataset("mnist", data_dir=tmp_path / "nowhere")


def test_a_directory_as_text(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sets").mkdir()
    with pytest.raises(FileNotFoundError, match=rf"data_dir='{re.escape(str(tmp_path))}/sets': holds no prepared"):
        genjax.dataset("mnist", data_dir="~/sets")


def test_an_empty_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no prepared 'mnist'.*prepared sets there: none"):
        load_dataset("mnist", data_dir=tmp_path)


def test_a_directory_without_the_set_names_those_it_has(tfds_dir):
    with pytest.raises(FileNotFoundError, match=r"holds no prepared 'cifar10'.*binarized_mnist, cifar10_jpeg, mnist"):
        load_dataset("cifar10", data_dir=tfds_dir)


def test_an_unregistered_name_lists_what_is_prepared(tfds_dir):
    with pytest.raises(ValueError, match=r"dataset='cifar10_jpg'.*nearest: cifar10_jpeg.*prepared in"):
        load_dataset("cifar10_jpg", data_dir=tfds_dir)


def test_a_set_without_images(tfds_dir):
    with pytest.raises(ValueError, match=r"dataset='tiny_shakespeare': has no image in its features.*Text"):
        load_dataset("tiny_shakespeare", data_dir=tfds_dir)


@pytest.mark.parametrize("name", ["mnist:9.9.9", "mnist/no_such_config"])
def test_an_unknown_version_or_configuration(name, tmp_path):
    with pytest.raises(ValueError, match=f"dataset='{name}': TFDS cannot open it"):
        load_dataset(name, data_dir=tmp_path)


@pytest.fixture
def copy(tfds_dir, tmp_path) -> Path:
    """A copy of one prepared set, to be damaged."""
    target = tmp_path / "binarized_mnist" / "1.0.0"
    shutil.copytree(tfds_dir / "binarized_mnist" / "1.0.0", target, copy_function=shutil.copyfile)
    return target


def test_a_set_that_is_half_written(copy, tmp_path):
    (copy / "dataset_info.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no prepared 'binarized_mnist'.*no dataset_info.json"):
        load_dataset("binarized_mnist", data_dir=tmp_path)


def test_damaged_information(copy, tmp_path):
    (copy / "dataset_info.json").write_text('{"fileFormat"')
    with pytest.raises(ValueError, match=r"dataset='binarized_mnist': TFDS cannot open it.*JSON"):
        load_dataset("binarized_mnist", data_dir=tmp_path)


def test_a_missing_record_file(copy, tmp_path):
    (copy / SHARD.format("test")).unlink()
    with pytest.raises(FileNotFoundError, match=r"binarized_mnist-test.array_record.*is missing"):
        load_dataset("binarized_mnist", data_dir=tmp_path)


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_truncated_record_file(copy, tmp_path, size):
    with (copy / SHARD.format("train")).open("r+b") as file:
        file.truncate(size)
    with pytest.raises(ValueError, match=r"split train in .*binarized_mnist.* is damaged"):
        load_dataset("binarized_mnist", data_dir=tmp_path)


def test_records_that_allow_no_random_access(copy, tmp_path):
    information = copy / "dataset_info.json"
    information.write_text(information.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(ValueError, match="as tfrecord, which allows no random access"):
        load_dataset("binarized_mnist", data_dir=tmp_path)


def test_a_download_that_fails_says_what_to_do(monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    def refuse(*arguments, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"dataset='mnist'.*could not download.*no network.*data_dir"):
        load_dataset("mnist")


class Records:
    """A builder of one split with boolean features, in the form of celeb_a's."""

    def __init__(self, rows):
        import tensorflow_datasets as tfds

        image = tfds.features.Image(shape=(1, 1, 1), encoding_format="png")
        group = tfds.features.FeaturesDict({"Male": np.bool_, "Young": np.bool_})
        features = tfds.features.FeaturesDict({"image": image, "attributes": group, "seen": np.bool_})
        self.info = SimpleNamespace(features=features, splits={"train": SimpleNamespace(num_examples=len(rows))})
        self.data_path, self.rows = "nowhere", rows

    def as_data_source(self, **_):
        """The records."""
        from tensorflow_datasets.proto import tf_example_pb2

        png = io.BytesIO()
        Image.fromarray(np.zeros((1, 1), np.uint8)).save(png, "PNG")

        def record(row):
            example = tf_example_pb2.Example()
            example.features.feature["image"].bytes_list.value.append(png.getvalue())
            for path, value in row.items():
                example.features.feature[path].int64_list.value.append(value)
            return example.SerializeToString()

        return SimpleNamespace(__getitems__=lambda indices: [record(self.rows[index]) for index in indices])


def test_features_of_yes_and_no_are_read_by_their_names():
    rows = [{"attributes/Male": n % 2, "attributes/Young": n // 2 % 2, "seen": n // 4} for n in range(6)]
    builder = Records(rows)
    paths = flag_paths("faces", builder.info.features, ("Young", "seen"))
    assert paths == {"Young": "attributes/Young", "seen": "seen"}
    examples = read_split("faces", builder, "train", paths).read(np.array([5, 2, 3]))
    assert set(examples) == {"image", "Young", "seen"}
    assert (examples["Young"].tolist(), examples["seen"].tolist()) == ([0, 1, 1], [1, 0, 0])
    with pytest.raises(ValueError, match="'faces': no boolean feature is called Bald; it has Male, Young, seen"):
        flag_paths("faces", builder.info.features, ("Male", "Bald"))
