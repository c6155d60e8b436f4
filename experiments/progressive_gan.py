"""Progressive growing of GANs on images (Karras, Aila, Laine & Lehtinen 2018).

Training begins on images reduced to --start pixels a side. After --stable-images images, a block that doubles the side
is added to both networks and faded in over --fade-images images; and so on until the side is that of the data, which
must be --start times a power of 2. During a fade the generator, the discriminator and the real images are mixed by the
same weight alpha, which grows linearly with the number of images seen (fig. 2):

    generator        (1 - alpha) upsample(image of the old level) + alpha image of the new level
    discriminator    (1 - alpha) old level's features of the pooled image + alpha features of the new block
    real images      (1 - alpha) upsample(pool(x)) + alpha x

At alpha = 0 the networks compute exactly what they computed before the block was added. They are trained with the
Wasserstein loss with gradient penalty and drift (app. A.1); x' lies between real and generated images, and all images
are in [-1, 1]:

    discriminator    E D(G(z)) - E D(x) + 10 E (|grad D(x')| - gamma)^2 / gamma^2 + 0.001 E D(x)^2
    generator        -E D(G(z))

    equalized learning rate    weights start at N(0, 1) and are multiplied by gain / sqrt(inputs) at run time (sec. 4.1)
    pixel norm                 a / sqrt(mean over channels of a^2 + 1e-8), on the noise and after each convolution of G
    minibatch deviation        standard deviation of each feature over the batch, averaged over features and positions,
                               as one more channel of D's last block (sec. 3)

The schedule and the batches are in genjax/data/growth.py, the networks and the model, with the restarts of the
optimizers at each level, in genjax/models/adversarial/progressive_gan_networks.py and progressive_gan.py, the losses in
genjax/losses/adversarial.py and genjax/models/adversarial/gan.py. Samples come from an exponential moving average of G.

The level and alpha are functions of the step, and the state has the weights of all levels from the start: a run resumes
bit for bit wherever it was stopped, inside a fade as well. The progress bar shows the side of the images and alpha.

    python -m experiments.progressive_gan                                                digits, 4 -> 8
    python -m experiments.progressive_gan --preset small --data-dir DIR                  MNIST, 7 -> 14 -> 28
    python -m experiments.progressive_gan --preset paper --data-dir DIR                  CIFAR-10 of TFDS's cifar10_jpeg
    python -m experiments.progressive_gan --preset hq --dataset ./mine --workdir RUN     your own images, up to 1024
    python -m experiments.progressive_gan --no-growth                                    the same networks at full size

Each level may have its own batch size (--level-batch-sizes). --no-growth trains the same networks at full size from the
start, which shows what growing is worth: at equal numbers of images if all batches have one size (quick, small and
paper), and otherwise at the --steps you choose. In result.json `images` counts them and `wall_seconds` is the time.

**Numbers.** `swd_S`, for each side S of the growth, is the sliced Wasserstein-1 distance between test images and as
many samples, both pooled to S x S pixels and taken as points (genjax/metrics/sliced_wasserstein.py); 0 for equal sets.
`patch_distance` is the paper's measure on 7x7 patches of each level of a Laplacian pyramid, normalized in contrast and
colour (genjax/metrics/patches.py; the paper multiplies it by 1000, uses more patches and images, ends its pyramid at
16 pixels, not 7). `real_...` is the same distance with training images in place of samples: the value of a perfect
generator. At most 2000 images and 1 GiB of them are compared. `real_logit` and `fake_logit` are outputs of D at test
images and samples, computed with the running minibatch deviation of real images, and the losses are computed from them.

Differences from the paper: the minibatch deviation is a running mean when images are evaluated one by one; optimizers
restart at each new level, in the authors' code at the end of each fade as well; images are not mirrored; deviations are
over the whole batch, as in the paper (--group is the option of the authors' later code). The paper's Inception score
needs weights that are not here.

Known failures: growing pays little at these sizes. At equal numbers of images the same networks at full size from the
start come nearer to the test images; at equal seconds they are equal in swd, and growing is ahead in patch_distance
alone. The penalty takes the gradient of the sum of D's outputs, as the authors' code does, and through the minibatch
deviation the gradient of one example depends on the others too. No measure tells which step of the training is best. An
evaluation takes 500 images of full size at once, which for large images needs the memory of a GPU.
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
from genjax.runs.experiment import Baseline, Experiment, Reference
from genjax.runs.options import Data, Run, check_positive, option
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

MOST_VALUES = 128 * 128 * 3
"""Values of an image, at most, for which a sample history is kept in the state."""


@dataclass(frozen=True)
class Options:
    """A progressively growing GAN."""

    data: Data = Data(binarization="none")
    run: Run = Run(batch_size=16)
    growth: bool = True
    """Grow the networks; without it they are trained at full size from the start."""
    start: int = 4
    """Side of the smallest images."""
    fade_images: int = 800_000
    """Images during which a new level is faded in."""
    stable_images: int = 800_000
    """Images on which a level is trained after its fade, before the next level begins."""
    level_batch_sizes: tuple[int, ...] = ()
    """Batch size of each level, from the smallest images on; sizes beyond the last level are ignored. By default
    --batch-size for all levels."""
    latents: int = 512
    """Dimensions of the noise, Gaussian and normalized to a mean square of 1."""
    maps: int = 512
    """Channels of a level, at most."""
    maps_times_side: int = 16384
    """Channels of a level times its side, at most: the larger the images, the fewer channels."""
    group: int = 0
    """Examples over which the minibatch deviation is computed; 0 for the whole batch."""
    gamma: float = 1.0
    """Target norm of the discriminator's gradient in the penalty."""
    penalty_weight: float = 10.0
    """Weight of the gradient penalty."""
    drift: float = 0.001
    """Weight of the discriminator's squared outputs at real images."""
    discriminator_moves: int = 1
    """Updates of the discriminator for each update of the generator."""
    average: float = 0.999
    """Decay of the moving average of the generator's weights from which samples are drawn; 0 for no average."""
    learning_rate: float = 1e-3
    """Learning rate of the Adam optimizers of both networks."""


PRESETS = {
    "quick": Options(
        Data(binarization="none"),
        Run(steps=1600, batch_size=64, evaluate_every=500),
        fade_images=25_600,
        stable_images=25_600,
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
    """A progressively growing GAN on images."""
    check(options)
    run, start = options.run, options.start
    data = options.data.load()
    levels = levels_of(data, start)
    stages = stages_of(options, levels)
    model = model_of.progressive_gan(
        data.image_shape,
        optimizers=Optimizers(momentumless(options.learning_rate), momentumless(options.learning_rate)),
        sizes=model_of.Sizes(start, options.latents, options.maps, options.maps_times_side, options.group),
        game=wasserstein_with_drift(options.drift),
        penalty=penalty_to(options.gamma, options.penalty_weight),
        discriminator_moves=options.discriminator_moves,
        restarts=starts(stages)[1:],
    )
    model = with_extras(model, data, average=options.average, steps=run.steps)
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(model, data),
        seeds_together=False,
        feed=lambda seeds, batch_size: growing_feed(data.train, data.load, seeds, stages, levels=levels),
        facts={"images": moment(stages, run.steps).seen},
        measure=make_distances(model, data, [start * 2**level for level in range(levels + 1)]),
        shown=("discriminator/side", "discriminator/alpha"),
    )


def check(options: Options) -> None:
    """Raise ValueError where an option is out of range."""
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
    if options.run.steps < options.discriminator_moves:
        raise ValueError(
            f"--steps {options.run.steps}: the generator is updated once in --discriminator-moves "
            f"{options.discriminator_moves} steps"
        )


def stages_of(options: Options, levels: int) -> tuple[Stage, ...]:
    """The stages of the training; ValueError where it ends before the last level is fully faded in."""
    run = options.run
    sizes = checked_batch_sizes(options.level_batch_sizes or (run.batch_size,) * (levels + 1), levels, options.group)
    if not options.growth:
        return (Stage(levels, sizes[-1]),)
    stages = growing(sizes, fade=options.fade_images, stable=options.stable_images)
    if run.steps < steps_until_grown(stages):
        whole = f"the last level is fully faded in after {steps_until_grown(stages)}"
        raise ValueError(f"--steps {run.steps}: {whole}; use fewer --fade-images and --stable-images")
    return stages


def levels_of(data: Dataset, start: int) -> int:
    """Number of doublings from the smallest images to the data's; ValueError where there is none."""
    try:
        return doublings(data.image_shape, start)
    except ValueError as error:
        raise ValueError(f"--start {start}: images of {data.name!r}: {error}") from error


def checked_batch_sizes(sizes: tuple[int, ...], levels: int, group: int) -> tuple[int, ...]:
    """The batch size of each level; ValueError where there are too few, or groups do not divide them."""
    if len(sizes) <= levels:
        raise ValueError(f"{option('level_batch_sizes')} {sizes}: must be at least {levels + 1}, one for each level")
    sizes = sizes[: levels + 1]
    if group and any(size > group and size % group for size in sizes):
        raise ValueError(f"--group {group} must divide the batch sizes {sizes} that are larger")
    return sizes


def momentumless(learning_rate: float) -> optax.GradientTransformation:
    """Adam without momentum (app. A.1)."""
    return optax.adam(learning_rate, b1=0.0, b2=0.99)


def penalty_to(gamma: float, weight: float) -> Penalty:
    """Gradient penalty: the weight times (|gradient| - gamma)^2 / gamma^2."""
    return wasserstein_penalty(weight=weight / gamma**2, target=gamma)


def with_extras(model: Model, data: Dataset, *, average: float, steps: int) -> Model:
    """The model with a moving average of its generator and, if images are not large, a sample history."""
    if np.prod(data.image_shape) <= MOST_VALUES:
        return with_average_and_history(model, blank_images(data), average=average, steps=steps)
    return with_average(model, decay=average) if average else model


def make_figures(model: Model, data: Dataset) -> Figures:
    """Figures of samples and, if there is a sample history, of samples during training."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        if "film" in stats:
            return sample_figures(model, data, params, stats, key)
        images = drawn(model, data, params, stats, ROWS**2, key)
        return {"samples": image_grid(images, columns=ROWS, title="samples")}

    return figures


REFERENCES: tuple[Reference, ...] = ()

BASELINES = tuple(
    Baseline(name, f"real_{name}", "training images in place of samples")
    for name in (*(f"swd_{side}" for side in (4, 7, 8, 14, 16, 28, 32)), "patch_distance")
)
HEADLINE = "patch_distance"

if __name__ == "__main__":
    main(progressive_gan, PRESETS)
