"""EoNADE on binary images: one network for all orderings (Uria, Murray & Larochelle 2014; Uria et al. 2016, section 4).

The network sees some of the pixels of an image x and a mask m that marks them, as input [x * m ; m], and returns the
conditional of every other pixel. Under any ordering o of the pixels these conditionals give a model of images, and K
orderings give a mixture of K models:

    p_o(x) = prod_d p(x_{o_d} | x_{o_<d}),      log p(x) = logsumexp_o log p_o(x) - log K

Training takes a number d of observed pixels, uniform on 0, ..., D - 1, and a random set of d pixels (`objective` in
genjax/models/autoregressive/eonade.py):

    J = D / (D - d) sum over the other pixels i of -log p(x_i | observed)

The mean of J over all sets is the mean of -log p_o(x) over all D! orderings. `ordered_logits` in the same file computes
the exact likelihood under an ordering: the first layer by the recursion of NADE, deeper layers D times, so that 10 000
test images cost K times 10 000 D passes through them. `fill` in the same file draws images and completions; the known
pixels of a completion may lie anywhere, since they come first in the ordering.

    python -m experiments.eonade                                 the embedded digits, two layers
    python -m experiments.eonade --preset small --data-dir DIR   static binarized MNIST, one layer, three seeds
    python -m experiments.eonade --preset paper --data-dir DIR   two layers of 500 units, 128 orderings

Metrics:

    nll_nats                  -log p(x) of the mixture of all K orderings, exact; bits_per_dim is the same per pixel
    nll_1_ordering_nats       the mean of -log p_o(x) over the K single orderings
    nll_k_orderings_nats      for k = 2, 4, ... below K: the mean over mixtures of k of the K orderings
    nll_estimate_nats         J at a few random sets, measured on the validation split during training; a run keeps the
                              parameters where it is lowest

Differences from the papers: Adam with a cosine decay instead of stochastic gradient descent with momentum; all layers
trained from the start and not one after another; He's initial weights.

Known failures: the estimate on the validation split is noisy, though each evaluation takes the same sets. A single
ordering is some nats worse than NADE, whose weights serve one ordering alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
import optax
from jaxtyping import Float
from matplotlib.figure import Figure

from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.load import mean_image, require_binary
from genjax.models.autoregressive import eonade as eonade_model
from genjax.pictures.figures import Figures, completion_grid, first_test_images, make_complete, samples_figure
from genjax.runs.experiment import Experiment, Reference, Select
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats


@dataclass(frozen=True)
class Options:
    """Options of EoNADE, one network that gives a mixture over orderings of the pixels."""

    data: Data = Data()
    run: Run = Run()
    hidden: int = 500
    """Number of units of each hidden layer."""
    layers: int = 2
    """Number of hidden layers; with more than one the model is DeepNADE."""
    orderings: int = 128
    """Number K of orderings in the mixture, a power of two."""
    validation_draws: int = 4
    """Number of random sets of observed pixels per validation image, over which the estimate of -log p(x) is
    averaged."""
    learning_rate: float = 1e-3
    """Initial step size of Adam."""
    final_learning_rate: float = 1e-5
    """Adam's step size at the end of its cosine decay."""


PRESETS = {
    "quick": Options(
        Data(binarization="threshold"),
        Run(steps=3000, evaluate_every=250),
        hidden=100,
        orderings=16,
        validation_draws=16,
        learning_rate=3e-3,
    ),
    "small": Options(
        Data(dataset="binarized_mnist"),
        Run(seeds=(0, 1, 2), steps=15_000, evaluate_every=1000),
        layers=1,
        orderings=16,
    ),
    "paper": Options(Data(dataset="binarized_mnist"), Run(steps=200_000, evaluate_every=2000)),
}


def eonade(options: Options) -> Experiment:
    """Return the experiment: EoNADE on binary images."""
    check_positive(
        layers=options.layers,
        validation_draws=options.validation_draws,
        learning_rate=options.learning_rate,
        final_learning_rate=options.final_learning_rate,
    )
    data = options.data.load()
    require_binary(data)
    decay = options.final_learning_rate / options.learning_rate
    model = eonade_model.eonade(
        data.image_shape,
        hidden=(options.hidden,) * options.layers,
        orderings=options.orderings,
        mean=mean_image(data),
        optimizer=optax.adam(optax.cosine_decay_schedule(options.learning_rate, options.run.steps, decay)),
    )
    return Experiment(
        model=model,
        data=data,
        figures=figures_of(model, data),
        validate=eonade_model.make_estimate(options.validation_draws),
        select=Select("nll_estimate_nats", "min"),
    )


def known_sets(image_shape: tuple[int, int, int]) -> dict[str, Float[np.ndarray, "H W C"]]:
    """Return masks of known pixels (1) by name: the right half, all but a square in the middle, one pixel in five."""
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
    """Return figures of samples, and of completions from known pixels that are no prefix of the raster order."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
        complete = make_complete(model, params, stats)
        samples_key, completions_key = jax.random.split(key)
        drawn = {"samples": samples_figure(complete, data, samples_key)}
        images = np.asarray(first_test_images(data, 8))
        for name, known in known_sets(data.image_shape).items():
            completions = complete(np.repeat(images, 6, axis=0), known, completions_key)
            drawn[f"completions_{name}"] = completion_grid(images, known, completions)
        return drawn

    return figures


PUBLISHED = {
    1: {1: 92.17, 2: 90.69, 4: 89.86, 8: 89.16, 16: 88.61, 32: 88.25, 64: 87.95, 128: 87.71},
    2: {1: 89.17, 2: 87.96, 4: 87.10, 8: 86.41, 16: 85.96, 32: 85.60, 64: 85.28, 128: 85.10},
}
"""Published test NLL in nats on static binarized MNIST, by number of layers and number of orderings (Uria, Murray &
Larochelle 2014)."""


def published(layers: int, orderings: int) -> Iterator[Reference]:
    """Yield the published number as a reference for two metrics: `nll_nats`, and `nll_k_orderings_nats` with k = K."""
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
