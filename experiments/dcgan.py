"""Deep convolutional GAN on images (Radford, Metz & Chintala 2016).

PAGE
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Common, Experiment, Figures, Measure, Run, check_positive
from experiments.features import features_function, make_probe, pixels
from experiments.figures import image_grid
from experiments.film import film_of, film_rows
from experiments.gan import GAMES, KINDS, ROWS, GameName, adam, check_shares, drawn, film_images, load_images
from experiments.runner import main
from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.models.adversarial import gan as gan_model
from genjax.models.adversarial.average import averaged, with_average
from genjax.models.adversarial.dcgan import dcgan as dcgan_model
from genjax.models.adversarial.dcgan import dcgan_networks
from genjax.types import Key, Params, Stats

BETWEEN = 10
"""Images in a row of the interpolation, its ends among them."""

PROBES = ("probe_error", "random_probe_error", "pixel_probe_error")


def dcgan(
    run: Common = Run(binarization="none", batch_size=128),  # noqa: B008 (frozen)
    *,
    loss: GameName = "nonsaturating",
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
        latents=latents,
        filters=filters,
        learning_rate=learning_rate,
        discriminator_learning_rate=discriminator_learning_rate,
    )
    check_shares(average=average)
    data = load_images(run)
    model = dcgan_model(
        data.image_shape,
        optimizers=gan_model.Optimizers(adam(discriminator_learning_rate), adam(learning_rate)),
        filters=filters,
        latents=latents,
        game=GAMES[loss],
        discriminator_moves=discriminator_moves,
    )
    if average:
        model = with_average(model, decay=average)
    filming = film_images(model, data, run.steps)
    networks = dcgan_networks(data.image_shape, filters=filters, latents=latents)
    return Experiment(
        model=filming,
        data=data,
        kinds=KINDS | (dict.fromkeys(PROBES, "exact") if probe else {}),
        figures=make_figures(filming, networks, data),
        seeds_together=False,
        measure=make_measure(filming, data) if probe else None,
    )


def make_measure(model: Model, data: Dataset) -> Measure:
    """The errors of linear probes: on the discriminator's features, on those of one that is not trained, on pixels."""
    embed = features_function(model)
    trained, random, raw = (
        make_probe(features, data, name=name) for features, name in zip((embed, embed, pixels), PROBES, strict=True)
    )

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        fresh = jax.jit(model.init)(key, {"image": jnp.zeros((1, *data.image_shape))})
        return {
            **trained(params, stats, split, key),
            **random(*fresh, split, key),
            **raw({}, {}, split, key),
        }

    return measure


def make_figures(model: Model, networks: gan_model.Networks, data: Dataset) -> Figures:
    """Samples, how some came to be over training, and what lies between two noises."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        sample_key, between_key = jax.random.split(key)
        samples = drawn(model, data, params, stats, ROWS**2, sample_key)
        return {
            "samples": image_grid(samples, columns=ROWS, title="samples"),
            "training": film_rows(film_of(stats)),
            "interpolation": interpolation(networks, *averaged(params, stats), between_key),
        }

    return figures


def interpolation(networks: gan_model.Networks, params: Params, stats: Stats, key: Key) -> Figure:
    """In each row images of equal steps on the line between two noises."""
    ends = gan_model.drawn_noise(networks.prior, key, 2 * ROWS).reshape(2, ROWS, 1, -1)
    share = jnp.linspace(0, 1, BETWEEN)[:, None]
    z = ((1 - share) * ends[0] + share * ends[1]).reshape(ROWS * BETWEEN, -1)
    images = gan_model.generated(networks, params, stats, z)
    return image_grid(np.asarray(images), columns=BETWEEN, title="a row each from one noise to another")


PRESETS = {
    "quick": {
        "run": Run(steps=1500, batch_size=64, binarization="none", evaluate_every=500),
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

REFERENCES = ()

if __name__ == "__main__":
    main(dcgan, PRESETS)
