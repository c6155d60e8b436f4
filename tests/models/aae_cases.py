"""Small adversarial autoencoders, images and labels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.core import Model, init_state
from genjax.models.latent.aae import Optimizers, aae
from genjax.models.latent.aae_networks import decode, encode, mlp_networks
from genjax.models.priors import Prior, gaussian, gaussian_mixture

SHAPE = (3, 2, 1)
KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).random((6, *SHAPE)).astype(np.float32)
LABELS = np.array([0, 1, 2, 2, 1, 0])
STATS = {"encoder": {}}
SGD = Optimizers(*(optax.sgd(0.1) for _ in range(4)))

MARKER = Prior(
    2,
    3,
    lambda key, count, labels: jnp.stack(
        [jnp.zeros(count) if labels is None else labels + 1.0, jnp.full(count, 7.0)], 1
    ),
)
"""Its samples are (label + 1, 7), or (0, 7) without a label."""

encoding_of_images = jax.jit(encode, static_argnums=0)
image_of_code = jax.jit(decode, static_argnums=0)


@functools.cache
def semi_supervised_model():
    networks = mlp_networks(SHAPE, hidden=(5,), latents=2, classes=3)
    return networks, aae(SHAPE, networks, gaussian(2), optimizers=SGD, semi_supervised=True)


@functools.cache
def shaped_model():
    networks = mlp_networks(SHAPE, hidden=(8,), latents=2, gaussian=True)
    return networks, aae(SHAPE, networks, gaussian_mixture(3), optimizers=SGD)


def batch(**more):
    return {"image": IMAGES, "label": LABELS, **more}


def state_of(model):
    return state_by_init(model.init, model.phases)


@functools.cache
def state_by_init(init, phases):
    model = Model(init, phases, evaluate=None, generate=None)
    state = jax.jit(lambda key, batch: init_state(model, key, batch))(KEY, batch())
    return state._replace(params=jax.device_get(state.params), stats=jax.device_get(state.stats))
