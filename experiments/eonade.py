"""EoNADE on binary images: one network for all orderings (Uria, Murray & Larochelle 2014; Uria et al. 2016, section 4).

The network sees some pixels and which ones these are, input [x m ; m], and gives the conditional of every other. Under
any ordering o of the pixels that is a model, and K orderings are a mixture:

    p_o(x) = prod_d p(x_{o_d} | x_{o_<d}),      log p(x) = logsumexp_o log p_o(x) - log K

Training takes a number d of observed pixels, uniform on 0, ..., D - 1, and a set of that size at random (`objective`
in genjax/models/autoregressive/eonade.py):

    J = D / (D - d) sum over the others of -log p(x_i | observed)

whose mean over all sets is the mean of -log p_o(x) over all D! orderings. `ordered_logits` there is the exact
likelihood: the first layer by the recursion of NADE, deeper layers D times over, so that 10 000 test images cost
K times 10 000 D passes through them. `fill` draws; known pixels may lie anywhere, since they lead the ordering.

Test NLL in nats on static binarized MNIST, by the number of orderings K, mean ± s.d. of three seeds:

    K                  1               2               4               8               16
    --preset small     99.76 ± 0.15    98.29 ± 0.15    97.22 ± 0.15    96.41 ± 0.15    95.81 ± 0.15

`small` is one layer of 500 units, 30 epochs, 33 min on one CPU core; the paper's, longer trained, has 92.17 to 88.61.
`paper` (two layers, 128 orderings) has not been measured yet.

`nll_nats` is that of all K orderings, `nll_1_ordering_nats` the mean over single ones, `nll_k_orderings_nats` between
them the mean over mixtures of k of the K. On the validation split a run measures `nll_estimate_nats`, J at a few sets,
and keeps the parameters where it is lowest.

Where we leave the papers: Adam with a cosine decay in place of stochastic gradient descent with momentum; all layers
trained from the start and not one after another; He's initial weights.

Known failures: the estimate on the validation split is noisy, though the same sets are taken each time; one ordering
is some nats behind NADE, whose weights are of one ordering alone.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.load import load_dataset, mean_image, require_binary
from genjax.models.autoregressive import eonade as eonade_model
from genjax.pictures.figures import Figures, completion_grid, image_grid, test_images
from genjax.runs.experiment import Common, Experiment, Reference, Run, Select, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats


def eonade(
    run: Common = Run(),  # noqa: B008 (frozen)
    *,
    hidden: int = 500,
    layers: int = 2,
    orderings: int = 128,
    validation_draws: int = 4,
    learning_rate: float = 1e-3,
    final_learning_rate: float = 1e-5,
) -> Experiment:
    """An ensemble of orderings of one network.

    Args:
        run: Data, seeds and steps.
        hidden: Units of each hidden layer.
        layers: Number of hidden layers; with more than one this is DeepNADE.
        orderings: Number K of orderings of the mixture, a power of two.
        validation_draws: Sets of observed pixels per validation image.
        learning_rate: Adam's step size at the start.
        final_learning_rate: Adam's step size at the end of its cosine decay.
    """
    check_positive(
        layers=layers,
        validation_draws=validation_draws,
        learning_rate=learning_rate,
        final_learning_rate=final_learning_rate,
    )
    data = load_dataset(run.dataset, data_dir=run.data_dir, binarization=run.binarization)
    require_binary(data)
    model = eonade_model.eonade(
        data.image_shape,
        hidden=(hidden,) * layers,
        orderings=orderings,
        mean=mean_image(data),
        optimizer=optax.adam(
            optax.cosine_decay_schedule(learning_rate, run.steps, final_learning_rate / learning_rate)
        ),
    )
    smaller = [eonade_model.mixture_name(count) for count in eonade_model.smaller_sizes(orderings)]
    return Experiment(
        model=model,
        data=data,
        kinds=dict.fromkeys(["nll_nats", "bits_per_dim", *smaller], "exact"),
        figures=figures_of(model, data),
        validate=eonade_model.make_estimate(validation_draws),
        select=Select("nll_estimate_nats", "min"),
    )


def known_sets(image_shape: tuple[int, int, int]) -> dict[str, Float[np.ndarray, "H W C"]]:
    """What is known in the completions drawn: the right half; all but a square in the middle; a pixel in five."""
    height, width, channels = image_shape
    rows, columns = np.indices((height, width))
    hidden_square = (abs(rows - (height - 1) / 2) < height / 4) & (abs(columns - (width - 1) / 2) < width / 4)
    sets = {
        "right_half": columns >= width // 2,
        "around_a_square": ~hidden_square,
        "a_fifth": (rows * width + columns) * 2 % 5 == 0,
    }
    return {name: np.repeat(known[..., None], channels, axis=2).astype(np.float32) for name, known in sets.items()}


def figures_of(model: Model, data: Dataset) -> Figures:
    """Samples, and completions of test images whose known pixels lead in no ordering."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        generate = jax.jit(model.generate)
        samples_key, completions_key = jax.random.split(key)
        samples = generate(params, stats, {"image": jnp.zeros((64, *data.image_shape))}, samples_key)
        images = test_images(data, 8)
        drawn = {"samples": image_grid(np.asarray(samples), columns=8, title="samples")}
        for name, known in known_sets(data.image_shape).items():
            repeated = jnp.repeat(images, 6, axis=0)
            batch = {"image": repeated, "known": jnp.broadcast_to(known, repeated.shape)}
            completions = generate(params, stats, batch, completions_key)
            drawn[f"completions_{name}"] = completion_grid(np.asarray(images), known, np.asarray(completions))
        return drawn

    return figures


PRESETS = {
    "quick": {
        "run": Run(steps=3000, binarization="threshold", evaluate_every=250),
        "hidden": 100,
        "orderings": 16,
        "validation_draws": 16,
        "learning_rate": 3e-3,
    },
    "small": {
        "run": Run(dataset="binarized_mnist", seeds=(0, 1, 2), steps=15_000, evaluate_every=1000),
        "layers": 1,
        "orderings": 16,
    },
    "paper": {"run": Run(dataset="binarized_mnist", steps=200_000, evaluate_every=2000)},
}

PUBLISHED = {
    1: {1: 92.17, 2: 90.69, 4: 89.86, 8: 89.16, 16: 88.61, 32: 88.25, 64: 87.95, 128: 87.71},
    2: {1: 89.17, 2: 87.96, 4: 87.10, 8: 86.41, 16: 85.96, 32: 85.60, 64: 85.28, 128: 85.10},
}
"""Test NLL on static MNIST by layers and orderings (Uria, Murray & Larochelle 2014)."""


def published(layers: int, orderings: int) -> Iterator[Reference]:
    """What stands beside a mixture of all the orderings of a run, and of some of them."""
    source = f"EoNADE, {layers} x 500, {orderings} orderings (Uria, Murray & Larochelle 2014)"
    value = PUBLISHED[layers][orderings]
    whole, some = "nll_nats", eonade_model.mixture_name(orderings)
    yield Reference(whole, "binarized_mnist", "static", value, source, {"layers": layers, "orderings": orderings})
    yield Reference(some, "binarized_mnist", "static", value, source, {"layers": layers})


REFERENCES = tuple(
    reference
    for layers, by_orderings in PUBLISHED.items()
    for orderings in by_orderings
    for reference in published(layers, orderings)
)

HEADLINE = "nll_nats"

if __name__ == "__main__":
    main(eonade, PRESETS)
