"""Deep convolutional GAN on images (Radford, Metz & Chintala 2016).

The GAN of experiments.gan with convolutional networks, whose architecture follows from the size of the images:

    generator        z uniform on [-1, 1]^100 -> linear, batch norm, ReLU -> [base, base, filters 2^(n-1)]
                     -> n transposed convolutions, 5x5, stride 2, batch norm and ReLU after all but the last -> tanh
    discriminator    n convolutions, 5x5, stride 2, leaky ReLU 0.2, batch norm before it in all but the first -> logit

The side of an image is base 2^n with a base from 4 to 7; other sizes are refused. At 64x64 n is 4 and the base is 4,
which with --filters 128 gives the paper's 1024, 512, 256 and 128 channels; at 28x28 n is 2 and the base is 7. The
networks are in genjax/models/adversarial/dcgan_networks.py, the model is in genjax/models/adversarial/dcgan.py, and the
two phases of a training step in genjax/models/adversarial/gan.py. Weights start at N(0, 0.02^2), there are no biases,
Adam has b1 = 0.5. In training the discriminator normalizes real and generated images in separate batches.

Samples are drawn with the generator's running statistics of batch normalization, so that a sample does not depend on
the other samples of its batch; the authors' code normalizes by the statistics of the generated batch. The running
statistics of the discriminator come from real images.

    python -m experiments.dcgan                                               digits
    python -m experiments.dcgan --preset small --data-dir DIR                 MNIST, 32 filters
    python -m experiments.dcgan --preset paper --data-dir DIR                 CIFAR-10 of TFDS's cifar10_jpeg, 32x32

**Metrics.** `probe_error` is the fraction of test images that a linear classifier on the discriminator's features gets
wrong. The features are the outputs of all convolutions, max-pooled to 4x4, flattened and concatenated (sec. 5.1). The
classifier is fitted to the first 10 000 training images, and its penalty is chosen on validation images
(genjax/metrics/probe.py). `random_probe_error` and `pixel_probe_error` are baselines: the error with the features of an
untrained discriminator, and with pixels as features. `real_logit`, `fake_logit` and the losses are defined in
experiments.gan. Figures: samples, the sample history over training, and interpolations between two noises.

**Differences from the paper.** The features are learned on the data set on which they are probed, and the classifier is
logistic regression on 10 000 images; the paper learns features on ImageNet and has an L2-SVM on all images. Samples are
drawn with running statistics. There is no L2 penalty. Batch normalization adds 1e-5 to the variance, the authors' code
1e-8. The paper's figure 1 shows the networks for 64x64; those for smaller images drop the widest layers.

**Known failures.** Some samples of `small` are not digits yet. After a short training on CIFAR-10 samples have the
colours and shapes of photographs, but show nothing that could be named. No metric on the validation split says which
step is best.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.parts.adversarial import (
    ROWS,
    LossName,
    adam,
    adversarial_loss,
    blank_images,
    check_fractions,
    sample_figures,
    with_average_and_history,
)
from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.evaluation import Measure
from genjax.measures.features import features_function, make_probe, pixels
from genjax.models.adversarial import gan as gan_model
from genjax.models.adversarial.average import averaged
from genjax.models.adversarial.dcgan import dcgan as dcgan_model
from genjax.models.adversarial.dcgan import dcgan_networks
from genjax.networks.bound import bind
from genjax.pictures.figures import Figures, image_grid
from genjax.runs.experiment import Baseline, Experiment, Reference
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

BETWEEN = 10
"""Number of images in a row of the interpolation, including both ends."""

PROBES: tuple[str, ...] = ("probe_error", "random_probe_error", "pixel_probe_error")


@dataclass(frozen=True)
class Options:
    """Options of a deep convolutional GAN."""

    data: Data = Data(binarization="none")
    run: Run = Run(batch_size=128)
    loss: LossName = "nonsaturating"
    """Adversarial loss of both networks."""
    smoothing: float = 0.0
    """One-sided label smoothing: the discriminator's target for real images is 1 minus this number."""
    discriminator_moves: int = 1
    """Number of updates of the discriminator for each update of the generator."""
    average: float = 0.0
    """Decay of the moving average of the generator's weights from which samples are drawn; 0 for no average."""
    latents: int = 100
    """Number of dimensions of the noise, each uniform on [-1, 1]."""
    filters: int = 128
    """Channels of the discriminator's first convolution. Each later one has twice as many as the one before; the
    generator has the same numbers in reverse order."""
    learning_rate: float = 2e-4
    """Learning rate of the generator's Adam optimizer."""
    discriminator_learning_rate: float = 2e-4
    """Learning rate of the discriminator's Adam optimizer."""
    probe: bool = True
    """Measure linear probes on the discriminator's features, on an untrained discriminator's features, and on pixels,
    if the data have labels; takes minutes for 10 000 images."""


PRESETS = {
    "quick": Options(
        Data(binarization="none"),
        Run(steps=5000, batch_size=64, evaluate_every=1000),
        filters=32,
        average=0.99,
        learning_rate=1e-3,
        discriminator_learning_rate=3e-4,
    ),
    "small": Options(
        Data(dataset="mnist", binarization="none"),
        Run(steps=4000, batch_size=64, evaluate_every=1000),
        filters=32,
        average=0.999,
    ),
    "paper": Options(
        Data(dataset="cifar10_jpeg", binarization="none"), Run(steps=100_000, batch_size=128, evaluate_every=5000)
    ),
}


def dcgan(options: Options) -> Experiment:
    """Return the experiment: a deep convolutional GAN on images."""
    check(options)
    data = options.data.load()
    model = dcgan_model(
        data.image_shape,
        optimizers=gan_model.Optimizers(adam(options.discriminator_learning_rate), adam(options.learning_rate)),
        filters=options.filters,
        latents=options.latents,
        adversarial=adversarial_loss(options.loss, options.smoothing),
        discriminator_updates=options.discriminator_moves,
    )
    model = with_average_and_history(model, blank_images(data), average=options.average, steps=options.run.steps)
    networks = dcgan_networks(data.image_shape, filters=options.filters, latents=options.latents)
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(model, networks, data),
        measure=make_measure(model, data) if options.probe else None,
        kinds=dict.fromkeys(PROBES, "exact"),
    )


def check(options: Options) -> None:
    """Raise ValueError where an option is out of range."""
    check_positive(
        discriminator_moves=options.discriminator_moves,
        latents=options.latents,
        filters=options.filters,
        learning_rate=options.learning_rate,
        discriminator_learning_rate=options.discriminator_learning_rate,
    )
    check_fractions(average=options.average, smoothing=options.smoothing)


def make_measure(model: Model, data: Dataset) -> Measure:
    """Return the measure of linear probes on the discriminator's features, on untrained features, and on pixels."""
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
    """Return the figures: samples, their history over training, and interpolations between two noises."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        sample_key, between_key = jax.random.split(key)
        between = interpolation(networks, *averaged(params, stats), between_key)
        return {**sample_figures(model, data, params, stats, sample_key), "interpolation": between}

    return figures


def interpolation(networks: gan_model.Networks, params: Params, stats: Stats, key: Key) -> Figure:
    """Return a figure whose rows show images at equal steps along the line between two noise vectors."""

    @jax.jit
    def images(params: Params, stats: Stats, key: Key) -> jax.Array:
        G = bind(networks, params, stats).generator
        ends = gan_model.drawn_noise(networks.prior, key, 2 * ROWS).reshape(2, ROWS, 1, -1)
        fraction = jnp.linspace(0, 1, BETWEEN)[:, None]
        return G(((1 - fraction) * ends[0] + fraction * ends[1]).reshape(ROWS * BETWEEN, -1))

    drawn = np.asarray(images(params, stats, key))
    return image_grid(drawn, columns=BETWEEN, title="a row each from one noise to another")


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
