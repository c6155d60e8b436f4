"""Losses of a classifier that predicts several attributes of one example."""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
import optax
from jax import Array

from genjax.losses.numbers import in_float32


@in_float32
def attribute_losses(logits: Array, bits: Array, sizes: Sequence[int]) -> Array:
    """Return the cross-entropy of each attribute in nats: logits and bits [batch, sum of sizes] to [batch, attributes].

    The columns belong to the attributes in turn, `sizes[i]` columns to attribute i. An attribute of several columns is
    one-hot, and its loss is -log softmax at the 1; an attribute of one column is 0 or 1, and its loss is the binary
    cross-entropy of a sigmoid. Choi et al. (2018, eq. 2 and 3) use the softmax for facial expressions and the sum of
    the sigmoid losses for attributes of faces. Raises ValueError if `sizes` do not sum to the number of columns.
    """
    if not sizes or min(sizes) < 1 or not sum(sizes) == logits.shape[-1] == bits.shape[-1]:
        raise ValueError(f"sizes={tuple(sizes)}: their sum must be that of logits {logits.shape} and bits {bits.shape}")
    starts = list(itertools.accumulate(sizes))[:-1]
    parts = zip(jnp.split(logits, starts, axis=-1), jnp.split(bits, starts, axis=-1), strict=True)
    return jnp.stack([attribute_loss(*part) for part in parts], axis=-1)


@in_float32
def attribute_loss(logits: Array, bits: Array) -> Array:
    """Return the cross-entropy of one attribute in nats: logits and bits [batch, size] to [batch]."""
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits, bits)[..., 0]
    return optax.softmax_cross_entropy(logits, bits)
