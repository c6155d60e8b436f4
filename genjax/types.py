"""Type aliases for all modules: keys, variables, batches, losses and samplers."""

from collections.abc import Callable, Mapping
from typing import Any

import jaxtyping
from jax import Array

PyTree = Any
Key = jaxtyping.Key[Array, ""]
Scalar = jaxtyping.Float[Array, ""]

Params = Mapping[str, PyTree]
"""Trained parameters by network name."""

Stats = Mapping[str, PyTree]
"""Variables that are carried from step to step but not trained by gradient, by network name: batch statistics, counts,
sample pools, averaged parameters."""

Batch = Mapping[str, Array]
"""Named arrays with a leading batch axis: image [B, H, W, C] in [0, 1], label [B], known [B, H, W, C] and others."""

Metrics = Mapping[str, Array]
"""Named numbers. A name gives the unit and the kind of number: nll_nats, elbo_nats, iwae_500_nats, bits_per_dim."""

Loss = Callable[[Params, Stats, Batch, Key], tuple[Scalar, tuple[Metrics, Stats]]]
"""Objective that one phase minimizes: a scalar, together with metrics for the log and the next stats."""

Evaluate = Callable[[Params, Stats, Batch, Key], Metrics]
"""Metrics of a held-out batch: name -> array [B] with one value per example; the caller averages them."""

Generate = Callable[[Params, Stats, Batch, Key], Array]
"""Sampler: one output per example of the batch, drawn from the prior, or completed if the batch has `known`
pixels."""

Embed = Callable[[Params, Stats, Batch], jaxtyping.Float[Array, "batch features"]]
"""Features [batch, features] for representation learning."""
