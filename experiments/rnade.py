"""RNADE on images of real values: a mixture of Gaussians for each pixel (Uria, Murray & Larochelle 2013).

The density of an image is a product of conditionals, one pixel after another:

    p(x) = prod_d p(x_d | x_<d),   p(x_d | x_<d) = sum_k alpha_dk N(x_d | mu_dk, sigma_dk^2)
    a_1 = c,   a_{d+1} = a_d + x_d W_d,   h_d = ReLU(rho_d a_d)
    alpha_d, mu_d, sigma_d = softmax, identity and exp of a linear map of h_d

`conditionals` in genjax/models/autoregressive/rnade.py computes all of them in O(HDK); `fill` in the same file draws
images from the same density, without any clipping. `gaussian_mixture_log_prob` in genjax/losses/mixture.py is the
log-density of a mixture. `scale_gradient` in that file is a heuristic of the paper: the gradient of each mean is
multiplied by its component's standard deviation (--no-scaled-means turns it off).

    python -m experiments.rnade                                 the embedded digits, 64 pixels of 17 levels
    python -m experiments.rnade --preset small                  the same, trained longer, three seeds
    python -m experiments.rnade --preset paper --data-dir DIR   MNIST, 256 levels

Data: a density has no upper bound on values that take a few levels only. So the K levels of the pixels are made
continuous, (level + u) / K with u uniform in [0, 1), drawn anew in each training step and once for the held-out images
(`dequantized` in genjax/data/levels.py). The network sees standardized pixels; the change of variables is part of all
metrics.

Metrics:

    nll_nats        -log p(x) of the dequantized image: a density, negative where pixels are almost constant. It
                    compares with densities of the same values only
    bits_per_dim    bits per pixel of the K levels, an upper bound: (nll_nats / D + log K) / log 2

The baseline in the result of each run is a Gaussian with full covariance, fitted to the same data
(`gaussian_nll_nats`). `baselines` computes it and scikit-learn's mixture of Gaussians, whose number of components and
regularization are the best on the validation split; a test holds both numbers.

Differences from the paper: Adam with a cosine decay instead of stochastic gradient descent with momentum; decoupled
weight decay (AdamW), on V as well as W; images of digits instead of speech, image patches and UCI data; the parameters
with the best validation likelihood are kept. The authors' code starts the bias of log sigma at the distance between the
initial means, and clips sigma in the sampler only; here it starts at the logarithm of that distance, and the sampler
and the density use the same sigma.

Known failures: it overfits the 1297 training digits within some hundred steps, and needs weight decay. Samples may
leave [0, 1], since Gaussians have tails: pictures show them clipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.data.levels import dequantized
from genjax.evaluation import evaluation_key, map_split
from genjax.models.autoregressive import rnade as rnade_model
from genjax.pictures.figures import Figures, Picture, first_test_images, samples_and_completions
from genjax.runs.experiment import Experiment, Reference, Select
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.shuffle import permutation
from genjax.types import Key, Params, Stats

COMPONENTS = (7, 10, 14)
"""Numbers of components of the Gaussian mixtures that `baselines` fits."""

REGULARIZATIONS = (1e-4, 3e-4, 1e-3)
"""Values that `baselines` adds to the diagonal of each covariance, one value per fit."""

DRAWS = 5
"""Number of copies of each training image, each with its own noise, to which `baselines` fits the mixtures."""


@dataclass(frozen=True)
class Options:
    """Options of RNADE with one hidden layer."""

    data: Data = Data(binarization="none")
    run: Run = Run()
    levels: int = 17
    """Number K of grey values of a pixel, before noise makes them continuous: 17 for the digits, 256 for bytes."""
    hidden: int = 512
    """Number H of hidden units."""
    components: int = 10
    """Number of Gaussians in the mixture of each pixel."""
    ordering: Literal["raster", "random"] = "raster"
    """Order in which the pixels are generated: row by row, or one fixed random permutation."""
    scaled_means: bool = True
    """Multiply the gradient of each mean by its component's standard deviation."""
    learning_rate: float = 1e-3
    """Initial step size of Adam."""
    final_learning_rate: float = 1e-4
    """Adam's step size at the end of its cosine decay."""
    weight_decay: float = 0.0
    """Weight decay of W and V (AdamW): each step shrinks them by this fraction times the step size."""


PRESETS = {
    "quick": Options(
        run=Run(steps=1000, evaluate_every=100),
        hidden=100,
        learning_rate=3e-3,
        weight_decay=3.0,
    ),
    "small": Options(
        run=Run(seeds=(0, 1, 2), steps=3000, evaluate_every=200),
        hidden=100,
        learning_rate=1e-2,
        weight_decay=5.0,
    ),
    "paper": Options(
        Data(dataset="mnist", binarization="none"),
        Run(steps=25_000, evaluate_every=500),
        levels=256,
    ),
}


def rnade(options: Options) -> Experiment:
    """Return the experiment: RNADE on dequantized grey images."""
    check_positive(learning_rate=options.learning_rate, final_learning_rate=options.final_learning_rate)
    if not 0 <= options.weight_decay < np.inf:
        raise ValueError(f"--weight-decay {options.weight_decay} must be at least 0 and finite")
    grey = options.data.load()
    data = dequantized(grey, options.levels)
    shape, pixels = data.image_shape, int(np.prod(data.image_shape))
    gaussian = fit_gaussian(grey, options.levels)
    order = np.arange(pixels) if options.ordering == "raster" else permutation(pixels)
    decay = options.final_learning_rate / options.learning_rate
    schedule = optax.cosine_decay_schedule(options.learning_rate, options.run.steps, decay)
    model = rnade_model.rnade(
        shape,
        hidden=options.hidden,
        components=options.components,
        ordering=order.tolist(),
        scaled_means=options.scaled_means,
        levels=options.levels,
        mean=gaussian.mean.reshape(shape),
        std=np.sqrt(np.diag(gaussian.covariance)).reshape(shape),
        optimizer=optax.adamw(schedule, weight_decay=options.weight_decay, mask=decaying),
    )
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(model, data, order, gaussian),
        select=Select("nll_nats", "min"),
        facts={"gaussian_nll_nats": gaussian.nll_nats(images_of(data, data.test))},
    )


def decaying(params: Params) -> Mapping[str, Mapping[str, bool]]:
    """Return which parameters have weight decay: W and V, but not the biases and rho."""
    return {"rnade": {name: name in ("W", "V") for name in params["rnade"]}}


class Gaussian(NamedTuple):
    """A Gaussian of D pixels with full covariance."""

    mean: Float[np.ndarray, " D"]
    covariance: Float[np.ndarray, "D D"]

    def nll_nats(self, images: Float[np.ndarray, "N D"]) -> float:
        """Mean of -log p(x) over the images in nats, by the Cholesky factor of the covariance."""
        factor = np.linalg.cholesky(self.covariance)
        whitened = np.linalg.solve(factor, (images - self.mean).T)
        log_determinant = 2 * np.log(np.diag(factor)).sum()
        return float(np.mean(whitened**2, axis=1).sum() + log_determinant + len(factor) * np.log(2 * np.pi)) / 2


def fit_gaussian(grey: Dataset, levels: int) -> Gaussian:
    """Return the maximum likelihood Gaussian of the dequantized training images, with the noise integrated out.

    (level + u) / K has mean (level + 1/2) / K, and the noise adds 1 / (12 K^2) to the variance of each pixel.
    """
    level = np.round(images_of(grey, grey.train) * (levels - 1))
    covariance = np.atleast_2d(np.cov(level.T, bias=True)) + np.eye(level.shape[1]) / 12
    return Gaussian((level.mean(0) + 0.5) / levels, covariance / levels**2)


def images_of(data: Dataset, split: Split, key: Key | None = None) -> Float[np.ndarray, "N D"]:
    """Return all images of a split, flat, with the noise of every evaluation, or with noise drawn under `key`."""
    load = jax.jit(data.load)

    def image(raw: Mapping[str, jax.Array], key: Key) -> jax.Array:
        load_key, _ = jax.random.split(key)  # as in every evaluation
        return load(raw, load_key)["image"]

    images = map_split(image, split, key=evaluation_key() if key is None else key)
    return images.astype(np.float64).reshape(split.size, -1)


def baselines(
    grey: Dataset,
    levels: int,
    *,
    components: Sequence[int] = COMPONENTS,
    regularizations: Sequence[float] = REGULARIZATIONS,
) -> dict[str, float]:
    """Fit the baselines of RNADE to the same dequantized images, and return their test NLL in nats.

    The baselines are a Gaussian and a mixture of Gaussians, all with full covariance. The number of components of the
    mixture and the value added to the diagonals are chosen by the best validation NLL. Fitting takes minutes, mostly
    for mixtures of many components.
    """
    from sklearn.mixture import GaussianMixture  # slow to import

    data = dequantized(grey, levels)
    keys = [jax.random.fold_in(jax.random.key(0), draw) for draw in range(DRAWS)]
    train = np.concatenate([images_of(data, data.train, key) for key in keys])
    validation, test = images_of(data, data.validation), images_of(data, data.test)
    mixtures = [
        GaussianMixture(count, reg_covar=added, max_iter=200, random_state=0).fit(train)
        for count in components
        for added in regularizations
    ]
    best = max(mixtures, key=lambda mixture: mixture.score(validation))
    return {
        "gaussian_nll_nats": fit_gaussian(grey, levels).nll_nats(test),
        "mixture_nll_nats": -float(best.score(test)),
        "mixture_components": best.n_components,
        "mixture_regularization": best.reg_covar,
    }


def make_figures(model: Model, data: Dataset, order: Int[np.ndarray, " D"], gaussian: Gaussian) -> Figures:
    """Return the figures: samples and completions, clipped to [0, 1], and conditional densities of some pixels."""
    clipped = model._replace(generate=lambda *arguments: jnp.clip(model.generate(*arguments), 0, 1))
    images = samples_and_completions(clipped, data, order)

    def figures(params: Params, stats: Stats, key: Key) -> Mapping[str, Picture]:
        densities = conditional_densities(params, first_test_images(data, 1), order, gaussian)
        return {**images(params, stats, key), "conditionals": densities}

    return figures


def conditional_densities(
    params: Params, image: Float[jax.Array, "1 H W C"], order: Int[np.ndarray, " D"], gaussian: Gaussian
) -> Figure:
    """Plot the density of some pixels in the middle row, each given all pixels before it, with a line at its value."""
    mean, std = gaussian.mean[order], np.sqrt(np.diag(gaussian.covariance))[order]
    values = np.asarray(image, np.float64).reshape(-1)[order]
    grid = np.linspace(-0.1, 1.1, 601)

    @jax.jit
    def log_densities(params: Params, standardized: jax.Array, points: jax.Array) -> jax.Array:
        mixture = rnade_model.conditionals(rnade_model.Weights(**params["rnade"]), standardized[None])
        return mixture.log_prob(points[:, None])[:, 0]

    standardized, points = (((each - mean) / std).astype(np.float32) for each in (values, grid[:, None]))
    densities = np.exp(np.asarray(log_densities(params, standardized, points))) / std
    _, height, width, channels = image.shape
    figure = Figure(figsize=(10, 5), layout="constrained")
    columns = np.unique(np.linspace(0, width - 1, 8).round().astype(int))[1:-1]
    panels = figure.subplots(2, 3, squeeze=False).flat
    for column, axes in zip(columns, panels, strict=False):
        position = int(np.argwhere(order == ((height // 2) * width + column) * channels)[0, 0])
        axes.plot(grid, densities[:, position], linewidth=1)
        axes.axvline(values[position], color="black", linestyle=":", linewidth=1)
        axes.set_title(f"row {height // 2}, column {column}", fontsize=9)
    for axes in list(panels):
        axes.set_axis_off()
    figure.suptitle("conditional densities of a test image's pixels; dotted: their values", fontsize=10)
    return figure


REFERENCES = (
    Reference("nll_nats", "digits", "dequantized-17", -50.137, "a Gaussian with full covariance (`baselines`)"),
    Reference("nll_nats", "digits", "dequantized-17", -65.421, "scikit-learn's mixture of 10 Gaussians (`baselines`)"),
)

HEADLINE = "nll_nats"

if __name__ == "__main__":
    main(rnade, PRESETS)
