"""Images whose domains are given by labels: attributes, and which of the attributes each label set knows.

Each image has its own domain and a target domain for evaluations; targets cycle through the other domains.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int, Num

from genjax.data.binarize import present
from genjax.data.dataset import Dataset, Examples, Source, Split, in_memory
from genjax.data.domains import LEAST, with_splits
from genjax.types import Batch, Key

Images = Num[np.ndarray, "N H W C"]
Values = Int[np.ndarray, "N attributes"]
"""Index of the value of each attribute of each image; for an attribute with one value 1 (present) or 0 (absent)."""


class Attribute(NamedTuple):
    """Property of an image that its label contains, such as a colour."""

    name: str
    values: tuple[str, ...]
    """Names of the values. An image has exactly one of them; a single value is present or absent."""


class Schema(NamedTuple):
    """Format of labels: their attributes, and which of the attributes each label set knows."""

    attributes: tuple[Attribute, ...]
    known: tuple[tuple[bool, ...], ...]
    """Mask of the attributes that the labels of each label set contain."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of bits of each attribute, one for each value."""
        return tuple(len(attribute.values) for attribute in self.attributes)

    @property
    def bits(self) -> int:
        """Number of bits of all attributes together."""
        return sum(self.sizes)

    @property
    def numbers(self) -> int:
        """Length of the label that a generator reads: the bits and, with several label sets, one number per set."""
        return self.bits + (len(self.known) if len(self.known) > 1 else 0)

    @property
    def known_bits(self) -> Bool[np.ndarray, "sets bits"]:
        """Mask of the bits that the labels of each label set contain."""
        return np.repeat(np.array(self.known), self.sizes, axis=1)


class Domain(NamedTuple):
    """Domain: all images with equal labels of one label set."""

    name: str
    label_set: int
    values: tuple[int, ...]
    """Index of the value of each attribute, as in `Values`; 0 where the label set does not know the attribute."""


class Labelled(NamedTuple):
    """Images with labels that give their domains."""

    data: Dataset
    """Data with `image`; its label, `attributes` [B, bits] and `label_set` [B]; the number of its domain, `domain` [B];
    the target's label and domain, `target`, `target_set` and `target_domain`; and, where known, `truth`, the image in
    the target domain. Attributes that the target's label set does not know keep their values."""
    schema: Schema
    domains: tuple[Domain, ...]
    """Domains of all label sets."""
    paired: bool
    """Whether the data have `truth`."""


class AttributeLabels(NamedTuple):
    """Labels of all images of a split."""

    values: Values
    """Values of all attributes, including attributes that an image's label set does not know."""
    sets: Int[np.ndarray, " N"]
    """Label set of each image."""


def in_one_set(values: Values) -> AttributeLabels:
    """Return labels with these values, all of one label set."""
    return AttributeLabels(values, np.zeros(len(values), np.int32))


Paint = Callable[[Images, Values], Num[np.ndarray, "N height width D"]]
"""Function of (images, values of their attributes) that returns the images painted by these values."""


def labelled(
    source: Source,
    name: str,
    schema: Schema,
    labels_for: Callable[[Split], AttributeLabels],
    paint: Paint | None = None,
) -> Labelled:
    """Return the data with the labels that `labels_for` returns for a split, its images painted by their values.

    Raises ValueError where a value has fewer than two training images, or there are fewer than two domains.
    """
    train = labels_for(source.train)
    check_values(schema, train)
    domains = all_domains(schema, train)
    if len(domains) < 2:
        raise ValueError(f"data {name!r}: {len(domains)} domains with two training images, must be two or more")
    every = np.unique(train.values, axis=0)

    def change(split: Split) -> Split:
        own = train if split is source.train else labels_for(split)
        targets = targets_of(schema, domains, own)
        arrays = {**label_arrays(schema, own), "domain": rows_in(every, own.values)}
        named = {"attributes": "target", "label_set": "target_set"}
        arrays |= {named[key]: array for key, array in label_arrays(schema, targets).items()}
        arrays["target_domain"] = rows_in(every, targets.values)

        def read(indices: np.ndarray) -> Examples:
            examples = {**split.read(indices), **{key: array[indices] for key, array in arrays.items()}}
            if paint is None:
                return examples
            painted = {"image": own, "truth": targets}
            return {**examples, **{key: paint(examples["image"], to.values[indices]) for key, to in painted.items()}}

        lazy = Split(split.size, read, None)
        return lazy if split.arrays is None else in_memory(lazy)

    return Labelled(with_truth(present(with_splits(source, name, change), "none")), schema, domains, paint is not None)


def label_arrays(schema: Schema, labels: AttributeLabels) -> dict[str, np.ndarray]:
    """Return the labels as arrays of a split, `attributes` [N, bits] and `label_set` [N]."""
    bits = [
        np.eye(size, dtype=np.uint8)[values] if size > 1 else values[:, None].astype(np.uint8)
        for size, values in zip(schema.sizes, labels.values.T, strict=True)
    ]
    return {"attributes": np.concatenate(bits, axis=1), "label_set": labels.sets}


def check_values(schema: Schema, labels: AttributeLabels) -> None:
    """Raise ValueError where a value has fewer than two images whose label set knows the attribute."""
    for position, attribute in enumerate(schema.attributes):
        values = labels.values[np.array(schema.known)[labels.sets, position], position]
        names = attribute.values if len(attribute.values) > 1 else (f"not {attribute.name}", attribute.name)
        for value, name in enumerate(names):
            if (count := (values == value).sum()) < LEAST:
                raise ValueError(f"domain {name!r}: {count} training images, must have at least {LEAST}")


def all_domains(schema: Schema, labels: AttributeLabels) -> tuple[Domain, ...]:
    """Return the domains of each label set that have at least two images."""
    found = []
    for label_set, known in enumerate(schema.known):
        rows, counts = np.unique(labels.values[labels.sets == label_set] * np.array(known), axis=0, return_counts=True)
        kept = [tuple(map(int, row)) for row in rows[counts >= LEAST]]
        found += [Domain(domain_name(schema, label_set, row), label_set, row) for row in kept]
    return tuple(found)


def domain_name(schema: Schema, label_set: int, values: Sequence[int]) -> str:
    """Return the name of a domain: the names of its images' values, joined by hyphens, or "none" without any value."""
    parts = []
    for attribute, known, value in zip(schema.attributes, schema.known[label_set], values, strict=True):
        single = len(attribute.values) == 1
        if known and (value or not single):
            parts.append(attribute.name if single else attribute.values[value])
    return "-".join(parts) or "none"


def targets_of(schema: Schema, domains: Sequence[Domain], labels: AttributeLabels) -> AttributeLabels:
    """Return a target label for each image, cycling through the domains other than the image's own.

    Values of attributes that the target's label set does not know stay as they are.
    """
    known, index = np.array(schema.known), np.arange(len(labels.sets))
    table = np.array([(domain.label_set, *domain.values) for domain in domains])
    own = rows_in(table, np.concatenate([labels.sets[:, None], labels.values * known[labels.sets]], axis=1))
    differs = [(known[label_set] & (labels.values != values)).any(axis=1) for _, label_set, values in domains]
    turns = (own[:, None] + 1 + np.arange(len(domains))) % len(domains)  # all domains, starting after the image's own
    allowed = np.take_along_axis(np.stack(differs, axis=1), turns, axis=1)
    wanted = index % allowed.sum(axis=1)
    turn = (allowed & (allowed.cumsum(axis=1) == wanted[:, None] + 1)).argmax(axis=1)
    chosen = table[turns[index, turn]]
    sets, values = chosen[:, 0].astype(np.int32), chosen[:, 1:]
    return AttributeLabels(np.where(known[sets], values, labels.values), sets)


def rows_in(table: Int[np.ndarray, "K columns"], rows: Int[np.ndarray, "N columns"]) -> Int[np.ndarray, " N"]:
    """Return the index of each row in the table, or -1 for a row that is not in the table."""
    positions = {tuple(row): position for position, row in enumerate(table.tolist())}
    return np.array([positions.get(tuple(row), -1) for row in rows.tolist()], np.int32)


def with_truth(data: Dataset) -> Dataset:
    """Return the data with `truth`, where there is one, scaled like the images."""

    def load(raw: Mapping[str, jax.Array], key: Key) -> Batch:
        batch = data.load(raw, key)
        return {**batch, "truth": data.load({"image": raw["truth"]}, key)["image"]} if "truth" in raw else batch

    return data._replace(load=load)
