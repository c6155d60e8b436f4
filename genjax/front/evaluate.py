"""Held-out metrics of a trained model in one call."""

import numpy as np

from genjax.core import Model, TrainState
from genjax.data.arrays import ArrayDataset, ArraySplit
from genjax.data.dataset import Dataset
from genjax.errors import ArgumentError
from genjax.evaluation import EVALUATION_BATCH, evaluate_split, evaluation_key, make_evaluate_seeds, means
from genjax.front.check import arrays_of, check_examples, naming_what_is_missing
from genjax.mesh import mesh_of, on_each_device
from genjax.training import with_seed_axis


def evaluate(
    model: Model,
    state: TrainState,
    data: ArraySplit | ArrayDataset | Dataset,
    *,
    batch_size: int = EVALUATION_BATCH,
    devices: int | None = None,
) -> dict[str, float] | dict[str, np.ndarray]:
    """Return the mean of each of the model's metrics over a split, or an array [seeds] for a state of several seeds.

    Names contain the unit: `nll_nats` is exact -log p(x) per image, `elbo_nats` and `iwae_K_nats` are lower bounds of
    log p(x), `bits_per_dim` is per pixel and channel (`model.kinds` says which are exact). The noise is the same in
    every call, so that two results differ by the model only.

    Args:
        model: The model of the state.
        state: State from `genjax.train` or `genjax.restore`.
        data: A split, such as `data.test`, or a data set, of which the test split is evaluated.
        batch_size: Number of examples per program call.
        devices: Number of devices over which these examples are spread; by default all.

    Raises ValueError if the data do not suit the model.
    """
    split = data if isinstance(data, ArraySplit) else arrays_of(data).test
    if batch_size < 1:
        raise ArgumentError("batch_size", batch_size, " must be at least 1")
    names = check_examples(model, split)
    seeds = on_each_device(with_seed_axis(state._replace(opt={})), devices)
    with naming_what_is_missing(names):
        values = evaluate_split(
            make_evaluate_seeds(model.evaluate, split.load, mesh_of(seeds.params)),
            seeds.params,
            seeds.stats,
            split.split,
            key=evaluation_key(),
            batch_size=min(batch_size, split.size),
        )
    found = means(values)
    return found if state.key.ndim else {name: float(value[0]) for name, value in found.items()}
