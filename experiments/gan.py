"""Generative adversarial network, on images or points (Goodfellow et al. 2014).

A discriminator D learns to tell examples x from what a generator G makes of noise z, and G learns to deceive it:

    min over G, max over D of   E log D(x) + E log(1 - D(G(z))),   z uniform on [-sqrt 3, sqrt 3]^100       (eq. 1)

At the best D the value is -log 4 + 2 JSD(p_data, p_model) (eq. 6; genjax/losses/game.py and its tests). Each step has
two phases, `discriminator_phase_loss` and `generator_phase_loss` in genjax/models/adversarial/gan.py:

    discriminator    D    -log D(x) - log(1 - D(G(z)))
    generator        G    -log D(G(z))            (--loss minimax: log(1 - D(G(z))))

--loss chooses among the games of genjax/losses/adversarial.py. With --discriminator-moves K the generator moves in
every K-th step; each move of D has its own batch and noise. --penalty adds what D pays for its gradients (`Penalty`
there), --average samples from an exponential moving average of G (genjax/models/adversarial/average.py), which the game
does not see. G is of ReLU units, D of maxout units with dropout (genjax/networks/maxout.py), the dropout on in both
phases.

    python -m experiments.gan                                              digits
    python -m experiments.gan --preset ring --seeds 0 1 2 3 4              eight Gaussians on a ring, with a movie
    python -m experiments.gan --preset ring --penalty none --average 0 --seeds 0 1 2 3 4       the game as it is
    python -m experiments.gan --preset ring --dataset grid                 25 Gaussians on a grid
    python -m experiments.gan --preset small --parzen --data-dir DIR       MNIST; Parzen, with its anchors
    python -m experiments.gan --preset paper --data-dir DIR

**Numbers.** A GAN has no likelihood. On points the density is known (genjax/data/points.py), and 10 000 samples are
held against it (genjax/metrics/modes.py): `modes_covered` counts the modes that have a tenth of their share of samples
within three standard deviations, `high_quality` is the share of all samples that lie so near to one, and `jsd_nats` the
Jensen-Shannon divergence between histograms, in [0, 0.693]. result.json has the same of as many points of the mixture
itself beside them (`true_jsd_nats` and the others). On images `parzen_nats` is the log-likelihood of test images under
a Gaussian window around 10 000 samples, with the same for training images and k-means centres in place of samples: it
says little about a model (Theis et al. 2016). `real_logit` and `fake_logit` are D's outputs at test images and at
samples beside them, and the losses those of the players there: where both play well D cannot tell, and the losses are 2
log 2 and log 2. They say nothing about how good the samples are.

The ring, five seeds, the last step of 4000:

                                    modes_covered of 8    jsd_nats         high_quality
    --preset ring                   8 8 8 8 8             0.101 ± 0.007    0.837 ± 0.012
    --penalty none --average 0      6 8 6 6 8             0.227 ± 0.052    0.756 ± 0.141
    points of the mixture itself    8                     0.0004           0.989

The grid with the same options covers 3, 4 and 5 of its 25 modes in three seeds (jsd_nats 0.544 ± 0.021); with
--hidden 128 128 --maxout 128 128 --latents 16 --penalty-weight 0.01 --steps 6000, one seed, 10 (0.418).

On MNIST, parzen_nats; in its protocol training images have 242.3, k-means centres 330.5:

    --preset small --parzen                                  175.8 ± 2.2 (its standard error; one seed, 19 minutes)
    --preset small --parzen --penalty none --steps 10000     102.1 ± 2.0 (a third of its samples are ones)
    --preset paper                                           not measured yet             the paper's 225 ± 2

Where we leave the paper: its algorithm 1 has the minimax loss and its code the other one, which is the default here.
The players move in turn, where the code moves both at once, and the discriminator's step size is half the generator's,
where the code halves its loss. All presets but paper have Adam with b1 0.5. Images of 0 or 1 throughout would have
infinite marginal logits: these start within those of 0.01 and 0.99.

Known failures: without a penalty the players need not settle, and modes come and go. With it, some samples of the ring
lie between its modes: a continuous G has to cross. The grid is not solved. Nothing is selected, since no number on the
validation split says which step is best.
"""

from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jax.nn.initializers import Initializer, constant
from matplotlib.figure import Figure

from experiments.parts.games import (
    KINDS,
    ROWS,
    GameName,
    adam,
    check_shares,
    empty_batch,
    game_of,
    load_images,
    sample_figures,
    with_extras,
)
from experiments.parts.points import point_experiment
from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.data.load import mean_image
from genjax.data.points import MIXTURES, Mixture, mixture_dataset
from genjax.evaluation import Measure
from genjax.measures.baselines import NAMES, images_of, parzen_numbers
from genjax.metrics.pairwise import squared_distances
from genjax.models.adversarial import gan as gan_model
from genjax.models.priors import uniform
from genjax.pictures.drawing import drawn
from genjax.pictures.figures import Figures, beside, image_grid
from genjax.runs.experiment import Common, Experiment, Reference, Run, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

PenaltyName = Literal["none", "gradient", "r1"]

MARGINAL = 0.01
"""The mean of a pixel lies at least so far from 0 and 1 where the generator starts."""

COMPARED = 10_000
"""Training images among which the nearest is looked for."""


def gan(
    run: Common = Run(binarization="none"),  # noqa: B008 (frozen)
    *,
    loss: GameName = "nonsaturating",
    smoothing: float = 0.0,
    discriminator_moves: int = 1,
    penalty: PenaltyName = "none",
    penalty_weight: float = 10.0,
    average: float = 0.0,
    latents: int = 100,
    hidden: tuple[int, ...] = (1200, 1200),
    maxout: tuple[int, ...] = (240, 240),
    pieces: int = 5,
    dropout: tuple[float, float] = (0.2, 0.5),
    optimizer: Literal["adam", "sgd"] = "sgd",
    learning_rate: float = 0.1,
    discriminator_learning_rate: float = 0.05,
    parzen: bool = False,
    parzen_samples: int = 10_000,
) -> Experiment:
    """A generative adversarial network.

    Args:
        run: What every experiment has; --dataset ring and grid are points (embedded).
        loss: What the players descend.
        smoothing: How far the discriminator's target for real examples is below 1 (one-sided label smoothing).
        discriminator_moves: Of the discriminator for each of the generator.
        penalty: What the discriminator pays for its gradients: (|gradient| - 1)^2 between real and fake examples, or
            |gradient|^2 / 2 at real ones (r1).
        penalty_weight: Of the penalty.
        average: Decay of the average of the generator that samples are of; 0 for none.
        latents: Dimensions of the noise.
        hidden: Widths of the generator's layers.
        maxout: Widths of the discriminator's layers.
        pieces: Linear maps of each of its units.
        dropout: Probability that a pixel of what the discriminator sees is left out in training, and one of its units
            (images).
        optimizer: Adam with b1 0.5, or the authors' gradient descent with momentum.
        learning_rate: Step size of the generator at the start.
        discriminator_learning_rate: Of the discriminator.
        parzen: Whether the Parzen log-likelihood and its two anchors are measured; on MNIST this takes minutes.
        parzen_samples: Samples of which the window is made.
    """
    check_positive(
        discriminator_moves=discriminator_moves,
        penalty_weight=penalty_weight,
        latents=latents,
        hidden=min(hidden, default=1),
        maxout=min(maxout, default=1),
        pieces=pieces,
        learning_rate=learning_rate,
        discriminator_learning_rate=discriminator_learning_rate,
        parzen_samples=parzen_samples,
    )
    for share in dropout:
        check_shares(average=average, smoothing=smoothing, dropout=share)
    mixture = MIXTURES[run.dataset]() if run.dataset in MIXTURES else None
    if mixture is not None and parzen:
        raise ValueError(f"--parzen: the density of --dataset {run.dataset} is known, and its metrics are measured")
    data = load_images(run) if mixture is None else mixture_dataset(mixture)
    rates = {"discriminator": discriminator_learning_rate, "generator": learning_rate}
    epoch = -(-data.train.size // run.batch_size)
    model = gan_model.gan(
        data.image_shape if mixture is None else mixture.means.shape[1:],
        make_networks(data, mixture, Sizes(hidden, maxout, pieces, dropout, latents)),
        optimizers=gan_model.Optimizers(
            **{name: adam(rate) if optimizer == "adam" else momentum(rate, epoch) for name, rate in rates.items()}
        ),
        game=game_of(loss, smoothing),
        discriminator_moves=discriminator_moves,
        penalty=make_penalty(penalty, penalty_weight),
        example="image" if mixture is None else "point",
    )
    if mixture is not None:
        return point_experiment(model, mixture, data, average=average, steps=run.steps)
    model = with_extras(model, empty_batch(data), average=average, steps=run.steps)
    return Experiment(
        model=model,
        data=data,
        kinds={**KINDS, **(dict.fromkeys(NAMES, "estimate") if parzen else {})},
        figures=make_figures(model, data),
        measure=make_measure(model, data, parzen_samples) if parzen else None,
    )


class Sizes(NamedTuple):
    """The options that say what the networks are."""

    hidden: tuple[int, ...]
    maxout: tuple[int, ...]
    pieces: int
    dropout: tuple[float, float]
    latents: int


def make_networks(data: Dataset, mixture: Mixture | None, sizes: Sizes) -> gan_model.Networks:
    """The networks for these images, or for points."""
    own: dict[str, Any] = {"hidden": sizes.hidden, "maxout": sizes.maxout, "pieces": sizes.pieces}
    prior = uniform(sizes.latents, limit=3**0.5)
    if mixture is not None:
        return gan_model.point_networks(mixture.means.shape[1], **own, prior=prior)
    bias_init = marginal_logits(data)
    return gan_model.image_networks(data.image_shape, **own, dropout=sizes.dropout, prior=prior, bias_init=bias_init)


def marginal_logits(data: Dataset) -> Initializer:
    """The logits of the mean training image, kept away from those of 0 and 1."""
    mean = np.clip(mean_image(data), MARGINAL, 1 - MARGINAL)
    return constant(np.log(mean) - np.log1p(-mean))


def make_penalty(name: PenaltyName, weight: float) -> gan_model.Penalty | None:
    """The penalty of this name."""
    if name == "none":
        return None
    return gan_model.r1(weight=weight) if name == "r1" else gan_model.wasserstein_penalty(weight=weight)


def momentum(learning_rate: float, steps_per_epoch: int) -> optax.GradientTransformation:
    """The authors' descent: the rate falls by 4e-6 of itself in a step, the momentum rises in 250 epochs."""
    return optax.inject_hyperparams(optax.sgd)(
        learning_rate=lambda count: jnp.maximum(learning_rate / 1.000004**count, 1e-6),
        momentum=optax.linear_schedule(0.5, 0.7, 250 * steps_per_epoch),
    )


def make_measure(model: Model, data: Dataset, count: int) -> Measure:
    """The Parzen log-likelihood and its anchors."""

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        return parzen_numbers(data, split, drawn(model, data, params, stats, count, key).reshape(count, -1))

    return measure


def make_figures(model: Model, data: Dataset) -> Figures:
    """Samples, how some came to be over training, and the training images that are nearest to some."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        few = drawn(model, data, params, stats, ROWS**2 // 2, key)
        return {**sample_figures(model, data, params, stats, key), "nearest": nearest(few, data)}

    return figures


def nearest(samples: np.ndarray, data: Dataset) -> Figure:
    """Each sample with the nearest of the first training images to the right: what it has learnt by heart."""
    training = images_of(data, data.train, np.arange(min(data.train.size, COMPARED)))
    found = training[squared_distances(samples.reshape(len(samples), -1), training).argmin(axis=1)]
    pairs = beside(samples, found.reshape(samples.shape))
    return image_grid(pairs, columns=ROWS, title="sample, nearest training image")


PRESETS = {
    "quick": {
        "run": Run(steps=3000, binarization="none", evaluate_every=1000),
        "hidden": (256, 256),
        "maxout": (64, 64),
        "optimizer": "adam",
        "learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "average": 0.99,
    },
    "ring": {
        "run": Run(dataset="ring", steps=4000, batch_size=128, evaluate_every=1000, binarization="none"),
        "hidden": (64, 64),
        "maxout": (64, 64),
        "pieces": 2,
        "latents": 4,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "discriminator_learning_rate": 1e-3,
        "penalty": "r1",
        "penalty_weight": 0.1,
        "average": 0.99,
    },
    "small": {
        "run": Run(dataset="mnist", steps=8000, binarization="none", evaluate_every=2000),
        "optimizer": "adam",
        "learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "penalty": "r1",
        "penalty_weight": 1.0,
        "average": 0.999,
    },
    "paper": {
        "run": Run(dataset="mnist", steps=250_000, binarization="none", evaluate_every=5000),
        "parzen": True,
    },
}

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
