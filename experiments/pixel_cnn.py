"""PixelCNN on images (van den Oord, Kalchbrenner & Kavukcuoglu 2016), and Gated PixelCNN (van den Oord et al. 2016b).

The likelihood of an image is a product of conditionals, row by row, and in a pixel red, then green, then blue:

    p(x) = prod_i p(x_i,R | x_<i) p(x_i,G | x_<i, x_i,R) p(x_i,B | x_<i, x_i,R, x_i,G)

`causal_mask` in genjax/networks/masked_conv.py says what a kernel sees: at its centre the channels before its own (mask
A, first layer), and its own too (mask B, all others). `PixelCNN` there has residual blocks ReLU, 1x1 (2h to h), ReLU,
3x3, ReLU, 1x1 (h to 2h); `VerticalStack` and `HorizontalStack` (--gated) have blocks tanh(a) * sigmoid(b), and no blind
spot. `fill` in genjax/models/autoregressive/pixel_cnn.py draws images: each value of each map is computed once (in
colour once per channel).

A pixel is Bernoulli (--levels 2), or one of --levels K with a softmax or a mixture of logistics (--output).
A task adds what is given to each block: the class (labels), a grey image (colorize), a coarse one (super-resolution).

    python -m experiments.pixel_cnn                                               the embedded digits
    python -m experiments.pixel_cnn --task labels                                 one row of samples per class
    python -m experiments.pixel_cnn --task super-resolution
    python -m experiments.pixel_cnn --preset small --data-dir DIR                 static MNIST, one seed
    python -m experiments.pixel_cnn --preset colour --data-dir DIR                CIFAR-10 at 16x16, 8 levels
    python -m experiments.pixel_cnn --preset colour --task colorize --data-dir DIR

Test NLL in nats on static binarized MNIST; target: below 88.33 (NADE) with `small`, and 81.30, the number of van den
Oord et al. (2016) for this network, with `paper`:

    --preset small     86.77, 46 min on one CPU core
    --preset paper     not measured yet

`colour` asks for the TFDS set cifar10_jpeg: CIFAR-10 as JPEG files, here also shrunk. Its bits/dim compare with no
paper's: 0.888, 15 min on one CPU core. A histogram of each pixel and channel has 2.754, tables of the one value before
1.825, of the three before 1.371 (experiments.tabular).

Where we leave the papers: the network sees images less their mean, by which it can tell the place; Adam with a cosine
decay and the gradient's norm clipped at 1 in place of RMSProp; `small` begins with a 15x15 kernel; 2h maps in the
hidden layer of the output at every size (1024 for CIFAR-10 in the paper); the parameters with the best validation
likelihood are kept.

Known failures: the plain network never sees some earlier pixels to the right (figures/receptive_field.png); with a
softmax the levels know of no order and need many images; with the grey image given, red and green nearly decide blue.
Sampling goes pixel by pixel, and a completion knows the first rows only.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from einops import reduce, repeat
from jaxtyping import Array, Float
from matplotlib.figure import Figure

from experiments.tabular import COLOUR
from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.labels import class_count
from genjax.data.levels import with_levels
from genjax.data.load import load_dataset, mean_image
from genjax.models.autoregressive import pixel_cnn as pixel_cnn_model
from genjax.models.autoregressive.pixel_cnn import Given, Networks
from genjax.models.autoregressive.pixels import Output, bernoulli, categorical, logistic_mixture
from genjax.pictures.figures import (
    Figures,
    completion_grid,
    image_grid,
    receptive_field,
    seen_by_the_centre,
    test_batch,
)
from genjax.runs.experiment import Common, Experiment, Precision, Reference, Run, Select, check_positive, compute_dtype
from genjax.runs.runner import main
from genjax.types import Batch, Key, Params, Stats

Task = Literal["none", "labels", "colorize", "super-resolution"]


def pixel_cnn(
    run: Common = Run(),  # noqa: B008 (frozen)
    *,
    gated: bool = False,
    features: int = 128,
    blocks: int = 15,
    first_kernel: int = 7,
    kernel: int = 3,
    levels: int = 2,
    output: Literal["softmax", "mixture"] = "softmax",
    components: int = 10,
    task: Task = "none",
    factor: int = 2,
    shrink: int = 1,
    precision: Precision = "float32",
    learning_rate: float = 1e-3,
    final_learning_rate: float = 1e-5,
) -> Experiment:
    """PixelCNN, plain or gated.

    Args:
        run: Data, seeds and steps.
        gated: Gated PixelCNN: a vertical and a horizontal stack, no blind spot.
        features: Feature maps h; the plain network has 2h between its blocks.
        blocks: Residual blocks, or gated layers.
        first_kernel: Side of the first kernel, odd.
        kernel: Side of the kernels in the blocks, odd.
        levels: Values of a pixel and channel; above 2 with --binarization none.
        output: Distribution of a pixel with more than two levels.
        components: Logistics in the mixture.
        task: What is given beside the earlier pixels: nothing, the class, the grey image, or the coarse image.
        factor: Side of the blocks of pixels that the coarse image shows as their mean (super-resolution).
        shrink: Side of the blocks of pixels of which the data make one, their mean.
        precision: Of the computation; parameters are float32.
        learning_rate: Adam's step size at the start.
        final_learning_rate: Adam's step size at the end of its cosine decay.
    """
    check_positive(components=components, learning_rate=learning_rate, final_learning_rate=final_learning_rate)
    loaded = load_dataset(run.dataset, data_dir=run.data_dir, binarization=run.binarization, shrink=shrink)
    data = with_condition(with_levels(loaded, levels), task, factor=factor, levels=levels)
    shape = data.image_shape
    distribution = output_of(levels, output, components)
    classes = classes_of(data) if task == "labels" else 0
    given = Given(shape, classes, {"colorize": 1, "super-resolution": shape[2]}.get(task, 0))
    sizes = {
        "features": features,
        "blocks": blocks,
        "gated": gated,
        "first_kernel": first_kernel,
        "kernel": kernel,
        "dtype": compute_dtype(precision),
    }
    mean = mean_image(data)
    rate = optax.cosine_decay_schedule(learning_rate, run.steps, final_learning_rate / learning_rate)
    model = pixel_cnn_model.pixel_cnn(
        shape,
        output=distribution,
        classes=classes,
        condition_channels=given.condition_channels,
        mean=mean,
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)),
        **sizes,
    )
    networks = pixel_cnn_model.make_networks(shape[2], distribution, conditional=given.condition_channels > 0, **sizes)
    return Experiment(
        model=model,
        data=data,
        kinds={"nll_nats": "exact", "bits_per_dim": "exact"},
        figures=make_figures(model, networks, distribution, given, data, mean),
        select=Select("nll_nats", "min"),
        seeds_together=False,
    )


def output_of(levels: int, output: Literal["softmax", "mixture"], components: int) -> Output:
    """The distribution of a pixel: Bernoulli where it is binary."""
    if levels == 2:
        return bernoulli()
    return categorical(levels) if output == "softmax" else logistic_mixture(levels, components)


def with_condition(data: Dataset, task: Task, *, factor: int, levels: int) -> Dataset:
    """The data set with a `condition` [B, H, W, Cc] made of each image, where the task has one.

    Raises ValueError where colour is to be given to grey images, or `factor` divides the image's sides into no blocks.
    """
    height, width, channels = data.image_shape
    if task == "colorize" and channels == 1:
        raise ValueError(f"--task colorize needs images in colour, and those of {data.name!r} are grey")
    if task == "super-resolution" and (factor < 2 or height % factor or width % factor):
        raise ValueError(f"--factor {factor} must be at least 2 and divide {height} and {width}, the image's sides")
    if task not in ("colorize", "super-resolution"):
        return data

    def load(raw: Batch, key: Key) -> Batch:
        batch = data.load(raw, key)
        image = batch["image"]
        return {**batch, "condition": grey(image, levels) if task == "colorize" else coarse(image, factor)}

    return data._replace(load=load)


def grey(image: Float[Array, "B H W C"], levels: int) -> Float[Array, "B H W 1"]:
    """The mean of the channels, rounded to the image's levels."""
    return jnp.round(image.mean(axis=-1, keepdims=True) * (levels - 1)) / (levels - 1)


def coarse(image: Float[Array, "B H W C"], factor: int) -> Float[Array, "B H W C"]:
    """Each block of factor x factor pixels in the colour of its mean."""
    blocks = reduce(image, "b (h f) (w g) c -> b h w c", "mean", f=factor, g=factor)
    return repeat(blocks, "b h w c -> b (h f) (w g) c", f=factor, g=factor)


def classes_of(data: Dataset) -> int:
    """The number of classes. Raises ValueError where there are no labels."""
    if not (classes := class_count(data)):
        raise ValueError(f"--task labels: {data.name!r} has no labels")
    return classes


ROW = 8
"""Samples per class, and test images that are completed."""


def make_figures(
    model: Model, networks: Networks, output: Output, given: Given, data: Dataset, mean: Float[np.ndarray, "H W C"]
) -> Figures:
    """Samples, completions of the first half, what a task makes of its conditions, and the receptive field."""
    count = ROW * (given.classes or ROW)  # of every picture, so that one program draws all

    def seen(params: Params) -> Float[np.ndarray, "H W"]:
        batch = test_batch(data, 32)
        context = pixel_cnn_model.context_of(networks, params, given, batch)
        conditionals = functools.partial(pixel_cnn_model.conditionals, networks, params, context=context, center=mean)
        return seen_by_the_centre(lambda x: output.log_prob(conditionals(x), batch["image"]), batch["image"])

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        samples_key, completions_key = jax.random.split(key)
        truth = test_batch(data, ROW)
        image = np.asarray(truth["image"])
        repeated = {name: jnp.repeat(array, count // ROW, axis=0) for name, array in truth.items()}
        known = np.zeros(given.image_shape, np.float32)
        known[: len(known) // 2] = 1
        completing = {**repeated, "known": jnp.broadcast_to(known, repeated["image"].shape)}
        sampling = {**repeated, "label": jnp.repeat(jnp.arange(count // ROW), ROW)} if given.classes else repeated
        samples = np.asarray(model.generate(params, stats, sampling, samples_key))
        completions = np.asarray(model.generate(params, stats, completing, completions_key))
        return {
            "samples": conditioned(np.asarray(truth["condition"]), image, samples)
            if given.condition_channels
            else image_grid(samples, columns=ROW, title="one row per class" if given.classes else "samples"),
            "completions": completion_grid(image, known, completions),
            "receptive_field": receptive_field(seen(params)),
        }

    return figures


def conditioned(
    condition: Float[np.ndarray, "N H W Cc"], image: Float[np.ndarray, "N H W C"], samples: Float[np.ndarray, "M H W C"]
) -> Figure:
    """One row per image: what is given, the image, and M / N samples."""
    each = samples.reshape(len(image), -1, *image.shape[1:])
    shown = np.broadcast_to(condition, image.shape)
    grid = np.concatenate([shown[:, None], image[:, None], each], axis=1).reshape(-1, *image.shape[1:])
    return image_grid(grid, columns=each.shape[1] + 2, title="what is given, image, samples")


PRESETS = {
    "quick": {
        "run": Run(steps=800, batch_size=50, binarization="threshold", evaluate_every=200),
        "features": 16,
        "blocks": 4,
        "first_kernel": 5,
        "learning_rate": 2e-3,
    },
    "small": {
        "run": Run(dataset="binarized_mnist", steps=20_000, batch_size=16, evaluate_every=2000),
        "features": 16,
        "blocks": 7,
        "first_kernel": 15,
        "learning_rate": 1e-2,
    },
    "colour": {
        "run": Run(dataset="cifar10_jpeg", binarization="none", steps=8000, batch_size=16, evaluate_every=1000),
        "learning_rate": 4e-3,
        "gated": True,
        "features": 24,
        "blocks": 6,
        "levels": 8,
        "shrink": 2,
    },
    "paper": {"run": Run(dataset="binarized_mnist", steps=250_000, batch_size=16, evaluate_every=3125)},
}

UNCONDITIONAL = {"task": "none"}
REFERENCES = (
    Reference(
        "nll_nats", "binarized_mnist", "static", 81.30, "PixelCNN (van den Oord et al. 2016, table 4)", UNCONDITIONAL
    ),
    Reference(
        "nll_nats",
        "binarized_mnist",
        "static",
        88.33,
        "NADE, fixed order, H=500 (Uria, Murray & Larochelle 2014)",
        UNCONDITIONAL,
    ),
    *COLOUR,
)

HEADLINE = "nll_nats"

if __name__ == "__main__":
    main(pixel_cnn, PRESETS)
