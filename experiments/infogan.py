"""InfoGAN on images (Chen, Duan, Houthooft, Schulman, Sutskever & Abbeel 2016).

A GAN whose generator G reads codes c next to its noise z: a category, one of K, and continuous codes. The
discriminator has a second head Q(c|x), the recognition network, which recovers the codes from generated images. Its
log-likelihood bounds the mutual information of codes and images from below:

    L_I = E log Q(c | G(z, c)) + H(c) <= I(c; G(z, c))            `information_bound`, eq. 5
    discriminator, recognition    minimize  -log D(x) - log(1 - D(G(z, c))) - lambda L_I
    generator                     minimizes -log D(G(z, c)) - lambda L_I

The losses are in genjax/models/adversarial/infogan.py, the networks in genjax/models/adversarial/infogan_networks.py. Q
is a softmax for the category, and a normal distribution for each continuous code, whose prior is uniform on [-1, 1].

    python -m experiments.infogan                                                digits
    python -m experiments.infogan --information 0 --continuous-information 0     a plain GAN: codes without meaning
    python -m experiments.infogan --preset small --data-dir DIR                  MNIST, smaller networks, five seeds

**Metrics.** `category_information_nats` is the bound for the category, at most H(c) = ln K nats, which is 2.303 for ten
categories; `continuous_information_nats` is the bound for the continuous codes. `category_error` is the fraction of
test images whose most probable category is not the category of their class. Each class has one category; the assignment
is the one with the fewest errors on up to 10 000 training images (`matched_labels` in genjax/metrics/clustering.py).
`real_logit` and `fake_logit` are the outputs of the discriminator for test images and for generated ones. Figures:
samples and their history over training, a row with all categories for each noise, and for each continuous code a row
from -2 to 2.

**Differences from the paper.** Q has a standard deviation of its own for each continuous code, at least e^-2, as in the
paper's text; in the authors' code it stays 1. The bound for the continuous codes has the weight 0.03. The paper says
that this weight was chosen smaller than the weight for the category, the authors' code has 1; with a standard deviation
that can fall to e^-2 the gradient grows 54-fold, and a smaller weight is needed. Leaky ReLUs have a slope of 0.1 as in
the paper, 0.01 in the authors' code. Samples are drawn with running statistics.

**Known failures.** The meaning of the categories is settled in the first steps, before images look like digits: two
categories may each contain the same two digits, which only the continuous codes tell apart, and one category may stand
for two digits. With a larger weight for the continuous codes the categories agree less with digits; with a smaller one
they agree more, and the continuous codes mean nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.parts.adversarial import (
    adam,
    blank_images,
    check_fractions,
    sample_figures,
    with_average_and_history,
)
from genjax.core import Model
from genjax.data.dataset import Dataset, Split, part
from genjax.data.labels import has_labels
from genjax.evaluation import Measure
from genjax.measures.features import PROBED, features_function, make_features
from genjax.metrics.clustering import clustering_error, matched_labels
from genjax.models.adversarial import infogan as infogan_model
from genjax.models.adversarial.average import averaged
from genjax.networks.bound import bind
from genjax.pictures.figures import Figures, image_grid
from genjax.runs.experiment import Experiment, Reference
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

ROWS, COLUMNS = 8, 10
"""Number of rows of a figure, one for each noise vector, and of columns of the figure of a continuous code."""

REACH = 2.0
"""Limit of the figures of continuous codes, from -REACH to REACH: beyond the [-1, 1] of training, as in the paper."""


@dataclass(frozen=True)
class Options:
    """Options of InfoGAN."""

    data: Data = Data(binarization="none")
    run: Run = Run(batch_size=128)
    noise: int = 62
    """Number of dimensions of the noise, each uniform on [-1, 1]."""
    categories: int = 10
    """Number of values of the categorical code."""
    continuous: int = 2
    """Number of continuous codes, each uniform on [-1, 1]."""
    information: float = 1.0
    """Weight of the mutual information bound for the categorical code."""
    continuous_information: float = 0.03
    """Weight of the mutual information bound for the continuous codes."""
    average: float = 0.0
    """Decay of the moving average of the generator's weights from which samples are drawn; 0 for no average."""
    channels: tuple[int, int] = (64, 128)
    """Channels of the discriminator's two convolutions; the generator has them in reverse order."""
    hidden: int = 1024
    """Number of units of the dense layers of generator and discriminator."""
    recognition_hidden: int = 128
    """Number of units of the hidden layer of the recognition network Q."""
    learning_rate: float = 1e-3
    """Learning rate of the generator's Adam optimizer."""
    discriminator_learning_rate: float = 2e-4
    """Learning rate of the Adam optimizer of the discriminator and of Q."""


FIFTY_EPOCHS = Run(seeds=(0, 1, 2, 3, 4), steps=5000, batch_size=128, evaluate_every=1000)
"""Training of fifty epochs of a hundred updates each, as the paper counts epochs."""

PRESETS = {
    "quick": Options(
        Data(binarization="none"),
        Run(steps=1500, batch_size=64, evaluate_every=500),
        channels=(32, 64),
        hidden=128,
        noise=30,
    ),
    "small": Options(
        Data(dataset="mnist", binarization="none"),
        replace(FIFTY_EPOCHS, steps=2000, evaluate_every=500),
        channels=(32, 64),
        hidden=256,
    ),
    "paper": Options(Data(dataset="mnist", binarization="none"), FIFTY_EPOCHS),
}


def infogan(options: Options) -> Experiment:
    """Return the experiment: an InfoGAN on images."""
    check(options)
    data = options.data.load()
    networks = infogan_model.conv_networks(
        data.image_shape,
        sizes=infogan_model.Sizes(options.noise, options.categories, options.continuous),
        channels=options.channels,
        hidden=options.hidden,
        recognition_hidden=options.recognition_hidden,
    )
    model = infogan_model.infogan(
        data.image_shape,
        networks,
        optimizers=infogan_model.Optimizers(adam(options.discriminator_learning_rate), adam(options.learning_rate)),
        information=options.information,
        continuous_information=options.continuous_information,
    )
    model = with_average_and_history(model, blank_images(data), average=options.average, steps=options.run.steps)
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(networks, model, data),
        measure=make_measure(model, data, options.categories) if has_labels(data) else None,
        kinds={"category_error": "exact"},
    )


def check(options: Options) -> None:
    """Raise ValueError where an option is out of range."""
    check_positive(
        noise=options.noise,
        channels=min(options.channels),
        hidden=options.hidden,
        recognition_hidden=options.recognition_hidden,
        learning_rate=options.learning_rate,
        discriminator_learning_rate=options.discriminator_learning_rate,
    )
    check_fractions(average=options.average)
    if options.categories < 2 or options.continuous < 0:
        raise ValueError(
            f"--categories {options.categories} must be at least 2, and --continuous {options.continuous} at least 0"
        )


def make_measure(model: Model, data: Dataset, categories: int) -> Measure:
    """Return the measure of `category_error`: the error rate if the most probable category predicts the class."""
    features_of = make_features(features_function(model), data.load)

    def posteriors(params: Params, stats: Stats, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Return Q(category|x) [N, categories] and the labels [N] of a split."""
        found: Any = features_of(params, stats, split)
        return np.exp(found.features[:, :categories]), found.label

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        known = part(data.train, 0, min(PROBED, data.train.size))
        label_of_category = matched_labels(*posteriors(params, stats, known))
        return {"category_error": clustering_error(*posteriors(params, stats, split), label_of_category)}

    return measure


def make_figures(networks: infogan_model.Networks, model: Model, data: Dataset) -> Figures:
    """Return the figures: samples, their history, and images of the same noise for each category and each code."""
    sizes = networks.sizes

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        drawn = sample_figures(model, data, params, stats, key)
        G = bind(networks, *averaged(params, stats)).generator
        generate = jax.jit(lambda codes: G(infogan_model.joined(sizes, codes)))
        codes = jax.device_get(jax.jit(lambda key: infogan_model.draw_codes(sizes, key, ROWS))(key))
        categories = {"category": np.arange(sizes.categories)}
        drawn["categories"] = rows_of(generate, codes, categories, "a column per category")
        for index in range(sizes.continuous):
            numbers = np.zeros((COLUMNS, sizes.continuous), np.float32)
            numbers[:, index] = np.linspace(-REACH, REACH, COLUMNS)
            title = f"continuous code {index + 1} from {-REACH:g} to {REACH:g}, the others 0"
            drawn[f"continuous_{index + 1}"] = rows_of(generate, codes, {"continuous": numbers}, title)
        return drawn

    return figures


def rows_of(
    generate: Callable[[infogan_model.Codes], jax.Array],
    codes: infogan_model.Codes,
    columns: Mapping[str, np.ndarray],
    title: str,
) -> Figure:
    """Return a row of images for each code; `columns` gives the values of one part of the code, column by column."""
    count = len(next(iter(columns.values())))
    repeated = codes._replace(**{name: np.repeat(array, count, axis=0) for name, array in codes._asdict().items()})
    values = {name: np.concatenate([array] * len(codes.noise)) for name, array in columns.items()}
    images = generate(repeated._replace(**values))
    return image_grid(np.asarray(images), columns=count, title=f"a row per noise, {title}")


REFERENCES = (Reference("category_error", "mnist", "real", 0.05, "Chen et al. (2016), sec. 7.2, about 5 %"),)

HEADLINE = "category_error"

if __name__ == "__main__":
    main(infogan, PRESETS)
