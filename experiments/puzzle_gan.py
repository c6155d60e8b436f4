"""Puzzle-GAN (Lee, Yun, Choi, Yoo, Yang & Oh 2018): a few patches without positions become a whole image.

The paper is "Unsupervised holistic image generation from key local patches"; Puzzle-GAN is the name that lectures give
it. A generator reads patches of an image x and noise z, and returns an image G and a mask M^. The mask should equal M,
the union of the boxes from which the patches were cut; the generator does not read their positions:

    mask             w sum |M^ - M|                             over pixels
    appearance       w sum |G M^ - x M|                         images from -1 to 1
    adversarial      -log D(G)
    generator        minimizes their sum; w falls exponentially from --first-weight to --last-weight
    discriminator    minimizes -log D(x) - log(1 - D(G)) - log(1 - D(s M + x (1 - M))) - log(1 - D(x M + s (1 - M)))

Here s is another real image. The last two terms are for composites, a part of one real image in another: D must learn
that these are not real, and so check whether the parts of an image fit together. All losses are means over the batch;
they are in genjax/models/adversarial/puzzle_gan.py. The generator is updated in every second step, in `quick` and
`small` in every step.

Each patch is resized to the size of the image and encoded by the same encoder. The encodings are summed over the
patches at every layer, so that neither image nor mask can depend on the order of the patches. One decoder turns the
sums into the mask; a second one turns its features, the encoding and z into the image, so that the mask does not depend
on z (genjax/models/adversarial/puzzle_gan_networks.py). The layers, and the sizes of images that they allow, are those
of DCGAN.

    python -m experiments.puzzle_gan                                          digits, 16x16
    python -m experiments.puzzle_gan --no-mask                                without the mask loss
    python -m experiments.puzzle_gan --no-game                                without the adversarial loss
    python -m experiments.puzzle_gan --jigsaw 2                               all 2x2 pieces, shuffled
    python -m experiments.puzzle_gan --jigsaw 3 --enlarge 3                   all 3x3 pieces of digits of 24x24
    python -m experiments.puzzle_gan --preset small --data-dir DIR            MNIST, 28x28
    python -m experiments.puzzle_gan --dataset ./photos --enlarge 1 --patches 4 --patch-side 16

**Patches.** The paper takes the three boxes that EdgeBox finds most likely to hold an object. Here they are the squares
of one size with the largest variance of pixels that do not overlap, from a grid of half their side
(genjax/data/patches.py). The model is given no positions and no sizes.

**Jigsaw.** With --jigsaw n all n x n pieces are used, in an order of their own for each image. M is then 1 everywhere,
and there are no composites, since they would be real images. The generator does not return the positions of pieces:
they are found by assigning pieces to cells of the restored image, one to one, with the least squared error
(genjax/metrics/puzzle.py). `piece_accuracy` is the fraction of pieces at their own position, by chance 1 / n^2;
`jigsaw_accuracy` is the fraction of images without a misplaced piece, by chance 1 / (n^2)!. Positions of equal pieces,
such as black corners, cannot be told apart: `ceiling_...` in result.json is the highest possible accuracy, `chance_...`
the accuracy by chance.

**Metrics.** `mask_iou` is the intersection over union of M^ > 1/2 and M. Its baselines are `mean_mask_iou`, for the
mean training mask at its best threshold, and `random_mask_iou`, for the mask of another image. `part_error` is the mean
of |G - x| where M is 1, in [0, 1], and `mask_error` the mean of |M^ - M| over all pixels. `restored_digit_accuracy` is
the fraction of restored images in which a classifier, trained on real images, finds the digit of x. Its baseline
`patch_digit_accuracy` is the accuracy of logistic regression on the pixels of the patches (for a jigsaw, of the
shuffled pieces), and its upper limit `real_digit_accuracy` is the accuracy of the classifier on the images themselves.
`real_logit` and `fake_logit` are the outputs of D for x and G.

**What the terms do.** The adversarial loss is responsible for the image outside of the patches: without it the patches
are restored more precisely, but everything around them is noise. Without the mask loss nothing ties a patch to its
position: the mask becomes empty, and then the appearance loss is 0.

**Differences from the paper.** The patches are chosen by another rule (above), and all have one size, so that all are
enlarged equally. Losses are summed over pixels and averaged over the batch. w falls at each update of the generator,
not at each epoch. The other image s is the previous one of the batch. Images are not mirrored. D is trained on logits
without the second sigmoid of the authors' code. There are no biases before batch normalization, and samples are drawn
with running statistics. Sums over pixels weigh more in larger images, so that --first-weight and --last-weight are
larger for small images. `paper` has the paper's networks and options on CIFAR-10, since TFDS has none of the paper's
sets of faces and cars at a size that the networks allow.

**Known failures.** Where the patches determine most of an image the noise changes little. As w falls the adversarial
loss takes over, and masks and some restored digits get worse again towards the end of `quick`. A patch with a straight
stroke fits in many positions, and its mask is spread over them. Squares on the grid never reach the last rows and
columns where their side does not divide that of the image.
"""

from dataclasses import dataclass, field

from experiments.parts.adversarial import adam, check_fractions, with_average_and_history
from experiments.parts.domains import check_grey
from experiments.parts.puzzles import COLUMNS, Cut, Puzzles, facts, load, make_figures, make_measure
from genjax.models.adversarial import puzzle_gan as model_of
from genjax.models.adversarial.gan import Optimizers
from genjax.pictures.figures import first_test_batch
from genjax.runs.experiment import Baseline, Experiment, Reference
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main


@dataclass(frozen=True)
class Options:
    """Options of a GAN that restores images from patches without positions."""

    data: Data = Data(binarization="none")
    run: Run = Run(batch_size=64)
    cut: Cut = field(default=Cut())
    """Options that cut the images into patches."""
    mask: bool = True
    """Train with the mask loss, from which the generator learns the positions of the patches."""
    game: bool = True
    """Train the generator with the adversarial loss."""
    composites: bool = True
    """Train the discriminator on composites as well: parts of real images in other real images."""
    first_weight: float = 1e-2
    """Weight of the mask and appearance losses at the generator's first update."""
    last_weight: float = 1e-4
    """Weight of the mask and appearance losses at the generator's last update."""
    discriminator_moves: int = 2
    """Number of updates of the discriminator for each update of the generator."""
    average: float = 0.0
    """Decay of the moving average of the generator's weights that is used to restore images; 0 for no average."""
    filters: int = 64
    """Channels of the first convolution of encoder and discriminator. Each later one has twice as many as the one
    before, but at most eight times as many as the first."""
    features: int = 128
    """Number of dimensions of the encoding of all patches together."""
    latents: int = 128
    """Number of dimensions of the noise, each uniform on [-1, 1]."""
    learning_rate: float = 2e-4
    """Learning rate of the generator's Adam optimizer."""
    discriminator_learning_rate: float = 2e-4
    """Learning rate of the discriminator's Adam optimizer."""


PRESETS = {
    "quick": Options(
        Data(binarization="none"),
        Run(steps=800, batch_size=32, evaluate_every=200),
        Cut(enlarge=2),
        first_weight=0.1,
        last_weight=0.01,
        discriminator_moves=1,
        average=0.95,
        filters=16,
        features=64,
        latents=16,
        learning_rate=2e-3,
        discriminator_learning_rate=5e-4,
    ),
    "small": Options(
        Data(dataset="mnist", binarization="none"),
        Run(steps=3000, batch_size=32, evaluate_every=500),
        first_weight=0.05,
        last_weight=0.005,
        discriminator_moves=1,
        average=0.99,
        filters=16,
        features=64,
        latents=32,
        learning_rate=1e-3,
        discriminator_learning_rate=5e-4,
    ),
    "paper": Options(
        Data(dataset="cifar10_jpeg", binarization="none"), Run(steps=79_000, batch_size=64, evaluate_every=3000)
    ),
}


def puzzle_gan(options: Options) -> Experiment:
    """Return the experiment: a GAN that restores images from patches without positions."""
    composites = options.composites and not options.cut.jigsaw
    check(options, composites=composites)
    found = load(options.data, options.cut)
    networks = networks_of(options, found)
    steps, moves = options.run.steps, options.discriminator_moves
    model = model_of.puzzle_gan(
        found.data.image_shape,
        networks,
        optimizers=Optimizers(adam(options.discriminator_learning_rate), adam(options.learning_rate)),
        schedule=model_of.weight_schedule(options.first_weight, options.last_weight, steps // moves),
        weights=model_of.Weights(mask=float(options.mask), adversarial=float(options.game)),
        composites=composites,
        discriminator_updates=moves,
    )
    model = with_average_and_history(model, first_test_batch(found.data, COLUMNS), average=options.average, steps=steps)
    return Experiment(
        model=model,
        data=found.data,
        figures=make_figures(networks, found),
        measure=make_measure(model, found),
        facts=facts(found),
    )


def check(options: Options, *, composites: bool) -> None:
    """Raise ValueError where an option is out of range, or the options of the run do not suit Puzzle-GAN."""
    check_positive(
        patches=1 if options.cut.patches is None else options.cut.patches,
        enlarge=options.cut.enlarge,
        first_weight=options.first_weight,
        last_weight=options.last_weight,
        discriminator_moves=options.discriminator_moves,
        filters=options.filters,
        features=options.features,
        latents=options.latents,
        learning_rate=options.learning_rate,
        discriminator_learning_rate=options.discriminator_learning_rate,
    )
    check_fractions(average=options.average)
    check_grey(options.data)
    run, moves = options.run, options.discriminator_moves
    if run.steps < moves:
        raise ValueError(f"--steps {run.steps}: the generator is updated once in {moves} steps, so it never is")
    if composites and run.batch_size < 2:
        raise ValueError(f"--batch-size {run.batch_size}: composites need two images; take more, or --no-composites")


def networks_of(options: Options, found: Puzzles) -> model_of.Networks:
    """Return the networks for these images; ValueError where the architecture cannot reach their size."""
    sizes = {"filters": options.filters, "features": options.features, "latents": options.latents}
    try:
        return model_of.conv_networks(found.data.image_shape, **sizes)
    except ValueError as error:
        raise ValueError(f"--dataset {options.data.dataset}: {error}") from error


REFERENCES: tuple[Reference, ...] = ()

BASELINES = (
    Baseline("mask_iou", "mean_mask_iou", "the mean training mask"),
    Baseline("mask_iou", "random_mask_iou", "another image's mask"),
    Baseline("restored_digit_accuracy", "real_digit_accuracy", "real images, the ceiling"),
    Baseline("restored_digit_accuracy", "patch_digit_accuracy", "logistic regression on the patches' pixels"),
)
HEADLINE = "restored_digit_accuracy"

if __name__ == "__main__":
    main(puzzle_gan, PRESETS)
