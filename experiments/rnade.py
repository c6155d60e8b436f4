"""RNADE on images of real values: a mixture of Gaussians for each pixel (Uria, Murray & Larochelle 2013).

The density of an image is a product of conditionals, one pixel after another:

    p(x) = prod_d p(x_d | x_<d),   p(x_d | x_<d) = sum_k alpha_dk N(x_d | mu_dk, sigma_dk^2)
    a_1 = c,   a_{d+1} = a_d + x_d W_d,   h_d = ReLU(rho_d a_d)
    alpha_d, mu_d, sigma_d = softmax, identity and exp of a linear map of h_d

`conditionals` in genjax/models/autoregressive/rnade.py computes all of them in O(HDK); `fill` there draws images, from
the same density without any clipping. `gaussian_mixture_log_prob` in genjax/losses/mixture.py is the mixture, and
`scale_gradient` there the paper's heuristic: the gradient of mu is multiplied by sigma (--no-scaled-means: it is not).

A density of values that are a few levels only has no upper bound. So the K levels of the pixels are made continuous,
(level + u) / K with u uniform in [0, 1), drawn anew in each training step and once for the held-out images
(`dequantized` in genjax/data/levels.py). Pixels are standardized, and the change of variables is in all numbers:

    nll_nats        -log p(x) of the dequantized image: a density, negative where pixels are almost constant. It
                    compares with densities of the same values only
    bits_per_dim    of the K levels, an upper bound: (nll_nats / D + log K) / log 2

Test nll_nats on the digits, 64 pixels of 17 levels. Target: below a Gaussian with full covariance; beside it
scikit-learn's mixture of Gaussians, with the components and the regularization that are best on the validation split
(`baselines` computes both, and a test that they are these):

    Gaussian, full covariance                                     -50.09
    mixture of 10 Gaussians, full covariance                      -65.41
    --preset quick     H=100, K=10, 1000 steps, one seed          -87.06, 34 s on two CPU cores
    --preset small     H=100, K=10, 3000 steps, three seeds       -88.93 ± 0.38, 2 min on two CPU cores
    --preset paper     H=512, K=10, MNIST of 256 levels           not measured yet

The result of each run holds the Gaussian's number for its data as well (`gaussian_nll_nats`).

Where we leave the paper: Adam with a cosine decay in place of stochastic gradient descent with momentum; the decay of
the weights apart from the gradient (AdamW), for V as well as W; images of digits in place of its speech, patches and
UCI data; the parameters with the best validation likelihood are kept. The authors' code starts b^sigma at the distance
of the components, where sigma is the exponential of it, and clips sigma in the sampler only: here it starts at the log
of the distance, and sampler and density are of one sigma.

Known failures: it overfits 1297 images within some hundred steps, and needs the decay of its weights. Samples may leave
[0, 1], since Gaussians have tails: pictures show them clipped.
"""

from collections.abc import Mapping, Sequence
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
from genjax.data.load import load_dataset
from genjax.evaluation import evaluation_key, map_split
from genjax.models.autoregressive import rnade as rnade_model
from genjax.pictures.figures import Figures, Picture, samples_and_completions, test_images
from genjax.runs.experiment import Common, Experiment, Reference, Run, Select, check_positive
from genjax.runs.runner import main
from genjax.shuffle import permutation
from genjax.types import Key, Params, Stats

COMPONENTS = (7, 10, 14)
"""Of the mixtures of Gaussians that `baselines` tries."""

REGULARIZATIONS = (1e-4, 3e-4, 1e-3)
"""What it tries to add to the diagonal of each covariance."""

DRAWS = 5
"""Noises of each training image of which it fits them; RNADE has new noise in each step."""


def rnade(
    run: Common = Run(binarization="none"),  # noqa: B008 (frozen)
    *,
    levels: int = 17,
    hidden: int = 512,
    components: int = 10,
    ordering: Literal["raster", "random"] = "raster",
    scaled_means: bool = True,
    learning_rate: float = 1e-3,
    final_learning_rate: float = 1e-4,
    weight_decay: float = 0.0,
) -> Experiment:
    """RNADE with one hidden layer.

    Args:
        run: Data, seeds and steps.
        levels: Grey values K of a pixel, before noise makes them continuous: 17 for the digits, 256 for bytes.
        hidden: Hidden units H.
        components: Gaussians of each pixel.
        ordering: Order in which the pixels are generated: row by row, or one fixed random permutation.
        scaled_means: Multiply the gradient of each mean by its component's standard deviation.
        learning_rate: Adam's step size at the start.
        final_learning_rate: Adam's step size at the end of its cosine decay.
        weight_decay: What the weights W and V lose in a step, as a multiple of the step size.
    """
    check_positive(learning_rate=learning_rate, final_learning_rate=final_learning_rate)
    if not 0 <= weight_decay < np.inf:
        raise ValueError(f"--weight-decay {weight_decay} must be at least 0 and finite")
    grey = load_dataset(run.dataset, data_dir=run.data_dir, binarization=run.binarization)
    data = dequantized(grey, levels)
    shape, pixels = data.image_shape, int(np.prod(data.image_shape))
    gaussian = fit_gaussian(grey, levels)
    order = np.arange(pixels) if ordering == "raster" else permutation(pixels)
    schedule = optax.cosine_decay_schedule(learning_rate, run.steps, final_learning_rate / learning_rate)
    model = rnade_model.rnade(
        shape,
        hidden=hidden,
        components=components,
        ordering=order.tolist(),
        scaled_means=scaled_means,
        levels=levels,
        mean=gaussian.mean.reshape(shape),
        std=np.sqrt(np.diag(gaussian.covariance)).reshape(shape),
        optimizer=optax.adamw(schedule, weight_decay=weight_decay, mask=decaying),
    )
    return Experiment(
        model=model,
        data=data,
        kinds={"nll_nats": "exact", "bits_per_dim": "elbo"},
        figures=make_figures(model, data, order, gaussian),
        select=Select("nll_nats", "min"),
        seeds_together=False,
        facts={"gaussian_nll_nats": gaussian.nll_nats(images_of(data, data.test))},
    )


def decaying(params: Params) -> Mapping[str, Mapping[str, bool]]:
    """The weights that decay: W and V, not the biases nor rho."""
    return {"rnade": {name: name in ("W", "V") for name in params["rnade"]}}


class Gaussian(NamedTuple):
    """A Gaussian of D pixels with full covariance."""

    mean: Float[np.ndarray, " D"]
    covariance: Float[np.ndarray, "D D"]

    def nll_nats(self, images: Float[np.ndarray, "N D"]) -> float:
        """The mean over images, by the Cholesky factor of the covariance."""
        factor = np.linalg.cholesky(self.covariance)
        whitened = np.linalg.solve(factor, (images - self.mean).T)
        log_determinant = 2 * np.log(np.diag(factor)).sum()
        return float(np.mean(whitened**2, axis=1).sum() + log_determinant + len(factor) * np.log(2 * np.pi)) / 2


def fit_gaussian(grey: Dataset, levels: int) -> Gaussian:
    """The maximum likelihood Gaussian of the dequantized training images, the noise integrated out.

    (level + u) / K has mean (level + 1/2) / K, and of the noise each pixel's variance is greater by 1 / (12 K^2).
    """
    level = np.round(images_of(grey, grey.train) * (levels - 1))
    covariance = np.atleast_2d(np.cov(level.T, bias=True)) + np.eye(level.shape[1]) / 12
    return Gaussian((level.mean(0) + 0.5) / levels, covariance / levels**2)


def images_of(data: Dataset, split: Split, key: Key | None = None) -> Float[np.ndarray, "N D"]:
    """All images of a split as a run measures them, with the same noise, or with that of another key."""
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
    """What stands beside RNADE: densities of the same dequantized images, test NLL in nats.

    A Gaussian, and a mixture of Gaussians, all with full covariance; the number of components and what is added to the
    diagonals are those with the best validation NLL. It takes minutes, most of it for many components.
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
    """Samples and completions, clipped to [0, 1], and conditional densities of some pixels."""
    clipped = model._replace(generate=lambda *arguments: jnp.clip(model.generate(*arguments), 0, 1))
    images = samples_and_completions(clipped, data, order)

    def figures(params: Params, stats: Stats, key: Key) -> Mapping[str, Picture]:
        densities = conditional_densities(params, test_images(data, 1), order, gaussian)
        return {**images(params, stats, key), "conditionals": densities}

    return figures


def conditional_densities(
    params: Params, image: Float[jax.Array, "1 H W C"], order: Int[np.ndarray, " D"], gaussian: Gaussian
) -> Figure:
    """The densities of pixels in the middle row of an image, each given all pixels before it, and their values."""
    mean, std = gaussian.mean[order], np.sqrt(np.diag(gaussian.covariance))[order]
    values = np.asarray(image, np.float64).reshape(-1)[order]
    standardized = jnp.asarray((values - mean) / std, jnp.float32)
    mixture = rnade_model.conditionals(rnade_model.Weights(**params["rnade"]), standardized[None])
    grid = np.linspace(-0.1, 1.1, 601)
    points = jnp.asarray((grid[:, None] - mean) / std, jnp.float32)
    densities = np.exp(mixture.log_prob(points[:, None])[:, 0]) / std
    _, height, width, channels = image.shape
    figure = Figure(figsize=(10, 5), layout="constrained")
    columns = np.unique(np.linspace(0, width - 1, 8).round().astype(int))[1:-1]
    panels = figure.subplots(2, 3, squeeze=False).flat
    for column, axes in zip(columns, panels, strict=False):
        place = int(np.argwhere(order == ((height // 2) * width + column) * channels)[0, 0])
        axes.plot(grid, densities[:, place], linewidth=1)
        axes.axvline(values[place], color="black", linestyle=":", linewidth=1)
        axes.set_title(f"row {height // 2}, column {column}", fontsize=9)
    for axes in list(panels):
        axes.set_axis_off()
    figure.suptitle("conditional densities of a test image's pixels; dotted: their values", fontsize=10)
    return figure


PRESETS = {
    "quick": {
        "run": Run(steps=1000, evaluate_every=100, binarization="none"),
        "hidden": 100,
        "learning_rate": 3e-3,
        "weight_decay": 3.0,
    },
    "small": {
        "run": Run(seeds=(0, 1, 2), steps=3000, evaluate_every=200, binarization="none"),
        "hidden": 100,
        "learning_rate": 1e-2,
        "weight_decay": 5.0,
    },
    "paper": {"run": Run(dataset="mnist", steps=25_000, evaluate_every=500, binarization="none"), "levels": 256},
}

REFERENCES = (
    Reference("nll_nats", "digits", "dequantized-17", -50.091, "a Gaussian with full covariance (`baselines`)"),
    Reference("nll_nats", "digits", "dequantized-17", -65.414, "scikit-learn's mixture of 10 Gaussians (`baselines`)"),
)

HEADLINE = "nll_nats"

if __name__ == "__main__":
    main(rnade, PRESETS)
