"""StarGAN (Choi, Choi, Kim, Ha, Kim & Choo 2018): one generator for translation between all domains of images.

The generator G reads an image x and the label c of the target domain. The discriminator D scores patches, and predicts
the label of an image. c' is the label of x, and in a batch the targets c are its own labels in another order:

    adversarial     E D(x) - E D(G(x, c)) - 10 E (|grad D| - 1)^2 between x and G(x, c)                 eq. 1 and 8
    classification  of real images  E -log D(c' | x),  of generated ones  E -log D(c | G(x, c))         eq. 2 and 3
    reconstruction  E |x - G(G(x, c), c')|                                                              eq. 4
    D minimizes  - adversarial + --classification-weight classification of real images                  eq. 5
    G minimizes  adversarial + --classification-weight classification of generated images
                 + --reconstruction-weight reconstruction                                               eq. 6

The losses are in genjax/models/adversarial/stargan.py. A label has a bit for each value of an attribute, and is given
to G as that many constant channels next to those of the image. An attribute with several values has exactly one of
them, and its -log D is the cross-entropy of a softmax; an attribute that holds or does not has that of a sigmoid; the
cross-entropies of all attributes are added. Where images come from several label sets, a label says which one, and only
what that set knows (eq. 7). D is updated in every step, G in every --discriminator-moves-th step; the learning rate of
both is constant for half of the steps and then falls linearly to 0.

After a convolution with reflection padding, instance normalization would remove a channel that is constant over the
image, and with it the label. The generator therefore has zero padding, whose effect at the edges depends on the value
of such a channel (with reflection padding: `--padding reflect`).

**What the losses do not determine.** As in CycleGAN, they do not ask that a seven stays a seven. If G inverts the
inside of every digit and paints the edges as the target domain asks, the result looks like some digit, and on the way
back it is inverted again. Small networks learn this with the paper's losses on the embedded digits, where the digit
fills the image, but not on MNIST. `quick` and `small` have a further term, |G(x, c') - x| under the image's own label
(--identity-weight 0 for the paper's losses). The network decides between copying and inverting once, for all domains:
where some translations need the one and some the other, as between dark and light digits, these networks learn only to
copy.

    python -m experiments.stargan                                           three colours, black and grey ground
    python -m experiments.stargan --identity-weight 0                       the paper's losses
    python -m experiments.stargan --no-reconstruction                       without this term
    python -m experiments.stargan --no-classification                       or this one
    python -m experiments.stargan --attributes colour polarity size         dark and light, large and small, on 16x16
    python -m experiments.stargan --halves                                  two label sets: colours, and the rest
    python -m experiments.stargan --domains classes --dataset ./faces       sub-folders are domains
    python -m experiments.stargan --domains features --dataset celeb_a --attributes Black_Hair Blond_Hair Male Young
    python -m experiments.stargan --preset small --data-dir DIR             MNIST, 28x28
    python -m genjax translate RUN ./mine --to red-grey --out ./translated

**Data.** Each grey digit is given a colour, a ground, a polarity and a size (genjax/data/attribute_sets.py), as far as
--attributes asks for them; in training no image is seen in two domains. On a test split each image is translated to one
of the domains other than its own, in turn, and the true translation is known. With --halves the labels of one half of
the training images say the first attribute only, those of the other half the others. With --domains classes the labels
of any data set, or the sub-folders of a folder, are the domains, and are called by their numbers in sorted order. With
--domains features attributes are the boolean features of a TFDS data set; a domain is called by those that hold.

**Metrics.** `domain_accuracy` is the fraction of translations that a classifier, trained on real images, assigns to the
target domain. It is measured with `real_domain_accuracy`, the same for real images and their own domain, and
`unchanged_domain_accuracy`, for images that are left as they are. `digit_agreement` is the fraction of translations in
which another classifier finds the digit of the original image, and `real_digit_agreement` the same for the originals
themselves, the ceiling. `paired_error` is the mean of |G(x, c) - truth| over pixels, in [0, 1], with the baseline
`unchanged_paired_error`, of x itself; `cycle_error` is the mean of |G(G(x, c), c') - x|; `real_score` and `fake_score`
are the outputs of D for x and G(x, c).

**Differences from the paper.** The score of an image is the mean over patches in the gradient penalty, too, where the
authors' code has the sum. The convolutions of G that halve and double the size have 3x3 kernels, 4x4 in the paper. The
last layer of G has biases. Images are not flipped. `quick` and `small` have the identity term, and 2 updates of D for
one of G. Targets come from the image's own label set, as in the authors' code. `paper` has the paper's networks and
options on the classes of CIFAR-10, since TFDS has no set of the paper's domains whose images are square.

**Known failures.** Inverted digits with the paper's losses, and polarity on the embedded digits (above). On the digits,
translations to a grey ground have a black speck at the edge, at the same position in all images of a domain. Labels and
features of a data set that does not fit in memory are read together with its images, which takes minutes at every start
for celeb_a. An evaluation holds 500 images at once, which for the 218x178 pixels of celeb_a needs the memory of a GPU.
"""

from dataclasses import dataclass
from typing import Literal

import optax

from experiments.parts.adversarial import check_not_negative
from experiments.parts.domains import check_grey, linear_decay, load_source
from experiments.parts.stargan_measures import make_figures, make_measure, make_translator
from genjax.data.attribute_sets import MADE, class_attributes, feature_attributes, made_attributes
from genjax.data.attributes import Labelled
from genjax.data.dataset import shrunk
from genjax.data.tfds import tfds_images
from genjax.models.adversarial import stargan as model_of
from genjax.models.adversarial.gan import Optimizers, wasserstein_penalty
from genjax.networks.residual import Padding
from genjax.runs.experiment import Baseline, Experiment, Reference
from genjax.runs.options import Data, Run, check_positive, option
from genjax.runs.runner import main

ATTRIBUTES = ("colour", "ground")
"""Attributes of --domains made where none are given."""


@dataclass(frozen=True)
class Options:
    """One generator between many domains of images."""

    data: Data = Data(binarization="none")
    run: Run = Run(batch_size=16)
    domains: Literal["made", "classes", "features"] = "made"
    """Domains: attributes that grey images are given (made), the classes of --dataset, or its boolean features (TFDS
    data sets)."""
    attributes: tuple[str, ...] = ()
    """Attributes of --domains made: colour (red, green, blue), ground (black, grey), polarity (dark, light) and size
    (large, small), by default the first two. Or the names of the features of --domains features."""
    halves: bool = False
    """Use two label sets: half of the training images have labels of the first attribute, the others of the rest."""
    shrink: int = 1
    """Average blocks of n x n pixels into one pixel."""
    classification: bool = True
    """Train both networks with the classification loss."""
    reconstruction: bool = True
    """Train the generator with the reconstruction loss."""
    classification_weight: float = 1.0
    """Weight of the classification loss."""
    reconstruction_weight: float = 10.0
    """Weight of the reconstruction loss."""
    identity_weight: float = 0.0
    """Weight of the identity loss, the change of an image under its own label; the paper has none."""
    penalty_weight: float = 10.0
    """Weight of the discriminator's gradient penalty."""
    discriminator_moves: int = 5
    """Updates of the discriminator for each update of the generator."""
    filters: int = 64
    """Channels of the generator at the full size of the image."""
    blocks: int | None = None
    """Residual blocks of the generator; by default 9 for images of 256x256 and larger, 6 for smaller ones."""
    halved: int | None = None
    """Downsamplings of the generator, each of which halves height and width; by default 2, fewer where a side is odd or
    would fall below 4."""
    edge_size: int = 7
    """Kernel size of the generator's first and last convolution."""
    padding: Padding = "zero"
    """Padding of the generator's convolutions; with reflect the generator cannot see the label."""
    discriminator_filters: int = 64
    """Channels of the discriminator's first layer; each later one has twice as many as the one before."""
    strided: int | None = None
    """Strided layers of the discriminator, each of which halves the image; by default until a side is 2 or 3."""
    learning_rate: float = 1e-4
    """Learning rate of the generator's Adam optimizer before its decay."""
    discriminator_learning_rate: float = 1e-4
    """Learning rate of the discriminator's Adam optimizer before its decay."""


PRESETS = {
    "quick": Options(
        Data(binarization="none"),
        Run(steps=2000, batch_size=16, evaluate_every=500),
        halved=0,
        edge_size=3,
        filters=32,
        discriminator_filters=32,
        blocks=2,
        discriminator_moves=2,
        identity_weight=10.0,
        learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
    ),
    "small": Options(
        Data(dataset="mnist", binarization="none"),
        Run(steps=6000, batch_size=16, evaluate_every=1500),
        halved=1,
        edge_size=3,
        filters=16,
        discriminator_filters=16,
        blocks=3,
        discriminator_moves=2,
        identity_weight=10.0,
        learning_rate=5e-4,
        discriminator_learning_rate=5e-4,
    ),
    "paper": Options(
        Data(dataset="cifar10_jpeg", binarization="none"),
        Run(steps=200_000, batch_size=16, evaluate_every=10_000),
        domains="classes",
    ),
}


def stargan(options: Options) -> Experiment:
    """One generator between many domains of images."""
    weights = model_of.Weights(
        classification=options.classification * options.classification_weight,
        reconstruction=options.reconstruction * options.reconstruction_weight,
        identity=options.identity_weight,
    )
    check(options, weights)
    found = load(options)
    networks = networks_of(options, found)
    steps, moves = options.run.steps, options.discriminator_moves
    model = model_of.stargan(
        found.data.image_shape,
        networks,
        found.schema,
        optimizers=Optimizers(
            adam(options.discriminator_learning_rate, steps), adam(options.learning_rate, steps // moves)
        ),
        weights=weights,
        penalty=wasserstein_penalty(weight=options.penalty_weight),
        discriminator_updates=moves,
        paired=found.paired,
    )
    return Experiment(
        model=model,
        data=found.data,
        figures=make_figures(networks, found),
        measure=make_measure(networks, found),
        capabilities=(make_translator(networks, found),),
        seeds_together=False,
    )


def adam(learning_rate: float, updates: int) -> optax.GradientTransformation:
    """Adam with b1 = 0.5, whose learning rate falls to 0 in the second half of its updates."""
    return optax.adam(linear_decay(learning_rate, updates), b1=0.5)


def check(options: Options, weights: model_of.Weights) -> None:
    """Raise ValueError where an option is out of range, or the run has no update of the generator."""
    check_positive(
        shrink=options.shrink,
        penalty_weight=options.penalty_weight,
        discriminator_moves=options.discriminator_moves,
        filters=options.filters,
        discriminator_filters=options.discriminator_filters,
        learning_rate=options.learning_rate,
        discriminator_learning_rate=options.discriminator_learning_rate,
    )
    check_grey(options.data)
    steps, moves = options.run.steps, options.discriminator_moves
    if steps < moves:
        raise ValueError(f"--steps {steps}: the generator is first updated after --discriminator-moves {moves}")
    check_not_negative(**{f"{name}_weight": weight for name, weight in weights._asdict().items()})


def load(options: Options) -> Labelled:
    """Load the images with their labels.

    Raises ValueError where an option does not apply to the domains, or does not suit the data.
    """
    data, name, shrink = options.data, options.domains, options.shrink
    attributes = options.attributes or (ATTRIBUTES if name == "made" else ())
    check_attributes(options, attributes)
    try:
        if name == "features":
            images = tfds_images(data.dataset, data.data_dir, flags=attributes)
            return feature_attributes(shrunk(images, shrink), attributes)
        found = load_source(data, data.dataset, shrink=shrink)
        if name == "classes":
            return class_attributes(found)
        return made_attributes(found, attributes, halves=options.halves)
    except ValueError as error:
        raise ValueError(f"--domains {name} of --dataset {data.dataset}: {error}") from error


def check_attributes(options: Options, attributes: tuple[str, ...]) -> None:
    """Raise ValueError where the options that say which domains there are do not go together."""
    name, words = options.domains, " ".join([option("attributes"), *attributes])
    if name == "classes" and attributes:
        raise ValueError(f"--domains classes has no use for {words}: the class is the attribute")
    if name == "made" and set(attributes) - set(MADE):
        raise ValueError(f"{words}: must be of {', '.join(MADE)}")
    if name != "classes" and (not attributes or len(set(attributes)) < len(attributes)):
        raise ValueError(f"--domains {name}: {words} must be one or more, each once")
    if options.halves and (name != "made" or len(attributes) < 2):
        raise ValueError(f"--halves: needs --domains made and two or more --attributes, got {name} and {words}")


def networks_of(options: Options, found: Labelled) -> model_of.Networks:
    """Return the networks; ValueError that names the options where they do not suit the images."""
    sizes = {name: getattr(options, name) for name in ("blocks", "halved", "edge_size", "strided")}
    try:
        return model_of.conv_networks(
            found.data.image_shape,
            found.schema,
            filters=options.filters,
            discriminator_filters=options.discriminator_filters,
            padding=options.padding,
            **sizes,
        )
    except ValueError as error:
        given = " ".join(f"{option(name)} {size}" for name, size in sizes.items() if size is not None)
        raise ValueError(f"{given}: images of {found.data.name!r}: {error}") from error


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
