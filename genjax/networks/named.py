"""Networks with names: params[name] and stats[name] hold their variables, `networks.<name>` is the module."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from genjax.types import Key, Params, Stats


def split_variables(variables: Mapping[str, Any]) -> tuple[Params, Stats]:
    """The parameters of each network, and its running statistics, an empty dict where it has none."""
    params = {name: {"params": own["params"]} for name, own in variables.items()}
    stats = {name: {part: tree for part, tree in own.items() if part != "params"} for name, own in variables.items()}
    return params, stats


def applied(networks: Any, name: str, params: Params, stats: Stats, *inputs: Array) -> Any:
    """What the network of this name makes of its inputs, by its running statistics and without dropout.

    `networks` has the module as its attribute `name`.
    """
    return getattr(networks, name).apply({**params[name], **stats[name]}, *inputs)


def applied_batch(
    networks: Any, name: str, params: Params, stats: Stats, *inputs: Array, dropout_key: Key | None = None
) -> tuple[Any, Stats]:
    """`applied` as training does it, by the statistics of this batch, and all running statistics after it.

    With `dropout_key` the network may draw units to leave out.
    """
    rngs = None if dropout_key is None else {"dropout": dropout_key}
    outputs, updated = getattr(networks, name).apply(
        {**params[name], **stats[name]}, *inputs, train=True, mutable=list(stats[name]), rngs=rngs
    )
    return outputs, {**stats, name: updated}
