"""Masked layers: each output depends on inputs that come before it, and on no other (Germain et al. 2015, MADE).

Every unit has a degree. That of an input is its place in the ordering, from 1 to D; that of a hidden unit is the place
of the last input it may see. A mask is a comparison of degrees, so several masks share the weights of one network.
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
"""The degrees of the units [units] of each layer, from the inputs to the last hidden one."""


def hidden_mask(below: Int[Numbers, " inputs"], above: Int[Numbers, " units"]) -> Bool[Numbers, "inputs units"]:
    """A unit sees the units below whose degree is at most its own (equation 12)."""
    return above >= below[:, None]


def output_mask(below: Int[Numbers, " inputs"], places: Int[Numbers, " D"]) -> Bool[Numbers, "inputs D"]:
    """The output in place d sees the units below whose degree is less than d (equation 13)."""
    return places > below[:, None]


def layer_masks(degrees: Degrees) -> tuple[Bool[Numbers, "..."], ...]:
    """The masks of all layers, the output's last."""
    hidden = [hidden_mask(below, above) for below, above in itertools.pairwise(degrees)]
    return (*hidden, output_mask(degrees[-1], degrees[0]))


def spread_degrees(ordering: Int[np.ndarray, " D"], widths: Sequence[int], *, seed: int) -> Degrees:
    """Degrees for an ordering of D inputs (`ordering[d]` is the input in place d + 1) and hidden layers of `widths`.

    A hidden layer has all degrees from 1 to D - 1, each as often as any other, give or take one, in an order that
    belongs to `seed`: no conditional lacks units by chance, as where degrees are drawn independently.
    Layers with fewer than D - 1 units leave degrees out; 1 is always there.
    """
    largest = max(len(ordering) - 1, 1)
    hidden = []
    for layer, width in enumerate(widths, start=1):
        order = np.argsort(uniform(seed, layer, (width,)), kind="stable")
        hidden.append((1 + np.arange(width) * largest // width)[order])
    return (np.argsort(ordering) + 1, *hidden)


class MaskedDense(nn.Module):
    """A dense layer whose kernel is multiplied by a mask; what is trained and stored is the whole kernel."""

    features: int
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform()
    bias_init: Initializer = zeros

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch inputs"], mask: Bool[Numbers, "inputs features"]
    ) -> Float[Array, "batch features"]:
        """The product of x and kernel * mask, and the bias."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        y = x @ jnp.where(mask, kernel, 0)
        return y + self.param("bias", self.bias_init, (self.features,)) if self.use_bias else y


class MaskedMLP(nn.Module):
    """Masked dense layers from D inputs to D outputs; output d depends on the inputs in places before its own.

    `direct` adds connections from the inputs to the outputs, under the mask of equation 13 with no layer between.
    """

    widths: Sequence[int]
    activation: Activation = jax.nn.relu
    direct: bool = True
    kernel_init: Initializer = glorot_uniform()
    bias_init: Initializer = zeros
    """Of the outputs; the other biases start at 0."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch D"], degrees: Degrees) -> Float[Array, "batch D"]:
        """The outputs under the mask of these `degrees`, in the order in which the inputs stand."""
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
