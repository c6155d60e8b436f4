"""Autoencoder: features learnt without labels, and what they are worth (Hinton & Salakhutdinov 2006).

An encoder makes a code z = f(x), smaller than the image x, from which a decoder makes x again:

    squared_error = ||x - g(f(x))||^2, summed over pixels       --loss gaussian
    - sum_i x_i log g_i + (1 - x_i) log(1 - g_i)                --loss bernoulli

`autoencoder` in genjax/models/latent/autoencoder.py descends the mean of either over the batch (`squared_error` in
genjax/losses/reconstruction.py, `bernoulli_log_prob` in genjax/losses/likelihood.py). Without hidden units (--hidden
with nothing after it) f and g are linear, and the best of them is principal component analysis: its error is what PCA
leaves, the sum of the trailing eigenvalues of the covariance, and the columns of g span the leading eigenvectors (Baldi
& Hornik 1989; a test trains it to both). So beside each result stands PCA with as many components:

    mse                 squared_error / pixels: pixels are in [0, 1]
    pca_mse             the same of PCA, fitted to the training images
    probe_error         share of the images that logistic regression on the codes gets wrong (genjax/metrics/probe.py,
                        fitted to the first 10 000 training examples; the validation split picks its penalty)
    pca_probe_error     the same on PCA's components

    python -m experiments.autoencoder                                              the embedded digits
    python -m experiments.autoencoder --latents 2                                  codes that are a picture
    python -m experiments.autoencoder --hidden                                     a linear one: PCA
    python -m experiments.autoencoder --preset small --data-dir DIR                grey MNIST, three seeds
    python -m experiments.autoencoder --dataset ./photos --network conv            images of your own
    python -m genjax transfer RUN                                             a classifier on the encoder
    python -m genjax embed RUN --out features.npz                             the codes, for use elsewhere

Test split, mean ± s.d. over seeds. Targets: an mse below PCA's, which only a bad optimum or overfitting can miss, and a
probe_error below PCA's, which nothing promises:

                        --preset quick        --preset small             --preset paper
                        digits, 8 numbers     grey MNIST, 32 numbers     the same, four convolutions
    mse                 0.0120 (one seed)     0.0095 ± 0.0001            not measured yet
    pca_mse             0.0244                0.0168                     0.0168
    probe_error         0.080                 0.0999 ± 0.0018            not measured yet
    pca_probe_error     0.093                 0.1024                     0.1024
    two CPU cores       20 s                  8 min                      not measured yet; asks for a GPU

The error is half of PCA's, and its codes tell a linear classifier hardly more: what reconstructs is not what separates.

Where we leave the lecture (CS231n, generative models): it names neither data nor sizes nor an optimizer, so layers,
code and steps are ours, with Adam and a cosine decay. Its encoder has four convolutions; ours have a stride of 2 as
long as the image stays at least 4 pixels wide (28x28: strides 2, 2, 1, 1), and a dense layer between them and the code.
The encoder sees images less their mean, and the decoder starts from it. The parameters with the best validation mse are
kept.

Known failures: nothing makes the codes follow a distribution, so there is none to draw from, and `genjax.commands.sample`
refuses: between codes of images the decoder gives mixtures of them. Squared error prefers a blurred image to a sharp
one that is slightly off. A reconstruction under --loss gaussian may leave [0, 1]; pictures show it clipped.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.data.load import load_dataset, mean_image
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
from genjax.pictures.figures import code_scatter, image_grid, test_batch
from genjax.runs.experiment import Common, Experiment, Reference, Run, Select, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

SCATTERED = 2000
"""Test images whose codes are drawn."""


class Architecture(NamedTuple):
    """The options that say what the networks are."""

    network: Literal["mlp", "conv"]
    hidden: tuple[int, ...]
    channels: tuple[int, ...]
    features: int
    latents: int
    loss: Literal["gaussian", "bernoulli"]


def autoencoder(
    run: Common = Run(binarization="none"),  # noqa: B008 (frozen)
    *,
    network: Literal["mlp", "conv"] = "mlp",
    hidden: tuple[int, ...] = (256, 128),
    channels: tuple[int, ...] = (32, 64, 128, 256),
    features: int = 256,
    latents: int = 32,
    loss: Literal["gaussian", "bernoulli"] = "gaussian",
    learning_rate: float = 1e-3,
) -> Experiment:
    """An autoencoder.

    Args:
        run: What every experiment has.
        network: Dense layers, or convolutions with one dense layer.
        hidden: Widths of the layers of the encoder; the decoder mirrors them (mlp). None: both are linear.
        channels: Maps of the encoder's convolutions; the decoder mirrors them (conv).
        features: Width of the dense layer between the convolutions and the code (conv).
        latents: Dimensions of the code.
        loss: Squared error, or cross-entropy of pixels in [0, 1].
        learning_rate: Adam's step size at the start of its cosine decay.
    """
    check_positive(
        hidden=min(hidden, default=1),
        channels=min(channels, default=0),
        features=features,
        latents=latents,
        learning_rate=learning_rate,
    )
    data = load_dataset(run.dataset, data_dir=run.data_dir, binarization=run.binarization)
    networks = make_networks(data, Architecture(network, hidden, channels, features, latents, loss))
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, run.steps))
    model = autoencoder_model.autoencoder(data.image_shape, networks, optimizer=optimizer)
    pca = functools.cache(lambda: fit_pca(data, latents))  # when it is first asked for, not when a run is read
    names = ("squared_error", "mse", networks.reconstruction.name, "pca_mse", "probe_error", "pca_probe_error")
    return Experiment(
        model=model,
        data=data,
        kinds=dict.fromkeys(names, "exact"),
        figures=lambda params, stats, key: figures(model, data, pca(), params, stats),
        select=Select("mse", "min"),
        seeds_together=network == "mlp",
        draws=False,
        measure=make_measure(model, data, pca),
    )


def make_networks(data: Dataset, architecture: Architecture) -> autoencoder_model.Networks:
    """The networks for these images."""
    bernoulli = architecture.loss == "bernoulli"
    common: dict[str, Any] = {
        "latents": architecture.latents,
        "mean": mean_image(data),
        "reconstruction": autoencoder_model.BERNOULLI if bernoulli else autoencoder_model.GAUSSIAN,
    }
    if architecture.network == "mlp":
        return autoencoder_model.mlp_networks(data.image_shape, hidden=architecture.hidden, **common)
    return autoencoder_model.conv_networks(
        data.image_shape, channels=architecture.channels, features=architecture.features, **common
    )


def make_measure(model: Model, data: Dataset, pca: Callable[[], Params]) -> Measure:
    """PCA's error, and where there are labels the probe's on the codes and on PCA's components."""
    probe = make_probe(features_function(model), data)
    pca_probe = make_probe(principal, data, name="pca_probe_error")
    pca_errors = make_features(principal_mse, data.load)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        mse = float(pca_errors(pca(), {}, split).features.mean(dtype=np.float64))
        return {"pca_mse": mse, **probe(params, stats, split, key), **pca_probe(pca(), {}, split, key)}

    return measure


def figures(model: Model, data: Dataset, pca: Params, params: Params, stats: Stats) -> dict[str, Figure]:
    """Test images with their reconstructions and PCA's beside them, and the codes of test images."""
    batch = test_batch(data, min(32, data.test.size))
    ours = model.generate(params, stats, batch, jax.random.key(0))
    rows = np.stack([batch["image"], ours, principal_images(pca, {}, batch).clip(0, 1)], axis=1)
    codes, label = make_features(features_function(model), data.load)(params, stats, first(data.test, SCATTERED))
    latents = codes.shape[1]
    title = f"image, its reconstruction from {latents} numbers, PCA's from as many"
    drawn = {"reconstructions": image_grid(rows.reshape(-1, *data.image_shape), columns=12, title=title)}
    if latents > 1:
        drawn["codes"] = drawn_codes(codes, label)
    return drawn


def drawn_codes(codes: Float[np.ndarray, "N F"], label: Int[np.ndarray, " N"] | None) -> Figure:
    """Codes as they are where they have two dimensions, else along their own two principal components."""
    if codes.shape[1] == 2:
        return code_scatter(codes, label, title="codes of test images", names=("z_1", "z_2"))
    from sklearn.decomposition import PCA  # slow to import

    axes = PCA(2, random_state=0).fit(codes)
    share = axes.explained_variance_ratio_.sum()
    title = f"{codes.shape[1]}-dimensional codes of test images: two components with {share:.0%} of the variance"
    return code_scatter(axes.transform(codes), label, title=title, names=("component 1", "component 2"))


PRESETS = {
    "quick": {
        "run": Run(steps=2000, binarization="none", evaluate_every=250),
        "latents": 8,
        "learning_rate": 2e-3,
    },
    "small": {
        "run": Run(dataset="mnist", binarization="none", seeds=(0, 1, 2), steps=10_000, evaluate_every=1000),
    },
    "paper": {
        "run": Run(dataset="mnist", binarization="none", seeds=(0, 1, 2), steps=50_000, evaluate_every=2500),
        "network": "conv",
    },
}

REFERENCES = (Reference("mse", "mnist", "real", 0.016828, "PCA with 32 components (this library)", {"latents": 32}),)

BASELINES = (
    Baseline("mse", "pca_mse", "as many principal components"),
    Baseline("probe_error", "pca_probe_error", "as many principal components"),
)
HEADLINE = "mse"

if __name__ == "__main__":
    main(autoencoder, PRESETS)
