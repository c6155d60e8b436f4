"""What StarGAN's translations are worth, and how they look: domains and digits read by classifiers of real images."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from experiments.parts.domains import Images, make_reader, rows_of_images
from genjax.capabilities import Translation
from genjax.data.attributes import Domain, Labelled, AttributeLabels, label_arrays
from genjax.data.dataset import Dataset, Split
from genjax.data.labels import class_count, labels_of
from genjax.evaluation import Measure, make_split_values
from genjax.models.adversarial import stargan as model_of
from genjax.networks.named import applied
from genjax.pictures.figures import INCHES_PER_IMAGE, Figures, test_batch, tile
from genjax.types import Batch, Key, Metrics, Params, Stats

COLUMNS, ROWS = 12, 8
"""Images of a picture: in a row of round trips, and in a column of domains."""

MOST_DOMAINS = 16
"""Columns of the picture of all domains."""

READ = ("domain_accuracy", "real_domain_accuracy", "unchanged_domain_accuracy")
UNCHANGED = "unchanged_paired_error"
DIGITS = ("digit_agreement", "real_digit_agreement")


def keeps_class(found: Labelled) -> bool:
    """Whether what the data call the label is to be the same after as before, and is no domain."""
    return found.paired and class_count(found.data) > 1


def metric_names(found: Labelled) -> list[str]:
    """What the model and `make_measure` measure."""
    names = ["cycle_error", "real_score", "fake_score", *READ]
    pairs = ["paired_error", UNCHANGED] if found.paired else []
    return [*names, *pairs, *(DIGITS if keeps_class(found) else [])]


def make_measure(networks: model_of.Networks, found: Labelled) -> Measure:
    """How often classifiers read in a translation its target, and the digit of the image it was made of.

    And with pairs, the error of a generator that changes nothing.
    """

    def images(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        label, image = model_of.target_label(found.schema, batch), batch["image"]
        seen = {"image": image, "made": applied(networks, "generator", params, stats, image, label)}
        return {**seen, UNCHANGED: abs(image - batch["truth"]).mean(axis=(1, 2, 3))} if found.paired else seen

    values = make_split_values(images, found.data.load)
    domain_of, digit_of = make_reader(called_label(found.data, "domain")), make_reader(found.data)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        seen = values(params, stats, split, key)
        made, before = (domain_of(seen[name]) for name in ("made", "image"))
        target = labels_of(split, "target_domain")
        agreements = dict(
            zip(READ, (made == target, before == labels_of(split, "domain"), before == target), strict=True)
        )
        if keeps_class(found):
            label = labels_of(split)
            agreements |= {
                name: digit_of(seen[of]) == label for name, of in zip(DIGITS, ("made", "image"), strict=True)
            }
        agreements |= {UNCHANGED: seen[UNCHANGED]} if found.paired else {}
        return {name: float(np.mean(values)) for name, values in agreements.items()}

    return measure


def called_label(data: Dataset, name: str) -> Dataset:
    """The images whose label is what they have by another name."""

    def renamed(split: Split) -> Split:
        arrays = None if split.arrays is None else {"image": split.arrays["image"], "label": split.arrays[name]}

        def read(indices: np.ndarray) -> dict[str, np.ndarray]:
            examples = split.read(indices)
            return {"image": examples["image"], "label": examples[name]}

        return Split(split.size, read, arrays)

    return data._replace(**{part: renamed(getattr(data, part)) for part in ("train", "validation", "test")})


def make_figures(networks: model_of.Networks, found: Labelled) -> Figures:
    """Test images in all domains, and round trips of some."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        batch = test_batch(found.data, COLUMNS)
        return {
            "domains": domains_figure(networks, found, params, stats, batch["image"][:ROWS]),
            "round_trips": round_trips(networks, found, params, stats, batch),
        }

    return figures


def domains_figure(
    networks: model_of.Networks, found: Labelled, params: Params, stats: Stats, images: jax.Array
) -> Figure:
    """A row for each image, first as it is, then in each domain."""
    translate = jax.jit(make_translation(networks, found).translate, static_argnums=3)
    names = [domain.name for domain in found.domains[:MOST_DOMAINS]]
    columns = [np.asarray(images), *(np.asarray(translate(params, stats, images, name)) for name in names)]
    return columns_of_images(dict(zip(["image", *names], columns, strict=True)))


def columns_of_images(columns: dict[str, Images]) -> Figure:
    """A column of images under each name."""
    images = np.stack(list(columns.values()), axis=1)
    rows, count, _, width = images.shape[:4]
    longest = max(map(len, columns))
    figure = Figure(
        figsize=(count * INCHES_PER_IMAGE + 0.3, rows * INCHES_PER_IMAGE + 0.08 * longest + 0.2), layout="constrained"
    )
    axes = figure.add_subplot()
    mosaic = tile(images.reshape(-1, *images.shape[2:]), count)
    axes.imshow(mosaic.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.xaxis.tick_top()
    places = [1 + (width + 1) * column + width / 2 for column in range(count)]
    axes.set_xticks(places, list(columns), fontsize=7, rotation=90)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    return figure


def round_trips(networks: model_of.Networks, found: Labelled, params: Params, stats: Stats, batch: Batch) -> Figure:
    """Source, translation and the way back of each image in a column, and where it is known what was to be made."""

    @jax.jit
    def made(params: Params, stats: Stats, batch: Batch) -> tuple[jax.Array, jax.Array]:
        there = applied(
            networks, "generator", params, stats, batch["image"], model_of.target_label(found.schema, batch)
        )
        return there, applied(networks, "generator", params, stats, there, model_of.own_label(found.schema, batch))

    there, back = made(params, stats, batch)
    rows = {"image": batch["image"], "translation": there}
    if found.paired:
        rows["the truth"] = batch["truth"]
    rows["and back"] = back
    return rows_of_images(
        {name: np.asarray(images) for name, images in rows.items()}, title="to another domain and back"
    )


def make_translation(networks: model_of.Networks, found: Labelled) -> Translation:
    """Any image to each of the domains."""
    labels = {domain.name: label_of(found, domain) for domain in found.domains}

    def translate(params: Params, stats: Stats, images: jax.Array, to: str) -> jax.Array:
        label = jnp.broadcast_to(labels[to], (len(images), labels[to].size))
        return applied(networks, "generator", params, stats, images, label.astype(images.dtype))

    return Translation(dict.fromkeys(labels, found.data.image_shape), translate)


def label_of(found: Labelled, domain: Domain) -> Float[np.ndarray, " numbers"]:
    """What the generator reads for a domain."""
    said = label_arrays(found.schema, AttributeLabels(np.array([domain.values]), np.array([domain.label_set])))
    images = jnp.zeros((1, *found.data.image_shape))
    return np.asarray(
        model_of.label(found.schema, jnp.asarray(said["attributes"]), jnp.asarray(said["label_set"]), images)[0]
    )
