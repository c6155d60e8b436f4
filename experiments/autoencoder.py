"""Autoencoder: features learnt without labels, and what they are worth (Hinton & Salakhutdinov 2006).

An encoder makes a code z = f(x), smaller than the image x, from which a decoder g reconstructs x:

    squared_error = ||x - g(f(x))||^2, summed over pixels       --loss gaussian
    - sum_i x_i log g_i + (1 - x_i) log(1 - g_i)                --loss bernoulli

`autoencoder` in genjax/models/latent/autoencoder.py minimizes the mean of one of these losses over the batch
(`squared_error` in genjax/losses/reconstruction.py, `bernoulli_log_prob` in genjax/losses/likelihood.py). Without
hidden units (--hidden with nothing after it) f and g are linear, and the best linear autoencoder is principal component
analysis: its error is that of PCA, the sum of the trailing eigenvalues of the covariance, and the columns of g span the
leading eigenvectors (Baldi & Hornik 1989; a test trains it to both). So PCA with as many components is the baseline of
each metric:

    mse                 squared_error / pixels, for pixels in [0, 1]
    pca_mse             the same for PCA, fitted to the training images
    probe_error         fraction of the images that logistic regression on the codes classifies wrongly
                        (genjax/metrics/probe.py: fitted to the first 10 000 training examples, with the penalty that is
                        best on the validation split)
    pca_probe_error     the same for PCA's components

    python -m experiments.autoencoder                                         the embedded digits
    python -m experiments.autoencoder --latents 2                             two-dimensional codes, plotted directly
    python -m experiments.autoencoder --hidden                                a linear autoencoder: PCA
    python -m experiments.autoencoder --preset small --data-dir DIR           grey MNIST, three seeds
    python -m experiments.autoencoder --preset paper --data-dir DIR           four convolutions; asks for a GPU
    python -m experiments.autoencoder --dataset ./photos --network conv       images of your own
    python -m genjax transfer RUN                                             a classifier on the encoder
    python -m genjax embed RUN --out features.npz                             the codes, for use elsewhere

An mse above that of PCA means a bad optimum or overfitting. A probe_error below that of PCA is not guaranteed: codes
that reconstruct better need not separate the classes better.

Differences from the source (the lecture on generative models of the course CS231n): it names neither data nor sizes nor
an optimizer, so we chose the layers, the size of the code, the steps, and Adam with a cosine decay. Its encoder has
four convolutions; ours have stride 2 as long as the image stays at least 4 pixels wide (28x28: strides 2, 2, 1, 1), and
a dense layer between them and the code. The encoder sees images less their mean, and the decoder starts from the mean.
The parameters with the best validation mse are kept.

Known failures: the codes follow no known distribution, so there is nothing to draw samples from, and `python -m genjax
sample` refuses. For a code between the codes of two images the decoder returns a mixture of the two images. Squared
error prefers a blurred image to a sharp one that is slightly off. A reconstruction under --loss gaussian may leave [0,
1]; pictures show it clipped.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
import optax
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from genjax.capabilities import Encoder
from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.data.load import mean_image
from genjax.evaluation import Measure
from genjax.measures.features import (
    features_function,
    first,
    fit_pca,
    make_features,
    make_probe,
    principal,
    principal_images,
    principal_mse,
)
from genjax.models.latent import autoencoder as autoencoder_model
from genjax.pictures.figures import code_scatter, first_test_batch, image_grid
from genjax.runs.experiment import Baseline, Experiment, Reference, Select
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

SCATTERED = 2000
"""Number of test images in the scatter plot of codes."""


@dataclass(frozen=True)
class Options:
    """Options of an autoencoder."""

    data: Data = Data(binarization="none")
    run: Run = Run()
    network: Literal["mlp", "conv"] = "mlp"
    """Networks: dense layers (mlp), or convolutions with one dense layer (conv)."""
    hidden: tuple[int, ...] = (256, 128)
    """Widths of the encoder's hidden layers, which the decoder mirrors (mlp). With none, encoder and decoder are
    linear."""
    channels: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of each of the encoder's convolutions, which the decoder mirrors (conv)."""
    features: int = 256
    """Width of the dense layer between the convolutions and the code (conv)."""
    latents: int = 32
    """Number of dimensions of the code."""
    loss: Literal["gaussian", "bernoulli"] = "gaussian"
    """Reconstruction loss: squared error (gaussian), or cross-entropy of pixels in [0, 1] (bernoulli)."""
    learning_rate: float = 1e-3
    """Adam's step size at the start of its cosine decay."""


PRESETS = {
    "quick": Options(run=Run(steps=2000, evaluate_every=250), latents=8, learning_rate=2e-3),
    "small": Options(
        Data(dataset="mnist", binarization="none"), Run(seeds=(0, 1, 2), steps=10_000, evaluate_every=1000)
    ),
    "paper": Options(
        Data(dataset="mnist", binarization="none"),
        Run(seeds=(0, 1, 2), steps=50_000, evaluate_every=2500),
        network="conv",
    ),
}


def autoencoder(options: Options) -> Experiment:
    """Return the experiment: an autoencoder of images."""
    check_positive(
        hidden=min(options.hidden, default=1),
        channels=min(options.channels, default=0),
        features=options.features,
        latents=options.latents,
        learning_rate=options.learning_rate,
    )
    data = options.data.load()
    networks = make_networks(data, options)
    optimizer = optax.adam(optax.cosine_decay_schedule(options.learning_rate, options.run.steps))
    model = autoencoder_model.autoencoder(data.image_shape, networks, optimizer=optimizer)
    pca = functools.cache(lambda: fit_pca(data, options.latents))  # fitted at the first call
    return Experiment(
        model=model,
        data=data,
        figures=lambda params, stats, key: figures(model, data, pca(), params, stats),
        measure=make_measure(model, data, pca),
        kinds=dict.fromkeys(("pca_mse", "probe_error", "pca_probe_error"), "exact"),
        select=Select("mse", "min"),
        capabilities=(Encoder(networks.encoder, options.latents),),
    )


def make_networks(data: Dataset, options: Options) -> autoencoder_model.Networks:
    """Return the networks for these images."""
    bernoulli = options.loss == "bernoulli"
    common: dict[str, Any] = {
        "latents": options.latents,
        "mean": mean_image(data),
        "reconstruction": autoencoder_model.BERNOULLI if bernoulli else autoencoder_model.GAUSSIAN,
    }
    if options.network == "mlp":
        return autoencoder_model.mlp_networks(data.image_shape, hidden=options.hidden, **common)
    return autoencoder_model.conv_networks(
        data.image_shape, channels=options.channels, features=options.features, **common
    )


def make_measure(model: Model, data: Dataset, pca: Callable[[], Params]) -> Measure:
    """Return the measure of PCA's error and, for data with labels, of the probe errors of codes and PCA components."""
    probe = make_probe(features_function(model), data)
    pca_probe = make_probe(principal, data, name="pca_probe_error")
    pca_errors = make_features(principal_mse, data.load)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        mse = float(pca_errors(pca(), {}, split).features.mean(dtype=np.float64))
        return {"pca_mse": mse, **probe(params, stats, split, key), **pca_probe(pca(), {}, split, key)}

    return measure


def figures(model: Model, data: Dataset, pca: Params, params: Params, stats: Stats) -> dict[str, Figure]:
    """Return figures: test images with reconstructions by the model and by PCA, and a scatter plot of codes."""
    batch = first_test_batch(data, min(32, data.test.size))
    ours = jax.jit(model.generate)(params, stats, batch, jax.random.key(0))
    theirs = np.asarray(jax.jit(principal_images)(pca, {}, batch)).clip(0, 1)
    rows = np.stack([batch["image"], ours, theirs], axis=1)
    codes, label = make_features(features_function(model), data.load)(params, stats, first(data.test, SCATTERED))
    latents = codes.shape[1]
    title = f"image, its reconstruction from {latents} numbers, PCA's from as many"
    drawn = {"reconstructions": image_grid(rows.reshape(-1, *data.image_shape), columns=12, title=title)}
    if latents > 1:
        drawn["codes"] = drawn_codes(codes, label)
    return drawn


def drawn_codes(codes: Float[np.ndarray, "N F"], label: Int[np.ndarray, " N"] | None) -> Figure:
    """Return a scatter plot of two-dimensional codes, or of the first two principal components of larger codes."""
    if codes.shape[1] == 2:
        return code_scatter(codes, label, title="codes of test images", names=("z_1", "z_2"))
    from sklearn.decomposition import PCA  # slow to import

    axes = PCA(2, random_state=0).fit(codes)
    fraction = axes.explained_variance_ratio_.sum()
    title = f"{codes.shape[1]}-dimensional codes of test images: two components with {fraction:.0%} of the variance"
    return code_scatter(axes.transform(codes), label, title=title, names=("component 1", "component 2"))


REFERENCES = (Reference("mse", "mnist", "real", 0.016828, "PCA with 32 components (this library)", {"latents": 32}),)

BASELINES = (
    Baseline("mse", "pca_mse", "as many principal components"),
    Baseline("probe_error", "pca_probe_error", "as many principal components"),
)
HEADLINE = "mse"

if __name__ == "__main__":
    main(autoencoder, PRESETS)
