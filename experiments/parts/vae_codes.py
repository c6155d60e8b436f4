"""Measurements and pictures of a VAE: active units, samples, interpolations, traversals and codes."""

import functools
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
from genjax.pictures.figures import beside, code_scatter, first_test_images, image_grid
from genjax.types import Batch, Key, Metrics, Params, Stats

SCATTERED = 2000
"""Number of test images in the scatter plot of codes."""

BETWEEN = 9
"""Number of images in a row of the pictures of interpolation and traversal."""

UNIT_SAMPLES = 16
"""Number of samples of q(z_1|x) over which the posterior mean of z_2 is averaged."""


def figures(
    model: Model, networks: vae_networks.Networks, data: Dataset, params: Params, stats: Stats, key: Key
) -> dict[str, Figure]:
    """Return the figures: samples (means of p(x|z)), reconstructions, interpolations, traversals, a scatter of codes.

    A model with one stochastic layer of two dimensions also has a figure of the manifold.
    """
    samples = jax.jit(model.generate)(params, stats, {"image": jnp.zeros((64, *data.image_shape))}, key)
    images = first_test_images(data, 32)
    reconstructions = jax.jit(functools.partial(vae_networks.reconstruct, networks))(params, images)
    drawn = {
        "samples": image_grid(np.asarray(samples), columns=8, title="samples: means of p(x|z)"),
        "reconstructions": image_grid(beside(images, reconstructions), columns=8, title="original, reconstruction"),
    }
    codes, labels = make_features(features_function(model), data.load)(params, stats, first(data.test, SCATTERED))
    drawn["interpolation"] = image_grid(
        interpolation(networks, params, codes), columns=BETWEEN, title="between two test images"
    )
    drawn["traversal"] = image_grid(
        traversal(networks, params, codes), columns=BETWEEN, title="one latent per row, the others fixed"
    )
    pair = two_widest(codes)
    names = (f"z_{pair[0] + 1}", f"z_{pair[1] + 1}")
    drawn["codes"] = code_scatter(codes[:, pair], labels, title="codes of test images", names=names)
    if networks.latents == 2 and not networks.top_latents:
        deviation = math.sqrt(networks.prior_variance)
        manifold = jax.jit(
            lambda params: vae_model.manifold_grid(lambda z: vae_networks.decode(networks, params, deviation * z), 20)
        )(params)
        drawn["manifold"] = image_grid(
            np.asarray(manifold), columns=20, title="decoder means at quantiles of the prior"
        )
    return drawn


def two_widest(codes: Float[np.ndarray, "N latents"]) -> tuple[int, int]:
    """Return the indices of the two latents with the greatest variance, in increasing order; (0, 0) for one latent."""
    widest = np.sort(np.argsort(-codes.var(axis=0), kind="stable")[:2])
    return int(widest[0]), int(widest[-1])


def interpolation(
    networks: vae_networks.Networks, params: Params, codes: Float[np.ndarray, "N latents"], *, rows: int = 8
) -> Float[np.ndarray, "images H W C"]:
    """Return decoder means along the line between the two codes of a pair, for the first `rows` pairs of `codes`."""
    ends = np.resize(codes, (2 * rows, codes.shape[1])).reshape(rows, 2, 1, -1)
    weight = np.linspace(0, 1, BETWEEN)[:, None]
    line = (1 - weight) * ends[:, 0] + weight * ends[:, 1]
    return decoded(networks, params, line.reshape(rows * BETWEEN, -1))


def traversal(
    networks: vae_networks.Networks, params: Params, codes: Float[np.ndarray, "N latents"], *, rows: int = 10
) -> Float[np.ndarray, "images H W C"]:
    """Return decoder means along one latent per row, from 3 standard deviations below its mean to 3 above.

    All other latents are fixed to their values in the first of the `codes`. The rows are the latents that vary most.
    """
    deviations = codes.std(axis=0)
    latents = np.argsort(-deviations, kind="stable")[:rows]
    line = np.repeat(codes[None, None, 0], len(latents), axis=0).repeat(BETWEEN, axis=1)
    steps = np.linspace(-3, 3, BETWEEN)
    for row, latent in zip(line, latents, strict=True):
        row[:, latent] = codes[:, latent].mean() + steps * deviations[latent]
    return decoded(networks, params, line.reshape(-1, codes.shape[1]))


def decoded(
    networks: vae_networks.Networks, params: Params, codes: Float[np.ndarray, "N latents"]
) -> Float[np.ndarray, "N H W C"]:
    """Return decoder means at these codes."""
    decode = jax.jit(functools.partial(vae_networks.decode, networks))
    return np.asarray(decode(params, codes.astype(np.float32)))


def make_measure(networks: vae_networks.Networks, data: Dataset) -> Measure:
    """Return the measure of the active units of each stochastic layer (Burda et al. 2016, section 5.2)."""

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
