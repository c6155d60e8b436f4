"""Several outputs on top of one network."""

from flax import linen as nn
from jax.nn.initializers import Initializer, glorot_uniform
from jaxtyping import Array, Float


class Heads(nn.Module):
    """Named linear outputs of the features that `body` computes from x.

    Outputs in `normalized` get batch normalization with a scale and without a bias, so that the mean of each unit stays
    0. It uses the statistics of the batch if `train`, else the running statistics in the collection `batch_stats`.
    """

    body: nn.Module
    """Network that computes the features."""
    widths: tuple[tuple[str, int], ...]
    """Pairs (name, width), one for each output."""
    normalized: tuple[str, ...] = ()
    """Names of the outputs with batch normalization."""
    kernel_init: Initializer = glorot_uniform()

    @nn.compact
    def __call__(self, x: Float[Array, " batch *shape"], train: bool = False) -> dict[str, Float[Array, "batch _"]]:
        """Return the outputs by name, each [batch, width]."""
        features = self.body(x)
        outputs = {}
        for name, width in self.widths:
            normalized = name in self.normalized
            # Normalization would remove a bias, and Adam would follow the sign of rounding errors in its gradient.
            outputs[name] = nn.Dense(width, use_bias=not normalized, kernel_init=self.kernel_init, name=name)(features)
            if normalized:
                norm = nn.BatchNorm(use_running_average=not train, use_bias=False, name=f"{name}_norm")
                outputs[name] = norm(outputs[name])
        return outputs
