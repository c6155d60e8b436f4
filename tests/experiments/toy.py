"""An experiment that trains in a second: python -m tests.experiments.toy."""

import jax.numpy as jnp
import numpy as np
import optax

from experiments.experiment import Common, Experiment, Run, Select
from experiments.figures import image_grid
from experiments.runner import main
from genjax.data.load import load_dataset, require_binary
from genjax.models.autoregressive.nade import nade


def toy(run: Common = Run(), *, hidden: int = 4, explode_at: int = 0) -> Experiment:  # noqa: B008
    """A tiny NADE.

    Args:
        hidden: Hidden units.
        explode_at: Step from which on the learning rate is infinite; 0 for never.
    """
    data = load_dataset(run.dataset, data_dir=run.data_dir, binarization=run.binarization)
    require_binary(data)

    def rate(count):
        return jnp.where((explode_at > 0) & (count == explode_at - 1), jnp.inf, 1e-2)

    model = nade(data.image_shape, hidden=hidden, optimizer=optax.adam(rate))

    def figures(params, stats, key):
        images = model.generate(params, stats, {"image": jnp.zeros((4, *data.image_shape))}, key)
        return {"samples": image_grid(np.asarray(images), columns=2)}

    def measure(params, stats, split, key):
        return {"bias_times_examples": float(params["nade"]["b"].sum()) * split.size}

    return Experiment(
        model=model,
        data=data,
        kinds={"nll_nats": "exact", "bits_per_dim": "exact", "bias_times_examples": "exact"},
        figures=figures,
        select=Select("nll_nats", "min"),
        measure=measure,
    )


PRESETS = {"quick": {"run": Run(steps=100, evaluate_every=50, binarization="threshold")}, "wide": {"hidden": 8}}

if __name__ == "__main__":
    main(toy, PRESETS)
