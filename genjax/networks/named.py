"""Networks by name: params[name] and stats[name] hold their variables, and `networks.<name>` is the module."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from genjax.types import Key, Params, Stats


def split_variables(variables: Mapping[str, Any]) -> tuple[Params, Stats]:
    """Split variables into the parameters and the running statistics of each network, which may be an empty dict."""
    params = {name: {"params": own["params"]} for name, own in variables.items()}
    stats = {name: {part: tree for part, tree in own.items() if part != "params"} for name, own in variables.items()}
    return params, stats


def applied(networks: Any, name: str, params: Params, stats: Stats, *inputs: Array) -> Any:
    """Apply the network called `name` with its running statistics and without dropout.

    `networks` has the module as its attribute `name`.
    """
    return getattr(networks, name).apply({**params[name], **stats[name]}, *inputs)


def applied_batch(
    networks: Any, name: str, params: Params, stats: Stats, *inputs: Array, dropout_key: Key | None = None
) -> tuple[Any, Stats]:
    """Apply the network called `name` in training mode: returns its outputs and the running statistics of all networks.

    Batch normalization uses the statistics of this batch. Dropout is active if `dropout_key` is given.
    """
    rngs = None if dropout_key is None else {"dropout": dropout_key}
    outputs, updated = getattr(networks, name).apply(
        {**params[name], **stats[name]}, *inputs, train=True, mutable=list(stats[name]), rngs=rngs
    )
    return outputs, {**stats, name: updated}
