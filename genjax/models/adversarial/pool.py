"""Pool of earlier generated images that keeps a discriminator from forgetting (Shrivastava et al. 2017, sec. 2.3)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from genjax.errors import ArgumentError
from genjax.types import Key

Images = Float[Array, "batch H W C"]


class Pool(NamedTuple):
    """Images that were generated earlier."""

    images: Float[Array, "size H W C"]
    """Stored images."""
    held: Int[Array, ""]
    """Number of images that the pool holds; the rest of `images` is 0."""


def empty_pool(size: int, image_shape: tuple[int, int, int]) -> Pool:
    """Return an empty pool with room for `size` images. Raises ValueError if `size` is below 0."""
    if size < 0:
        raise ArgumentError("pool_size", size, " must be at least 0")
    return Pool(jnp.zeros((size, *image_shape)), jnp.zeros((), jnp.int32))


def query(pool: Pool, images: Images, key: Key) -> tuple[Images, Pool]:
    """Return for each of `images` the image itself or an earlier one, and the updated pool (Zhu et al. 2017, sec. 4).

    The images are handled one after another. While the pool is not full, an image is stored and returned. Once it is
    full, the image is returned with probability 1/2; else it replaces a stored image, drawn uniformly, and the stored
    image is returned. A pool of size 0 always returns the image.
    """
    if not len(pool.images):
        return images, pool

    def one(pool: Pool, given: tuple[Float[Array, "H W C"], Key]) -> tuple[Pool, Float[Array, "H W C"]]:
        image, image_key = given
        position_key, coin_key = jax.random.split(image_key)
        size = len(pool.images)
        filling = pool.held < size
        position = jnp.where(filling, pool.held, jax.random.randint(position_key, (), 0, size))
        old = pool.images[position]
        is_old = ~filling & jax.random.bernoulli(coin_key)
        kept = pool.images.at[position].set(jnp.where(filling | is_old, image, old))
        return Pool(kept, pool.held + filling), jnp.where(is_old, old, image)

    pool, answers = jax.lax.scan(one, pool, (images, jax.random.split(key, len(images))))
    return answers, pool
