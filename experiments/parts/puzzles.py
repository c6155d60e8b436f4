"""Puzzles of the Puzzle-GAN experiment: how images are cut, how well they are restored, and figures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from experiments.parts.domains import load_source, make_classify, rows_of_images
from genjax.core import Model
from genjax.data.binarize import present
from genjax.data.dataset import Dataset, Source, Split
from genjax.data.domains import transformed
from genjax.data.labels import class_count, labels_of
from genjax.data.patches import room, with_jigsaw, with_key_patches
from genjax.evaluation import Measure, make_split_values
from genjax.losses.likelihood import flat_pixels
from genjax.measures.features import PROBED, first, make_features, make_probe
from genjax.metrics.puzzle import ceiling, chance, mask_iou, placements, solved
from genjax.models.adversarial import puzzle_gan as model_of
from genjax.models.adversarial.average import averaged
from genjax.pictures.figures import Figures, first_test_batch
from genjax.pictures.sample_history import has_sample_history, sample_history, sample_history_figure
from genjax.runs.options import Data
from genjax.types import Batch, Key, Metrics, Params, Stats

COLUMNS = 12
"""Number of images in a row of a figure."""

NOISES = 3
"""Number of restored images of the same patches in a figure, each from different noise."""

PATCHES = 3
"""Default number of key patches of an image."""

FRACTION = 3 / 8
"""Default side of a patch, as a fraction of the image's shorter side."""

THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""Candidate thresholds of the mean training mask, of which the best on training images is used."""

Masks = Float[np.ndarray, "N H W 1"]


@dataclass(frozen=True)
class Cut:
    """Options that cut images into patches."""

    patches: int | None = None
    """Number of key patches of each image, by default 3; not used with --jigsaw."""
    patch_side: int | None = None
    """Side of a key patch in pixels; by default 3/8 of the image's shorter side."""
    jigsaw: int = 0
    """Number n of pieces along each side: the n x n pieces of an image replace its key patches; 0 for key patches."""
    enlarge: int = 1
    """Factor n by which images are enlarged before cutting: each pixel becomes a block of n x n pixels."""


class Puzzles(NamedTuple):
    """Complete images, and the same images cut into patches."""

    whole: Dataset
    data: Dataset
    """Data whose batches also have `patches` and `mask`."""
    jigsaw: int
    """Number of pieces along a side of a jigsaw; 0 for key patches."""


def load(data: Data, cut: Cut) -> Puzzles:
    """Load the images of --dataset and cut them. Raises ValueError where the options do not suit the images."""
    whole = present(enlarged(load_source(data, data.dataset), cut.enlarge), "none")
    return jigsaw_puzzles(whole, cut) if cut.jigsaw else patch_puzzles(whole, cut)


def jigsaw_puzzles(whole: Dataset, cut: Cut) -> Puzzles:
    """Cut images into the pieces of a jigsaw."""
    height, width, _ = whole.image_shape
    if cut.jigsaw < 2 or height % cut.jigsaw or width % cut.jigsaw:
        size = f"images of {height}x{width}"
        raise ValueError(f"--jigsaw {cut.jigsaw} must be at least 2 and divide the sides of {size}")
    if cut.patches is not None or cut.patch_side is not None:
        raise ValueError(f"--jigsaw {cut.jigsaw}: all pieces are used; --patches and --patch-side do not apply")
    return Puzzles(whole, with_jigsaw(whole, cut.jigsaw), cut.jigsaw)


def patch_puzzles(whole: Dataset, cut: Cut) -> Puzzles:
    """Cut key patches out of images."""
    height, width, _ = whole.image_shape
    size = f"images of {height}x{width}"
    shorter, count = min(height, width), PATCHES if cut.patches is None else cut.patches
    side = max(2, round(FRACTION * shorter)) if cut.patch_side is None else cut.patch_side
    if not 2 <= side <= shorter:
        raise ValueError(f"--patch-side {side} must be from 2 to {shorter}: {size}")
    if count > (most := room(whole.image_shape, side)):
        have = f"{size} have {most} of {side}x{side} that do not overlap, in the worst case"
        raise ValueError(f"--patches {count}: {have}; take fewer, or a smaller --patch-side")
    if count * side**2 == height * width:
        raise ValueError(f"--patch-side {side}: {count} of them are the whole of {size}, and leave nothing to restore")
    return Puzzles(whole, with_key_patches(whole, side=side, count=count), 0)


def enlarged(source: Source, factor: int) -> Source:
    """Return the images with each pixel as a block of factor x factor; the name then ends in the new size."""
    if factor == 1:
        return source
    height, width = source.train.first()["image"].shape[1:3]
    name = f"{source.name}-{height * factor}x{width * factor}"
    return transformed(source, lambda images, white: images.repeat(factor, axis=1).repeat(factor, axis=2), name)


def make_measure(model: Model, found: Puzzles) -> Measure:
    """Return the measure of solved puzzles or of mask baselines and, for labelled images, of restored digits."""

    def shown(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        return {**batch, "restored": model.generate(params, stats, batch, key)}

    values = make_split_values(shown, found.data.load)
    masks = mask_baselines(found)
    classify = make_classify(found.whole) if class_count(found.whole) > 1 else None
    probe = make_probe(lambda params, stats, batch: flat_pixels(batch["patches"]), found.data, name="error")

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        seen = values(params, stats, split, key)
        if found.jigsaw:
            numbers = solved(placements(seen["patches"], seen["restored"], found.jigsaw), seen["place"])
        else:
            numbers = masks(seen["mask"])
        if classify is None:
            return numbers
        classes = {name: classify(seen[images]) for name, images in (("restored", "restored"), ("real", "image"))}
        right = {f"{name}_digit_accuracy": float((each == labels_of(split)).mean()) for name, each in classes.items()}
        by_patches = 1 - probe(params, stats, split, key)["error"]
        return {**numbers, **right, "patch_digit_accuracy": by_patches}

    return measure


def mask_baselines(found: Puzzles) -> Callable[[Masks], dict[str, float]]:
    """Return the function that computes the overlap of the masks of a split with two baselines.

    The baselines are the mean training mask, at the threshold that is best on training images, and the mask of the
    previous example.
    """
    masks_of = make_features(lambda params, stats, batch: flat_pixels(batch["mask"]), found.data.load)

    def baselines(masks: Masks) -> dict[str, float]:
        training = masks_of({}, {}, first(found.data.train, PROBED)).features.reshape(-1, *masks.shape[1:])
        candidates = [(training.mean(axis=0) > threshold).astype(np.float32) for threshold in THRESHOLDS]
        best = max(candidates, key=lambda mask: overlap(mask[None], training))
        return {"mean_mask_iou": overlap(best[None], masks), "random_mask_iou": overlap(np.roll(masks, 1, 0), masks)}

    return baselines


def overlap(predicted: Masks, masks: Masks) -> float:
    """Mean intersection over union of predicted and true masks."""
    return float(np.mean(mask_iou(np.broadcast_to(predicted, masks.shape), masks)))


def facts(found: Puzzles) -> dict[str, float]:
    """Return a jigsaw's accuracies by chance, and its highest possible accuracies (below 1 if pieces are equal)."""
    if not found.jigsaw:
        return {}
    images = np.asarray(first_test_batch(found.whole, found.whole.test.size)["image"])
    known = {"chance": chance(found.jigsaw), "ceiling": ceiling(images, found.jigsaw)}
    return {f"{kind}_{name}": value for kind, each in known.items() for name, value in each.items()}


def make_figures(networks: model_of.Networks, found: Puzzles) -> Figures:
    """Return the figures: patches of test images and the images restored from them, and the sample history."""

    @jax.jit
    def restored(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[jax.Array, jax.Array]:
        return model_of.restored(networks, *averaged(params, stats), batch, key)

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        batch = first_test_batch(found.data, COLUMNS)
        outputs = [restored(params, stats, batch, one) for one in jax.random.split(key, NOISES)]
        images = [np.asarray(image) for image, _ in outputs]
        rows = {**patch_rows(batch), **answer_rows(found, batch, images[0], np.asarray(outputs[0][1]))}
        rows |= {f"restored {index + 1}": image for index, image in enumerate(images)}
        rows["real image"] = np.asarray(batch["image"])
        history = {"training": sample_history_figure(sample_history(stats))} if has_sample_history(stats) else {}
        return {"restored": rows_of_images(rows, title="patches, and images restored with several noises"), **history}

    return figures


def patch_rows(batch: Batch) -> dict[str, np.ndarray]:
    """Return a row of images for each patch, resized to the size of the image as the encoder sees it."""
    patches = batch["patches"]
    whole = np.asarray(jax.image.resize(patches, (*patches.shape[:2], *batch["image"].shape[1:]), "bilinear"))
    return {f"patch {index + 1}": whole[:, index] for index in range(patches.shape[1])}


def answer_rows(
    found: Puzzles, batch: Batch, image: Float[np.ndarray, "N H W C"], mask: Masks
) -> Mapping[str, np.ndarray]:
    """Return the rows that show positions: true and predicted masks, or a jigsaw's pieces put together."""
    if not found.jigsaw:
        return {"true mask": np.asarray(batch["mask"]), "predicted mask": mask}
    patches = np.asarray(batch["patches"])
    return {"put together": put_together(patches, placements(patches, image, found.jigsaw), found.jigsaw)}


def put_together(
    patches: Float[np.ndarray, "N pieces h w C"], positions: np.ndarray, jigsaw: int
) -> Float[np.ndarray, "N H W C"]:
    """Return images composed of the pieces, each at its position."""
    count, _, height, width, channels = patches.shape
    ordered = np.empty_like(patches)
    np.put_along_axis(ordered, positions[:, :, None, None, None], patches, axis=1)
    rows = ordered.reshape(count, jigsaw, jigsaw, height, width, channels).swapaxes(2, 3)
    return rows.reshape(count, jigsaw * height, jigsaw * width, channels)
