"""What a VAE is measured by and drawn as: active units, samples, and what lies between codes and along each latent."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset, Split
from genjax.evaluation import Measure, make_split_values
from genjax.measures.features import features_function, first, make_features
from genjax.metrics.latent import active_units
from genjax.models.latent import vae as vae_model
from genjax.models.latent import vae_networks
from genjax.pictures.figures import beside, code_scatter, image_grid, test_images
from genjax.types import Batch, Key, Metrics, Params, Stats


def figures(
    model: Model, networks: vae_networks.Networks, data: Dataset, params: Params, stats: Stats, key: Key
) -> dict[str, Figure]:
    """Samples (means of p(x|z)), reconstructions, what lies between images and along each latent, the codes' scatter.

    The manifold as well where z has two dimensions and one layer.
    """
    samples = model.generate(params, stats, {"image": jnp.zeros((64, *data.image_shape))}, key)
    images = test_images(data, 32)
    reconstructions = vae_networks.reconstruct(networks, params, images)
    drawn = {
        "samples": image_grid(np.asarray(samples), columns=8, title="samples: means of p(x|z)"),
        "reconstructions": image_grid(beside(images, reconstructions), columns=8, title="original, reconstruction"),
    }
    codes, labels = make_features(features_function(model), data.load)(params, stats, first(data.test, SCATTERED))
    drawn["interpolation"] = image_grid(
        np.asarray(interpolation(networks, params, codes)), columns=BETWEEN, title="between two test images"
    )
    drawn["traversal"] = image_grid(
        np.asarray(traversal(networks, params, codes)), columns=BETWEEN, title="one latent per row, the others fixed"
    )
    pair = two_widest(codes)
    names = (f"z_{pair[0] + 1}", f"z_{pair[1] + 1}")
    drawn["codes"] = code_scatter(codes[:, pair], labels, title="codes of test images", names=names)
    if networks.latents == 2 and not networks.top_latents:
        deviation = math.sqrt(networks.prior_variance)
        manifold = vae_model.manifold_grid(lambda z: vae_networks.decode(networks, params, deviation * z), 20)
        drawn["manifold"] = image_grid(
            np.asarray(manifold), columns=20, title="decoder means at quantiles of the prior"
        )
    return drawn


SCATTERED = 2000
"""Test images in the scatter of codes."""

BETWEEN = 9
"""Images in a row of the pictures of interpolation and traversal."""


def two_widest(codes: Float[np.ndarray, "N latents"]) -> tuple[int, int]:
    """The two latents with the greatest variance, in their order; twice the same where there is only one."""
    widest = np.sort(np.argsort(-codes.var(axis=0), kind="stable")[:2])
    return int(widest[0]), int(widest[-1])


def interpolation(
    networks: vae_networks.Networks, params: Params, codes: Float[np.ndarray, "N latents"], *, rows: int = 8
) -> Float[jax.Array, "images H W C"]:
    """Decoder means on the line from each code to the next, the first of the `codes` in pairs."""
    ends = np.resize(codes, (2 * rows, codes.shape[1])).reshape(rows, 2, 1, -1)
    weight = np.linspace(0, 1, BETWEEN)[:, None]
    line = (1 - weight) * ends[:, 0] + weight * ends[:, 1]
    return vae_networks.decode(networks, params, jnp.asarray(line.reshape(rows * BETWEEN, -1), jnp.float32))


def traversal(
    networks: vae_networks.Networks, params: Params, codes: Float[np.ndarray, "N latents"], *, rows: int = 10
) -> Float[jax.Array, "images H W C"]:
    """Decoder means where one latent runs over 3 deviations of the codes to either side and the others stay.

    They stay at the first code; the latents are those that vary most.
    """
    deviations = codes.std(axis=0)
    latents = np.argsort(-deviations, kind="stable")[:rows]
    line = np.repeat(codes[None, None, 0], len(latents), axis=0).repeat(BETWEEN, axis=1)
    steps = np.linspace(-3, 3, BETWEEN)
    for row, latent in zip(line, latents, strict=True):
        row[:, latent] = codes[:, latent].mean() + steps * deviations[latent]
    return vae_networks.decode(networks, params, jnp.asarray(line.reshape(-1, codes.shape[1]), jnp.float32))


def make_measure(networks: vae_networks.Networks, data: Dataset) -> Measure:
    """The active units of each stochastic layer."""

    def posterior_means(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        del stats
        posterior = vae_networks.encode(networks, params, batch["image"])
        if not networks.top_latents:
            return {"active_units": posterior.mean}
        noise = jax.random.normal(key, (UNIT_SAMPLES, *posterior.mean.shape))
        below = vae_networks.reparameterized(posterior, noise)
        above = jax.vmap(lambda z: vae_networks.encode_top(networks, params, z).mean)(below)
        return {"active_units": posterior.mean, "active_units_2": above.mean(axis=0)}

    split_values = make_split_values(posterior_means, data.load)

    def measure(params: Params, stats: Stats, split: Split, key: Key) -> dict[str, float]:
        values = split_values(params, stats, split, key)
        return {name: float(active_units(means)) for name, means in values.items()}

    return measure


UNIT_SAMPLES = 16
"""Samples of q(z_1|x) over which E[z_2|x] is a mean."""
