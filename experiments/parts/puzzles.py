"""What Puzzle-GAN's experiment cuts, measures and draws: puzzles of images, how well they are solved, and pictures."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from experiments.parts.domains import load_source, make_reader, rows_of_images
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
from genjax.pictures.figures import Figures, test_batch
from genjax.pictures.sample_history import has_sample_history, sample_history, sample_history_figure
from genjax.runs.experiment import Run
from genjax.types import Batch, Key, Metrics, Params, Stats

COLUMNS = 12
"""Images of a picture."""

NOISES = 3
"""Images of the same patches in a picture."""

PATCHES = 3
"""Of an image, where the command does not say."""

SHARE = 3 / 8
"""The side of a patch, as a share of the image's shorter one, where the command does not say."""

THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""Of the mean mask, of which the best is taken."""

Masks = Float[np.ndarray, "N H W 1"]


class Puzzles(NamedTuple):
    """Images, and the same cut."""

    whole: Dataset
    data: Dataset
    """Whose batches have `patches` and `mask`, too."""
    cut: int
    """Of a jigsaw; 0 where there are key patches."""


def load(run: Run, *, enlarge: int, patches: int | None, patch_side: int | None, jigsaw: int) -> Puzzles:
    """The puzzles of --dataset. Raises ValueError where the images cannot be cut like this."""
    whole = present(enlarged(load_source(run, run.dataset), enlarge), "none")
    height, width, _ = whole.image_shape
    size = f"images of {height}x{width}"
    if jigsaw:
        if jigsaw < 2 or height % jigsaw or width % jigsaw:
            raise ValueError(f"--jigsaw {jigsaw} must be at least 2 and divide the sides of {size}")
        if patches is not None or patch_side is not None:
            raise ValueError(f"--jigsaw {jigsaw}: all pieces go in; it has no use for --patches and --patch-side")
        return Puzzles(whole, with_jigsaw(whole, jigsaw), jigsaw)
    least, count = min(height, width), PATCHES if patches is None else patches
    side = max(2, round(SHARE * least)) if patch_side is None else patch_side
    if not 2 <= side <= least:
        raise ValueError(f"--patch-side {side} must be from 2 to {least}: {size}")
    if count > (most := room(whole.image_shape, side)):
        have = f"{size} have {most} of {side}x{side} that do not overlap, in the worst case"
        raise ValueError(f"--patches {count}: {have}; take fewer, or a smaller --patch-side")
    if count * side**2 == height * width:
        raise ValueError(f"--patch-side {side}: {count} of them are the whole of {size}, and leave nothing to restore")
    return Puzzles(whole, with_key_patches(whole, side=side, count=count), 0)


def enlarged(source: Source, factor: int) -> Source:
    """The images with each pixel as factor x factor; the name then ends in the size."""
    if factor == 1:
        return source
    height, width = source.train.read(np.zeros(1, np.int64))["image"].shape[1:3]
    name = f"{source.name}-{height * factor}x{width * factor}"
    return transformed(source, lambda images, white: images.repeat(factor, axis=1).repeat(factor, axis=2), name)


DIGITS = ("restored_digit_accuracy", "patch_digit_accuracy", "real_digit_accuracy")
BASELINES = ("mean_mask_iou", "random_mask_iou")
SOLVED = ("piece_accuracy", "jigsaw_accuracy")


def is_read(found: Puzzles) -> bool:
    """Whether there are digits, or other classes, to be told apart."""
    return class_count(found.whole) > 1


def measured(found: Puzzles) -> list[str]:
    """The names of what `make_measure` measures."""
    return [*(SOLVED if found.cut else BASELINES), *(DIGITS if is_read(found) else [])]


def make_measure(model: Model, found: Puzzles) -> Measure:
    """How well masks and places are found beside who has not learnt to, and whether a reader finds the digits."""

    def shown(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        return {**batch, "made": model.generate(params, stats, batch, key)}

    values = make_split_values(shown, found.data.load)
    masks = mask_baselines(found)
    read = make_reader(found.whole) if is_read(found) else None
    probe = make_probe(lambda params, stats, batch: flat_pixels(batch["patches"]), found.data, name="error")

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        seen = values(params, stats, split, key)
        if found.cut:
            numbers = solved(placements(seen["patches"], seen["made"], found.cut), seen["place"])
        else:
            numbers = masks(seen["mask"])
        if read is None:
            return numbers
        digits = {name: read(seen[images]) for name, images in (("restored", "made"), ("real", "image"))}
        right = {f"{name}_digit_accuracy": float((each == labels_of(split)).mean()) for name, each in digits.items()}
        by_patches = 1 - probe(params, stats, split, key)["error"]
        return {**numbers, **right, "patch_digit_accuracy": by_patches}

    return measure


def mask_baselines(found: Puzzles) -> Callable[[Masks], dict[str, float]]:
    """For the masks of a split, the overlap of the mean training mask, and of the mask of the next example.

    The mean is cut at the threshold that is best on training images.
    """
    masks_of = make_features(lambda params, stats, batch: flat_pixels(batch["mask"]), found.data.load)

    def baselines(masks: Masks) -> dict[str, float]:
        training = masks_of({}, {}, first(found.data.train, PROBED)).features.reshape(-1, *masks.shape[1:])
        cuts = [(training.mean(axis=0) > threshold).astype(np.float32) for threshold in THRESHOLDS]
        best = max(cuts, key=lambda one: overlap(one[None], training))
        return {"mean_mask_iou": overlap(best[None], masks), "random_mask_iou": overlap(np.roll(masks, 1, 0), masks)}

    return baselines


def overlap(predicted: Masks, masks: Masks) -> float:
    """The mean intersection over union."""
    return float(np.mean(mask_iou(np.broadcast_to(predicted, masks.shape), masks)))


def facts(found: Puzzles) -> dict[str, float]:
    """What is known of a jigsaw of test images without any model: chance, and what equal pieces leave undecided."""
    if not found.cut:
        return {}
    images = np.asarray(test_batch(found.whole, found.whole.test.size)["image"])
    known = {"chance": chance(found.cut), "ceiling": ceiling(images, found.cut)}
    return {f"{kind}_{name}": value for kind, each in known.items() for name, value in each.items()}


def make_figures(networks: model_of.Networks, found: Puzzles) -> Figures:
    """What is cut of test images, and what is made of it with several noises; and how that came to be."""

    @jax.jit
    def made(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[jax.Array, jax.Array]:
        return model_of.restored(networks, *averaged(params, stats), batch, key)

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        batch = test_batch(found.data, COLUMNS)
        outputs = [made(params, stats, batch, one) for one in jax.random.split(key, NOISES)]
        images = [np.asarray(image) for image, _ in outputs]
        rows = {**patch_rows(batch), **answer_rows(found, batch, images[0], np.asarray(outputs[0][1]))}
        rows |= {f"restored {index + 1}": image for index, image in enumerate(images)}
        rows["real image"] = np.asarray(batch["image"])
        return {
            "restored": rows_of_images(rows, title="patches, and what is made of them with several noises"),
            **film(stats),
        }

    return figures


def patch_rows(batch: Batch) -> dict[str, np.ndarray]:
    """A row for each patch, as large as the image: as the encoder reads them."""
    patches = batch["patches"]
    whole = jax.image.resize(patches, (*patches.shape[:2], *batch["image"].shape[1:]), "bilinear")
    return {f"patch {index + 1}": np.asarray(whole[:, index]) for index in range(patches.shape[1])}


def answer_rows(
    found: Puzzles, batch: Batch, image: Float[np.ndarray, "N H W C"], mask: Masks
) -> Mapping[str, np.ndarray]:
    """Where the patches lie: the true and the predicted mask, or the pieces put to their places in the image."""
    if not found.cut:
        return {"true mask": np.asarray(batch["mask"]), "predicted mask": mask}
    patches = np.asarray(batch["patches"])
    return {"put together": put_together(patches, placements(patches, image, found.cut), found.cut)}


def put_together(
    patches: Float[np.ndarray, "N pieces h w C"], places: np.ndarray, cut: int
) -> Float[np.ndarray, "N H W C"]:
    """The images that have each piece in its place."""
    count, _, height, width, channels = patches.shape
    ordered = np.empty_like(patches)
    np.put_along_axis(ordered, places[:, :, None, None, None], patches, axis=1)
    rows = ordered.reshape(count, cut, cut, height, width, channels).swapaxes(2, 3)
    return rows.reshape(count, cut * height, cut * width, channels)


def film(stats: Stats) -> dict[str, Figure]:
    """How images of the same patches came to be over training."""
    return {"training": sample_history_figure(sample_history(stats))} if has_sample_history(stats) else {}
