"""PixelCNN on images (van den Oord, Kalchbrenner & Kavukcuoglu 2016), and Gated PixelCNN (van den Oord et al. 2016b).

The likelihood of an image is a product of conditionals, row by row, and in a pixel red, then green, then blue:

    p(x) = prod_i p(x_i,R | x_<i) p(x_i,G | x_<i, x_i,R) p(x_i,B | x_<i, x_i,R, x_i,G)

`causal_mask` in genjax/networks/masked_conv.py determines what a kernel sees at its centre: the channels before its own
(mask A, first layer), or its own channel as well (mask B, all other layers). `PixelCNN` in the same file has residual
blocks ReLU, 1x1 (2h to h), ReLU, 3x3, ReLU, 1x1 (h to 2h). `VerticalStack` and `HorizontalStack` (--gated) have blocks
tanh(a) * sigmoid(b), and no blind spot. `fill` in genjax/models/autoregressive/pixel_cnn.py draws images: the features
of each pixel are computed once (in colour once per channel), and not anew for each pixel that is drawn.

A pixel is Bernoulli (--levels 2), or one of --levels K with a softmax or a mixture of logistics (--output). With --task
each block also reads a condition: the class (labels), a grey version of the image (colorize), or a coarse version
(super-resolution).

    python -m experiments.pixel_cnn                                               the embedded digits
    python -m experiments.pixel_cnn --task labels                                 one row of samples per class
    python -m experiments.pixel_cnn --task super-resolution
    python -m experiments.pixel_cnn --preset small --data-dir DIR                 static binarized MNIST, one seed
    python -m experiments.pixel_cnn --preset colour --data-dir DIR                CIFAR-10 at 16x16, 8 levels
    python -m experiments.pixel_cnn --preset colour --task colorize --data-dir DIR
    python -m experiments.pixel_cnn --preset paper --data-dir DIR                 MNIST with the sizes of the paper

Data: `colour` takes the TFDS set cifar10_jpeg, CIFAR-10 as JPEG files, here also shrunk. Its numbers cannot be compared
with those of any paper; tables of counts (experiments.tabular) are the baselines.

Metrics: nll_nats is -log p(x) per image, exact, and bits_per_dim is the same in bits per pixel and channel.

Differences from the papers: the network sees images minus the mean image, which tells it the position in the image;
Adam with a cosine decay and the gradient's norm clipped at 1, instead of RMSProp; `small` begins with a 15x15 kernel;
the hidden layer of the output has 2h channels at every size (the paper has 1024 for CIFAR-10); the parameters with the
best validation likelihood are kept.

Known failures: the plain network never sees some earlier pixels to the right (figures/receptive_field.png). A softmax
over levels does not know the order of the levels and needs many images. With the grey image given, red and green nearly
determine blue. Sampling goes pixel by pixel, and a completion knows the first rows only.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal

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
from genjax.data.load import mean_image
from genjax.models.autoregressive import pixel_cnn as pixel_cnn_model
from genjax.models.autoregressive.pixel_cnn import Given, Networks
from genjax.models.autoregressive.pixels import Output, bernoulli, categorical, logistic_mixture
from genjax.pictures.figures import (
    Figures,
    completion_grid,
    first_test_batch,
    image_grid,
    receptive_field,
    seen_by_the_centre,
)
from genjax.runs.experiment import Experiment, Reference, Select
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.types import Batch, Key, Params, Stats

Task = Literal["none", "labels", "colorize", "super-resolution"]
OutputKind = Literal["softmax", "mixture"]


@dataclass(frozen=True)
class Options:
    """Options of PixelCNN, plain or gated."""

    data: Data = Data()
    run: Run = Run()
    gated: bool = False
    """Gated PixelCNN: a vertical and a horizontal stack of convolutions, without a blind spot."""
    features: int = 128
    """Channels h of the convolutions; the plain network has 2h between its blocks."""
    blocks: int = 15
    """Number of residual blocks, or of gated layers."""
    first_kernel: int = 7
    """Side of the first convolution's kernel in pixels, odd."""
    kernel: int = 3
    """Side of the kernels in the blocks in pixels, odd."""
    levels: int = 2
    """Number of values of each pixel and channel; above 2 for grey and colour images, with --binarization none."""
    output: OutputKind = "softmax"
    """Distribution of a pixel with more than two levels: a softmax, or a mixture of logistics."""
    components: int = 10
    """Number of logistics in the mixture (--output mixture)."""
    task: Task = "none"
    """Condition besides the earlier pixels: none, the class (labels), the grey image (colorize), or the coarse image
    (super-resolution)."""
    factor: int = 2
    """Side in pixels of the blocks that the coarse image averages (super-resolution)."""
    shrink: int = 1
    """Shrink the images by this factor: each block of shrink x shrink pixels becomes its mean."""
    learning_rate: float = 1e-3
    """Initial step size of Adam."""
    final_learning_rate: float = 1e-5
    """Adam's step size at the end of its cosine decay."""


PRESETS = {
    "quick": Options(
        Data(binarization="threshold"),
        Run(steps=800, batch_size=50, evaluate_every=200),
        features=16,
        blocks=4,
        first_kernel=5,
        learning_rate=2e-3,
    ),
    "small": Options(
        Data(dataset="binarized_mnist"),
        Run(steps=20_000, batch_size=16, evaluate_every=2000),
        features=16,
        blocks=7,
        first_kernel=15,
        learning_rate=1e-2,
    ),
    "colour": Options(
        Data(dataset="cifar10_jpeg", binarization="none"),
        Run(steps=8000, batch_size=16, evaluate_every=1000),
        gated=True,
        features=24,
        blocks=6,
        levels=8,
        shrink=2,
        learning_rate=4e-3,
    ),
    "paper": Options(Data(dataset="binarized_mnist"), Run(steps=250_000, batch_size=16, evaluate_every=3125)),
}


def pixel_cnn(options: Options) -> Experiment:
    """Return the experiment: PixelCNN on images."""
    check_positive(
        components=options.components,
        learning_rate=options.learning_rate,
        final_learning_rate=options.final_learning_rate,
    )
    images = with_levels(options.data.load(shrink=options.shrink), options.levels)
    data = with_condition(images, options.task, factor=options.factor, levels=options.levels)
    mean, sizes = mean_image(data), sizes_of(options)
    output = output_of(options.levels, options.output, options.components)
    given = given_by(options.task, data)
    model = pixel_cnn_model.pixel_cnn(
        data.image_shape,
        output=output,
        classes=given.classes,
        condition_channels=given.condition_channels,
        mean=mean,
        optimizer=optimizer(options),
        **sizes,
    )
    conditional = given.condition_channels > 0
    networks = pixel_cnn_model.make_networks(data.image_shape[2], output, conditional=conditional, **sizes)
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(model, networks, output, given, data, mean),
        select=Select("nll_nats", "min"),
    )


def sizes_of(options: Options) -> dict[str, Any]:
    """Return the arguments that the model and its networks share."""
    return {
        "features": options.features,
        "blocks": options.blocks,
        "gated": options.gated,
        "first_kernel": options.first_kernel,
        "kernel": options.kernel,
    }


def optimizer(options: Options) -> optax.GradientTransformation:
    """Return Adam with a cosine decay of its step size; the norm of the gradient is clipped at 1."""
    decay = options.final_learning_rate / options.learning_rate
    rate = optax.cosine_decay_schedule(options.learning_rate, options.run.steps, decay)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def given_by(task: Task, data: Dataset) -> Given:
    """Return the condition that a task gives the model."""
    shape = data.image_shape
    classes = classes_of(data) if task == "labels" else 0
    return Given(shape, classes, {"colorize": 1, "super-resolution": shape[2]}.get(task, 0))


def output_of(levels: int, output: OutputKind, components: int) -> Output:
    """Return the distribution of a pixel: Bernoulli for two levels, whatever `output` says."""
    if levels == 2:
        return bernoulli()
    return categorical(levels) if output == "softmax" else logistic_mixture(levels, components)


def with_condition(data: Dataset, task: Task, *, factor: int, levels: int) -> Dataset:
    """Return the data set whose batches have the task's `condition` [B, H, W, Cc] of each image, if it has one.

    Raises ValueError where grey images are to be colorized, or `factor` does not divide the image's sides.
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
    """Return the mean over the channels of each pixel, rounded to the image's levels."""
    return jnp.round(image.mean(axis=-1, keepdims=True) * (levels - 1)) / (levels - 1)


def coarse(image: Float[Array, "B H W C"], factor: int) -> Float[Array, "B H W C"]:
    """Return the images with each block of factor x factor pixels replaced by its mean."""
    blocks = reduce(image, "b (h f) (w g) c -> b h w c", "mean", f=factor, g=factor)
    return repeat(blocks, "b h w c -> b (h f) (w g) c", f=factor, g=factor)


def classes_of(data: Dataset) -> int:
    """Return the number of classes of the labels; ValueError where there are no labels."""
    if not (classes := class_count(data)):
        raise ValueError(f"--task labels: {data.name!r} has no labels")
    return classes


ROW = 8
"""Number of samples per class, and number of test images that are completed."""


def make_figures(
    model: Model, networks: Networks, output: Output, given: Given, data: Dataset, mean: Float[np.ndarray, "H W C"]
) -> Figures:
    """Return the figures: samples (next to the condition of a task), completions, and the receptive field."""
    count = ROW * (given.classes or ROW)  # the same in all pictures, so that one compiled program draws them all

    def seen(params: Params) -> Float[np.ndarray, "H W"]:
        batch = first_test_batch(data, 32)
        context_of = jax.jit(lambda params, batch: pixel_cnn_model.context_of(networks, params, given, batch))
        context = context_of(params, batch)
        conditionals = functools.partial(pixel_cnn_model.conditionals, networks, params, context=context, center=mean)
        return seen_by_the_centre(lambda x: output.log_prob(conditionals(x), batch["image"]), batch["image"])

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        samples_key, completions_key = jax.random.split(key)
        truth = jax.device_get(first_test_batch(data, ROW))
        image = truth["image"]
        repeated = {name: np.repeat(array, count // ROW, axis=0) for name, array in truth.items()}
        known = np.zeros(given.image_shape, np.float32)
        known[: len(known) // 2] = 1
        completing = {**repeated, "known": np.broadcast_to(known, repeated["image"].shape)}
        sampling = {**repeated, "known": np.zeros_like(repeated["image"])}
        if given.classes:
            sampling["label"] = np.repeat(np.arange(count // ROW, dtype=repeated["label"].dtype), ROW)
        generate = jax.jit(model.generate)
        samples = np.asarray(generate(params, stats, sampling, samples_key))
        completions = np.asarray(generate(params, stats, completing, completions_key))
        return {
            "samples": conditioned(truth["condition"], image, samples)
            if given.condition_channels
            else image_grid(samples, columns=ROW, title="one row per class" if given.classes else "samples"),
            "completions": completion_grid(image, known, completions),
            "receptive_field": receptive_field(seen(params)),
        }

    return figures


def conditioned(
    condition: Float[np.ndarray, "N H W Cc"], image: Float[np.ndarray, "N H W C"], samples: Float[np.ndarray, "M H W C"]
) -> Figure:
    """Return a grid with one row per image: the condition, the image, and M / N samples."""
    each = samples.reshape(len(image), -1, *image.shape[1:])
    shown = np.broadcast_to(condition, image.shape)
    grid = np.concatenate([shown[:, None], image[:, None], each], axis=1).reshape(-1, *image.shape[1:])
    return image_grid(grid, columns=each.shape[1] + 2, title="condition, image, samples")


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
