"""MADE on binary images: a masked autoencoder (Germain, Gregor, Murray & Larochelle 2015).

The likelihood of an image is a product of conditionals, and one pass through an autoencoder computes them all: masks on
the weights remove every path from a pixel to its own output and to the outputs of earlier pixels. The pixel at position
d of the ordering has degree d, each hidden unit has a degree m from 1 to D - 1 (equations 12 and 13):

    p(x) = prod_d p(x_d | x_<d),   p(x_d = 1 | x_<d) = sigmoid(output d)
    a hidden unit sees units of the layer below whose degree is at most its own
    output d sees hidden units whose degree is less than d

`hidden_mask`, `output_mask` and `spread_degrees` in genjax/networks/masked.py are these masks. Several sets of masks
(--masks M) can share the weights; a training step takes one set at random, and the model is their mixture:

    log p(x) = logsumexp_m log p_m(x) - log M        over exactly M sets of masks

`fill` in genjax/models/autoregressive/made.py draws images: it takes a set of masks for each image, then draws one
pixel after another in D passes, each of which only updates the activations that the last pixel has changed.

    python -m experiments.made                                 the embedded digits
    python -m experiments.made --preset small --data-dir DIR   static binarized MNIST, three seeds
    python -m experiments.made --preset paper --data-dir DIR   two layers of 8000 units, 32 sets of masks

Metrics: nll_nats is -log p(x) per image, exact, and bits_per_dim is the same in bits per pixel.

Differences from the paper: Adam with a cosine decay instead of Adagrad at 0.01; Glorot's initial weights; masks drawn
at random in each step instead of a cycle through them; hidden degrees spread evenly over 1 to D - 1 and shuffled, not
drawn independently; pixels row by row unless --shuffle is given. As in the paper, inputs are connected to outputs
directly, and the parameters with the best validation likelihood are kept. The paper's numbers are from 8000 hidden
units in a layer.

Known failures: narrow layers do badly, since the units are divided among D - 1 degrees, and only those of degree d - 1
let output d see the pixel just before it through the layer. With one set of masks the model overfits static pixels;
several sets make training slower. A completion knows a prefix of the ordering only, and with --shuffle no completions
are drawn, since each set of masks has its own ordering.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.load import mean_image, require_binary
from genjax.models.autoregressive import made as made_model
from genjax.pictures.figures import Figures, Picture, image_grid, samples_and_completions
from genjax.runs.experiment import Experiment, Reference, Select
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.shuffle import permutation
from genjax.types import Key, Params, Stats


@dataclass(frozen=True)
class Options:
    """Options of a masked autoencoder."""

    data: Data = Data()
    run: Run = Run()
    hidden: tuple[int, ...] = (8000,)
    """Width of each hidden layer."""
    masks: int = 1
    """Number M of sets of masks that share the weights."""
    shuffle: bool = False
    """Give each set of masks its own random ordering of the pixels."""
    ordering: Literal["raster", "random"] = "raster"
    """Order in which the pixels are generated, without --shuffle: row by row, or one fixed random permutation."""
    direct: bool = True
    """Connect the inputs to the outputs directly, besides the hidden layers."""
    activation: Literal["relu", "tanh"] = "relu"
    """Activation of the hidden units."""
    learning_rate: float = 1e-3
    """Initial step size of Adam."""
    final_learning_rate: float = 1e-5
    """Adam's step size at the end of its cosine decay."""
    weight_decay: float = 0.0
    """Weight decay of all kernels (AdamW): each step shrinks them by this fraction times the step size."""


PRESETS = {
    "quick": Options(
        Data(binarization="threshold"),
        Run(steps=4000, evaluate_every=250),
        hidden=(200,),
        learning_rate=3e-3,
    ),
    "small": Options(
        Data(dataset="binarized_mnist"),
        Run(seeds=(0, 1, 2), steps=8000, evaluate_every=500),
        hidden=(2000,),
        learning_rate=2e-3,
    ),
    "paper": Options(
        Data(dataset="binarized_mnist"),
        Run(steps=150_000, evaluate_every=1000),
        hidden=(8000, 8000),
        masks=32,
        shuffle=True,
    ),
}


def made(options: Options) -> Experiment:
    """Return the experiment: MADE on binary images."""
    check_options(options)
    data = options.data.load()
    require_binary(data)
    pixels = int(np.prod(data.image_shape))
    order = np.arange(pixels) if options.ordering == "raster" else permutation(pixels)
    model = made_model.made(
        data.image_shape,
        hidden=options.hidden,
        masks=options.masks,
        ordering=None if options.shuffle else order.tolist(),
        shuffle=options.shuffle,
        direct=options.direct,
        activation={"relu": jax.nn.relu, "tanh": jnp.tanh}[options.activation],
        mean=mean_image(data),
        optimizer=optimizer(options),
    )
    return Experiment(
        model=model,
        data=data,
        figures=samples_only(model, data) if options.shuffle else samples_and_completions(model, data, order),
        select=Select("nll_nats", "min"),
    )


def check_options(options: Options) -> None:
    """Raise ValueError where an option is out of range, or two do not go together."""
    check_positive(learning_rate=options.learning_rate, final_learning_rate=options.final_learning_rate)
    if not 0 <= options.weight_decay < 1 / options.learning_rate:
        raise ValueError(f"--weight-decay {options.weight_decay} must be from 0 to below 1 / --learning-rate")
    if options.shuffle and options.ordering != "raster":
        raise ValueError("--shuffle gives each mask an ordering of its own: leave out --ordering")


def optimizer(options: Options) -> optax.GradientTransformation:
    """Return AdamW with a cosine decay of its step size; only kernels have weight decay, not biases."""
    decay = options.final_learning_rate / options.learning_rate
    return optax.adamw(
        optax.cosine_decay_schedule(options.learning_rate, options.run.steps, decay),
        weight_decay=options.weight_decay,
        mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
    )


def samples_only(model: Model, data: Dataset) -> Figures:
    """Return a grid of samples."""

    def figures(params: Params, stats: Stats, key: Key) -> Mapping[str, Picture]:
        samples = jax.jit(model.generate)(params, stats, {"image": jnp.zeros((64, *data.image_shape))}, key)
        return {"samples": image_grid(np.asarray(samples), columns=8, title="samples")}

    return figures


SOURCE = "(Germain et al. 2015)"
TABLES = "tables of 10 pixels' context (this library, exact)"
REFERENCES = (
    Reference("nll_nats", "binarized_mnist", "static", 88.40, f"MADE, 8000 units, 1 mask {SOURCE}", {"masks": 1}),
    Reference("nll_nats", "binarized_mnist", "static", 86.64, f"MADE, 2 x 8000, 32 masks {SOURCE}", {"masks": 32}),
    Reference("nll_nats", "binarized_mnist", "static", 97.24, TABLES),
)

HEADLINE = "nll_nats"

if __name__ == "__main__":
    main(made, PRESETS)
