"""CycleGAN (Zhu, Park, Isola & Efros 2017): images of one domain into images of another, learned without pairs.

Two generators G: X -> Y and F: Y -> X, and a discriminator of each domain:

    adversarial     E (D_Y(G(x)) - 1)^2 + E (D_X(F(y)) - 1)^2                        least squares for eq. 1 (sec. 4)
    cycle           E |F(G(x)) - x| + E |G(F(y)) - y|                                eq. 2
    identity        E |G(y) - y| + E |F(x) - x|                                      sec. 5.2
    generators      minimize  adversarial + --cycle-weight cycle + --identity-weight identity    eq. 3
    discriminators  minimize  (E (D_Y(y) - 1)^2 + E D_Y(y~)^2) / 2, and D_X alike

The losses are in genjax/models/adversarial/cyclegan.py. Here y~ is the image that G has just generated or, half of the
time, one of the last 50 or so that it generated before (genjax/models/adversarial/pool.py). Pixels are scaled to [-1,
1]; |.| is a mean over pixels. Generators have reflection padding, instance normalization and residual blocks, 9 for
images of 256x256 and larger and 6 for smaller ones (genjax/networks/residual.py). A discriminator scores each patch of
the image: 70x70 pixels in images of 256x256, and proportionally fewer in smaller images
(genjax/models/adversarial/cyclegan_networks.py). Adam has b1 = 0.5; its learning rate is constant for half of the steps
and then falls linearly to 0.

**What the losses do not determine.** Suppose that G maps X onto Y and keeps probabilities, and that F is its inverse.
Then the cycle loss is 0 and the adversarial loss is as small as it can be, for any such G. The losses cannot tell the
intended translation from that translation followed by a permutation of Y that keeps probabilities, such as one that
turns every seven into a one and every one into a seven. Whether the intended translation is found depends on the
networks and on how they are trained, and is measured here, not promised. In `quick` and `small` generators are
therefore local: each output pixel depends on the 9x9 pixels around it and, through the normalization, on statistics of
the whole image; the weight of the cycle loss is 1.

    python -m experiments.cyclegan                                          digits and inverted digits
    python -m experiments.cyclegan --no-cycle                               without the cycle loss
    python -m experiments.cyclegan --no-game                                without the adversarial loss
    python -m experiments.cyclegan --domains rotated                        upright and rotated digits (or: coloured)
    python -m experiments.cyclegan --domains classes --classes 3 8          two classes of --dataset
    python -m experiments.cyclegan --domains sets --dataset ./photos --other ./paintings
    python -m experiments.cyclegan --preset small --data-dir DIR            MNIST, 28x28
    python -m genjax translate RUN ./photos --to inverted --out ./translated

**Data.** Where the second domain is computed from the first (inverted, rotated, coloured) the true translation is
known. The first half of the training images is the first domain; the second half, transformed, is the second domain, so
that there are no pairs in training. Validation and test images come in pairs. If two sets or classes differ in size, as
many images are measured as the smaller one has.

**Metrics.** `cycle_error` is the mean of |F(G(x)) - x| over pixels, in [0, 1]; `real_score` and `fake_score` are the
outputs of D_Y for y and G(x) (1 means real). With pairs, `paired_error` is the mean of |G(x) - y|, and
`unchanged_paired_error` the baseline |x - y|. `digit_agreement` is the fraction of images G(x) in which a classifier of
Y, trained on real images, finds the digit of x, and `real_digit_agreement` is the same for the images y, an upper
limit. `other_...` is the same metric from Y to X. For ten digits chance agreement is a tenth, but a wrong translation
may well stay below chance.

**What the terms do.** With generators that see the whole image (--halved 1 --edge-size 7 --cycle-weight 10) translated
digits look real and the way back restores the original, but digits become other digits: this is the permutation that
the losses do not exclude. Local generators copy digits even without the cycle loss, which only lowers the remaining
error. The cycle loss alone (--no-game) does not see the other domain: the initial weights decide whether the
translation inverts the image.

**Differences from the paper.** There are no random crops and flips. The discriminators see images that the generators
return after their update. Strided convolutions have reflection padding as well. `paper` has the paper's networks and
options on two classes of CIFAR-10, since TFDS has no set of the paper's domains whose images are of one size; use
folders of images: 256x256 pixels give 9 blocks and patches of 70x70. The identity term, which the paper has for
paintings, is off by default; without it the networks may change colours that need no change.

**Known failures.** Generators that see the whole image turn digits into other digits (above). With the paper's cycle
weight of 10 the small generators keep copying their input, which the cycle loss rewards and the adversarial loss does
not. An evaluation holds 500 images at once, which for 256x256 pixels needs the memory of a GPU.
"""

from dataclasses import dataclass, replace
from typing import Literal

import optax

from experiments.parts.adversarial import check_not_negative
from experiments.parts.cyclegan_images import make_figures, make_measure, make_translator
from experiments.parts.domains import check_grey, linear_decay, load_source
from genjax.data.dataset import Source
from genjax.data.domains import Domains, class_domains, made_domains, set_domains
from genjax.errors import ArgumentError, MissingPathError
from genjax.models.adversarial import cyclegan as model_of
from genjax.runs.experiment import Baseline, Experiment, Reference
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main


@dataclass(frozen=True)
class Options:
    """Options of CycleGAN: two generators between two domains of images."""

    data: Data = Data(binarization="none")
    run: Run = Run(batch_size=1)
    domains: Literal["inverted", "rotated", "coloured", "classes", "sets"] = "inverted"
    """Second domain: images of --dataset that are inverted, rotated or coloured, another of its classes, or another
    data set."""
    other: str = ""
    """Data set of the second domain, given as --dataset is; for --domains sets."""
    classes: tuple[int, int] = (3, 8)
    """Labels of the two domains; for --domains classes."""
    shrink: int = 1
    """Side n of the blocks of n x n pixels that are averaged to one pixel; 1 keeps the size."""
    game: bool = True
    """Train the generators with the adversarial loss."""
    cycle: bool = True
    """Train the generators with the cycle loss."""
    cycle_weight: float = 10.0
    """Weight of the cycle loss."""
    identity_weight: float = 0.0
    """Weight of the identity loss, the mean change of images that are already in the target domain; the paper has 5 for
    paintings."""
    pool_size: int = 50
    """Number of earlier generated images that are kept for each discriminator."""
    filters: int = 64
    """Channels of a generator at the full size of the image."""
    blocks: int | None = None
    """Number of residual blocks of a generator; by default 9 for images of 256x256 and larger, else 6."""
    halved: int | None = None
    """Number of downsamplings of a generator, each of which halves height and width; by default 2, fewer where a side
    is odd or would fall below 4."""
    edge_size: int = 7
    """Kernel size of a generator's first and last convolution. With few blocks and a small kernel each output pixel
    depends on its neighbourhood only."""
    discriminator_filters: int = 64
    """Channels of a discriminator's first layer."""
    strided: int | None = None
    """Number of strided layers of a discriminator: 0, 1, 2 or 3 give patches of 7, 16, 34 or 70 pixels a side. By
    default 3 for images of 256x256, and one fewer each time the side is halved."""
    learning_rate: float = 2e-4
    """Learning rate of the generators' Adam optimizer before its decay."""
    discriminator_learning_rate: float = 2e-4
    """Learning rate of the discriminators' Adam optimizer before its decay."""


LOCAL = Options(
    blocks=1,
    halved=0,
    edge_size=3,
    discriminator_filters=32,
    cycle_weight=1.0,
    learning_rate=1e-3,
    discriminator_learning_rate=1e-3,
)
"""Options of local generators, which see 9x9 pixels around each pixel and can hardly draw another digit."""

PRESETS = {
    "quick": replace(LOCAL, run=Run(steps=1000, batch_size=16, evaluate_every=250), filters=32),
    "small": replace(
        LOCAL,
        data=Data(dataset="mnist", binarization="none"),
        run=Run(steps=1500, batch_size=16, evaluate_every=500),
        filters=16,
        strided=1,
    ),
    "paper": Options(
        Data(dataset="cifar10_jpeg", binarization="none"),
        Run(steps=800_000, batch_size=1, evaluate_every=20_000),
        domains="classes",
        classes=(4, 7),
    ),
}


def cyclegan(options: Options) -> Experiment:
    """Return the CycleGAN experiment: two generators between two domains of images."""
    check(options)
    found = load(options)
    weights = weights_of(options, found)
    networks = model_of.conv_networks(
        *found.shapes,
        filters=options.filters,
        blocks=options.blocks,
        halved=options.halved,
        edge_size=options.edge_size,
        discriminator_filters=options.discriminator_filters,
        strided=options.strided,
    )
    model = model_of.cyclegan(
        *found.shapes,
        networks,
        optimizers=make_optimizers(options),
        weights=weights,
        pool_size=options.pool_size,
        paired=found.paired,
    )
    return Experiment(
        model=model,
        data=found.both,
        figures=make_figures(networks, found),
        measure=make_measure(networks, found),
        feed=found.feed,
        capabilities=(make_translator(networks, found),),
    )


def check(options: Options) -> None:
    """Raise ValueError where an option is out of range."""
    check_positive(
        shrink=options.shrink,
        filters=options.filters,
        discriminator_filters=options.discriminator_filters,
        learning_rate=options.learning_rate,
        discriminator_learning_rate=options.discriminator_learning_rate,
    )
    check_grey(options.data)


def load(options: Options) -> Domains:
    """Load the two domains. Raises ValueError where --other is missing, or does not apply."""
    name, other = options.domains, options.other
    if (name == "sets") != bool(other):
        needed = "needs --other, the second set" if name == "sets" else f"has no use for --other {other}"
        raise ValueError(f"--domains {name} {needed}")
    first = load_source(options.data, options.data.dataset, shrink=options.shrink)
    if name == "sets":
        return set_domains(first, load_other(options))
    return class_domains(first, options.classes) if name == "classes" else made_domains(first, name)


def load_other(options: Options) -> Source:
    """Load the data set of the second domain; error messages name the option --other."""
    try:
        return load_source(options.data, options.other, shrink=options.shrink)
    except (ArgumentError, MissingPathError) as error:
        rest = error.message if error.argument == "dataset" else f": {error}"
        raise ValueError(f"--other {options.other}{rest}") from error


def weights_of(options: Options, found: Domains) -> model_of.Weights:
    """Return the weights of the generators' losses.

    Raises ValueError where one is below 0, all are 0, or the domains do not allow the identity loss.
    """
    weights = model_of.Weights(
        float(options.game), options.cycle_weight if options.cycle else 0.0, options.identity_weight
    )
    check_not_negative(cycle_weight=weights.cycle, identity_weight=weights.identity)
    if not any(weights):
        raise ValueError("--no-game and no cycle: the generators have no loss left")
    if weights.identity and found.shapes[0] != found.shapes[1]:
        raise ValueError(
            f"--identity-weight {weights.identity}: the domains have images of shapes {found.shapes[0]} and "
            f"{found.shapes[1]}, which must be one"
        )
    return weights


def make_optimizers(options: Options) -> model_of.Optimizers:
    """Return the Adam optimizers of the generators and the discriminators, with b1 = 0.5 and linear decay."""
    rates = options.learning_rate, options.discriminator_learning_rate
    return model_of.Optimizers(*(optax.adam(linear_decay(rate, options.run.steps), b1=0.5) for rate in rates))


REFERENCES: tuple[Reference, ...] = ()

BASELINES = (
    Baseline("paired_error", "unchanged_paired_error", "images as they were"),
    Baseline("digit_agreement", "real_digit_agreement", "real images, the ceiling"),
)
HEADLINE = "paired_error"

if __name__ == "__main__":
    main(cyclegan, PRESETS)
