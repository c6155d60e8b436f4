"""Networks of PixelCNN and Gated PixelCNN, the conditions that they are given, and the conditionals they return."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import Float

from genjax.core import Input
from genjax.models.autoregressive.pixels import Output
from genjax.networks.bound import bind, init_networks
from genjax.networks.masked_conv import ConditionEncoder, HorizontalStack, PixelCNN, VerticalStack, shifted_down
from genjax.types import Batch, Key, Params, PyTree


class Networks(NamedTuple):
    """Networks of a PixelCNN; `params` holds their parameters under the same names."""

    pixels: PixelCNN | HorizontalStack
    """Network from the current row, and the output of `above`, to parameters [B, H, W, C, P]."""
    above: VerticalStack | None = None
    """Gated PixelCNN's stack over the rows above; None if `pixels` sees these rows itself."""
    condition: ConditionEncoder | None = None
    """Network from a conditioning image [B, H, W, Cc] to features [B, H, W, features]."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the networks that are not None."""
        return tuple(name for name, network in self._asdict().items() if network is not None)


def make_networks(
    channels: int,
    output: Output,
    *,
    features: int,
    blocks: int,
    gated: bool,
    first_kernel: int = 7,
    kernel: int = 3,
    conditional: bool = False,
) -> Networks:
    """Make the networks of `pixel_cnn`, with `condition` if `conditional`. Raises ValueError as `pixel_cnn` does."""
    check_at_least(1, blocks=blocks)
    check_at_least(channels, features=features)  # each image channel needs a feature of its own
    check_kernels(first_kernel, kernel)
    sizes: Any = {
        "features": features,
        "blocks": blocks,
        "first_kernel": first_kernel,
        "kernel": kernel,
    }
    return Networks(
        pixels=(HorizontalStack if gated else PixelCNN)(channels, output.parameters, **sizes),
        above=VerticalStack(**sizes) if gated else None,
        condition=ConditionEncoder(features) if conditional else None,
    )


def check_at_least(least: int, **sizes: int) -> None:
    """Raise ValueError if a size is smaller than `least`."""
    for name, value in sizes.items():
        if value < least:
            raise ValueError(f"{name}={value} must be at least {least}")


def check_kernels(first_kernel: int, kernel: int) -> None:
    """Raise ValueError if a kernel has no centre, or the first kernel sees no neighbour."""
    for name, size, least in (("first_kernel", first_kernel, 3), ("kernel", kernel, 1)):
        if size < least or size % 2 == 0:
            raise ValueError(f"{name}={size} must be odd and at least {least}")


class Given(NamedTuple):
    """Conditions that a batch must give in addition to its images.

    Methods raise ValueError for a condition that is missing, of a wrong shape or out of range. While the value of a
    label is not available yet (under `jit`), a label that is out of range makes the results NaN instead.
    """

    image_shape: tuple[int, int, int]
    classes: int
    """Number of values of `label`; 0 if the model has no classes."""
    condition_channels: int
    """Channels of `condition`; 0 if the model has no conditioning image."""

    def inputs(self) -> dict[str, Input]:
        """Return shapes and ranges of the conditions that the model needs."""
        condition = Input((*self.image_shape[:2], self.condition_channels), "unit")
        inputs = {"label": Input((), f"classes-{self.classes}")} if self.classes else {}
        return {**inputs, "condition": condition} if self.condition_channels else inputs

    def label(self, batch: Batch) -> Float[Array, "B classes"] | None:
        """Return the label as a one-hot vector; None for a model without classes."""
        if not self.classes:
            return None
        label = checked(batch, "label", (len(batch["image"]),))
        valid = (label >= 0) & (label < self.classes)
        if not isinstance(label, Tracer) and not valid.all():
            raise ValueError(f"batch['label']: {label[~valid][0]} must be from 0 to {self.classes - 1}")
        one_hot = jax.nn.one_hot(label, self.classes, dtype=batch["image"].dtype)
        return jnp.where(valid[:, None], one_hot, jnp.nan)

    def condition(self, batch: Batch) -> Float[Array, "B H W Cc"] | None:
        """Return the conditioning image; None for a model without one."""
        if not self.condition_channels:
            return None
        height, width, _ = self.image_shape
        return checked(batch, "condition", (len(batch["image"]), height, width, self.condition_channels))


def checked(batch: Batch, name: str, shape: tuple[int, ...]) -> Array:
    """Return an array of the batch. Raises ValueError if it is missing or of another shape."""
    if name not in batch:
        raise ValueError(f"{name}: the model needs it, of shape {shape}; the batch has {', '.join(sorted(batch))}")
    if batch[name].shape != shape:
        raise ValueError(f"{name}: shape {batch[name].shape} must be {shape}")
    return batch[name]


def init_params(networks: Networks, key: Key, given: Given, batch: Batch) -> Params:
    """Return fresh parameters of each network, drawn under separate keys."""
    pixels_key, above_key, condition_key = jax.random.split(key, 3)
    image, above = batch["image"], None
    params: dict[str, PyTree] = {}
    if networks.condition is not None:
        params |= init_networks(networks, condition_key, condition=(given.condition(batch),))[0]
    context = context_of(networks, params, given, batch)
    if networks.above is not None:
        params |= init_networks(networks, above_key, above=(image, context))[0]
        bound: Any = bind(networks, params, {})
        above = bound.above(image, context)
    return {**params, **init_networks(networks, pixels_key, pixels=(image, above, context))[0]}


def context_of(networks: Networks, params: Params, given: Given, batch: Batch) -> Float[Array, "B h w K"] | None:
    """Return the context of all blocks: the label, one vector for all pixels, and the conditioning image's features."""
    label, condition = given.label(batch), given.condition(batch)
    vector = None if label is None else label[:, None, None, :]
    encoder: Any = bind(networks, params, {}).condition
    if encoder is None or condition is None:
        return vector
    features = encoder(centred(condition, GREY))
    if vector is None:
        return features
    return jnp.concatenate([features, jnp.broadcast_to(vector, (*features.shape[:3], vector.shape[-1]))], axis=-1)


Center = Float[np.ndarray | Array, "#rows #columns #channels"]

GREY = np.full((1, 1, 1), 0.5, np.float32)
"""Value subtracted from the pixels if their mean is not given: middle grey."""


def centred(image: Float[Array, "B H W C"], center: Center) -> Float[Array, "B H W C"]:
    """Return 2 (image - center), with GREY in [-1, 1], so that zero padding is neither black nor white."""
    return 2 * (image - center)


def conditionals(
    networks: Networks,
    params: Params,
    image: Float[Array, "B H W C"],
    context: Float[Array, "B h w K"] | None,
    center: Center = GREY,
) -> Float[Array, "B H W C P"]:
    """Compute the parameters of the conditional of each element."""
    bound: Any = bind(networks, params, {})
    x = centred(image, center)
    above = None if bound.above is None else bound.above(shifted_down(x), context)
    return bound.pixels(x, above, context)
