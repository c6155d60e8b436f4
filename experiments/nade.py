"""NADE on binary images (Larochelle & Murray 2011; Uria et al. 2016).

The likelihood of an image is a product of conditionals, one pixel after another (JMLR equations 1 to 4):

    p(x) = prod_d p(x_d | x_<d)
    p(x_d = 1 | x_<d) = sigmoid(V_d . h_d + b_d),   h_d = sigmoid(a_d)
    a_1 = c,   a_{d+1} = a_d + x_d W_d

`logits` in genjax/models/autoregressive/nade.py computes all of them in O(HD); `fill` there draws images.

Test NLL in nats on static binarized MNIST; target: below 97.24 (tables of ten pixels), and 88.33, the number of Uria,
Murray & Larochelle (2014) for one fixed ordering and H=500:

    --preset small     H=200, 10 epochs, three seeds    93.34 ± 0.01    12 min on two CPU cores
    --preset paper     H=500, 50 epochs, one seed       87.69           130 min on two CPU cores shared with other work

Where we leave the papers: Adam with a cosine decay and batches of 100 in place of stochastic gradient descent on single
images; pixels row by row and not in a random order (--ordering random). The parameters with the best validation
likelihood are kept, as theirs are.

Known failures: it overfits: `paper` ends with a training NLL near 82 and 88.46 on the validation split.
A completion knows a prefix of the ordering only.
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
    """NADE with one hidden layer."""

    data: Data = Data()
    run: Run = Run()
    hidden: int = 500
    """Hidden units H."""
    tied: bool = False
    """Share the weights into and out of the hidden units, V = W."""
    ordering: Literal["raster", "random"] = "raster"
    """Order in which the pixels are generated: row by row, or one fixed random permutation."""
    learning_rate: float = 1e-3
    """Adam's step size at the start."""
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
    """NADE on binary images."""
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
        seeds_together=False,
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
