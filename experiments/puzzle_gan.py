"""Puzzle-GAN (Lee, Yun, Choi, Yoo, Yang & Oh 2018): a few patches without positions become a whole image.

The paper is "Unsupervised holistic image generation from key local patches"; Puzzle-GAN is the lectures' name for it. A
generator reads patches of an image x and noise z, and returns an image G and a mask M^. The mask is to be M, the union
of the boxes that the patches were cut from, which it is not given:

    mask             w sum |M^ - M|                             over pixels
    appearance       w sum |G M^ - x M|                         images from -1 to 1
    game             -log D(G)
    generator        descends their sum; w falls from --first-weight to --last-weight in equal factors
    discriminator    descends -log D(x) - log(1 - D(G)) - log(1 - D(s M + x (1 - M))) - log(1 - D(x M + s (1 - M)))

with s another real image: a part of the one in the other is no real image either, so that D has to look at how parts
and the rest fit. They are `generator_phase_loss` and `discriminator_phase_loss` in
genjax/models/adversarial/puzzle_gan.py; all are means over the batch. The generator moves in every second step; in
`quick` and `small` in every one.

Each patch is resized to the size of the image and read by one encoder; its maps are summed over the patches at every
size, so that neither image nor mask can depend on their order. A decoder makes the mask of the sums, a second one the
image of its maps, of the encoding and of z, which therefore never reaches the mask (genjax/models/adversarial/puzzle_gan_networks.py).
Layers are DCGAN's, for the same sizes of images.

    python -m experiments.puzzle_gan                                          digits, 16x16
    python -m experiments.puzzle_gan --no-mask                                or --no-game, --no-composites
    python -m experiments.puzzle_gan --jigsaw 2                               all pieces of 2x2, shuffled
    python -m experiments.puzzle_gan --jigsaw 3 --enlarge 3                   of 3x3, of digits of 24x24
    python -m experiments.puzzle_gan --preset small --data-dir DIR            MNIST, 28x28
    python -m experiments.puzzle_gan --dataset ./photos --enlarge 1 --patches 4 --patch-side 16

**Patches.** The paper takes the three boxes that EdgeBox finds most likely to hold an object. Here they are squares of
one size with the largest variance of pixels that do not overlap, from a grid of half their side
(genjax/data/patches.py): an honest stand-in, no EdgeBox. The model sees no positions and no sizes.

**Jigsaw.** With --jigsaw n all n x n pieces go in, in an order of their own for each image. M is then 1 everywhere,
and there are no composites, since they would be real images. The generator says nothing of a piece's place: it is read
off the restored image, as the one-to-one assignment of pieces to cells with the least squared error
(genjax/metrics/puzzle.py). `piece_accuracy` is the share of pieces in their places, by chance 1 / n^2;
`jigsaw_accuracy` that of images without a misplaced piece, by chance 1 / (n^2)!. Equal pieces, such as black corners,
have places that nobody can tell: `ceiling_...` in result.json is what is left to find, `chance_...` what chance finds.

**Numbers.** `mask_iou` is the intersection over union of M^ > 1/2 and M; beside it `mean_mask_iou`, that of the mean
training mask at its best threshold, and `random_mask_iou`, that of another image's mask. `part_error` is the mean of
|G - x| where M is 1, in [0, 1], `mask_error` that of |M^ - M| everywhere. `restored_digit_accuracy` is the share of
restored images in which a classifier, trained on real ones, reads the digit of x; beside it `patch_digit_accuracy`,
that of logistic regression on the pixels of the patches (those of a jigsaw in any order), and `real_digit_accuracy`,
the classifier's on the images themselves, the ceiling.

On the embedded digits, each pixel as 2x2, one seed, test split (300 images):

                                           mask_iou    restored_digit_accuracy    part_error
    quick (800 steps)                      0.892       0.747                      0.130
    mean mask, another image's mask        0.513, 0.404
    logistic regression on the patches                 0.653
    the images themselves                              0.987
    quick --no-mask                        not measured yet
    quick --no-game                        not measured yet

On MNIST, 28x28, 3000 steps, test split (10 000 images), `small` with three seeds, else one:

                                           mask_iou         restored_digit_accuracy    part_error
    small                                  0.914 +- 0.003   0.688 +- 0.015             0.171 +- 0.003
    small --no-game                        0.928            0.311                      0.102
    small --no-mask                        0.000            0.057                      0.332
    mean mask, another image's mask        0.597, 0.509
    logistic regression on the patches                      0.552
    the images themselves                                   0.964

    --preset paper                         not measured yet; no number of the paper is at hand

What lies outside the patches is the game's: without it the patches are nearer to the image's, and all round them is
noise. Without the loss of the mask nothing has to be where it was: the mask is empty, and with it the appearance.

                                           piece_accuracy    jigsaw_accuracy    restored_digit_accuracy
    quick --jigsaw 2 --steps 500           0.977             0.957              0.967
    chance                                 0.250             0.042
    logistic regression on the pieces                                           0.793
    quick --jigsaw 3 --enlarge 3           not measured yet

No two pieces of one of these images are equal: the ceiling is 1.

Where we leave the paper: the patches (above), all of one size, so that none is enlarged more than another; sums of the
losses are over pixels, means over the batch; w falls at each move of the generator, not at each epoch; the other image
s is the next one of the batch; images are not mirrored; D is trained on logits without the second sigmoid of the
authors' code; no biases before batch normalization; running statistics draw. Sums over pixels weigh more in larger
images: in small ones --first-weight and --last-weight are larger here.

`paper` has the paper's networks and options on CIFAR-10, since TFDS has none of its sets of faces and cars at a size
that the networks have.

Known failures: noises change little in an image that the patches say much of. As w falls the game takes over: in
`quick` mask_error on validation images rose from 0.071 after 400 steps to 0.091 after 800, and some restored digits get
worse. A patch of a straight stroke fits in many places, and its mask is spread over them. Squares on the grid never
reach the last rows and columns where their side does not divide the image's.
"""

from experiments.parts.games import adam, check_shares, with_extras
from experiments.parts.puzzles import COLUMNS, Puzzles, facts, load, make_figures, make_measure, measured
from genjax.models.adversarial import puzzle_gan as model_of
from genjax.models.adversarial.gan import Optimizers
from genjax.pictures.figures import test_batch
from genjax.runs.experiment import Common, Experiment, Reference, Run, check_positive
from genjax.runs.runner import main

EVALUATED = ("mask_iou", "mask_error", "part_error", "real_logit", "fake_logit")


def puzzle_gan(
    run: Common = Run(binarization="none", batch_size=64),  # noqa: B008 (frozen)
    *,
    patches: int | None = None,
    patch_side: int | None = None,
    jigsaw: int = 0,
    enlarge: int = 1,
    mask: bool = True,
    game: bool = True,
    composites: bool = True,
    first_weight: float = 1e-2,
    last_weight: float = 1e-4,
    discriminator_moves: int = 2,
    average: float = 0.0,
    filters: int = 64,
    features: int = 128,
    latents: int = 128,
    learning_rate: float = 2e-4,
    discriminator_learning_rate: float = 2e-4,
) -> Experiment:
    """A GAN that restores images from patches without positions.

    Args:
        run: What every experiment has.
        patches: Of each image, where there is no jigsaw; by default 3.
        patch_side: Of a patch, in pixels; by default 3/8 of the image's.
        jigsaw: All n x n pieces of the image in place of key patches; 0 for none.
        enlarge: Side of the block of pixels that each pixel of the data becomes.
        mask: Whether the generator is told where the patches were (the loss of the mask).
        game: Whether it is to deceive the discriminator.
        composites: Whether the discriminator is shown parts of real images in others.
        first_weight: Of mask and appearance at the generator's first move.
        last_weight: At its last.
        discriminator_moves: Of the discriminator for each of the generator.
        average: Decay of the average of the generator that images are of; 0 for none.
        filters: Maps of the first convolution of encoder and discriminator; each next one has twice as many, but at
            most eight times.
        features: That the encoder makes of all patches together.
        latents: Dimensions of the noise, uniform on [-1, 1].
        learning_rate: Adam's step size, of the generator.
        discriminator_learning_rate: Of the discriminator.
    """
    check_positive(
        patches=1 if patches is None else patches,
        enlarge=enlarge,
        first_weight=first_weight,
        last_weight=last_weight,
        discriminator_moves=discriminator_moves,
        filters=filters,
        features=features,
        latents=latents,
        learning_rate=learning_rate,
        discriminator_learning_rate=discriminator_learning_rate,
    )
    check_shares(average=average)
    check_run(run, discriminator_moves, composites=composites and not jigsaw)
    found = load(run, enlarge=enlarge, patches=patches, patch_side=patch_side, jigsaw=jigsaw)
    networks = networks_of(run, found, filters=filters, features=features, latents=latents)
    model = model_of.puzzle_gan(
        found.data.image_shape,
        networks,
        optimizers=Optimizers(adam(discriminator_learning_rate), adam(learning_rate)),
        schedule=model_of.weight_schedule(first_weight, last_weight, run.steps // discriminator_moves),
        weights=model_of.Weights(mask=float(mask), game=float(game)),
        composites=composites and not jigsaw,
        discriminator_moves=discriminator_moves,
    )
    model = with_extras(model, test_batch(found.data, COLUMNS), average=average, steps=run.steps)
    return Experiment(
        model=model,
        data=found.data,
        kinds=dict.fromkeys((*EVALUATED, *measured(found)), "estimate"),
        figures=make_figures(networks, found),
        seeds_together=False,
        facts=facts(found),
        measure=make_measure(model, found),
    )


def check_run(run: Run, discriminator_moves: int, *, composites: bool) -> None:
    """Raise ValueError where the run has options that Puzzle-GAN cannot do with."""
    if run.binarization != "none":
        raise ValueError(f"--binarization {run.binarization}: images that are made are grey; use --binarization none")
    if run.steps < discriminator_moves:
        raise ValueError(f"--steps {run.steps}: the generator moves once in {discriminator_moves}, so it never does")
    if composites and run.batch_size < 2:
        raise ValueError(f"--batch-size {run.batch_size}: composites are of two images; take more, or --no-composites")


def networks_of(run: Run, found: Puzzles, *, filters: int, features: int, latents: int) -> model_of.Networks:
    """The networks for these images; ValueError where the architecture cannot reach their size."""
    try:
        return model_of.conv_networks(found.data.image_shape, filters=filters, features=features, latents=latents)
    except ValueError as error:
        raise ValueError(f"--dataset {run.dataset}: {error}") from error


PRESETS = {
    "quick": {
        "run": Run(steps=800, batch_size=32, binarization="none", evaluate_every=200),
        "enlarge": 2,
        "first_weight": 0.1,
        "last_weight": 0.01,
        "discriminator_moves": 1,
        "average": 0.95,
        "filters": 16,
        "features": 64,
        "latents": 16,
        "learning_rate": 2e-3,
        "discriminator_learning_rate": 5e-4,
    },
    "small": {
        "run": Run(dataset="mnist", steps=3000, batch_size=32, binarization="none", evaluate_every=500),
        "first_weight": 0.05,
        "last_weight": 0.005,
        "discriminator_moves": 1,
        "average": 0.99,
        "filters": 16,
        "features": 64,
        "latents": 32,
        "learning_rate": 1e-3,
        "discriminator_learning_rate": 5e-4,
    },
    "paper": {
        "run": Run(dataset="cifar10_jpeg", steps=79_000, batch_size=64, binarization="none", evaluate_every=3000),
    },
}

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
