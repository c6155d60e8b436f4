"""Exponential moving average of a network's weights, from which samples are drawn while training goes on."""

import jax.numpy as jnp
import optax

from genjax.core import Model, Phase
from genjax.errors import ArgumentError
from genjax.types import Batch, Key, Metrics, Params, PyTree, Scalar, Stats


def with_average(model: Model, *, decay: float, network: str = "generator") -> Model:
    """Return the model whose `evaluate`, `generate` and `embed` use a running average of a network instead of it.

    The average starts as a copy of the network's weights and batch statistics. At the end of each step in which a phase
    has updated the network, an additional phase, `average`, replaces it by decay average + (1 - decay) network; where
    phases update it in different steps, there is one such phase for each of their schedules. stats["average"] holds it.

    Raises ValueError if `decay` is not in [0, 1) or no phase updates the network.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay={decay} must be at least 0 and below 1")
    moving = [(phase.every, phase.start, phase.stop) for phase in model.phases if network in phase.wrt]
    schedules = list(dict.fromkeys(moving))
    if not schedules:
        trained = sorted({name for phase in model.phases for name in phase.wrt})
        raise ArgumentError("network", network, f": no phase updates it; they update {trained}")

    def init(key: Key, batch: Batch) -> tuple[Params, Stats]:
        params, stats = model.init(key, batch)
        return params, {**stats, "average": current(params, stats, network)}

    def average(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        # optax weights its first argument by its last: the average by `decay`, the network by 1 - `decay`
        mean = optax.incremental_update(stats["average"], current(params, stats, network), decay)
        return jnp.zeros(()), ({}, {**stats, "average": mean})

    averages = (
        Phase(f"average{index or ''}", average, (), optax.identity(), *schedule)
        for index, schedule in enumerate(schedules)
    )
    embed = model.embed
    return model._replace(
        init=init,
        phases=(*model.phases, *averages),
        evaluate=lambda params, stats, batch, key: model.evaluate(*averaged(params, stats, network), batch, key),
        generate=lambda params, stats, batch, key: model.generate(*averaged(params, stats, network), batch, key),
        embed=embed and (lambda params, stats, batch: embed(*averaged(params, stats, network), batch)),
    )


def current(params: Params, stats: Stats, network: str) -> PyTree:
    """Return the network's present weights and batch statistics."""
    return {"params": params[network], "stats": stats.get(network, {})}


def averaged(params: Params, stats: Stats, network: str = "generator") -> tuple[Params, Stats]:
    """Return params and stats with the average instead of the network, or unchanged if the model has no average."""
    if "average" not in stats:
        return params, stats
    average = stats["average"]
    return {**params, network: average["params"]}, {**stats, network: average["stats"]}
