"""Small arrays of a user's own, and for several models of the front door a data set, a model and a trained state."""

import functools

import numpy as np
import optax

import genjax
from genjax.models.adversarial.gan import Optimizers

SHAPE = (8, 8, 1)
COUNT = 60
TEXT = "to be or not to be, that is the question. " * 20
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (COUNT, 8, 8), dtype=np.uint8)
LABELS = np.arange(COUNT) % 3

FEW = {"hidden": (6,), "latents": 2}


def grey():
    return genjax.dataset(IMAGES, LABELS)


def binary():
    return genjax.dataset(IMAGES, binarization="static")


def small_gan(data):
    descent = Optimizers(optax.adam(1e-3), optax.adam(1e-3))
    return genjax.gan(data.image_shape, hidden=(6,), maxout=(5,), latents=3, optimizers=descent, mean=data.mean)


def small_stargan(data):
    return genjax.stargan(
        data.image_shape,
        classes=data.classes,
        filters=2,
        blocks=0,
        discriminator_filters=2,
        discriminator_updates=1,
    )


SYSTEMS = {
    "nade": (binary, lambda data: genjax.nade(data.image_shape, hidden=5), {"count": 4}),
    "pixel_cnn": (binary, lambda data: genjax.pixel_cnn(data.image_shape, features=4, blocks=1), {"count": 4}),
    "vae": (grey, lambda data: genjax.vae(data.image_shape, evaluation_samples=3, **FEW), {"count": 4}),
    "aae": (grey, lambda data: genjax.aae(data.image_shape, **FEW), {"count": 4}),
    "gan": (grey, small_gan, {"count": 4}),
    "dcgan": (grey, lambda data: genjax.dcgan(data.image_shape, filters=2, latents=3, average=0.9), {"count": 4}),
    "infogan": (
        grey,
        lambda data: genjax.infogan(data.image_shape, noise=3, channels=(2, 2), hidden=4, recognition_hidden=3),
        {"labels": [0, 3, 3, 9]},
    ),
    "stargan": (grey, small_stargan, {"image": IMAGES[:4], "labels": [0, 1, 2, 0]}),
}


@functools.cache
def data_of(name):
    return SYSTEMS[name][0]()


@functools.cache
def model_of(name):
    return SYSTEMS[name][1](data_of(name))


@functools.cache
def state_of(name):
    return genjax.train(model_of(name), data_of(name), steps=1, seed=0, batch_size=16)
