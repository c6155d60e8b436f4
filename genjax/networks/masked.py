"""Masked layers: each output depends on earlier inputs only (Germain et al. 2015, MADE).

Every unit has a degree. The degree of an input is its position in the ordering, from 1 to D; the degree of a hidden
unit is the position of the last input that it may depend on. Masks are comparisons of degrees, so several orderings can
share the weights of one network.
"""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.nn.initializers import Initializer, glorot_uniform, zeros
from jaxtyping import Array, Bool, Float, Int

from genjax.shuffle import uniform

Activation = Callable[[Array], Array]

Numbers = Array | np.ndarray

Degrees = tuple[Int[Numbers, "..."], ...]
"""Degrees of the units of each layer, from the inputs to the last hidden layer."""


def hidden_mask(below: Int[Numbers, " inputs"], above: Int[Numbers, " units"]) -> Bool[Numbers, "inputs units"]:
    """Connect a unit to the units below whose degree is at most its own (equation 12)."""
    return above >= below[:, None]


def output_mask(below: Int[Numbers, " inputs"], positions: Int[Numbers, " D"]) -> Bool[Numbers, "inputs D"]:
    """Connect the output at position d to the units below whose degree is less than d (equation 13)."""
    return positions > below[:, None]


def layer_masks(degrees: Degrees) -> tuple[Bool[Numbers, "..."], ...]:
    """Return the masks of all layers, with the output layer last."""
    hidden = [hidden_mask(below, above) for below, above in itertools.pairwise(degrees)]
    return (*hidden, output_mask(degrees[-1], degrees[0]))


def spread_degrees(ordering: Int[np.ndarray, " D"], widths: Sequence[int], *, seed: int) -> Degrees:
    """Return degrees for an ordering of D inputs and hidden layers of `widths`; `ordering[d]` is the input at position
    d + 1.

    A hidden layer has all degrees from 1 to D - 1, equally often up to one unit, in an order that is fixed by `seed`.
    No conditional lacks units by chance then, as it could if degrees were drawn independently. Layers with fewer than
    D - 1 units have only some of the degrees, always with 1 among them.
    """
    largest = max(len(ordering) - 1, 1)
    hidden = []
    for layer, width in enumerate(widths, start=1):
        order = np.argsort(uniform(seed, layer, (width,)), kind="stable")
        hidden.append((1 + np.arange(width) * largest // width)[order])
    return (np.argsort(ordering) + 1, *hidden)


class MaskedDense(nn.Module):
    """Dense layer whose kernel is multiplied by a mask. The kernel is stored without the mask."""

    features: int
    """Number of outputs."""
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform()
    bias_init: Initializer = zeros

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch inputs"], mask: Bool[Numbers, "inputs features"]
    ) -> Float[Array, "batch features"]:
        """Return x (kernel * mask) + bias."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features), jnp.float32)
        y = x @ jnp.where(mask, kernel, 0)
        return y + self.param("bias", self.bias_init, (self.features,), jnp.float32) if self.use_bias else y


class MaskedMLP(nn.Module):
    """Masked dense layers from D inputs to D outputs: each output depends only on inputs at earlier positions than its
    own.
    """

    widths: Sequence[int]
    """Units of each hidden layer."""
    activation: Activation = jax.nn.relu
    direct: bool = True
    """Whether inputs are also connected directly to the outputs, under the mask of equation 13."""
    kernel_init: Initializer = glorot_uniform()
    bias_init: Initializer = zeros
    """Initializer of the output biases; all other biases start at 0."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch D"], degrees: Degrees) -> Float[Array, "batch D"]:
        """Return the outputs under the masks of these `degrees`, in the order of the inputs."""
        *hidden, last = layer_masks(degrees)
        h = x
        for index, (width, mask) in enumerate(zip(self.widths, hidden, strict=True), start=1):
            h = self.activation(MaskedDense(width, kernel_init=self.kernel_init, name=f"hidden_{index}")(h, mask))
        size = x.shape[-1]
        output = MaskedDense(size, kernel_init=self.kernel_init, bias_init=self.bias_init, name="output")(h, last)
        if self.direct:
            strict = output_mask(degrees[0], degrees[0])
            output += MaskedDense(size, use_bias=False, kernel_init=zeros, name="direct")(x, strict)
        return output
