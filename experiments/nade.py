"""NADE on binary images (Larochelle & Murray 2011; Uria et al. 2016).

The likelihood of an image is a product of conditionals, one pixel after another (JMLR equations 1 to 4):

    p(x) = prod_d p(x_d | x_<d)
    p(x_d = 1 | x_<d) = sigmoid(V_d . h_d + b_d),   h_d = sigmoid(a_d)
    a_1 = c,   a_{d+1} = a_d + x_d W_d

`logits` in genjax/models/autoregressive/nade.py computes all of them in O(HD); `fill` there draws images.

Where we leave the papers: Adam with a cosine decay and batches of 100 in place of stochastic gradient descent on single
images; the parameters with the best validation likelihood are kept, as theirs are.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from experiments.experiment import Common, Experiment, Reference, Run, Select
from experiments.figures import completion_grid, image_grid
from experiments.runner import main
from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.load import load_dataset, mean_image, require_binary
from genjax.models.autoregressive import nade as nade_model
from genjax.types import Key, Params, Stats

ORDERING_SEED = 0
"""Of the random ordering: one of all D!, the same in every run."""


def nade(
    run: Common = Run(),  # noqa: B008 (frozen)
    *,
    hidden: int = 500,
    tied: bool = False,
    ordering: Literal["raster", "random"] = "raster",
    learning_rate: float = 1e-3,
    final_learning_rate: float = 1e-4,
) -> Experiment:
    """NADE with one hidden layer.

    Args:
        hidden: Hidden units H.
        tied: Share the weights into and out of the hidden units, V = W.
        ordering: Order in which the pixels are generated: row by row, or one fixed random permutation.
        learning_rate: Adam's step size at the start.
        final_learning_rate: Adam's step size at the end of its cosine decay.
    """
    data = load_dataset(run.dataset, data_dir=run.data_dir, binarization=run.binarization)
    require_binary(data)
    dimensions = int(np.prod(data.image_shape))
    order = np.arange(dimensions) if ordering == "raster" else np.random.default_rng(ORDERING_SEED).permutation(dimensions)
    model = nade_model.nade(
        data.image_shape,
        hidden=hidden,
        tied=tied,
        ordering=order.tolist(),
        mean=mean_image(data),
        optimizer=optax.adam(optax.cosine_decay_schedule(learning_rate, run.steps, final_learning_rate / learning_rate)),
    )
    return Experiment(
        model=model,
        data=data,
        kinds={"nll_nats": "exact", "bits_per_dim": "exact"},
        figures=lambda params, stats, key: figures(model, data, order, params, stats, key),
        select=Select("nll_nats", "min"),
    )


def figures(model: Model, data: Dataset, order: np.ndarray, params: Params, stats: Stats, key: Key) -> dict[str, Figure]:
    """Samples, and completions of test images of which the first half of the ordering is known."""
    sample_key, complete_key = jax.random.split(key)
    shape = data.image_shape
    samples = model.generate(params, stats, {"image": jnp.zeros((64, *shape))}, sample_key)
    image = data.load({name: jnp.asarray(array) for name, array in data.test.read(np.arange(8)).items()}, key)["image"]
    known = np.zeros(order.size, np.float32)
    known[order[: order.size // 2]] = 1
    batch = {"image": image.repeat(6, 0), "known": jnp.broadcast_to(known.reshape(shape), (48, *shape))}
    completions = model.generate(params, stats, batch, complete_key)
    return {
        "samples": image_grid(np.asarray(samples), columns=8, title="samples"),
        "completions": completion_grid(np.asarray(image), np.asarray(batch["known"][0]), np.asarray(completions)),
    }


PRESETS = {
    "quick": {"run": Run(steps=2000, binarization="threshold", evaluate_every=250), "hidden": 100, "learning_rate": 3e-3},
    "small": {
        "run": Run(dataset="binarized_mnist", seeds=(0, 1, 2), seeds_at_once=1, steps=5000, evaluate_every=500),
        "hidden": 200,
        "learning_rate": 2e-3,
    },
    "paper": {"run": Run(dataset="binarized_mnist", steps=25_000, evaluate_every=500)},
}

REFERENCES = (
    Reference("nll_nats", "binarized_mnist", "static", 88.33, "NADE, fixed order, H=500 (Uria, Murray & Larochelle 2014)"),
    Reference("nll_nats", "binarized_mnist", "static", 97.24, "tables of 10 pixels' context (this library, exact)"),
)

if __name__ == "__main__":
    main(nade, PRESETS)
