"""Image sets of TensorFlow Datasets, read without TensorFlow."""

import difflib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genjax.data.dataset import DataError, Examples, Source, Split, make_source, part
from genjax.errors import ArgumentError, MissingPathError


def tfds_images(name: str, data_dir: str | Path | None, *, flags: Sequence[str] = ()) -> Source:
    """Return the TFDS set `name` in TFDS's notation (mnist, mnist:3.0.1, set/config), with labels if it has class
    labels.

    `flags` names boolean features of the set; examples have them under the same names, as 1 or 0. If there is no test
    split, the last sixth of the training split is held out for it, and then likewise for validation.
    """
    builder = prepared_builder(name, data_dir)
    check_images(name, builder.info.features)
    check_records(name, builder)
    paths = flag_paths(name, builder.info.features, flags)
    train, validation, test = three_splits(
        name, {split: read_split(name, builder, split, paths) for split in builder.info.splits}
    )
    files = {path.name: Path(path) for split in builder.info.splits.values() for path in split.filepaths}
    return make_source(name, train, validation, test, files=files)


def prepared_builder(name: str, data_dir: str | Path | None) -> Any:
    """Return TFDS's builder of a prepared set in `data_dir` or, with None, in TFDS's directory, prepared if missing."""
    import tensorflow_datasets as tfds  # slow to import

    data_dir = None if data_dir is None else Path(data_dir).expanduser()
    if data_dir is not None and not data_dir.is_dir():
        raise MissingPathError("data_dir", str(data_dir), ": no such directory")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        raise ArgumentError("dataset", name, f": {allowed_names(name, known, data_dir)}") from None
    except Exception as error:
        raise ArgumentError("dataset", name, f": TFDS cannot open it: {first_line(error)}") from error
    if builder.is_prepared():
        return builder
    if data_dir is not None:
        raise MissingPathError(
            "data_dir",
            str(data_dir),
            f": holds no prepared {name!r} (no dataset_info.json in {builder.data_path}); "
            f"prepared sets there: {', '.join(prepared_sets(data_dir)) or 'none'}; without data_dir TFDS downloads it",
        )
    return download(name, builder)


def download(name: str, builder: Any) -> Any:
    """Download the set by TFDS and prepare it for random access."""
    try:
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:
        raise MissingPathError(
            "dataset",
            name,
            f": not in {builder.data_path}, and TFDS could not download and prepare it "
            f"({first_line(error)}); set data_dir to a TFDS directory that holds it",
        ) from error
    return builder


def allowed_names(name: str, known: Sequence[str], data_dir: Path | None) -> str:
    """Return what names are allowed, as text for an error about a name that is no data set."""
    prepared = prepared_sets(data_dir) if data_dir is not None else []
    nearest = difflib.get_close_matches(name, {"digits", *known, *prepared}, cutoff=0.5)
    hints = [f"nearest: {', '.join(nearest)}"] if nearest else []
    hints += [f"prepared in {data_dir}: {', '.join(prepared)}"] if prepared else []
    hints += [f"for the folder write ./{name}"] if Path(name).is_dir() else []
    allowed = "must be digits, the name of a TFDS image set, or the path of a folder (./photos) or an .npz file"
    return "; ".join([allowed, *hints])


def prepared_sets(data_dir: Path) -> list[str]:
    """Return the names of the sets in a TFDS directory."""
    return sorted({path.relative_to(data_dir).parts[0] for path in data_dir.glob("*/**/dataset_info.json")})


def check_images(name: str, features: Any) -> None:
    """Raise ValueError unless the set has images of one shape and 8 bits per channel."""
    import tensorflow_datasets as tfds

    image = features["image"] if isinstance(features, tfds.features.FeaturesDict) and "image" in features else None
    if not isinstance(image, tfds.features.Image):
        raise ArgumentError("dataset", name, f": has no image in its features: {one_line(features)}")
    shape: Any = image.shape
    if None in shape or image.np_dtype != np.uint8:
        raise ArgumentError("dataset", name, f": images must be uint8 and all of one shape, they are {one_line(image)}")


def flag_paths(name: str, features: Any, flags: Sequence[str]) -> dict[str, str]:
    """Return the path of each boolean feature in a record: at the top level, or in a group such as `attributes`.

    Raises ValueError, with the available features, if a feature does not exist.
    """
    known: dict[str, str] = {}
    for group, feature in features.items():
        inner = feature.items() if hasattr(feature, "items") else [("", feature)]
        own = {f"{group}/{leaf}" if leaf else group: one for leaf, one in inner}
        known |= {path.rpartition("/")[2]: path for path, one in own.items() if one.np_dtype == np.bool_}
    if missing := [flag for flag in flags if flag not in known]:
        there = f"it has {', '.join(known)}" if known else "it has none"
        raise ArgumentError("dataset", name, f": no boolean feature is called {', '.join(missing)}; {there}")
    return {flag: known[flag] for flag in flags}


def check_records(name: str, builder: Any) -> None:
    """Raise an error unless the records allow random access and all their files exist.

    ValueError if the file format does not allow it, FileNotFoundError for a missing file.
    """
    file_format = builder.info.file_format.value
    if file_format != "array_record":
        raise ArgumentError(
            "dataset",
            name,
            f": prepared in {builder.data_path} as {file_format}, which allows no random access; "
            "prepare it as array_record (tfds build --file_format=array_record)",
        )
    for split in builder.info.splits.values():
        if missing := [str(path) for path in split.filepaths if not path.exists()]:
            raise MissingPathError("dataset", name, f": {', '.join(missing)} is missing; prepare the set anew")


def read_split(name: str, builder: Any, split: str, flags: Mapping[str, str]) -> Split:
    """Return one split, read and decoded by index, with boolean features by their paths."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.proto import tf_example_pb2

    features = builder.info.features
    has_label = "label" in features and isinstance(features["label"], tfds.features.ClassLabel)
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    # TFDS's own parsing takes three times as long; the class is generated at run time from its .proto file
    parse = tf_example_pb2.Example.FromString  # pyright: ignore[reportAttributeAccessIssue]
    records = builder.as_data_source(split=split, deserialize_method=raw)

    def read(indices: np.ndarray) -> Examples:
        try:
            rows = [parse(record).features.feature for record in records.__getitems__(indices.tolist())]
            examples = {"image": decode_images([row["image"].bytes_list.value[0] for row in rows])}
            if has_label:
                examples["label"] = whole_numbers(rows, "label")
            examples |= {flag: whole_numbers(rows, path) for flag, path in flags.items()}
        except Exception as error:  # each layer raises its own type: records, protocol buffers, zlib, PIL
            where = f"dataset={name!r}: split {split} in {builder.data_path}"
            raise DataError(f"{where} is damaged ({first_line(error)}); prepare it anew") from error
        return examples

    return Split(builder.info.splits[split].num_examples, read, None)


def whole_numbers(rows: Sequence[Any], path: str) -> np.ndarray:
    """Return the integers [N] that the records hold at a path."""
    return np.array([row[path].int64_list.value[0] for row in rows], np.int32)


def decode_images(encoded: Sequence[bytes]) -> np.ndarray:
    """Decode images to [N, H, W, C], without what TFDS does for each, which takes half as long as a small image."""
    images = np.stack([np.asarray(Image.open(io.BytesIO(data)), np.uint8) for data in encoded])
    return images if images.ndim == 4 else images[..., None]


def three_splits(name: str, splits: Mapping[str, Split]) -> tuple[Split, Split, Split]:
    """Return training, validation and test splits; a missing split is the last sixth of the training split."""
    if empty := [split for split in splits if splits[split].size == 0]:
        raise ArgumentError("dataset", name, f": no examples in split {', '.join(empty)}")
    if "train" not in splits:
        raise ArgumentError("dataset", name, f": needs a split named train; it has {', '.join(splits) or 'none'}")
    train, test = (splits["train"], splits["test"]) if "test" in splits else last_sixth(splits["train"])
    if "validation" in splits:
        return train, splits["validation"], test
    return *last_sixth(train), test


def last_sixth(split: Split) -> tuple[Split, Split]:
    """Return a split without its last sixth, and its last sixth."""
    start = split.size - split.size // 6
    return part(split, 0, start), part(split, start, split.size)


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, which holds the message of TFDS's errors."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def one_line(features: object) -> str:
    """Return features in TFDS's notation, on one line."""
    return " ".join(str(features).split())
