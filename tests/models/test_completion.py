import jax
import jax.numpy as jnp
import optax
import pytest

from genjax.models import priors
from genjax.models.latent import aae, aae_networks, vae, vae_networks

SHAPE = (2, 2, 1)


def vae_model():
    return vae.vae(SHAPE, vae_networks.mlp_networks(SHAPE, hidden=(3,), latents=2), optimizer=optax.sgd(0.1))


def aae_model():
    optimizers = aae.Optimizers(*(optax.sgd(0.1) for _ in range(4)))
    networks = aae_networks.mlp_networks(SHAPE, hidden=(3,), latents=2)
    return aae.aae(SHAPE, networks, priors.gaussian(2), optimizers=optimizers)


@pytest.mark.parametrize("make", [vae_model, aae_model])
def test_a_model_of_whole_images_refuses_to_complete(make):
    model, batch = make(), {"image": jnp.zeros((1, *SHAPE))}
    params, stats = model.init(jax.random.key(0), batch)
    with pytest.raises(ValueError, match="known: this model draws whole images"):
        model.generate(params, stats, {**batch, "known": jnp.ones((1, *SHAPE))}, jax.random.key(0))
