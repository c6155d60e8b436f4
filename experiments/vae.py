"""Variational autoencoder on images (Kingma & Welling 2014) and its importance weighted bound (Burda et al. 2016).

Prior p(z) = N(0, s^2 I), posterior q(z|x) = N(mean(x), diag(var(x))), samples z_i ~ q(z|x), in nats per image:

    ELBO   = E log p(x|z) - KL(q(z|x) || p(z)) <= log p(x)
    IWAE_k = E log (1/k) sum_i w_i <= log p(x),   w_i = p(x|z_i) p(z_i) / q(z_i|x)

`elbo` and `iwae_bound` in genjax/losses/bound.py are these two bounds. `bound_terms` in genjax/models/latent/vae.py
samples z = mean + sigma noise and applies the networks; `make_evaluate` in the same file passes any number of samples
through the networks, a few at a time.

With --top-latents there is a second stochastic layer, p(x, z) = p(z_2) p(z_1|z_2) p(x|z_1) and q(z|x) = q(z_1|x)
q(z_2|z_1), and the divergence is an estimate. --beta weighs the divergence in training (`tempered`), and --warm-up lets
that weight rise from 0; the metrics are never weighted.

    python -m experiments.vae --preset quick                                       the embedded digits, 2-D latents
    python -m experiments.vae --preset small --data-dir DIR                        static binarized MNIST, three seeds
    python -m experiments.vae --preset paper --bound iwae --samples 50 --data-dir DIR
                                                                                   networks and stages of the paper
    python -m experiments.vae --preset paper --latents 100 --top-latents 50 --data-dir DIR
                                                                                   the paper's two stochastic layers
    python -m genjax detect RUN                                                    outliers, by the bound

Metrics:

    elbo_nats         the ELBO, a lower bound of log p(x): the larger, the better
    iwae_K_nats       IWAE_K with K of --evaluation-samples, a tighter lower bound of log p(x)
    kl_nats           KL(q(z|x) || p(z))
    active_units      latents whose posterior mean varies over the images by more than 0.01 (Burda et al. 2016, section
                      5.2); active_units_2 are those of the second layer

Numbers on static pixels cannot be compared with numbers on dynamic pixels (--binarization). With a Gaussian likelihood
the nats belong to a density and cannot be compared with a Bernoulli model.

Pictures: samples, reconstructions, interpolations between two images, traversals of one latent at a time, a scatter of
the codes by label, and with two latents the manifold.

Differences from the papers: 50 000 training images where Burda et al. have 60 000 (the rest is a validation split); the
encoder sees images minus the mean image, which does not change what it can express but trains faster. `small` takes
batches of 100, a cosine decay, and two layers of 300 SiLU units, which need fewer steps than 200 tanh units;
it keeps the parameters with the best validation ELBO, since static pixels overfit. `paper` has the 8.2 million steps of
20 images of Burda et al. and asks for a GPU; --activation silu --batch-size 100 --schedule cosine --learning-rate 2e-3
--epsilon 1e-8 and a smaller number of --steps make it feasible on a CPU.

Known failures: two layers of 200 tanh units end worse than `small` on static pixels. With ReLU the posterior collapses
onto the prior. Grey pixels under a Bernoulli likelihood are not normalized and are refused.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from experiments.parts.vae_codes import figures, make_measure
from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.load import mean_image, require_binary
from genjax.losses.bound import elbo, iwae_bound
from genjax.models.latent import vae as vae_model
from genjax.models.latent import vae_networks
from genjax.runs.experiment import Experiment, Reference, Select
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main


@dataclass(frozen=True)
class Options:
    """Options of a VAE, or with --bound iwae an IWAE."""

    data: Data = Data()
    run: Run = Run()
    network: Literal["mlp", "conv"] = "mlp"
    """Networks: dense layers (mlp), or convolutions of stride 2 with one dense layer (conv)."""
    hidden: tuple[int, ...] = (200, 200)
    """Widths of the encoder's hidden layers, which the decoder mirrors (mlp)."""
    activation: Literal["tanh", "silu"] = "tanh"
    """Activation of the dense layers (mlp); silu needs fewer steps than the paper's tanh."""
    channels: tuple[int, ...] = (32, 64)
    """Channels of each of the encoder's convolutions, which the decoder mirrors (conv)."""
    latents: int = 50
    """Number of dimensions of z; with 2, a picture of the manifold is drawn."""
    top_latents: int = 0
    """Number of dimensions of z_2, a second stochastic layer; 0 for none."""
    top_hidden: tuple[int, ...] = (100, 100)
    """Widths of the layers between z and z_2."""
    prior_variance: float = 1.0
    """Prior variance of each dimension of the topmost stochastic layer."""
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Likelihood: Bernoulli for binary pixels, or Gaussian with one learned variance for --binarization none."""
    bound: Literal["elbo", "iwae"] = "elbo"
    """Bound of log p(x) that is maximized in training."""
    samples: int = 1
    """Number k of samples of q(z|x) per image and training step."""
    beta: float = 1.0
    """Weight beta of the KL divergence from the prior in training."""
    warm_up: int = 0
    """Number of steps over which the weight of the KL divergence rises linearly from 0; 0 for no warm-up."""
    evaluation_samples: int = 500
    """Number of samples of q(z|x) per test image for the IWAE bound."""
    learning_rate: float = 1e-3
    """Initial step size of Adam."""
    schedule: Literal["stages", "cosine"] = "stages"
    """Decay of the step size: eight stages, each three times as long as the one before, or a cosine."""
    epsilon: float = 1e-4
    """Epsilon of Adam, which is added to the root of the squared gradient's average."""


PRESETS = {
    "quick": Options(
        Data(binarization="threshold"),
        Run(steps=4000, evaluate_every=500),
        hidden=(100,),
        latents=2,
        learning_rate=3e-3,
        schedule="cosine",
    ),
    "small": Options(
        Data(dataset="binarized_mnist"),
        Run(seeds=(0, 1, 2), steps=20_000, evaluate_every=1000),
        hidden=(300, 300),
        activation="silu",
        learning_rate=2e-3,
        schedule="cosine",
        epsilon=1e-8,
    ),
    "paper": Options(
        Data(dataset="mnist", binarization="dynamic"),
        Run(batch_size=20, steps=3280 * 2500, evaluate_every=25_000),
        evaluation_samples=5000,
    ),
}


def vae(options: Options) -> Experiment:
    """Return the experiment: a VAE or IWAE on images."""
    check_options(options)
    data = load_pixels(options)
    networks = make_networks(data, options)
    model = make_model(data, networks, options)
    return Experiment(
        model=model,
        data=data,
        figures=lambda params, stats, key: figures(model, networks, data, params, stats, key),
        measure=make_measure(networks, data),
        kinds={"active_units": "exact"},
        validate=vae_model.make_evaluate(networks, samples=1),
        select=Select("elbo_nats", "max"),
    )


def check_options(options: Options) -> None:
    """Raise ValueError where an option is out of range."""
    check_positive(
        hidden=min(options.hidden, default=1),
        channels=min(options.channels, default=0),
        latents=options.latents,
        samples=options.samples,
        evaluation_samples=options.evaluation_samples,
        prior_variance=options.prior_variance,
        learning_rate=options.learning_rate,
        epsilon=options.epsilon,
    )
    top_latents, warm_up, beta = options.top_latents, options.warm_up, options.beta
    if top_latents < 0 or warm_up < 0 or not 0 <= beta < math.inf:
        raise ValueError(f"--top-latents {top_latents}, --warm-up {warm_up} and --beta {beta} must be at least 0")
    if top_latents:
        check_positive(top_hidden=min(options.top_hidden, default=1))


def load_pixels(options: Options) -> Dataset:
    """Return the images; ValueError where the likelihood does not suit their pixels."""
    data = options.data.load()
    if options.likelihood == "bernoulli":
        require_binary(data)
    elif data.protocol != "real":
        raise ValueError(
            f"--likelihood gaussian is a density of real values, and the pixels are binary ({data.protocol}): add "
            "--binarization none"
        )
    return data


def make_networks(data: Dataset, options: Options) -> vae_networks.Networks:
    """Return the networks for these images."""
    shape, mean, gaussian = data.image_shape, mean_image(data), options.likelihood == "gaussian"
    activation = {"tanh": jnp.tanh, "silu": jax.nn.silu}[options.activation]
    common: dict[str, Any] = {"latents": options.latents, "mean": mean, "gaussian": gaussian}
    if options.network == "mlp":
        networks = vae_networks.mlp_networks(shape, hidden=options.hidden, activation=activation, **common)
    else:
        networks = vae_networks.conv_networks(shape, channels=options.channels, **common)
    networks = networks._replace(prior_variance=options.prior_variance)
    if not options.top_latents:
        return networks
    return vae_networks.with_top(
        networks, latents=options.top_latents, hidden=options.top_hidden, activation=activation
    )


def make_model(data: Dataset, networks: vae_networks.Networks, options: Options) -> Model:
    """Return the model with these networks."""
    schedule = stages if options.schedule == "stages" else optax.cosine_decay_schedule
    return vae_model.vae(
        data.image_shape,
        networks,
        optimizer=optax.adam(schedule(options.learning_rate, options.run.steps), eps=options.epsilon),
        bound=iwae_bound if options.bound == "iwae" else elbo,
        samples=options.samples,
        evaluation_samples=options.evaluation_samples,
        beta=options.beta,
        warm_up=options.warm_up,
    )


def stages(learning_rate: float, steps: int, *, count: int = 8) -> optax.Schedule:
    """Return the schedule of Burda et al. (2016): stage i = 0 ... 7 of length 3^i and rate 10^(-i/7), rounded."""
    ends = [round(steps * (3**index - 1) / (3**count - 1)) for index in range(count + 1)]
    rates = [learning_rate * round(10 ** (1 - index / (count - 1)), 1) / 10 for index in range(count)]
    return optax.join_schedules([optax.constant_schedule(rate) for rate in rates], ends[1:-1])


def burda(value: float, model: str, **options: str | int) -> Reference:
    """Return a published log p(x) in nats on dynamic MNIST, estimated with 5000 samples."""
    source = f"{model} (Burda et al. 2016, table 1)"
    return Reference("iwae_5000_nats", "mnist", "dynamic", value, source, options)


TABLES = "log p of tables of 10 pixels' context, exact (experiments.tabular)"
REFERENCES = (
    Reference("elbo_nats", "binarized_mnist", "static", -97.243, TABLES),
    Reference("iwae_500_nats", "binarized_mnist", "static", -97.243, TABLES),
    burda(-86.76, "VAE, one layer", samples=1, top_latents=0),
    burda(-85.54, "IWAE, one layer, k=5", samples=5, bound="iwae", top_latents=0),
    burda(-84.78, "IWAE, one layer, k=50", samples=50, bound="iwae", top_latents=0),
    burda(-85.33, "VAE, two layers", samples=1, top_latents=50),
    burda(-83.89, "IWAE, two layers, k=5", samples=5, bound="iwae", top_latents=50),
    burda(-82.90, "IWAE, two layers, k=50", samples=50, bound="iwae", top_latents=50),
)

HEADLINE = "iwae_5000_nats"

if __name__ == "__main__":
    main(vae, PRESETS)
