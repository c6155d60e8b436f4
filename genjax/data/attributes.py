"""Images with labels that say their domains: attributes, and which of them a label set knows.

Each image has the domain that it has, and beside it a target for evaluations: the domains other than its own, in turn.
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
"""Of each attribute, the number of the value that an image has; of an attribute with one value, 1 or 0."""


class Attribute(NamedTuple):
    """What images are told apart by."""

    name: str
    values: tuple[str, ...]
    """Exactly one holds of an image; where there is but one, it holds or it does not."""


class Scheme(NamedTuple):
    """What labels say."""

    attributes: tuple[Attribute, ...]
    known: tuple[tuple[bool, ...], ...]
    """Of each label set, which of the attributes its images' labels say."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bits of each attribute."""
        return tuple(len(attribute.values) for attribute in self.attributes)

    @property
    def bits(self) -> int:
        """Of all attributes."""
        return sum(self.sizes)

    @property
    def numbers(self) -> int:
        """Of a label as a generator reads it: the bits, and where there are several label sets, one more for each."""
        return self.bits + (len(self.known) if len(self.known) > 1 else 0)

    @property
    def known_bits(self) -> Bool[np.ndarray, "sets bits"]:
        """Of each label set, which bits its images' labels say."""
        return np.repeat(np.array(self.known), self.sizes, axis=1)


class Domain(NamedTuple):
    """What labels of one label set say alike."""

    name: str
    label_set: int
    values: tuple[int, ...]
    """As in `Values`; 0 where the label set does not know the attribute."""


class Labelled(NamedTuple):
    """Images with labels that say their domains."""

    data: Dataset
    """Beside `image`: `attributes` [B, bits], `label_set` [B] and, of all attributes together, the number `domain` [B];
    the same of the target, `target`, `target_set` and `target_domain`; and `truth`, what the image is to become, where
    it is made. An attribute that the target's label set does not know is as it was."""
    scheme: Scheme
    domains: tuple[Domain, ...]
    """Of all label sets."""
    paired: bool
    """Whether there is `truth`."""


class Said(NamedTuple):
    """Of all images of a split."""

    values: Values
    """Also those that the label does not say, where they are known."""
    sets: Int[np.ndarray, " N"]
    """The label set of each."""


def in_one_set(values: Values) -> Said:
    """Images of one label set."""
    return Said(values, np.zeros(len(values), np.int32))


Paint = Callable[[Images, Values], Num[np.ndarray, "N height width D"]]


def labelled(
    source: Source, name: str, scheme: Scheme, said: Callable[[Split], Said], paint: Paint | None = None
) -> Labelled:
    """The set with these labels, its images painted by what is said of them.

    Raises ValueError where a value has fewer than two training images, or there is but one domain.
    """
    train = said(source.train)
    check_values(scheme, train)
    domains = all_domains(scheme, train)
    if len(domains) < 2:
        raise ValueError(f"data {name!r}: {len(domains)} domains with two training images, must be two or more")
    every = np.unique(train.values, axis=0)

    def change(split: Split) -> Split:
        own = train if split is source.train else said(split)
        targets = targets_of(scheme, domains, own)
        arrays = {**label_arrays(scheme, own), "domain": rows_in(every, own.values)}
        named = {"attributes": "target", "label_set": "target_set"}
        arrays |= {named[key]: array for key, array in label_arrays(scheme, targets).items()}
        arrays["target_domain"] = rows_in(every, targets.values)

        def read(indices: np.ndarray) -> Examples:
            examples = {**split.read(indices), **{key: array[indices] for key, array in arrays.items()}}
            if paint is None:
                return examples
            seen = {"image": own, "truth": targets}
            return {**examples, **{key: paint(examples["image"], one.values[indices]) for key, one in seen.items()}}

        lazy = Split(split.size, read, None)
        return lazy if split.arrays is None else in_memory(lazy)

    return Labelled(with_truth(present(with_splits(source, name, change), "none")), scheme, domains, paint is not None)


def label_arrays(scheme: Scheme, said: Said) -> dict[str, np.ndarray]:
    """`attributes` [N, bits] and `label_set` [N]."""
    bits = [
        np.eye(size, dtype=np.uint8)[values] if size > 1 else values[:, None].astype(np.uint8)
        for size, values in zip(scheme.sizes, said.values.T, strict=True)
    ]
    return {"attributes": np.concatenate(bits, axis=1), "label_set": said.sets}


def check_values(scheme: Scheme, said: Said) -> None:
    """Raise ValueError where fewer than two images have a value, among those whose labels say it."""
    for place, attribute in enumerate(scheme.attributes):
        values = said.values[np.array(scheme.known)[said.sets, place], place]
        names = attribute.values if len(attribute.values) > 1 else (f"not {attribute.name}", attribute.name)
        for value, name in enumerate(names):
            if (count := (values == value).sum()) < LEAST:
                raise ValueError(f"domain {name!r}: {count} training images, must have at least {LEAST}")


def all_domains(scheme: Scheme, said: Said) -> tuple[Domain, ...]:
    """What two labels or more say, of each label set."""
    found = []
    for label_set, known in enumerate(scheme.known):
        rows, counts = np.unique(said.values[said.sets == label_set] * np.array(known), axis=0, return_counts=True)
        kept = [tuple(map(int, row)) for row in rows[counts >= LEAST]]
        found += [Domain(domain_name(scheme, label_set, row), label_set, row) for row in kept]
    return tuple(found)


def domain_name(scheme: Scheme, label_set: int, values: Sequence[int]) -> str:
    """The values that hold, of the attributes that the label set knows."""
    parts = []
    for attribute, known, value in zip(scheme.attributes, scheme.known[label_set], values, strict=True):
        single = len(attribute.values) == 1
        if known and (value or not single):
            parts.append(attribute.name if single else attribute.values[value])
    return "-".join(parts) or "none"


def targets_of(scheme: Scheme, domains: Sequence[Domain], said: Said) -> Said:
    """For each image a domain that it is not of, in turn; what the domain does not say stays as it is."""
    known, index = np.array(scheme.known), np.arange(len(said.sets))
    table = np.array([(domain.label_set, *domain.values) for domain in domains])
    own = rows_in(table, np.concatenate([said.sets[:, None], said.values * known[said.sets]], axis=1))
    differs = [(known[label_set] & (said.values != values)).any(axis=1) for _, label_set, values in domains]
    turns = (own[:, None] + 1 + np.arange(len(domains))) % len(domains)  # the domains, from the one after its own on
    allowed = np.take_along_axis(np.stack(differs, axis=1), turns, axis=1)
    wanted = index % allowed.sum(axis=1)
    turn = (allowed & (allowed.cumsum(axis=1) == wanted[:, None] + 1)).argmax(axis=1)
    chosen = table[turns[index, turn]]
    sets, values = chosen[:, 0].astype(np.int32), chosen[:, 1:]
    return Said(np.where(known[sets], values, said.values), sets)


def rows_in(table: Int[np.ndarray, "K columns"], rows: Int[np.ndarray, "N columns"]) -> Int[np.ndarray, " N"]:
    """Where each row stands in the table, -1 where it does not."""
    places = {tuple(row): place for place, row in enumerate(table.tolist())}
    return np.array([places.get(tuple(row), -1) for row in rows.tolist()], np.int32)


def with_truth(data: Dataset) -> Dataset:
    """The data whose `truth`, where there is one, is scaled as the images are."""

    def load(raw: Mapping[str, jax.Array], key: Key) -> Batch:
        batch = data.load(raw, key)
        return {**batch, "truth": data.load({"image": raw["truth"]}, key)["image"]} if "truth" in raw else batch

    return data._replace(load=load)
