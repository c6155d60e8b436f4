"""Metrics and figures of StarGAN's translations: domains and digits that classifiers find, errors, and images."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from experiments.parts.domains import Images, make_classify, rows_of_images
from genjax.capabilities import Translator
from genjax.data.attributes import AttributeLabels, Labelled, label_arrays
from genjax.data.dataset import Dataset, Split
from genjax.data.labels import class_count, labels_of
from genjax.evaluation import Measure, make_split_values
from genjax.models.adversarial import stargan as model_of
from genjax.networks.bound import bind
from genjax.pictures.figures import INCHES_PER_IMAGE, Figures, first_test_batch, tile
from genjax.types import Batch, Key, Metrics, Params, Stats

COLUMNS, ROWS = 12, 8
"""Numbers of images in a row of the figure of round trips, and in a column of the figure of domains."""

MOST_DOMAINS = 16
"""Largest number of columns of the figure of domains."""

UNCHANGED = "unchanged_paired_error"


def keeps_class(found: Labelled) -> bool:
    """Return whether a translation should keep the label: it is not the domain, and has several values."""
    return found.paired and class_count(found.data) > 1


def make_measure(networks: model_of.Networks, found: Labelled) -> Measure:
    """Return the measure of the domains and digits that classifiers find in translations, with baselines."""

    def images(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        G = bind(networks, params, stats).generator
        label, image = model_of.target_label(found.schema, batch), batch["image"]
        seen = {"image": image, "translated": G(image, label)}
        return {**seen, UNCHANGED: abs(image - batch["truth"]).mean(axis=(1, 2, 3))} if found.paired else seen

    values = make_split_values(images, found.data.load)
    domain_of, digit_of = make_classify(called_label(found.data, "domain")), make_classify(found.data)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        seen = values(params, stats, split, key)
        translated, original = domain_of(seen["translated"]), domain_of(seen["image"])
        target = labels_of(split, "target_domain")
        per_image = {
            "domain_accuracy": translated == target,
            "real_domain_accuracy": original == labels_of(split, "domain"),
            "unchanged_domain_accuracy": original == target,
        }
        if keeps_class(found):
            label = labels_of(split)
            per_image["digit_agreement"] = digit_of(seen["translated"]) == label
            per_image["real_digit_agreement"] = digit_of(seen["image"]) == label
        if found.paired:
            per_image[UNCHANGED] = seen[UNCHANGED]
        return {name: float(np.mean(each)) for name, each in per_image.items()}

    return measure


def called_label(data: Dataset, name: str) -> Dataset:
    """Return the data with the array called `name`, such as "domain", as the label."""

    def renamed(split: Split) -> Split:
        arrays = None if split.arrays is None else {"image": split.arrays["image"], "label": split.arrays[name]}

        def read(indices: np.ndarray) -> dict[str, np.ndarray]:
            examples = split.read(indices)
            return {"image": examples["image"], "label": examples[name]}

        return Split(split.size, read, arrays)

    return data._replace(**{part: renamed(getattr(data, part)) for part in ("train", "validation", "test")})


def make_figures(networks: model_of.Networks, found: Labelled) -> Figures:
    """Return the figures: test images translated to all domains, and round trips of some."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        batch = first_test_batch(found.data, COLUMNS)
        return {
            "domains": domains_figure(networks, found, params, stats, np.asarray(batch["image"])[:ROWS]),
            "round_trips": round_trips(networks, found, params, stats, batch),
        }

    return figures


def domains_figure(
    networks: model_of.Networks, found: Labelled, params: Params, stats: Stats, images: Images
) -> Figure:
    """Return a row for each image: the image itself, then its translations to all domains."""
    translate = jax.jit(functools.partial(with_label, networks))
    labels = dict(itertools.islice(domain_labels(found).items(), MOST_DOMAINS))
    columns = {name: np.asarray(translate(params, stats, images, label)) for name, label in labels.items()}
    return columns_of_images({"image": images, **columns})


def columns_of_images(columns: dict[str, Images]) -> Figure:
    """Return a column of images for each name."""
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
    centres = [1 + (width + 1) * column + width / 2 for column in range(count)]
    axes.set_xticks(centres, list(columns), fontsize=7, rotation=90)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    return figure


def round_trips(networks: model_of.Networks, found: Labelled, params: Params, stats: Stats, batch: Batch) -> Figure:
    """Return a figure whose columns show an image, its translation, the true translation if known, and the way back."""

    @jax.jit
    def there_and_back(params: Params, stats: Stats, batch: Batch) -> tuple[jax.Array, jax.Array]:
        G = bind(networks, params, stats).generator
        there = G(batch["image"], model_of.target_label(found.schema, batch))
        return there, G(there, model_of.own_label(found.schema, batch))

    there, back = there_and_back(params, stats, batch)
    rows = {"image": batch["image"], "translation": there}
    if found.paired:
        rows["the truth"] = batch["truth"]
    rows["and back"] = back
    arrays = {name: np.asarray(images) for name, images in rows.items()}
    return rows_of_images(arrays, title="to another domain and back")


def make_translator(networks: model_of.Networks, found: Labelled) -> Translator:
    """Return the translator of the model: the names of its domains, and the translation of images to one of them."""
    labels = domain_labels(found)

    def translate(params: Params, stats: Stats, images: jax.Array, to: str) -> jax.Array:
        return with_label(networks, params, stats, images, labels[to])

    return Translator(dict.fromkeys(labels, found.data.image_shape), translate)


def with_label(
    networks: model_of.Networks,
    params: Params,
    stats: Stats,
    images: Float[jax.Array, "N H W C"],
    label: Float[jax.Array | np.ndarray, " numbers"],
) -> Float[jax.Array, "N H W C"]:
    """Translate all images to the domain with this label."""
    labels = jnp.broadcast_to(label, (len(images), label.size))
    return bind(networks, params, stats).generator(images, labels.astype(images.dtype))


def domain_labels(found: Labelled) -> dict[str, Float[np.ndarray, " numbers"]]:
    """Return the label of each domain by its name: the vector that the generator takes as input."""
    values = np.array([domain.values for domain in found.domains])
    sets = np.array([domain.label_set for domain in found.domains])
    arrays = label_arrays(found.schema, AttributeLabels(values, sets))
    images = np.zeros((len(sets), *found.data.image_shape), np.float32)
    labels = jax.jit(functools.partial(model_of.label, found.schema))(arrays["attributes"], sets, images)
    return dict(zip([domain.name for domain in found.domains], np.asarray(labels), strict=True))
