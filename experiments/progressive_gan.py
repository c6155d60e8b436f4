"""Progressive growing of GANs on images (Karras, Aila, Laine & Lehtinen 2018).

Training begins on images shrunk to --start pixels a side. After --stable-images training images, each network gets a
new block that doubles the side and is faded in over the next --fade-images. This is repeated up to the side of the
data, which must be --start times a power of 2. While a level is faded in, the generator, the discriminator and the real
images are mixed with the same weight alpha, linear in the number of training images (fig. 2):

    generator        (1 - alpha) doubled(image of the old level) + alpha image of the new level
    discriminator    (1 - alpha) features of the old level of the halved image + alpha features of the new block
    real images      (1 - alpha) doubled(halved(x)) + alpha x

At alpha = 0 the networks return exactly what they returned before. Both networks minimize the Wasserstein loss, with a
gradient penalty and a drift term (app. A.1); x' lies between real and generated images, all in [-1, 1]:

    discriminator    E D(G(z)) - E D(x) + 10 E (|grad D(x')| - gamma)^2 / gamma^2 + 0.001 E D(x)^2
    generator        -E D(G(z))

    equalized learning rate    weights start at N(0, 1) and are multiplied by gain / sqrt(inputs) at run time (sec. 4.1)
    pixel norm                 a / sqrt(mean over channels of a^2 + 1e-8), on the noise and after each convolution of G
    minibatch deviation        standard deviation of each feature over the batch, their mean as one more channel of the
                               last block of D (sec. 3)

The schedule and the batches are in genjax/data/growth.py; the networks, with these three layers, are in
genjax/models/adversarial/progressive_gan_networks.py; the model, and the restarts of the optimizers at each level, are
in genjax/models/adversarial/progressive_gan.py; the losses and phases are in genjax/losses/adversarial.py and
genjax/models/adversarial/gan.py. Samples are drawn from an exponential moving average of G.

The level and alpha are functions of the step, and the state holds the weights of all levels from the start. A stopped
run therefore resumes bit for bit, also during a fade-in. The progress bar shows the side of the images and alpha.

    python -m experiments.progressive_gan                                                digits, 4 -> 8
    python -m experiments.progressive_gan --preset small --data-dir DIR                  MNIST, 7 -> 14 -> 28
    python -m experiments.progressive_gan --preset paper --data-dir DIR                  CIFAR-10 of TFDS's cifar10_jpeg
    python -m experiments.progressive_gan --preset hq --dataset ./mine --workdir RUN     your own images, up to 1024
    python -m experiments.progressive_gan --no-growth                                    the same networks at full size

Each level may have a batch size of its own (--level-batch-sizes). --no-growth trains the same networks at the full size
from the start, which shows the effect of growing. If all batches have one size (quick, small and paper), both runs
train on the same number of images; else choose --steps. `images` in result.json is the number of training images,
`wall_seconds` the time.

**Metrics.** `swd_S`, for each side S of the growth, is the sliced Wasserstein-1 distance between test images and as
many samples, both shrunk to S x S pixels and taken as points (genjax/metrics/sliced_wasserstein.py); 0 means equal.
`patch_distance` is the paper's measure on 7x7 patches of each level of a Laplacian pyramid, from which contrast and
colour cast are removed (genjax/metrics/patches.py). The paper multiplies it by 1000, has more patches and images, and
its pyramid ends at 16 pixels, here at 7. `real_...` is the same distance with training images in place of samples,
which a perfect generator would reach. At most 2000 images, and at most 1 GiB, are compared. `real_logit` and
`fake_logit` are the outputs of D for test images and for samples, with the running minibatch deviation of real images;
the losses are computed from them.

**Differences from the paper.** The minibatch deviation of D is a running mean where images are evaluated one by one.
The optimizers restart at each new level; in the authors' code they restart at the end of each fade as well. Images are
not mirrored. The minibatch deviation is taken over the complete batch, as in the paper; --group limits it to groups, as
in the authors' later code. The paper's inception score needs the weights of a network that is not available here, and
is not measured.

**Known failures.** Growing gains little at these sizes: networks trained at the full size from the start come nearer to
the test images after the same number of training images, and equally near in swd after the same time. The penalty takes
the gradient of the sum of all outputs of D, as the authors' code does; through the minibatch deviation the gradient of
one example then includes the outputs for the others. No metric on the validation split says which step is best. An
evaluation holds 500 images of the full size at once, which for large images needs the memory of a GPU.
"""

from dataclasses import dataclass

import numpy as np
import optax
from matplotlib.figure import Figure

from experiments.parts.adversarial import (
    ROWS,
    blank_images,
    check_fractions,
    check_not_negative,
    sample_figures,
    with_average_and_history,
)
from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.growth import Stage, doublings, growing, growing_feed, moment, starts, steps_until_grown
from genjax.losses.adversarial import wasserstein_with_drift
from genjax.measures.distances import make_distances
from genjax.models.adversarial import progressive_gan as model_of
from genjax.models.adversarial.average import with_average
from genjax.models.adversarial.gan import Optimizers, Penalty, wasserstein_penalty
from genjax.pictures.drawing import drawn
from genjax.pictures.figures import Figures, image_grid
from genjax.pictures.sample_history import has_sample_history
from genjax.runs.experiment import Baseline, Experiment, Reference
from genjax.runs.options import Data, Run, check_positive, option
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

HISTORY_NUMBERS = 128 * 128 * 3
"""Largest number of values of an image (height x width x channels) for which a run keeps a sample history."""


@dataclass(frozen=True)
class Options:
    """Options of a progressive GAN."""

    data: Data = Data(binarization="none")
    run: Run = Run(batch_size=16)
    growth: bool = True
    """Grow the networks level by level, the last level until --steps; without it, train at the full size from the
    start."""
    start: int = 4
    """Side of the smallest images in pixels."""
    fade_images: int = 800_000
    """Number of training images during which a level is faded in."""
    stable_images: int = 800_000
    """Number of training images of a level after its fade-in, before the next level begins."""
    level_batch_sizes: tuple[int, ...] = ()
    """Batch size of each level, from the smallest images on; sizes beyond the last level are ignored. By default
    --batch-size for all levels."""
    latents: int = 512
    """Number of dimensions of the noise, which is Gaussian and normalized to a mean square of 1."""
    maps: int = 512
    """Largest number of channels of a level."""
    maps_times_side: int = 16384
    """Largest product of the channels and the side in pixels of a level: larger images have fewer channels."""
    group: int = 0
    """Number of examples over which the minibatch deviation is computed; 0 for the complete batch."""
    gamma: float = 1.0
    """Target of the gradient penalty: the norm of the discriminator's gradient at which the penalty is 0."""
    penalty_weight: float = 10.0
    """Weight of the gradient penalty."""
    drift: float = 0.001
    """Weight of the drift term, the mean squared output of the discriminator for real images."""
    discriminator_moves: int = 1
    """Number of updates of the discriminator for each update of the generator."""
    average: float = 0.999
    """Decay of the moving average of the generator's weights from which samples are drawn; 0 for no average."""
    learning_rate: float = 1e-3
    """Learning rate of the Adam optimizers of both networks."""


PRESETS = {
    "quick": Options(
        Data(binarization="none"),
        Run(steps=2400, batch_size=16, evaluate_every=800),
        fade_images=4800,
        stable_images=4800,
        latents=64,
        maps=32,
        maps_times_side=256,
        average=0.99,
    ),
    "small": Options(
        Data(dataset="mnist", binarization="none"),
        Run(steps=7500, batch_size=32, evaluate_every=1500),
        start=7,
        fade_images=48_000,
        stable_images=48_000,
        latents=64,
        maps=32,
        maps_times_side=448,
        average=0.995,
    ),
    "paper": Options(
        Data(dataset="cifar10_jpeg", binarization="none"),
        Run(steps=1_250_000, batch_size=16, evaluate_every=25_000),
        fade_images=400_000,
        stable_images=400_000,
        latents=128,
        maps=128,
        maps_times_side=8192,
        gamma=750.0,
    ),
    "hq": Options(
        Data(dataset="./images", binarization="none"),
        Run(steps=3_264_000, batch_size=16, evaluate_every=50_000),
        level_batch_sizes=(16, 16, 16, 16, 16, 16, 14, 6, 3),
    ),
}


def progressive_gan(options: Options) -> Experiment:
    """Return the experiment: a progressive GAN on images."""
    check(options)
    data, start, steps = options.data.load(), options.start, options.run.steps
    levels = levels_of(data, start)
    stages = stages_of(options, levels)
    model = model_of.progressive_gan(
        data.image_shape,
        optimizers=Optimizers(adam(options.learning_rate), adam(options.learning_rate)),
        sizes=sizes_of(options),
        adversarial=wasserstein_with_drift(options.drift),
        penalty=penalty_to(options.gamma, options.penalty_weight),
        discriminator_updates=options.discriminator_moves,
        restarts=starts(stages)[1:],
    )
    model = with_average_and_small_history(model, data, average=options.average, steps=steps)
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(model, data),
        measure=make_distances(model, data, [start * 2**level for level in range(levels + 1)]),
        feed=lambda seeds, batch_size: growing_feed(data.train, data.load, seeds, stages, levels=levels),
        facts={"images": moment(stages, steps).seen},
        shown=("discriminator/side", "discriminator/alpha"),
    )


def check(options: Options) -> None:
    """Raise ValueError where an option is out of range, or the run has no update of the generator."""
    check_positive(
        start=options.start,
        fade_images=options.fade_images,
        stable_images=options.stable_images,
        level_batch_sizes=min(options.level_batch_sizes, default=1),
        latents=options.latents,
        maps=options.maps,
        maps_times_side=options.maps_times_side,
        gamma=options.gamma,
        penalty_weight=options.penalty_weight,
        discriminator_moves=options.discriminator_moves,
        learning_rate=options.learning_rate,
    )
    check_fractions(average=options.average)
    check_not_negative(group=options.group, drift=options.drift)
    steps, moves = options.run.steps, options.discriminator_moves
    if steps < moves:
        raise ValueError(f"--steps {steps}: the generator is updated once in --discriminator-moves {moves} steps")


def levels_of(data: Dataset, start: int) -> int:
    """Return how often the side `start` must double to reach the size of the data; ValueError if it cannot."""
    try:
        return doublings(data.image_shape, start)
    except ValueError as error:
        raise ValueError(f"--start {start}: images of {data.name!r}: {error}") from error


def stages_of(options: Options, levels: int) -> tuple[Stage, ...]:
    """Return the stages of training. Raises ValueError where the run ends before the last level is faded in."""
    batch_sizes = checked_batch_sizes(options, levels)
    if not options.growth:
        return (Stage(levels, batch_sizes[-1]),)
    stages = growing(batch_sizes, fade=options.fade_images, stable=options.stable_images)
    if options.run.steps < (needed := steps_until_grown(stages)):
        raise ValueError(
            f"--steps {options.run.steps}: the last level is complete after {needed}; take fewer --fade-images and "
            "--stable-images"
        )
    return stages


def checked_batch_sizes(options: Options, levels: int) -> tuple[int, ...]:
    """Return the batch size of each level; ValueError if there are too few, or --group does not divide one of them."""
    batch_sizes = options.level_batch_sizes or (options.run.batch_size,) * (levels + 1)
    if len(batch_sizes) <= levels:
        raise ValueError(
            f"{option('level_batch_sizes')} {batch_sizes}: must be at least {levels + 1}, one for each level"
        )
    batch_sizes, group = batch_sizes[: levels + 1], options.group
    if group and any(size > group and size % group for size in batch_sizes):
        raise ValueError(f"--group {group} must divide the batch sizes {batch_sizes} that are larger")
    return batch_sizes


def sizes_of(options: Options) -> model_of.Sizes:
    """Return the sizes of the networks."""
    return model_of.Sizes(options.start, options.latents, options.maps, options.maps_times_side, options.group)


def adam(learning_rate: float) -> optax.GradientTransformation:
    """Return Adam without momentum (app. A.1)."""
    return optax.adam(learning_rate, b1=0.0, b2=0.99)


def penalty_to(gamma: float, weight: float) -> Penalty:
    """Return the gradient penalty weight (|gradient| - gamma)^2 / gamma^2."""
    return wasserstein_penalty(weight=weight / gamma**2, target=gamma)


def with_average_and_small_history(model: Model, data: Dataset, *, average: float, steps: int) -> Model:
    """Return the model with a moving average of its generator and, unless images are large, a sample history."""
    if np.prod(data.image_shape) <= HISTORY_NUMBERS:
        return with_average_and_history(model, blank_images(data), average=average, steps=steps)
    return with_average(model, decay=average) if average else model


def make_figures(model: Model, data: Dataset) -> Figures:
    """Return the figures: samples and, where the model has one, the sample history."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        if has_sample_history(stats):
            return sample_figures(model, data, params, stats, key)
        images = drawn(model, data, params, stats, ROWS**2, key)
        return {"samples": image_grid(images, columns=ROWS, title="samples")}

    return figures


REFERENCES: tuple[Reference, ...] = ()

BASELINES = tuple(
    Baseline(name, f"real_{name}", "training images in place of samples")
    for name in (*(f"swd_{start << level}" for start in range(4, 8) for level in range(9)), "patch_distance")
)
HEADLINE = "patch_distance"

if __name__ == "__main__":
    main(progressive_gan, PRESETS)
