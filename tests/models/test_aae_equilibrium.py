"""A one-dimensional adversarial autoencoder, whose equilibrium is known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from genjax.core import init_state, make_step
from genjax.models.latent.aae import aae
from genjax.models.latent.aae_networks import mlp_networks
from genjax.models.priors import gaussian
from tests.models.aae_cases import KEY, SGD


class Scale(nn.Module):
    """z = a x."""

    @nn.compact
    def __call__(self, x, train=False):
        return {"mean": self.param("a", nn.initializers.constant(0.3), (1,)) * x.reshape(-1, 1)}


class Quadratic(nn.Module):
    """The logit of the best discriminator between two Gaussians of mean 0 is linear in z^2 and 1."""

    @nn.compact
    def __call__(self, z):
        return nn.Dense(1)(z**2 / 4)


class Rebuild(nn.Module):
    """One pixel."""

    @nn.compact
    def __call__(self, z):
        return nn.Dense(1)(z).reshape(-1, 1, 1, 1)


def test_in_one_dimension_training_ends_where_both_deviations_are_equal():
    """z = a x with x ~ N(0, 3^2) against N(0, 2^2): at the end |a| = 2 / 3."""
    networks = mlp_networks((1, 1, 1), latents=1)._replace(
        encoder=Scale(), discriminator=Quadratic(), decoder=Rebuild()
    )
    optimizers = SGD._replace(discriminator=optax.adam(0.02, b1=0.5), regularization=optax.adam(0.003, b1=0.5))
    model = aae((1, 1, 1), networks, gaussian(1, std=2.0), optimizers=optimizers)
    adversarial = model._replace(phases=model.phases[1:])

    @jax.jit
    def train(key):
        def one(state, key):
            images = 3 * jax.random.normal(key, (200, 1, 1, 1))
            state, _ = make_step(adversarial.phases)(state, {"image": images})
            return state, state.params["encoder"]["params"]["a"][0]

        start = init_state(adversarial, key, {"image": jnp.zeros((1, 1, 1, 1))})
        return jax.lax.scan(one, start, jax.random.split(key, 3000))[1]

    scales = np.asarray(train(KEY))
    np.testing.assert_allclose(np.abs(scales[-1000:]).mean(), 2 / 3, rtol=0.05)
    assert abs(scales[0] - 2 / 3) > 0.3
