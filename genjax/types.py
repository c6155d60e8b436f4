"""The words every module shares: what variables, a batch, a loss, an evaluation and a sampler are."""

from collections.abc import Callable, Mapping
from typing import Any

import jaxtyping
from jax import Array

PyTree = Any
Key = jaxtyping.Key[Array, ""]
Scalar = jaxtyping.Float[Array, ""]

Params = Mapping[str, PyTree]
"""Network name -> its trained variables."""

Stats = Mapping[str, PyTree]
"""What is carried from step to step but not trained by gradient: batch statistics, counts, pools, EMA weights."""

Batch = Mapping[str, Array]
"""Named arrays with a leading batch axis: image [B, H, W, C] in [0, 1], label [B], known [B, H, W, C], ..."""

Metrics = Mapping[str, Array]
"""Named numbers; a name says unit and kind: nll_nats, elbo_nats, iwae_500_nats, bits_per_dim."""

Loss = Callable[[Params, Stats, Batch, Key], tuple[Scalar, tuple[Metrics, Stats]]]
"""What one phase descends: a scalar, with diagnostics and the next stats beside it."""

Evaluate = Callable[[Params, Stats, Batch, Key], Metrics]
"""Held-out quantities per example, each [B]; never reduced."""

Generate = Callable[[Params, Stats, Batch, Key], Array]
"""What the model makes of a batch: prior samples, or completions where the batch has `known`."""

Embed = Callable[[Params, Stats, Batch], jaxtyping.Float[Array, "batch features"]]
"""Features for representation learning."""
