"""NADE on binary images (Larochelle & Murray 2011; Uria et al. 2016).

The likelihood of an image is a product of conditionals, one pixel after another (JMLR equations 1 to 4):

    p(x) = prod_d p(x_d | x_<d)
    p(x_d = 1 | x_<d) = sigmoid(V_d . h_d + b_d),   h_d = sigmoid(a_d)
    a_1 = c,   a_{d+1} = a_d + x_d W_d

`logits` in genjax/models/autoregressive/nade.py computes the logits of all D pixels in O(HD); `fill` in the same file
draws images.

    python -m experiments.nade                                 the embedded digits
    python -m experiments.nade --preset small --data-dir DIR   static binarized MNIST, H=200, three seeds
    python -m experiments.nade --preset paper --data-dir DIR   static binarized MNIST, H=500

Metrics: nll_nats is -log p(x) per image, exact, and bits_per_dim is the same in bits per pixel. On static binarized
MNIST Uria, Murray & Larochelle (2014) report 88.33 nats for one fixed ordering and H=500.

Differences from the papers: Adam with a cosine decay and batches of 100 instead of stochastic gradient descent on
single images; pixels row by row, not in a random order (--ordering random). As in the papers, the parameters with the
best validation likelihood are kept.

Known failures: `paper` overfits, with a training NLL well below that of the validation split. A completion knows a
prefix of the ordering only.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import optax

from genjax.data.load import mean_image, require_binary
from genjax.models.autoregressive import nade as nade_model
from genjax.pictures.figures import samples_and_completions
from genjax.runs.experiment import Experiment, Reference, Select
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.shuffle import permutation


@dataclass(frozen=True)
class Options:
    """Options of NADE with one hidden layer."""

    data: Data = Data()
    run: Run = Run()
    hidden: int = 500
    """Number H of hidden units."""
    tied: bool = False
    """Use the same weights into and out of the hidden units, V = W."""
    ordering: Literal["raster", "random"] = "raster"
    """Order in which the pixels are generated: row by row, or one fixed random permutation."""
    learning_rate: float = 1e-3
    """Initial step size of Adam."""
    final_learning_rate: float = 1e-4
    """Adam's step size at the end of its cosine decay."""


PRESETS = {
    "quick": Options(
        Data(binarization="threshold"), Run(steps=2000, evaluate_every=250), hidden=100, learning_rate=3e-3
    ),
    "small": Options(
        Data(dataset="binarized_mnist"),
        Run(seeds=(0, 1, 2), steps=5000, evaluate_every=500),
        hidden=200,
        learning_rate=2e-3,
    ),
    "paper": Options(Data(dataset="binarized_mnist"), Run(steps=25_000, evaluate_every=500)),
}


def nade(options: Options) -> Experiment:
    """Return the experiment: NADE on binary images."""
    rates = {"learning_rate": options.learning_rate, "final_learning_rate": options.final_learning_rate}
    check_positive(**rates)
    data = options.data.load()
    require_binary(data)
    pixels = int(np.prod(data.image_shape))
    order = np.arange(pixels) if options.ordering == "raster" else permutation(pixels)
    decay = options.final_learning_rate / options.learning_rate
    model = nade_model.nade(
        data.image_shape,
        hidden=options.hidden,
        tied=options.tied,
        ordering=order.tolist(),
        mean=mean_image(data),
        optimizer=optax.adam(optax.cosine_decay_schedule(options.learning_rate, options.run.steps, decay)),
    )
    return Experiment(
        model=model,
        data=data,
        figures=samples_and_completions(model, data, order),
        select=Select("nll_nats", "min"),
    )


REFERENCES = (
    Reference(
        "nll_nats", "binarized_mnist", "static", 88.33, "NADE, fixed order, H=500 (Uria, Murray & Larochelle 2014)"
    ),
    Reference("nll_nats", "binarized_mnist", "static", 97.24, "tables of 10 pixels' context (this library, exact)"),
)

HEADLINE = "nll_nats"

if __name__ == "__main__":
    main(nade, PRESETS)
