"""Exponential moving averages of a network: what a game is sampled from, while the players play on."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from genjax.core import Model, Phase
from genjax.types import Batch, Key, Metrics, Params, PyTree, Scalar, Stats


def with_average(model: Model, *, decay: float, network: str = "generator") -> Model:
    """The model whose `evaluate`, `generate` and `embed` see the average of a network in the network's place.

    The average begins as the network does, and becomes decay average + (1 - decay) network in a last phase, `average`,
    after each move of the network; batch statistics likewise. It stands in stats["average"].

    Raises ValueError where `decay` is not in [0, 1) or no phase moves the network.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay={decay} must be at least 0 and below 1")
    periods = [phase.every for phase in model.phases if network in phase.wrt]
    if not periods:
        moved = sorted({name for phase in model.phases for name in phase.wrt})
        raise ValueError(f"network={network!r}: no phase moves it; they move {moved}")

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        params, stats = model.init(key, batch)
        return params, {**stats, "average": now(params, stats, network)}

    def average(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        mean = jax.tree.map(lambda old, new: mixed(old, new, decay), stats["average"], now(params, stats, network))
        return jnp.zeros(()), ({}, {**stats, "average": mean})

    embed = model.embed
    return Model(
        init=init,
        phases=(*model.phases, Phase("average", average, (), optax.identity(), every=min(periods))),
        evaluate=lambda params, stats, batch, key: model.evaluate(*averaged(params, stats, network), batch, key),
        generate=lambda params, stats, batch, key: model.generate(*averaged(params, stats, network), batch, key),
        embed=embed and (lambda params, stats, batch: embed(*averaged(params, stats, network), batch)),
    )


def now(params: Params, stats: Stats, network: str) -> PyTree:
    """The network's weights and batch statistics."""
    return {"params": params[network], "stats": stats.get(network, {})}


def mixed(old: Array, new: Array, decay: float) -> Array:
    """Decay old + (1 - decay) new; at a decay of 0 exactly the new one."""
    return decay * old + (1 - decay) * new


def averaged(params: Params, stats: Stats, network: str = "generator") -> tuple[Params, Stats]:
    """Params and stats with the average in the network's place; as they are where the model has none."""
    if "average" not in stats:
        return params, stats
    average = stats["average"]
    return {**params, network: average["params"]}, {**stats, network: average["stats"]}
