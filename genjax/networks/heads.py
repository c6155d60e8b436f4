"""Several outputs on top of one network."""

from flax import linen as nn
from jax.nn.initializers import Initializer, glorot_uniform
from jaxtyping import Array, Float


class Heads(nn.Module):
    """Named linear outputs of the features that `body` makes of x."""

    body: nn.Module
    widths: tuple[tuple[str, int], ...]
    """(name, width) of each output."""
    kernel_init: Initializer = glorot_uniform()

    @nn.compact
    def __call__(self, x: Float[Array, " batch *shape"]) -> dict[str, Float[Array, "batch _"]]:
        """Output name -> [batch, width]."""
        features = self.body(x)
        return {name: nn.Dense(width, kernel_init=self.kernel_init, name=name)(features) for name, width in self.widths}
