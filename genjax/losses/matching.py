"""Losses of joint embeddings, in which images and texts that belong together have a large inner product."""

import jax
import jax.numpy as jnp
from jax import Array

from genjax.losses.numbers import in_float32


@in_float32
def structured_joint_loss(scores: Array, same: Array) -> Array:
    """Return a hinge loss per example, [batch]: 0 where an image scores its own caption, and the
    caption its own image, higher than all others by 1.

        (1/B) sum_m max(0, 1 + s_nm - s_nn) + (1/B) sum_m max(0, 1 + s_mn - s_nn)   over the m that are not `same` as n

    (Reed, Akata, Lee & Schiele 2016, eq. 4 and 5, with the mean over the other examples instead of the worst class.)
    `scores` [batch, batch] are s_nm = f(image n) . f(caption m); `same` [batch, batch] is true where caption m also
    describes image n, as on the diagonal.
    """
    own = jnp.diagonal(scores)
    of_image, of_caption = (jax.nn.relu(1 + matrix - own[:, None]) for matrix in (scores, scores.T))
    return jnp.where(same > 0, 0, of_image).mean(axis=1) + jnp.where(same.T > 0, 0, of_caption).mean(axis=1)
