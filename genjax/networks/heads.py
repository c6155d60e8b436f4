"""Several outputs on top of one network."""

from flax import linen as nn
from jax.nn.initializers import Initializer, glorot_uniform
from jaxtyping import Array, Float


class Heads(nn.Module):
    """Named linear outputs of the features that `body` makes of x.

    Those in `normalized` go through batch normalization with a scale and no bias, so that the mean of each unit stays
    0: over the batch where `train`, else by the running statistics of the collection `batch_stats`.
    """

    body: nn.Module
    widths: tuple[tuple[str, int], ...]
    """(name, width) of each output."""
    normalized: tuple[str, ...] = ()
    kernel_init: Initializer = glorot_uniform()

    @nn.compact
    def __call__(self, x: Float[Array, " batch *shape"], train: bool = False) -> dict[str, Float[Array, "batch _"]]:
        """Output name -> [batch, width]."""
        features = self.body(x)
        outputs = {}
        for name, width in self.widths:
            normalized = name in self.normalized
            # a bias would be taken away again, and Adam would move it by the sign of its gradient's rounding error
            outputs[name] = nn.Dense(width, use_bias=not normalized, kernel_init=self.kernel_init, name=name)(features)
            if normalized:
                norm = nn.BatchNorm(use_running_average=not train, use_bias=False, name=f"{name}_norm")
                outputs[name] = norm(outputs[name])
        return outputs
