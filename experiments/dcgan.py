"""Deep convolutional GAN on images (Radford, Metz & Chintala 2016).

The game of experiments.gan between convolutional networks, whose architecture follows from the size of the images:

    generator        z uniform on [-1, 1]^100 -> linear, batch norm, ReLU -> [base, base, filters 2^(n-1)]
                     -> n transposed convolutions, 5x5, stride 2, batch norm and ReLU after all but the last -> tanh
    discriminator    n convolutions, 5x5, stride 2, leaky ReLU 0.2, batch norm before it in all but the first -> logit

n is how often the side is halved until it is 4 to 7 (4, 5, 6 or 7 times a power of 2 are the sizes there are): at 64x64
n = 4 and the base 4, the paper's 1024, 512, 256 and 128 maps with --filters 128; at 28x28 n = 2 and the base 7. They
are in genjax/models/adversarial/dcgan_networks.py, the model in genjax/models/adversarial/dcgan.py, the phases in
genjax/models/adversarial/gan.py. Weights start at N(0, 0.02^2), there are no biases, Adam has b1 0.5. In training the
discriminator normalizes real and fake images apart.

**Samples do not depend on their neighbours.** They are drawn by running statistics, the average of those of the
generator's own moves; the authors' code normalizes by the batch that is drawn. Running statistics of the discriminator
are those of real images.

    python -m experiments.dcgan                                               digits
    python -m experiments.dcgan --preset small --data-dir DIR                 MNIST, 32 filters
    python -m experiments.dcgan --preset paper --data-dir DIR                 CIFAR-10 of TFDS's cifar10_jpeg, 32x32

**Numbers.** `probe_error` is the share of test images that a linear classifier on the discriminator's features gets
wrong: the maps of all convolutions, max-pooled to 4x4, flattened and concatenated (sec. 5.1; 28 672 of them at 32x32
with 256 filters). It is fitted to the first 10 000 training images, validation images pick its penalty
(genjax/metrics/probe.py). Beside it stand the same for a discriminator that is not trained, and for pixels. The logits
and losses are those of experiments.gan. Pictures: samples, the same noise over training, and interpolations.

    --preset quick                  probe_error        0.017; random features 0.020, pixels 0.030 (300 images)
    --preset small                  probe_error        0.0224; random features 0.0256, pixels 0.0866
    --preset paper, 32 filters      probe_error        0.401; random features 0.471, pixels 0.598
    --preset paper                  probe_error 0.172  not measured yet (the paper's features are of ImageNet)

`small` is of one seed, in 24 minutes on one core beside other work; of 10 000 test images, the deviation of such an
error is 0.0015. The third row is CIFAR-10, `--preset paper --filters 32 --batch-size 64 --steps 2500`, one seed: three
epochs in an hour on one core beside other work, and an eighth of the paper's features; its deviation is 0.005.

Where we leave the paper: features are learnt on the data that are probed, by logistic regression on 10 000 of them in
place of an L2-SVM on all; running statistics; no L2 penalty; batch normalization adds 1e-5 to the variance, where the
code adds 1e-8. Figure 1 of the paper has the networks for 64x64; those for other sizes drop the widest layers.

Known failures: after 4000 steps some samples of `small` are no digits yet; those of the third row have colours and
shapes of photographs, and nothing that a person could name. Nothing says which step of the game is the best.
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.parts.games import (
    KINDS,
    ROWS,
    GameName,
    adam,
    check_shares,
    empty_batch,
    game_of,
    load_images,
    sample_figures,
    with_extras,
)
from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.evaluation import Measure
from genjax.measures.features import features_function, make_probe, pixels
from genjax.models.adversarial import gan as gan_model
from genjax.models.adversarial.average import averaged
from genjax.models.adversarial.dcgan import dcgan as dcgan_model
from genjax.models.adversarial.dcgan import dcgan_networks
from genjax.networks.named import applied
from genjax.pictures.figures import Figures, image_grid
from genjax.runs.experiment import Common, Experiment, Reference, Run, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

BETWEEN = 10
"""Images in a row of the interpolation, its ends among them."""

PROBES: tuple[str, ...] = ("probe_error", "random_probe_error", "pixel_probe_error")


def dcgan(
    run: Common = Run(binarization="none", batch_size=128),  # noqa: B008 (frozen)
    *,
    loss: GameName = "nonsaturating",
    smoothing: float = 0.0,
    discriminator_moves: int = 1,
    average: float = 0.0,
    latents: int = 100,
    filters: int = 128,
    learning_rate: float = 2e-4,
    discriminator_learning_rate: float = 2e-4,
    probe: bool = True,
) -> Experiment:
    """A deep convolutional GAN.

    Args:
        run: What every experiment has.
        loss: What the players descend.
        smoothing: How far the discriminator's target for real examples is below 1 (one-sided label smoothing).
        discriminator_moves: Of the discriminator for each of the generator.
        average: Decay of the average of the generator that samples are of; 0 for none.
        latents: Dimensions of the noise, uniform on [-1, 1].
        filters: Maps of the discriminator's first convolution; each next one has twice as many, and the generator
            mirrors them.
        learning_rate: Adam's step size, of the generator.
        discriminator_learning_rate: Of the discriminator.
        probe: Whether linear probes of its features, of a random discriminator's and of pixels are measured, where the
            data have labels; on 10 000 images this takes minutes.
    """
    check_positive(
        discriminator_moves=discriminator_moves,
        latents=latents,
        filters=filters,
        learning_rate=learning_rate,
        discriminator_learning_rate=discriminator_learning_rate,
    )
    check_shares(average=average, smoothing=smoothing)
    data = load_images(run)
    model = dcgan_model(
        data.image_shape,
        optimizers=gan_model.Optimizers(adam(discriminator_learning_rate), adam(learning_rate)),
        filters=filters,
        latents=latents,
        game=game_of(loss, smoothing),
        discriminator_moves=discriminator_moves,
    )
    model = with_extras(model, empty_batch(data), average=average, steps=run.steps)
    networks = dcgan_networks(data.image_shape, filters=filters, latents=latents)
    return Experiment(
        model=model,
        data=data,
        kinds={**KINDS, **(dict.fromkeys(PROBES, "exact") if probe else {})},
        figures=make_figures(model, networks, data),
        seeds_together=False,
        measure=make_measure(model, data) if probe else None,
    )


def make_measure(model: Model, data: Dataset) -> Measure:
    """The errors of linear probes: on the discriminator's features, on those of one that is not trained, on pixels."""
    embed = features_function(model)
    trained, random, raw = (
        make_probe(features, data, name=name) for features, name in zip((embed, embed, pixels), PROBES, strict=True)
    )

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        fresh_params, fresh_stats = jax.jit(model.init)(key, {"image": jnp.zeros((1, *data.image_shape))})
        return {
            **trained(params, stats, split, key),
            **random(fresh_params, fresh_stats, split, key),
            **raw({}, {}, split, key),
        }

    return measure


def make_figures(model: Model, networks: gan_model.Networks, data: Dataset) -> Figures:
    """Samples, how some came to be over training, and what lies between two noises."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        sample_key, between_key = jax.random.split(key)
        between = interpolation(networks, *averaged(params, stats), between_key)
        return {**sample_figures(model, data, params, stats, sample_key), "interpolation": between}

    return figures


def interpolation(networks: gan_model.Networks, params: Params, stats: Stats, key: Key) -> Figure:
    """In each row images of equal steps on the line between two noises."""
    ends = gan_model.drawn_noise(networks.prior, key, 2 * ROWS).reshape(2, ROWS, 1, -1)
    share = jnp.linspace(0, 1, BETWEEN)[:, None]
    z = ((1 - share) * ends[0] + share * ends[1]).reshape(ROWS * BETWEEN, -1)
    images = applied(networks, "generator", params, stats, z)
    return image_grid(np.asarray(images), columns=BETWEEN, title="a row each from one noise to another")


PRESETS = {
    "quick": {
        "run": Run(steps=1600, batch_size=64, binarization="none", evaluate_every=500),
        "filters": 32,
        "average": 0.99,
    },
    "small": {
        "run": Run(dataset="mnist", steps=4000, batch_size=64, binarization="none", evaluate_every=1000),
        "filters": 32,
        "average": 0.999,
    },
    "paper": {
        "run": Run(dataset="cifar10_jpeg", steps=100_000, batch_size=128, binarization="none", evaluate_every=5000),
    },
}

REFERENCES = (
    Reference("probe_error", "cifar10_jpeg", "real", 0.172, "Radford et al. (2016), table 1, features of ImageNet"),
)

BASELINES = (
    Baseline("probe_error", "random_probe_error", "features of weights that are not trained"),
    Baseline("probe_error", "pixel_probe_error", "pixels"),
)
HEADLINE = "probe_error"

if __name__ == "__main__":
    main(dcgan, PRESETS)
