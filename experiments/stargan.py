"""StarGAN (Choi, Choi, Kim, Ha, Kim & Choo 2018): one generator for translation between all domains of images.

The generator G reads an image x and the label c of the target domain. The discriminator D scores patches, and predicts
the label of an image. c' is the label of x, and in a batch the targets c are its own labels in another order:

    adversarial     E D(x) - E D(G(x, c)) - 10 E (|grad D| - 1)^2 between x and G(x, c)                 eq. 1 and 8
    classification  of real images  E -log D(c' | x),  of generated ones  E -log D(c | G(x, c))         eq. 2 and 3
    reconstruction  E |x - G(G(x, c), c')|                                                              eq. 4
    D minimizes  - adversarial + --classification-weight classification of real images                  eq. 5
    G minimizes  adversarial + --classification-weight classification of generated images
                 + --reconstruction-weight reconstruction                                               eq. 6

The losses are in genjax/models/adversarial/stargan.py. A label has a bit for each value of an attribute, and G reads it
as that many constant channels next to those of the image. -log D is a sum of cross-entropies over attributes: of a
softmax for an attribute with several values, exactly one of which an image has, and of a sigmoid for an attribute that
an image has or lacks. Where images come from several label sets, a label also encodes its label set, and contains only
the attributes that this set knows (eq. 7). D is updated in every step, G in every --discriminator-moves-th step; the
learning rate of both is constant for half of the steps and then falls linearly to 0.

After a convolution with reflection padding, instance normalization would remove a channel that is constant over the
image, and with it the label. The generator therefore has zero padding, whose effect at the edges depends on the value
of such a channel (with reflection padding: `--padding reflect`).

**What the losses do not determine.** As in CycleGAN, the losses do not require that a seven stays a seven. If G inverts
the inside of every digit and paints the edges as the target domain requires, the result looks like some digit, and the
way back inverts it again. Small networks learn this with the paper's losses on the embedded digits, where the digit
fills the image, but not on MNIST. `quick` and `small` have a further term, |G(x, c') - x| under the image's own label
(--identity-weight 0 for the paper's losses). The network learns either to copy or to invert, for all domains alike:
where some translations need copies and some need inversion, as between dark and light digits, these networks learn only
to copy.

    python -m experiments.stargan                                           three colours, black and grey ground
    python -m experiments.stargan --identity-weight 0                       the paper's losses
    python -m experiments.stargan --no-reconstruction                       without the reconstruction loss
    python -m experiments.stargan --no-classification                       without the classification loss
    python -m experiments.stargan --attributes colour polarity size         dark and light, large and small, on 16x16
    python -m experiments.stargan --halves                                  two label sets: colours, and the rest
    python -m experiments.stargan --domains classes --dataset ./faces       sub-folders are domains
    python -m experiments.stargan --domains features --dataset celeb_a --attributes Black_Hair Blond_Hair Male Young
    python -m experiments.stargan --preset small --data-dir DIR             MNIST, 28x28
    python -m genjax translate RUN ./mine --to red-grey --out ./translated

**Data.** Each grey digit is painted with the attributes that --attributes names: a colour, a ground, a polarity, a size
(genjax/data/attribute_sets.py). No training image is seen in two domains. Each validation and test image is translated
to one domain other than its own, the domains taken in turn, and the true translation is known. With --halves the labels
of one half of the training images contain the first attribute only, the labels of the other half the remaining
attributes. With --domains classes the classes of any data set, or the sub-folders of a folder, are the domains, named
by their numbers in sorted order. With --domains features attributes are the boolean features of a TFDS data set, and a
domain is named by its true features.

**Metrics.** `domain_accuracy` is the fraction of translations that a classifier, trained on real images, assigns to the
target domain. It is compared with `real_domain_accuracy`, for real images and their own domain, and with
`unchanged_domain_accuracy`, for untranslated images and the target domain. `digit_agreement` is the fraction of
translations in which another classifier finds the digit of the original image, and its upper limit
`real_digit_agreement` is the same for the originals. `paired_error` is the mean of |G(x, c) - truth| over pixels, in
[0, 1], with the baseline `unchanged_paired_error`, the mean of |x - truth|; `cycle_error` is the mean of |G(G(x, c),
c') - x|; `real_score` and `fake_score` are the outputs of D for x and G(x, c).

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
"""Default attributes of --domains made."""


@dataclass(frozen=True)
class Options:
    """Options of StarGAN: one generator between many domains of images."""

    data: Data = Data(binarization="none")
    run: Run = Run(batch_size=16)
    domains: Literal["made", "classes", "features"] = "made"
    """Domains: attributes painted on grey images (made), the classes of --dataset (classes), or its boolean features
    (features; TFDS data sets only)."""
    attributes: tuple[str, ...] = ()
    """Attributes: for --domains made, some of colour (red, green, blue), ground (black, grey), polarity (dark, light)
    and size (large, small), by default the first two; for --domains features, names of features."""
    halves: bool = False
    """Use two label sets: half of the training images are labelled with the first attribute only, the other half with
    the remaining attributes."""
    shrink: int = 1
    """Side n of the blocks of n x n pixels that are averaged to one pixel; 1 keeps the size."""
    classification: bool = True
    """Train both networks with the classification loss."""
    reconstruction: bool = True
    """Train the generator with the reconstruction loss."""
    classification_weight: float = 1.0
    """Weight of the classification loss."""
    reconstruction_weight: float = 10.0
    """Weight of the reconstruction loss."""
    identity_weight: float = 0.0
    """Weight of the identity loss, the mean change of an image translated to its own domain; the paper has 0."""
    penalty_weight: float = 10.0
    """Weight of the discriminator's gradient penalty."""
    discriminator_moves: int = 5
    """Number of updates of the discriminator for each update of the generator."""
    filters: int = 64
    """Channels of the generator at the full size of the image."""
    blocks: int | None = None
    """Number of residual blocks of the generator; by default 9 for images of 256x256 and larger, else 6."""
    halved: int | None = None
    """Number of downsamplings of the generator, each of which halves height and width; by default 2, fewer where a side
    is odd or would fall below 4."""
    edge_size: int = 7
    """Kernel size of the generator's first and last convolution."""
    padding: Padding = "zero"
    """Padding of the generator's convolutions; with reflect, normalization removes the label, so that it has no
    effect."""
    discriminator_filters: int = 64
    """Channels of the discriminator's first layer; each later one has twice as many as the one before."""
    strided: int | None = None
    """Number of strided layers of the discriminator, each of which halves height and width; by default as many as leave
    a side of 2 or 3."""
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
    """Return the StarGAN experiment: one generator between many domains of images."""
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
    )


def adam(learning_rate: float, updates: int) -> optax.GradientTransformation:
    """Return Adam with b1 = 0.5 and a learning rate that falls to 0 in the second half of its updates."""
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
    """Raise ValueError where --domains, --attributes and --halves contradict one another."""
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
    """Return the networks; ValueError, which names the options, where they do not suit the images."""
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
