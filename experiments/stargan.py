"""StarGAN (Choi, Choi, Kim, Ha, Kim & Choo 2018): one generator for translation between all domains of images.

The generator G reads an image x and the label c of the domain that it is to be of, the discriminator D scores patches
and reads labels; c' is the label of x, and c, in a batch, are its own labels in another order:

    game            E D(x) - E D(G(x, c)) - 10 E (|grad D| - 1)^2 between x and G(x, c)                 eq. 1 and 8
    classification  of real images  E -log D(c' | x),  of those made  E -log D(c | G(x, c))             eq. 2 and 3
    reconstruction  E |x - G(G(x, c), c')|                                                              eq. 4
    D descends  - game + --classification-weight classification of real images                          eq. 5
    G descends  game + --classification-weight classification of those made
                + --reconstruction-weight reconstruction                                                eq. 6

They are `discriminator_loss` and `generator_loss` in genjax/models/adversarial/stargan.py. A label has a bit for each
value of an attribute, and becomes as many maps beside the image. Of attributes with several values exactly one holds,
and -log D is that of a softmax; of one that holds or does not, of a sigmoid; attributes add up. Where images come
from several label sets, a label says which, and only what that set knows (eq. 7). D moves in every step, G in every
--discriminator-moves-th; the step size of both is constant for half of the steps and then falls to 0 in a straight
line.

After a convolution with reflection padding instance normalization removes a map that is the same everywhere: G would
be blind for the label. It has zero padding, whose edges show the level of the map (without it: `--padding reflect`).

**What the losses do not say.** As in CycleGAN, that a seven stays a seven: where G turns the inside of every digit
round, bright for dark, and paints the edges as the domain asks, what comes out looks like some digit, and coming back
it is turned round again. With the paper's losses small networks find this on the digits, whose ink fills the image; on
MNIST, where it does not, they did not. `quick` and `small` have one term more, |G(x, c') - x| under the image's own
label (--identity-weight 0 for the paper's losses). It settles whether G copies or turns round, once for all domains:
where some translations need the one and some the other, as between dark and light digits, these networks learn to copy
only (below).

    python -m experiments.stargan                                           three colours, black and grey ground
    python -m experiments.stargan --identity-weight 0                       the paper's losses
    python -m experiments.stargan --no-reconstruction                       without this term
    python -m experiments.stargan --no-classification                       or this one
    python -m experiments.stargan --attributes colour polarity size         dark and light, large and small, on 16x16
    python -m experiments.stargan --halves                                  two label sets: colours, and the rest
    python -m experiments.stargan --domains classes --dataset ./faces       sub-folders are domains
    python -m experiments.stargan --domains features --dataset celeb_a --attributes Black_Hair Blond_Hair Male Young
    python -m experiments.stargan --preset small --data-dir DIR             MNIST, 28x28
    python -m genjax translate RUN ./mine --to red-grey --out ./made

**Data.** Grey digits get a colour, a ground, a polarity, a size (genjax/data/attribute_sets.py), each one of each, and
no loss of training sees another view. What is measured are translations of each image to one of the domains other
than its own, in turn, and how it would look there is known. With --halves the labels of one half of the training images
say the first attribute, those of the other half the rest. With --domains classes the labels of any set, or the
sub-folders of a folder, are the domains (called by their numbers in sorted order), with --domains features what a TFDS
set says yes or no of; a domain is then called by what holds.

**Numbers.** `domain_accuracy` is the share of translations that a classifier, trained on real images, reads as of the
target domain, beside it in result.json `real_domain_accuracy`, that of real images as of their own, and
`unchanged_domain_accuracy`, that of images that stay as they are; `digit_agreement` the share in which another one
reads the digit that was there before, beside it `real_digit_agreement`, that of the images themselves. `paired_error`
is the mean of |G(x, c) - truth| over pixels, from 0 to 1, beside it `unchanged_paired_error`, that of x; `cycle_error`
that of |G(G(x, c), c') - x|; `real_score` and `fake_score` are what D says of x and G(x, c).

On the embedded digits, one seed, test split (300 images, each translated to one of the five other domains;
unchanged_domain_accuracy 0, real_domain_accuracy 1.000; the last two rows have a real_digit_agreement of 0.960 and an
unchanged_paired_error of 0.339, the others of 0.970 and 0.255):

                                            domain_accuracy    digit_agreement    paired_error    cycle_error
    quick                                   1.000              0.957              0.019           0.020
    quick --identity-weight 0               1.000              0.003              0.131           0.031
    quick --no-reconstruction               1.000              0.920              0.038           0.043
    quick --attributes colour polarity      1.000              0.387              0.113           0.031
    with --identity-weight 0 --steps 4000   1.000              0.563              0.084           0.031

On MNIST, 28x28, 6000 steps, test split (10 000 images; unchanged_paired_error 0.223, real_domain_accuracy 1.000,
real_digit_agreement 0.934), `small` with three seeds, else one:

    small                                   1.000              0.933 +- 0.001     0.014 +- 0.001  0.015 +- 0.001
    small --identity-weight 0               1.000              0.934              0.017           0.017
    small --no-reconstruction               1.000              0.931              0.020           0.022

    --preset paper                          not measured yet
    --no-classification                     not measured yet
    --attributes with size, --halves        not measured yet

Domains are always those asked for; on colours and grounds of the digits the identity term decides whether the digit
stays, on MNIST it stays with the paper's losses as well. Translations to a grey ground have a black speck at the edge,
at the same place in all images of a domain.

Where we leave the paper: a score is the mean over patches where the penalty is taken, too (the authors' code has the
sum there); the kernels that halve and double in G are 3x3 (4x4); the last layer of G has biases; no flips; `quick` and
`small` have the identity term, and 2 moves of D for one of G. Targets come from the image's own label set, as in the
authors' code. `paper` has the paper's networks and options on the classes of CIFAR-10, since TFDS has no set of its
domains whose images are square.

Known failures: digits turned inside out, and polarity on the digits (above). Labels and features of a set that does not
fit in memory are read with its images, which for celeb_a takes minutes at every start, and an evaluation takes 500
images at once, which for its 218x178 pixels needs the memory of a GPU.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Literal

import optax

from experiments.parts.domains import linear_decay, load_source
from experiments.parts.games import check_finite
from experiments.parts.stargan_measures import make_figures, make_measure, make_translation, metric_names
from genjax.data.attribute_sets import MADE, class_attributes, feature_attributes, made_attributes
from genjax.data.attributes import Labelled
from genjax.data.dataset import shrunk
from genjax.data.tfds import tfds_images
from genjax.models.adversarial import stargan as model_of
from genjax.models.adversarial.gan import Optimizers, wasserstein_penalty
from genjax.networks.residual import Padding
from genjax.runs.experiment import Common, Experiment, Reference, Run, check_positive, option
from genjax.runs.runner import main

DomainsName = Literal["made", "classes", "features"]

DEFAULTS = {"made": ("colour", "ground")}
"""Attributes where none are named."""


def stargan(
    run: Common = Run(binarization="none", batch_size=16),  # noqa: B008 (frozen)
    *,
    domains: DomainsName = "made",
    attributes: tuple[str, ...] = (),
    halves: bool = False,
    shrink: int = 1,
    classification: bool = True,
    reconstruction: bool = True,
    classification_weight: float = 1.0,
    reconstruction_weight: float = 10.0,
    identity_weight: float = 0.0,
    penalty_weight: float = 10.0,
    discriminator_moves: int = 5,
    filters: int = 64,
    blocks: int | None = None,
    halved: int | None = None,
    edge_size: int = 7,
    padding: Padding = "zero",
    discriminator_filters: int = 64,
    strided: int | None = None,
    learning_rate: float = 1e-4,
    discriminator_learning_rate: float = 1e-4,
) -> Experiment:
    """One generator between many domains.

    Args:
        run: What every experiment has; --dataset is what domains are made of, or has them as classes.
        domains: Made of grey images, the classes of --dataset, or what its features of yes and no say (TFDS sets).
        attributes: Which are made: colour (red, green, blue), ground (black, grey), polarity (dark, light), size
            (large, small); the first two where none are given. Or the features, by their names.
        halves: Whether the labels of half of the training images say the first of them, the other labels the rest.
        shrink: Side of the blocks of pixels of which one is made.
        classification: Whether made images are to be read as of their target, and real ones as what they are.
        reconstruction: Whether an image is to come back from its translation.
        classification_weight: How much that counts.
        reconstruction_weight: And this.
        identity_weight: Of the change of an image that is to have the label that it has; the paper has none.
        penalty_weight: Of the discriminator's gradients.
        discriminator_moves: Of the discriminator for each of the generator.
        filters: Maps of the generator at full size.
        blocks: Its residual blocks; by default 9 from 256x256 on, 6 below.
        halved: How often it halves the image; by default twice, or until a side is odd or 4 to 7.
        edge_size: Kernel of its first and last convolution.
        padding: Of the generator; with reflect it cannot see the label.
        discriminator_filters: Maps of the discriminator's first layer; each next one has twice as many.
        strided: Its layers, which halve the image; by default until a side is 2 or 3.
        learning_rate: Adam's step size, of the generator.
        discriminator_learning_rate: Of the discriminator.
    """
    check_positive(
        shrink=shrink,
        penalty_weight=penalty_weight,
        discriminator_moves=discriminator_moves,
        filters=filters,
        discriminator_filters=discriminator_filters,
        learning_rate=learning_rate,
        discriminator_learning_rate=discriminator_learning_rate,
    )
    weights = {
        "classification": classification * classification_weight,
        "reconstruction": reconstruction * reconstruction_weight,
        "identity": identity_weight,
    }
    check_game(run, discriminator_moves, weights)
    found = load(run, domains, attributes or DEFAULTS.get(domains, ()), halves=halves, shrink=shrink)
    sizes = {"blocks": blocks, "halved": halved, "edge_size": edge_size, "strided": strided}
    widths = {"filters": filters, "discriminator_filters": discriminator_filters}
    networks = networks_for(found, sizes, functools.partial(model_of.conv_networks, padding=padding, **widths))
    model = model_of.stargan(
        found.data.image_shape,
        networks,
        found.scheme,
        optimizers=Optimizers(
            adam(discriminator_learning_rate, run.steps), adam(learning_rate, run.steps // discriminator_moves)
        ),
        weights=model_of.Weights(**weights),
        penalty=wasserstein_penalty(weight=penalty_weight),
        discriminator_moves=discriminator_moves,
        paired=found.paired,
    )
    return Experiment(
        model=model,
        data=found.data,
        kinds=dict.fromkeys(metric_names(found), "estimate"),
        figures=make_figures(networks, found),
        seeds_together=False,
        draws=False,
        measure=make_measure(networks, found),
        translation=make_translation(networks, found),
    )


def adam(learning_rate: float, moves: int) -> optax.GradientTransformation:
    """Adam with b1 0.5, whose step size falls to 0 in the second half of the moves."""
    return optax.adam(linear_decay(learning_rate, moves), b1=0.5)


def check_game(run: Run, discriminator_moves: int, weights: Mapping[str, float]) -> None:
    """Raise ValueError where the options do not go together."""
    if run.binarization != "none":
        raise ValueError(f"--binarization {run.binarization}: images that are made are grey; use --binarization none")
    if run.steps < discriminator_moves:
        raise ValueError(
            f"--steps {run.steps}: the generator first moves after --discriminator-moves {discriminator_moves}"
        )
    check_finite(**{f"{name}_weight": weight for name, weight in weights.items()})


def load(run: Run, name: DomainsName, attributes: tuple[str, ...], *, halves: bool, shrink: int) -> Labelled:
    """The images with their labels. Raises ValueError where an option has no use, or does not suit the data."""
    check_use(name, attributes, halves=halves)
    try:
        if name == "features":
            return feature_attributes(
                shrunk(tfds_images(run.dataset, run.data_dir, flags=attributes), shrink), attributes
            )
        found = load_source(run, run.dataset, shrink=shrink)
        return class_attributes(found) if name == "classes" else made_attributes(found, attributes, halves=halves)
    except ValueError as error:
        raise ValueError(f"--domains {name} of --dataset {run.dataset}: {error}") from error


def check_use(name: DomainsName, attributes: tuple[str, ...], *, halves: bool) -> None:
    """Raise ValueError where the options that say which domains there are do not go together."""
    words = " ".join([option("attributes"), *attributes])
    if name == "classes" and attributes:
        raise ValueError(f"--domains classes has no use for {words}: the class is the attribute")
    if name == "made" and set(attributes) - set(MADE):
        raise ValueError(f"{words}: must be of {', '.join(MADE)}")
    if name != "classes" and (not attributes or len(set(attributes)) < len(attributes)):
        raise ValueError(f"--domains {name}: {words} must be one or more, each once")
    if halves and (name != "made" or len(attributes) < 2):
        raise ValueError(f"--halves: needs --domains made and two or more --attributes, got {name} and {words}")


def networks_for(
    found: Labelled, sizes: Mapping[str, int | None], conv_networks: Callable[..., model_of.Networks]
) -> model_of.Networks:
    """Networks of these sizes; ValueError with the options where they do not suit the images."""
    try:
        return conv_networks(found.data.image_shape, found.scheme, **sizes)
    except ValueError as error:
        given = " ".join(f"{option(name)} {size}" for name, size in sizes.items() if size is not None)
        raise ValueError(f"{given}: images of {found.data.name!r}: {error}") from error


PRESETS = {
    "quick": {
        "run": Run(steps=2000, batch_size=16, binarization="none", evaluate_every=500),
        "halved": 0,
        "edge_size": 3,
        "filters": 32,
        "discriminator_filters": 32,
        "blocks": 2,
        "discriminator_moves": 2,
        "identity_weight": 10.0,
        "learning_rate": 1e-3,
        "discriminator_learning_rate": 1e-3,
    },
    "small": {
        "run": Run(dataset="mnist", steps=6000, batch_size=16, binarization="none", evaluate_every=1500),
        "halved": 1,
        "edge_size": 3,
        "filters": 16,
        "discriminator_filters": 16,
        "blocks": 3,
        "discriminator_moves": 2,
        "identity_weight": 10.0,
        "learning_rate": 5e-4,
        "discriminator_learning_rate": 5e-4,
    },
    "paper": {
        "run": Run(dataset="cifar10_jpeg", steps=200_000, batch_size=16, binarization="none", evaluate_every=10_000),
        "domains": "classes",
    },
}

REFERENCES: tuple[Reference, ...] = ()

BASELINES = (
    Baseline("paired_error", "unchanged_paired_error", "images as they were"),
    Baseline("domain_accuracy", "real_domain_accuracy", "real images, the ceiling"),
    Baseline("domain_accuracy", "unchanged_domain_accuracy", "images as they were"),
    Baseline("digit_agreement", "real_digit_agreement", "real images, the ceiling"),
)
HEADLINE = "paired_error"

if __name__ == "__main__":
    main(stargan, PRESETS)
