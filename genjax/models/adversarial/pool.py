"""A pool of generated images, so that a discriminator does not forget old ones (Shrivastava et al. 2017, sec. 2.3)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from genjax.types import Key

Images = Float[Array, "batch H W C"]


class Pool(NamedTuple):
    """Images that were generated before."""

    images: Float[Array, "size H W C"]
    held: Int[Array, ""]
    """How many there are; the rest is black."""


def empty_pool(size: int, image_shape: tuple[int, int, int]) -> Pool:
    """A pool of `size` images that holds none. Raises ValueError where `size` is below 0."""
    if size < 0:
        raise ValueError(f"pool_size={size} must be at least 0")
    return Pool(jnp.zeros((size, *image_shape)), jnp.zeros((), jnp.int32))


def query(pool: Pool, images: Images, key: Key) -> tuple[Images, Pool]:
    """For each image itself or an old one, and the pool after it (Zhu et al. 2017, sec. 4).

    One image after another: while the pool is not full, it is kept and is the answer. Then it is the answer with
    probability 1/2; else the answer is one of the pool, each as likely as the others, whose place it takes. The answer
    of a pool of size 0 is always the image.
    """
    if not len(pool.images):
        return images, pool

    def one(pool: Pool, given: tuple[Float[Array, "H W C"], Key]) -> tuple[Pool, Float[Array, "H W C"]]:
        image, image_key = given
        place_key, coin_key = jax.random.split(image_key)
        size = len(pool.images)
        filling = pool.held < size
        place = jnp.where(filling, pool.held, jax.random.randint(place_key, (), 0, size))
        old = pool.images[place]
        is_old = ~filling & jax.random.bernoulli(coin_key)
        kept = pool.images.at[place].set(jnp.where(filling | is_old, image, old))
        return Pool(kept, pool.held + filling), jnp.where(is_old, old, image)

    pool, answers = jax.lax.scan(one, pool, (images, jax.random.split(key, len(images))))
    return answers, pool
