"""Adversarial autoencoder on images (Makhzani, Shlens, Jaitly, Goodfellow & Frey 2015).

An autoencoder learns to reconstruct images x from codes z. A discriminator D learns to tell the codes of images, q(z) =
E_x q(z|x), from samples of a prior p(z), and the encoder learns to deceive it. Each step has three phases:

    reconstruction    encoder, decoder    |x - decoder(z)|^2,   z ~ q(z|x)
    discriminator     D                   -log D(z') - log(1 - D(z)),   z' ~ p(z)
    regularization    encoder             -log D(z)

The phases are in genjax/models/latent/aae.py, the adversarial losses in genjax/losses/adversarial.py, and the priors in
genjax/models/priors.py. A prior needs no density, only a sampler: from Python, any function (key, count, labels) ->
samples can be the prior.

    python -m experiments.aae                                                   digits, ten Gaussians, labels
    python -m experiments.aae --prior swiss-roll --labels 0                     another prior, no labels
    python -m experiments.aae --no-adversary                                    a plain autoencoder, to compare with
    python -m experiments.aae --preset small --data-dir DIR                     MNIST
    python -m experiments.aae --preset paper --parzen                           8-D code; Parzen, with its baselines
    python -m experiments.aae --preset paper --task semi-supervised --labels 100 --latents 10 --std 1 --dropout 0.2
    python -m experiments.aae --preset paper --task clustering --clusters 30 --latents 5 --std 1

Labels: --labels N takes N training labels, equally many of each class, the same for all seeds. They shape a prior that
has classes (section 2.3, figure 4): D reads the class as a one-hot vector whose last slot means "unlabelled", and a
labelled image is compared with prior samples of its own class. With --task semi-supervised (section 5) the encoder also
gives a softmax y, which a second discriminator compares with draws from a uniform categorical distribution, and a
fourth phase descends the cross-entropy of a labelled mini-batch. With --task clustering (section 6) there is no such
phase: y is a cluster, and a cluster has the class of the validation image with the greatest q(y|x).

Metrics:

    squared_error         |x - decoder(z)|^2 per image, summed over pixels
    code_mmd2             unbiased squared maximum mean discrepancy between the codes of test images and samples of the
                          prior (genjax/metrics/mmd.py), 0 where they are equally distributed. Its kernel depends on the
                          prior alone, so that runs with one prior can be compared; result.json names the kernel
    error_rate            fraction of test images whose class is wrong (--task semi-supervised)
    cluster_error_rate    fraction of test images whose cluster's class is not their label (--task clustering)
    parzen_nats           log-likelihood of test images under a Gaussian window around 10 000 samples, whose bandwidth
                          is picked on 1000 validation images (--parzen; genjax/metrics/parzen.py). It says little about
                          a model (Theis et al. 2016: k-means centres score higher than real images). Its baselines are
                          the log-likelihoods with training images, and with k-means centres, in place of samples

Differences from the paper: Adam with a cosine decay instead of SGD with momentum; training on 50 000 images instead of
60 000; the paper gives neither the dimensions of z besides y nor the length of training. The labelled mini-batch of
each step is drawn with replacement. `paper` asks for a GPU; on a CPU, --hidden 500 500 --steps 15000 is 30 epochs of a
smaller network.

Known failures: with a step size of 1e-3 for the reconstruction and of 5e-4 for the adversarial phases, as in `quick`,
the reconstruction spreads the codes of MNIST far outside the prior, and more steps do not bring them back; `small`
therefore has 2e-4 and 1e-3. Two-dimensional codes carry little information, since in the mixture prior the codes of one
class hardly vary in more than one dimension: the decoder's means are blurred and, near the middle, where all classes
meet, grey. Without batch normalization of the logits of y (`normalized` in `mlp_networks`; clustering has it) the
encoder uses a few of the clusters only. The adversarial phases on z and on y share one Adam optimizer. Labels shape the
codes of training images; the codes of test images spread more.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
import optax
from jaxtyping import Int

from experiments.parts.aae_codes import MMD_SAMPLES, Parts, Task, make_encode, make_figures, make_measure, prior_samples
from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.feed import Feed, make_feed
from genjax.data.labels import choose_labelled, class_count, has_labels, labels_of, mark_labelled, with_labelled_batches
from genjax.metrics.mmd import rbf_at_median
from genjax.models import priors
from genjax.models.latent import aae as aae_model
from genjax.models.latent.aae_networks import Networks, mlp_networks
from genjax.models.priors import Prior
from genjax.runs.experiment import Baseline, Experiment, Reference
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main

ADVERSARIAL = ("discriminator", "regularization")
"""Phases that a plain autoencoder does not have."""

ADVERSARIAL_B1 = 0.5
"""Adam's b1 in the adversarial phases: small, since gradients are soon out of date as the other network changes."""

DEFAULT_CLASSES = 10
"""Number of classes of a prior with classes where the data have no labels."""


@dataclass(frozen=True)
class Options:
    """Options of an adversarial autoencoder."""

    data: Data = Data(binarization="none")
    run: Run = Run()
    task: Task = "none"
    """Meaning of the encoder's softmax output y: none (no such output), the class (semi-supervised), or a cluster
    (clustering)."""
    prior: Literal["gaussian", "uniform", "mixture", "swiss-roll"] = "gaussian"
    """Prior of z; mixture (one Gaussian per class) and swiss-roll have classes and two dimensions."""
    std: float = 5.0
    """Standard deviation of the gaussian prior."""
    limit: float = 2.0
    """Limit of the uniform prior, which reaches from -limit to limit in each dimension."""
    labels: int = 0
    """Number of training labels that the task, or a prior with classes, may use."""
    clusters: int = 16
    """Number of clusters, which are the values of y (clustering)."""
    encoder: Literal["deterministic", "gaussian"] = "deterministic"
    """Encoder: z is a function of x (deterministic), or a sample of a Gaussian q(z|x) (gaussian)."""
    hidden: tuple[int, ...] = (1000, 1000)
    """Widths of the layers of the encoder and of each discriminator; the decoder mirrors the encoder."""
    latents: int = 8
    """Number of dimensions of z; with 2, a picture of the codes is drawn."""
    dropout: float = 0.0
    """Probability that a pixel of the encoder's input is dropped in training."""
    learning_rate: float = 1e-3
    """Initial step size of Adam for the reconstruction and the cross-entropy of labels."""
    discriminator_learning_rate: float = 5e-4
    """Initial step size of the discriminators' Adam optimizer."""
    regularization_learning_rate: float = 5e-4
    """Initial step size of the encoder's Adam optimizer in the adversarial phase (regularization)."""
    adversary: bool = True
    """Train with the adversarial phases; without them the model is a plain autoencoder."""
    parzen: bool = False
    """Measure the Parzen log-likelihood and its baselines (training images, k-means centres); slow on MNIST."""
    parzen_samples: int = 10_000
    """Number of samples in the Parzen window."""


PRESETS = {
    "quick": Options(
        run=Run(steps=3000, evaluate_every=1000),
        prior="mixture",
        labels=1000,
        hidden=(200, 200),
        latents=2,
    ),
    "small": Options(
        Data(dataset="mnist", binarization="none"),
        Run(seeds=(0, 1, 2), steps=6000, evaluate_every=1000),
        prior="mixture",
        labels=10_000,
        hidden=(500, 500),
        latents=2,
        learning_rate=2e-4,
        discriminator_learning_rate=1e-3,
        regularization_learning_rate=1e-3,
    ),
    "paper": Options(Data(dataset="mnist", binarization="none"), Run(steps=500_000, evaluate_every=5000)),
}


def aae(options: Options) -> Experiment:
    """Return the experiment: an adversarial autoencoder of images."""
    check_sizes(options)
    images, task, labels = options.data.load(), options.task, options.labels
    classes = class_count(images)
    prior = make_prior(options, classes or DEFAULT_CLASSES)
    check_labels(options, images, shaped=prior.classes > 0)
    chosen = choose_labelled(labels_of(images.train), labels) if labels else np.zeros(0, np.int64)
    semi_supervised = task == "semi-supervised"
    data = mark_labelled(images, chosen) if labels and not semi_supervised else images
    networks = make_networks(options, data, classes)
    model = make_model(options, data, networks, prior)
    parts = Parts(model, networks, prior, data, task, labels, make_encode(networks, data))
    kernel = rbf_at_median(prior_samples(prior, MMD_SAMPLES, jax.random.key(0)))
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(parts),
        measure=make_measure(parts, kernel, options.parzen_samples if options.parzen else 0),
        kinds={"cluster_error_rate": "exact"},
        feed=functools.partial(labelled_feed, data, chosen) if semi_supervised else None,
        facts={"code_mmd2_kernel": kernel.name},
    )


def check_sizes(options: Options) -> None:
    """Raise ValueError where a size or a step size is not above 0."""
    check_positive(
        hidden=min(options.hidden, default=1),
        latents=options.latents,
        clusters=options.clusters,
        learning_rate=options.learning_rate,
        discriminator_learning_rate=options.discriminator_learning_rate,
        regularization_learning_rate=options.regularization_learning_rate,
        parzen_samples=options.parzen_samples,
    )


def make_prior(options: Options, classes: int) -> Prior:
    """Return the prior of the options, with this number of classes if it has any."""
    if options.prior == "gaussian":
        return priors.gaussian(options.latents, std=options.std)
    if options.prior == "uniform":
        return priors.uniform(options.latents, limit=options.limit)
    return priors.gaussian_mixture(classes) if options.prior == "mixture" else priors.swiss_roll(classes)


def make_networks(options: Options, data: Dataset, classes: int) -> Networks:
    """Return the networks for these images, whose labels have this number of classes."""
    return mlp_networks(
        data.image_shape,
        hidden=options.hidden,
        latents=options.latents,
        gaussian=options.encoder == "gaussian",
        classes={"none": 0, "semi-supervised": classes, "clustering": options.clusters}[options.task],
        normalized=options.task == "clustering",
    )


def make_model(options: Options, data: Dataset, networks: Networks, prior: Prior) -> Model:
    """Return the model with these networks; with --no-adversary it has no adversarial phases."""
    steps = options.run.steps
    model = aae_model.aae(
        data.image_shape,
        networks,
        prior,
        optimizers=aae_model.Optimizers(
            reconstruction=adam(options.learning_rate, steps),
            discriminator=adam(options.discriminator_learning_rate, steps, b1=ADVERSARIAL_B1),
            regularization=adam(options.regularization_learning_rate, steps, b1=ADVERSARIAL_B1),
            semi_supervised=adam(options.learning_rate, steps),
        ),
        semi_supervised=options.task == "semi-supervised",
        dropout=options.dropout,
    )
    if options.adversary:
        return model
    return model._replace(phases=tuple(phase for phase in model.phases if phase.name not in ADVERSARIAL))


def adam(learning_rate: float, steps: int, *, b1: float = 0.9) -> optax.GradientTransformation:
    """Return Adam with a cosine decay of its step size to 0."""
    return optax.adam(optax.cosine_decay_schedule(learning_rate, steps), b1=b1)


def check_labels(options: Options, data: Dataset, *, shaped: bool) -> None:
    """Raise ValueError where the data have fewer labels than --labels, or the task and the prior do not use them.

    `shaped` is True if the prior has classes, so that labels can shape it.
    """
    task, labels = options.task, options.labels
    available = data.train.size if has_labels(data) else 0
    if not 0 <= labels <= available:
        allowed = f"must be from 0 to {available}, the labelled training images of {data.name!r}"
        raise ValueError(f"--labels {labels} {allowed}")
    if task == "semi-supervised" and not labels:
        raise ValueError("--labels 0: --task semi-supervised needs labels, such as --labels 100")
    if task == "clustering" and labels:
        raise ValueError(f"--labels {labels}: --task clustering takes none")
    if task == "none" and labels and not shaped:
        raise ValueError(
            f"--labels {labels}: nothing uses them; take a prior with classes (--prior mixture or swiss-roll) or "
            "--task semi-supervised"
        )


def labelled_feed(data: Dataset, chosen: Int[np.ndarray, " labels"], seeds: Sequence[int], batch_size: int) -> Feed:
    """Return training batches in each seed's own order, each with a batch of labelled examples of the same size."""
    return with_labelled_batches(make_feed(data.train, data.load, seeds, batch_size), data, chosen, batch_size)


PAPER = "Makhzani et al. (2015)"
REFERENCES = (
    Reference("parzen_nats", "mnist", "real", 340, f"{PAPER}, table 1"),
    Reference("error_rate", "mnist", "real", 0.019, f"{PAPER}, 100 labels", {"labels": 100}),
    Reference("error_rate", "mnist", "real", 0.016, f"{PAPER}, 1000 labels", {"labels": 1000}),
    Reference("cluster_error_rate", "mnist", "real", 0.0955, f"{PAPER}, 16 clusters", {"clusters": 16}),
    Reference("cluster_error_rate", "mnist", "real", 0.0410, f"{PAPER}, 30 clusters", {"clusters": 30}),
)

BASELINES = (
    Baseline("parzen_nats", "parzen_training_images_nats", "training images in place of samples"),
    Baseline("parzen_nats", "parzen_kmeans_nats", "k-means centres in place of samples"),
)
HEADLINE = "parzen_nats"

if __name__ == "__main__":
    main(aae, PRESETS)
