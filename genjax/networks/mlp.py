"""Multi-layer perceptrons."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, glorot_uniform, zeros
from jaxtyping import Array, Float

Activation = Callable[[Array], Array]


class MLP(nn.Module):
    """Dense layers of `widths` with an activation between them.

    All axes of the input but the first are flattened.
    """

    widths: Sequence[int]
    """Units of each layer, the last one included."""
    activation: Activation = jax.nn.tanh
    activate_final: bool = False
    """Whether the activation also follows the last layer."""
    kernel_init: Initializer = glorot_uniform()
    final_bias_init: Initializer = zeros
    """Initializer of the last layer's bias; all other biases start at 0."""

    @nn.compact
    def __call__(self, x: Float[Array, " batch *features"]) -> Float[Array, "batch width"]:
        """Return the outputs of the last layer, [batch, widths[-1]]."""
        x = x.reshape(x.shape[0], -1)
        last = len(self.widths) - 1
        for index, width in enumerate(self.widths):
            bias_init = self.final_bias_init if index == last else zeros
            x = nn.Dense(width, kernel_init=self.kernel_init, bias_init=bias_init, name=f"dense_{index}")(x)
            if index < last or self.activate_final:
                x = self.activation(x)
        return x


class ImageMLP(nn.Module):
    """MLP from a vector to an image of logits [batch, H, W, C]."""

    image_shape: tuple[int, int, int]
    hidden: Sequence[int]
    """Units of each hidden layer."""
    activation: Activation = jax.nn.tanh
    kernel_init: Initializer = glorot_uniform()
    bias_init: Initializer = zeros
    """Initializer of the bias of the logits, called with the shape (H, W, C)."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch H W C"]:
        """Return logits [batch, H, W, C]."""
        body = MLP(self.hidden, activation=self.activation, activate_final=True, kernel_init=self.kernel_init)
        pixels = nn.Dense(math.prod(self.image_shape), use_bias=False, kernel_init=self.kernel_init)(body(x))
        bias = self.param("bias", self.bias_init, self.image_shape, jnp.float32)
        return (pixels + bias.reshape(-1)).reshape(-1, *self.image_shape)


class GaussianEncoder(nn.Module):
    """Mean and log variance [batch, latents] of q(z|x), each linear in the features that `body` computes from x."""

    body: nn.Module
    """Network that computes features of x."""
    latents: int
    """Number of latents."""
    center: Callable[[Array], Array] = lambda x: x
    """Function applied to x first, such as `lambda x: x - mean`: networks train faster on centred inputs."""
    kernel_init: Initializer = glorot_uniform()

    @nn.compact
    def __call__(
        self, x: Float[Array, " batch *shape"]
    ) -> tuple[Float[Array, "batch latents"], Float[Array, "batch latents"]]:
        """Return mean and log variance."""
        features = self.body(self.center(x))
        mean = nn.Dense(self.latents, kernel_init=self.kernel_init, name="mean")(features)
        log_sigma = nn.Dense(self.latents, kernel_init=self.kernel_init, name="log_sigma")(features)
        return mean, 2 * log_sigma


class GaussianPixels(nn.Module):
    """Mean sigmoid(logits) and log variance of p(x|z), each [batch, H, W, C], with one learned sigma for all pixels.

    log sigma has a lower bound, since the density of constant pixels (such as a black border) has no upper bound as
    sigma falls to 0. The bound is smooth, so that its gradient never vanishes.
    """

    network: nn.Module
    """Network from latents to logits [batch, H, W, C]."""
    min_log_sigma: float = -4.0
    """Lower bound of log sigma; exp(-4) is 4.7 steps of 1/255."""

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latents"]
    ) -> tuple[Float[Array, "batch H W C"], Float[Array, "batch H W C"]]:
        """Return mean and log variance."""
        mean = jax.nn.sigmoid(self.network(z))
        raw = self.param("log_sigma", zeros, (), jnp.float32)
        log_sigma = self.min_log_sigma + jax.nn.softplus(raw - self.min_log_sigma)
        return mean, jnp.full_like(mean, 2 * log_sigma)
