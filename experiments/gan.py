"""Generative adversarial network on images or points (Goodfellow et al. 2014).

A discriminator D learns to tell training examples x from generated ones G(z), and the generator G learns to turn noise
z into examples that D takes for real:

    min over G, max over D of   E log D(x) + E log(1 - D(G(z))),   z uniform on [-sqrt 3, sqrt 3]^100       (eq. 1)

For the best D this value is -log 4 + 2 JSD(p_data, p_model) (eq. 6). Each training step has two phases, which are in
genjax/models/adversarial/gan.py:

    discriminator    updates D, minimizing  -log D(x) - log(1 - D(G(z)))
    generator        updates G, minimizing  -log D(G(z))            (--loss minimax: log(1 - D(G(z))))

--loss chooses another adversarial loss of genjax/losses/adversarial.py. With --discriminator-moves K the generator is
updated in every K-th step only; each update of D has its own batch and noise. --penalty adds a gradient penalty to the
loss of D. --average draws samples from an exponential moving average of G (genjax/models/adversarial/average.py), which
does not take part in training. G has ReLU units, D maxout units with dropout (genjax/networks/maxout.py); dropout is on
in both phases.

    python -m experiments.gan                                              digits
    python -m experiments.gan --preset ring --seeds 0 1 2 3 4              eight Gaussians on a ring, with a movie
    python -m experiments.gan --preset ring --penalty none --average 0     the same without penalty and average
    python -m experiments.gan --preset ring --dataset grid                 25 Gaussians on a grid
    python -m experiments.gan --preset small --parzen --data-dir DIR       MNIST, with the Parzen log-likelihood
    python -m experiments.gan --preset paper --data-dir DIR                MNIST as in the paper

**Metrics.** A GAN has no likelihood. On points the density is known (genjax/data/points.py), and 10 000 samples are
compared with it (genjax/metrics/modes.py). `modes_covered` counts the modes with enough samples within three standard
deviations: at least a tenth of the number of samples divided by the number of modes. `high_quality` is the fraction of
all samples within three standard deviations of some mode. `jsd_nats` is the Jensen-Shannon divergence between
histograms of samples and of the density, in [0, 0.693]. result.json also has these metrics for as many points of the
mixture itself (`true_jsd_nats` and so on).

On images `parzen_nats` is the log-likelihood of test images under a Gaussian window around 10 000 samples. The number
alone says little about a model (Theis et al. 2016), so its baselines are measured too: training images, and k-means
centres, in place of samples. `real_logit` and `fake_logit` are the mean outputs of D for test images and for generated
ones; `discriminator_loss` and `generator_loss` are the losses on these images. If D cannot tell real from generated,
these losses are 2 log 2 and log 2; they do not measure the quality of samples.

**Differences from the paper.** Algorithm 1 of the paper has the minimax loss; the authors' code has the nonsaturating
one, which is the default here. D and G are updated one after the other, where the authors' code updates both at once,
and the learning rate of D is half that of G, where their code halves the loss of D. All presets but `paper` use Adam
with b1 = 0.5. Their code starts the generator's output biases at the logits of the mean image; since those of pixels
that are always 0 or always 1 would be infinite, means are clipped to [0.01, 0.99] here.

**Known failures.** Without a penalty training need not settle, and modes come and go. With a penalty some samples of
the ring lie between its modes, since a continuous G has to connect them. On the grid most of the 25 modes are missed.
The parameters of the last step are kept: no metric on the validation split says which step is best.
"""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
import optax
from jax.nn.initializers import Initializer, constant
from matplotlib.figure import Figure

from experiments.parts.adversarial import (
    ROWS,
    LossName,
    adam,
    adversarial_loss,
    blank_images,
    check_fractions,
    sample_figures,
    with_average_and_history,
)
from experiments.parts.points import point_experiment
from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.data.load import mean_image
from genjax.data.points import MIXTURES, Mixture, mixture_dataset
from genjax.evaluation import Measure
from genjax.measures.baselines import images_of, parzen_numbers
from genjax.metrics.pairwise import squared_distances
from genjax.models.adversarial import gan as gan_model
from genjax.models.priors import uniform
from genjax.pictures.drawing import drawn
from genjax.pictures.figures import Figures, beside, image_grid
from genjax.runs.experiment import Baseline, Experiment, Reference
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

MARGINAL = 0.01
"""Mean pixel values are clipped to [MARGINAL, 1 - MARGINAL] before their logits become the generator's biases."""

COMPARED = 10_000
"""Number of training images that are searched for the nearest neighbour of a sample."""


@dataclass(frozen=True)
class Options:
    """Options of a generative adversarial network of dense layers."""

    data: Data = Data(binarization="none")
    run: Run = Run()
    loss: LossName = "nonsaturating"
    """Adversarial loss of both networks."""
    smoothing: float = 0.0
    """One-sided label smoothing: the discriminator's target for real examples is 1 minus this number."""
    discriminator_moves: int = 1
    """Number of updates of the discriminator for each update of the generator."""
    penalty: Literal["none", "gradient", "r1"] = "none"
    """Gradient penalty of the discriminator: (|gradient| - 1)^2 between real and generated examples (gradient), or
    |gradient|^2 / 2 at real examples (r1)."""
    penalty_weight: float = 10.0
    """Weight of the gradient penalty."""
    average: float = 0.0
    """Decay of the moving average of the generator's weights from which samples are drawn; 0 for no average."""
    latents: int = 100
    """Number of dimensions of the noise, each uniform with variance 1."""
    hidden: tuple[int, ...] = (1200, 1200)
    """Widths of the generator's hidden layers."""
    maxout: tuple[int, ...] = (240, 240)
    """Widths of the discriminator's maxout layers."""
    pieces: int = 5
    """Number of linear functions of each maxout unit, which returns the largest of them."""
    dropout: tuple[float, float] = (0.2, 0.5)
    """Dropout rates of the discriminator's input pixels and of its units; points are trained without dropout."""
    optimizer: Literal["adam", "sgd"] = "sgd"
    """Optimizer: Adam with b1 = 0.5, or gradient descent with the momentum and decay of the authors' code (sgd)."""
    learning_rate: float = 0.1
    """Learning rate of the generator's optimizer at the start."""
    discriminator_learning_rate: float = 0.05
    """Learning rate of the discriminator's optimizer at the start."""
    parzen: bool = False
    """Measure the Parzen log-likelihood and its baselines (training images, k-means centres); slow on MNIST."""
    parzen_samples: int = 10_000
    """Number of samples in the Parzen window."""


PRESETS = {
    "quick": Options(
        Data(binarization="none"),
        Run(steps=3000, evaluate_every=1000),
        hidden=(256, 256),
        maxout=(64, 64),
        optimizer="adam",
        learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        average=0.99,
    ),
    "ring": Options(
        Data(dataset="ring", binarization="none"),
        Run(steps=4000, batch_size=128, evaluate_every=1000),
        hidden=(64, 64),
        maxout=(64, 64),
        pieces=2,
        latents=4,
        optimizer="adam",
        learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        penalty="r1",
        penalty_weight=0.1,
        average=0.99,
    ),
    "small": Options(
        Data(dataset="mnist", binarization="none"),
        Run(steps=8000, evaluate_every=2000),
        optimizer="adam",
        learning_rate=2e-4,
        discriminator_learning_rate=2e-4,
        penalty="r1",
        penalty_weight=1.0,
        average=0.999,
    ),
    "paper": Options(Data(dataset="mnist", binarization="none"), Run(steps=250_000, evaluate_every=5000), parzen=True),
}


def gan(options: Options) -> Experiment:
    """Return the experiment: a generative adversarial network on images, or with --dataset ring or grid on points."""
    check(options)
    name, average, steps = options.data.dataset, options.average, options.run.steps
    mixture = MIXTURES[name]() if name in MIXTURES else None
    if mixture is not None and options.parzen:
        raise ValueError(f"--parzen: the density of --dataset {name} is known, and its metrics are measured")
    data = options.data.load() if mixture is None else mixture_dataset(mixture)
    model = gan_model.gan(
        data.image_shape if mixture is None else mixture.means.shape[1:],
        make_networks(options, data, mixture),
        optimizers=make_optimizers(options, -(-data.train.size // options.run.batch_size)),
        adversarial=adversarial_loss(options.loss, options.smoothing),
        discriminator_updates=options.discriminator_moves,
        penalty=make_penalty(options),
        example="image" if mixture is None else "point",
    )
    if mixture is not None:
        return point_experiment(model, mixture, data, average=average, steps=steps)
    model = with_average_and_history(model, blank_images(data), average=average, steps=steps)
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(model, data),
        measure=make_measure(model, data, options.parzen_samples) if options.parzen else None,
    )


def check(options: Options) -> None:
    """Raise ValueError where an option is out of range."""
    check_positive(
        discriminator_moves=options.discriminator_moves,
        penalty_weight=options.penalty_weight,
        latents=options.latents,
        hidden=min(options.hidden, default=1),
        maxout=min(options.maxout, default=1),
        pieces=options.pieces,
        learning_rate=options.learning_rate,
        discriminator_learning_rate=options.discriminator_learning_rate,
        parzen_samples=options.parzen_samples,
    )
    check_fractions(average=options.average, smoothing=options.smoothing)
    for rate in options.dropout:
        check_fractions(dropout=rate)


def make_networks(options: Options, data: Dataset, mixture: Mixture | None) -> gan_model.Networks:
    """Return the generator and the discriminator for images, or for points of a mixture."""
    hidden, maxout, pieces = options.hidden, options.maxout, options.pieces
    prior = uniform(options.latents, limit=3**0.5)
    if mixture is not None:
        dimension = mixture.means.shape[1]
        return gan_model.point_networks(dimension, hidden=hidden, maxout=maxout, pieces=pieces, prior=prior)
    return gan_model.image_networks(
        data.image_shape,
        hidden=hidden,
        maxout=maxout,
        pieces=pieces,
        dropout=options.dropout,
        prior=prior,
        bias_init=marginal_logits(data),
    )


def marginal_logits(data: Dataset) -> Initializer:
    """Return an initializer with the logits of the mean training image, clipped to [MARGINAL, 1 - MARGINAL]."""
    mean = np.clip(mean_image(data), MARGINAL, 1 - MARGINAL)
    return constant(np.log(mean) - np.log1p(-mean))


def make_penalty(options: Options) -> gan_model.Penalty | None:
    """Return the gradient penalty that --penalty names, or None."""
    if options.penalty == "none":
        return None
    penalty = gan_model.r1 if options.penalty == "r1" else gan_model.wasserstein_penalty
    return penalty(weight=options.penalty_weight)


def make_optimizers(options: Options, steps_per_epoch: int) -> gan_model.Optimizers:
    """Return the optimizers of the discriminator and the generator."""
    rates = options.discriminator_learning_rate, options.learning_rate
    if options.optimizer == "adam":
        return gan_model.Optimizers(*map(adam, rates))
    return gan_model.Optimizers(*(momentum(rate, steps_per_epoch) for rate in rates))


def momentum(learning_rate: float, steps_per_epoch: int) -> optax.GradientTransformation:
    """Return gradient descent as in the authors' code.

    The learning rate is divided by 1.000004 in each step; the momentum rises from 0.5 to 0.7 over 250 epochs.
    """
    return optax.inject_hyperparams(optax.sgd)(
        learning_rate=lambda count: jnp.maximum(learning_rate / 1.000004**count, 1e-6),
        momentum=optax.linear_schedule(0.5, 0.7, 250 * steps_per_epoch),
    )


def make_measure(model: Model, data: Dataset, count: int) -> Measure:
    """Return the measure of the Parzen log-likelihood under `count` samples, with its baselines."""

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        return parzen_numbers(data, split, drawn(model, data, params, stats, count, key).reshape(count, -1))

    return measure


def make_figures(model: Model, data: Dataset) -> Figures:
    """Return the figures: samples, their history over training, and samples with their nearest training images."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        few = drawn(model, data, params, stats, ROWS**2, key)[: ROWS**2 // 2]
        return {**sample_figures(model, data, params, stats, key), "nearest": nearest(few, data)}

    return figures


def nearest(samples: np.ndarray, data: Dataset) -> Figure:
    """Return a figure of samples, each with its nearest training image to the right, to reveal copies."""
    training = images_of(data, data.train, np.arange(min(data.train.size, COMPARED)))
    found = training[squared_distances(samples.reshape(len(samples), -1), training).argmin(axis=1)]
    pairs = beside(samples, found.reshape(samples.shape))
    return image_grid(pairs, columns=ROWS, title="sample, nearest training image")


REFERENCES = (
    Reference("parzen_nats", "mnist", "real", 225, "Goodfellow et al. (2014), table 1"),
    Reference("modes_covered", "ring", "points", 8, "the modes there are"),
    Reference("jsd_nats", "ring", "points", 0.0004, "as many points of the mixture itself"),
    Reference("modes_covered", "grid", "points", 25, "the modes there are"),
)

BASELINES = (
    Baseline("parzen_nats", "parzen_training_images_nats", "training images in place of samples"),
    Baseline("parzen_nats", "parzen_kmeans_nats", "k-means centres in place of samples"),
)
HEADLINE = "parzen_nats"

if __name__ == "__main__":
    main(gan, PRESETS)
