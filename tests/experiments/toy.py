"""An experiment that trains in a second: python -m tests.experiments.toy."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.data.load import require_binary
from genjax.models.autoregressive.nade import nade
from genjax.pictures.figures import image_grid
from genjax.runs.experiment import Experiment, Select
from genjax.runs.options import Data, Run
from genjax.runs.runner import main


@dataclass(frozen=True)
class Options:
    """A tiny NADE."""

    data: Data = Data()
    run: Run = Run()
    hidden: int = 4
    """Hidden units."""
    explode_at: int = 0
    """Step from which on the learning rate is infinite; 0 for never."""


PRESETS = {
    "quick": Options(Data(binarization="threshold"), Run(steps=100, evaluate_every=50)),
    "wide": Options(hidden=8),
}


def toy(options: Options) -> Experiment:
    """A tiny NADE."""
    data = options.data.load()
    require_binary(data)

    def rate(count):
        exploded = (options.explode_at > 0) & (count == options.explode_at - 1)
        return jnp.where(exploded, jnp.inf, 1e-2)

    model = nade(data.image_shape, hidden=options.hidden, optimizer=optax.adam(rate))

    def figures(params, stats, key):
        images = jax.jit(model.generate)(params, stats, {"image": jnp.zeros((4, *data.image_shape))}, key)
        return {"samples": image_grid(np.asarray(images), columns=2)}

    def measure(params, stats, split, key):
        return {"bias_times_examples": float(params["nade"]["b"].sum()) * split.size}

    return Experiment(
        model=model._replace(seeds_together=True),
        data=data,
        figures=figures,
        measure=measure,
        kinds={"bias_times_examples": "exact"},
        select=Select("nll_nats", "min"),
    )


if __name__ == "__main__":
    main(toy, PRESETS)
