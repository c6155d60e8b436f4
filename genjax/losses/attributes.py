"""What a classifier loses that reads several attributes of one example."""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
import optax
from jax import Array


def attribute_losses(logits: Array, bits: Array, sizes: Sequence[int]) -> Array:
    """The cross-entropy of each attribute in nats: logits and bits [batch, sum of sizes] to [batch, attributes].

    Each attribute has the next of `sizes` columns. Of several bits one is 1, and the loss is -log softmax of that; a
    single one is 0 or 1, and the loss that of a sigmoid. Choi et al. (2018, eq. 2 and 3) have the first for
    expressions, and for attributes of faces the sum of the second. Raises ValueError where the columns are not so many.
    """
    if not sizes or min(sizes) < 1 or not sum(sizes) == logits.shape[-1] == bits.shape[-1]:
        raise ValueError(f"sizes={tuple(sizes)}: their sum must be that of logits {logits.shape} and bits {bits.shape}")
    starts = list(itertools.accumulate(sizes))[:-1]
    parts = zip(jnp.split(logits, starts, axis=-1), jnp.split(bits, starts, axis=-1), strict=True)
    return jnp.stack([attribute_loss(*part) for part in parts], axis=-1)


def attribute_loss(logits: Array, bits: Array) -> Array:
    """The cross-entropy of one attribute: [batch, size] twice to [batch]."""
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits, bits)[..., 0]
    return optax.softmax_cross_entropy(logits, bits)
