"""Helpers of the factories: arrays that a model derives from a batch, the inputs that it needs, and optimizers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from genjax.core import Change, Input, Model, with_batches
from genjax.keys import CHANGE
from genjax.models.adversarial.average import with_average
from genjax.precision import Precision, with_precision
from genjax.types import Batch, Key

Rate = float | optax.Schedule
"""Learning rate: a constant, or a schedule such as `optax.cosine_decay_schedule(1e-3, steps)`."""

Mean = Float[np.ndarray, "H W C"] | None
"""Mean of the training images (`data.mean`), or None."""

ImageShape = tuple[int, int, int]
"""Height, width and channels of an image."""


def on_batches(model: Model, change: Change, generating: Change | None = None) -> Model:
    """Return the model with batches transformed by `change` first, or for `generate` by `generating` if it is given.

    The random numbers of `change` are not those of the model. The new model has no inputs: declare them by `fitted`.
    """

    def changed(batch: Batch, key: Key) -> Batch:
        return change(batch, jax.random.fold_in(key, CHANGE))

    return with_batches(model, changed, generating=generating)._replace(inputs={})


def unchanged(batch: Batch, key: Key) -> Batch:
    """Return the batch as it is."""
    del key
    return batch


def fitted(
    model: Model, image_shape: ImageShape, values: str = "unit", *, precision: Precision, **others: Input
) -> Model:
    """Return the model in this precision and with its inputs declared: images of this shape and range, and `others`.

    `genjax.train` and `genjax.evaluate` compare the first examples of a data set with these inputs.
    """
    declared = {**model.inputs, "image": Input(image_shape, values), **others}
    return with_precision(model, precision)._replace(inputs=declared)


def pixel_values(levels: int) -> str:
    """Return the name, as in `Input`, of the range of pixels with this number of levels."""
    return "binary" if levels == 2 else f"levels-{levels}"


def averaged(model: Model, decay: float) -> Model:
    """Return the model with samples from a running average of its generator; `decay` 0 leaves the model unchanged."""
    return with_average(model, decay=decay) if decay else model


def adversarial_adam(learning_rate: Rate) -> optax.GradientTransformation:
    """Return Adam with b1 = 0.5, as in Radford et al. (2016)."""
    return optax.adam(learning_rate, b1=0.5)


def clipped_adam(learning_rate: Rate) -> optax.GradientTransformation:
    """Return Adam on gradients whose norm is clipped at 1."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(learning_rate))


def one_hot(label: Any, classes: int) -> Array:
    """Return class numbers as one-hot rows of the integers 0 and 1."""
    return jax.nn.one_hot(label, classes, dtype=jnp.int32)
