"""Progressive growing of GANs on images (Karras, Aila, Laine & Lehtinen 2018).

The game begins on images shrunk to --start pixels a side. When its networks have seen --stable-images, a block is added
to each that doubles the side, and is faded in over --fade-images; and so on until the side is that of the data, which
must be --start times a power of 2. While a level is faded in, the generator, the discriminator and the real images are
mixed by the same weight alpha, linear in the images seen (fig. 2):

    generator        (1 - alpha) double(image of the old level) + alpha image of the new one
    discriminator    (1 - alpha) what the old level reads of the halved image + alpha what the new block makes of it
    real images      (1 - alpha) double(halve(x)) + alpha x

At alpha = 0 the networks give exactly what they gave before. The players descend the Wasserstein loss with a gradient
penalty and a drift (app. A.1), x' between real and generated images, all in [-1, 1]:

    discriminator    E D(G(z)) - E D(x) + 10 E (|grad D(x')| - gamma)^2 / gamma^2 + 0.001 E D(x)^2
    generator        -E D(G(z))

    equalized learning rate    weights start at N(0, 1) and are multiplied by gain / sqrt(inputs) at run time (sec. 4.1)
    pixel norm                 a / sqrt(mean over channels of a^2 + 1e-8), on the noise and after each convolution of G
    minibatch deviation        of each feature over the batch, mean of all, as one more map of D's last block (sec. 3)

The schedule and the batches are in genjax/data/growth.py, the networks in genjax/models/adversarial/progressive_gan_networks.py, the model and
the restarts of the optimizers at each level in genjax/models/adversarial/progressive_gan.py, the losses and the phases
in genjax/losses/adversarial.py and genjax/models/adversarial/gan.py. Samples are of an exponential moving average of G.

The level and alpha are functions of the step, the state has the weights of all levels from the start: a run goes on bit
for bit wherever it was stopped, in the middle of a fade too. The progress bar shows the side of the images and alpha.

    python -m experiments.progressive_gan                                                digits, 4 -> 8
    python -m experiments.progressive_gan --preset small --data-dir DIR                  MNIST, 7 -> 14 -> 28
    python -m experiments.progressive_gan --preset paper --data-dir DIR                  CIFAR-10 of TFDS's cifar10_jpeg
    python -m experiments.progressive_gan --preset hq --dataset ./mine --workdir RUN     your own images, up to 1024
    python -m experiments.progressive_gan --no-growth                                    the same networks at full size

Each level may have a batch size of its own (--level-batch-sizes). --no-growth trains the same networks at the full size
from the start: what growing is worth, at equal images where all batches are of one size (quick, small and paper), and
else at the --steps you choose; `images` in result.json counts them, `wall_seconds` is the time.

**Numbers.** `swd_S`, for each side S of the growth, is the sliced Wasserstein-1 distance between test images and as
many samples, both shrunk to S x S pixels and taken as points (genjax/metrics/sliced_wasserstein.py), 0 where they are
the same. `patch_distance` is the paper's measure, of 7x7 patches of each level of a Laplacian pyramid, contrast and
colour cast taken out (genjax/metrics/patches.py; the paper reports it times 1000, with more patches and images of its
own; a pyramid here ends at 7 pixels, not at 16). `real_...` is the same of training images in place of samples: what a
perfect generator would get. At most 2000 images and 1 GiB of them are compared. `real_logit` and `fake_logit` are
outputs of D at test images and samples, by the running deviation of real ones, and the losses those of the players
there.

                                    swd_4     swd_8     patch_distance    one seed, 102 400 images
    --preset quick                  0.0284    0.0457    0.0809
    --preset quick --no-growth      0.0224    0.0367    0.0676
    as many training images         0.0253    0.0367    0.0722

On MNIST, 7 -> 14 -> 28, the first row with three seeds, else one:

                                       images     swd_7             swd_14            swd_28            patch_distance
    --preset small                     240 000    0.012 +- 0.002    0.015 +- 0.002    0.018 +- 0.002    0.020 +- 0.001
    small --no-growth                  240 000    0.010             0.014             0.015             0.019
    small --no-growth --steps 3900     124 800    0.013             0.015             0.017             0.023
    as many training images                       0.009             0.011             0.012             0.015

    --preset paper                  not measured yet; the paper's 8.80 is of another score and needs weights of its own

The second row is at equal images, the third at about equal seconds: a step at 28x28 takes as long as 3.2 steps at 14x14
and 23 at 7x7 (`experiments.speed.benchmark`), so that the 7500 steps of `small` are about 4000 of the full size.

Where we leave the paper: D's minibatch deviation is a running mean where images are judged one by one. Optimizers begin
anew at each new level; in the authors' code at the end of each fade as well. Images are not mirrored. Deviations are
over the whole batch, as in the paper; --group is that of the authors' later code.

Known failures: growing pays little at these sizes. At equal images the same networks at the full size from the start
come nearer to the test images, on the digits as near as training images do; at equal seconds they come as near in swd,
and growing is ahead in patch_distance alone. The penalty takes the gradient of the sum of D's outputs, as the authors'
code does, and by the deviation an example's gradient is that of the others too. Nothing says which step of the game is
the best. An evaluation takes 500 images of the full size at once, which for large ones needs the memory of a GPU.
"""

import numpy as np
import optax
from matplotlib.figure import Figure

from experiments.parts.games import (
    KINDS,
    ROWS,
    check_finite,
    check_shares,
    empty_batch,
    load_images,
    sample_figures,
    with_extras,
)
from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.growth import Stage, doublings, growing, growing_feed, moment, starts, steps_until_grown
from genjax.losses.adversarial import wasserstein_with_drift
from genjax.measures.distances import distance_names, make_distances
from genjax.models.adversarial import progressive_gan as model_of
from genjax.models.adversarial.average import with_average
from genjax.models.adversarial.gan import Optimizers, Penalty, wasserstein_penalty
from genjax.pictures.drawing import drawn
from genjax.pictures.figures import Figures, image_grid
from genjax.runs.experiment import Common, Experiment, Reference, Run, check_positive, option
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

FILMED = 128 * 128 * 3
"""Numbers of an image, at most, where a film is kept in the state."""


def progressive_gan(
    run: Common = Run(binarization="none", batch_size=16),  # noqa: B008 (frozen)
    *,
    growth: bool = True,
    start: int = 4,
    fade_images: int = 800_000,
    stable_images: int = 800_000,
    level_batch_sizes: tuple[int, ...] = (),
    latents: int = 512,
    maps: int = 512,
    maps_times_side: int = 16384,
    group: int = 0,
    gamma: float = 1.0,
    penalty_weight: float = 10.0,
    drift: float = 0.001,
    discriminator_moves: int = 1,
    average: float = 0.999,
    learning_rate: float = 1e-3,
) -> Experiment:
    """A progressive GAN.

    Args:
        run: What every experiment has; the last level goes on until --steps.
        growth: Whether the networks grow, or are trained at the full size from the start.
        start: Side of the smallest images.
        fade_images: Images during which a level is faded in.
        stable_images: Images of a level after that, before the next one begins.
        level_batch_sizes: Of each level, from the smallest images on, those too many unused; --batch-size for all where
            none are given.
        latents: Dimensions of the noise, Gaussian and brought to a mean square of 1.
        maps: Of each level, at most.
        maps_times_side: Maps of a level times its side, at most: the larger the images, the fewer maps.
        group: Examples over which the minibatch deviation is; 0 for the whole batch.
        gamma: What the penalty pulls the norm of the gradient to.
        penalty_weight: Of the penalty.
        drift: Weight of the discriminator's squared outputs at real images.
        discriminator_moves: Of the discriminator for each of the generator.
        average: Decay of the average of the generator that samples are of; 0 for none.
        learning_rate: Adam's step size, of both.
    """
    check_positive(
        start=start,
        fade_images=fade_images,
        stable_images=stable_images,
        level_batch_sizes=min(level_batch_sizes, default=1),
        latents=latents,
        maps=maps,
        maps_times_side=maps_times_side,
        gamma=gamma,
        penalty_weight=penalty_weight,
        discriminator_moves=discriminator_moves,
        learning_rate=learning_rate,
    )
    check_shares(average=average)
    check_finite(group=group, drift=drift)
    if run.steps < discriminator_moves:
        raise ValueError(
            f"--steps {run.steps}: the generator moves once in --discriminator-moves {discriminator_moves}"
        )
    data = load_images(run)
    levels = levels_of(data, start)
    sizes = checked_batch_sizes(level_batch_sizes or (run.batch_size,) * (levels + 1), levels, group)
    stages = growing(sizes, fade=fade_images, stable=stable_images) if growth else (Stage(levels, sizes[-1]),)
    if run.steps < steps_until_grown(stages):
        whole = f"the last level is all there after {steps_until_grown(stages)}"
        raise ValueError(f"--steps {run.steps}: {whole}; take fewer --fade-images and --stable-images")
    model = model_of.progressive_gan(
        data.image_shape,
        optimizers=Optimizers(adam(learning_rate), adam(learning_rate)),
        sizes=model_of.Sizes(start, latents, maps, maps_times_side, group),
        game=wasserstein_with_drift(drift),
        penalty=penalty_to(gamma, penalty_weight),
        discriminator_moves=discriminator_moves,
        restarts=starts(stages)[1:],
    )
    model = with_average_and_film(model, data, average=average, steps=run.steps)
    sides = [start * 2**level for level in range(levels + 1)]
    return Experiment(
        model=model,
        data=data,
        kinds={**KINDS, **dict.fromkeys(distance_names(sides), "estimate")},
        figures=make_figures(model, data),
        seeds_together=False,
        feed=lambda seeds, batch_size: growing_feed(data.train, data.load, seeds, stages, levels=levels),
        facts={"images": moment(stages, run.steps).seen},
        measure=make_distances(model, data, sides),
        shown=("discriminator/side", "discriminator/alpha"),
    )


def levels_of(data: Dataset, start: int) -> int:
    """How often the smallest images are doubled; ValueError where that does not give the data's."""
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


def adam(learning_rate: float) -> optax.GradientTransformation:
    """Adam without momentum (app. A.1)."""
    return optax.adam(learning_rate, b1=0.0, b2=0.99)


def penalty_to(gamma: float, weight: float) -> Penalty:
    """The weight times (|gradient| - gamma)^2 / gamma^2."""
    return wasserstein_penalty(weight=weight / gamma**2, target=gamma)


def with_average_and_film(model: Model, data: Dataset, *, average: float, steps: int) -> Model:
    """The model with an average of its generator and, where images are not large, a film."""
    if np.prod(data.image_shape) <= FILMED:
        return with_extras(model, empty_batch(data), average=average, steps=steps)
    return with_average(model, decay=average) if average else model


def make_figures(model: Model, data: Dataset) -> Figures:
    """Samples, and where there is a film, how some came to be."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        if "film" in stats:
            return sample_figures(model, data, params, stats, key)
        images = drawn(model, data, params, stats, ROWS**2, key)
        return {"samples": image_grid(images, columns=ROWS, title="samples")}

    return figures


PRESETS = {
    "quick": {
        "run": Run(steps=1600, batch_size=64, binarization="none", evaluate_every=500),
        "fade_images": 25_600,
        "stable_images": 25_600,
        "latents": 64,
        "maps": 32,
        "maps_times_side": 256,
        "average": 0.99,
    },
    "small": {
        "run": Run(dataset="mnist", steps=7500, batch_size=32, binarization="none", evaluate_every=1500),
        "start": 7,
        "fade_images": 48_000,
        "stable_images": 48_000,
        "latents": 64,
        "maps": 32,
        "maps_times_side": 448,
        "average": 0.995,
    },
    "paper": {
        "run": Run(dataset="cifar10_jpeg", steps=1_250_000, batch_size=16, binarization="none", evaluate_every=25_000),
        "fade_images": 400_000,
        "stable_images": 400_000,
        "latents": 128,
        "maps": 128,
        "maps_times_side": 8192,
        "gamma": 750.0,
    },
    "hq": {
        "run": Run(dataset="./images", steps=3_264_000, batch_size=16, binarization="none", evaluate_every=50_000),
        "level_batch_sizes": (16, 16, 16, 16, 16, 16, 14, 6, 3),
    },
}

REFERENCES: tuple[Reference, ...] = ()

BASELINES = tuple(
    Baseline(name, f"real_{name}", "training images in place of samples")
    for name in (*(f"swd_{side}" for side in (4, 7, 8, 14, 16, 28, 32)), "patch_distance")
)
HEADLINE = "patch_distance"

if __name__ == "__main__":
    main(progressive_gan, PRESETS)
