"""PyTorch's side of a comparison: the device, Adam, and training steps and samplers as a `Side`."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from experiments.speed.sides import Adam, Side, Sizes

DEVICE = "cuda" if torch.cuda.is_available() and jax.default_backend() == "gpu" else "cpu"
"""Device of both libraries."""


def side(call: Callable[[], Any], *trained: torch.nn.Module) -> Side:
    """Return a call as one side of a comparison; only parameters that are trained are counted."""
    count = sum(one.numel() for module in trained for one in module.parameters() if one.requires_grad)
    return Side(call, count, wait)


def wait(result: Any) -> None:
    """Wait until the device has done all of its work."""
    del result
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def adam(hyperparameters: Adam, *modules: torch.nn.Module) -> torch.optim.Adam:
    """Return the optimizer of the modules' parameters."""
    parameters = [one for module in modules for one in module.parameters() if one.requires_grad]
    return torch.optim.Adam(parameters, hyperparameters.learning_rate, (hyperparameters.b1, hyperparameters.b2))


def descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer, *, clip: float | None = None) -> torch.Tensor:
    """Take one step of the optimizer, with gradients of its own parameters only; return the loss.

    `clip` is the largest norm of the gradient of all parameters together.
    """
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    optimizer.zero_grad()
    loss.backward(inputs=parameters)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return loss.detach()


def moved(*modules: torch.nn.Module) -> list[Any]:
    """Return the modules on the device."""
    return [module.to(DEVICE) for module in modules]


def grey(sizes: Sizes, count: int | None = None) -> torch.Tensor:
    """Return images of noise in [0, 1], [count, C, H, W]."""
    shape = (sizes.batch if count is None else count, sizes.side, sizes.side, sizes.channels)
    images = np.random.default_rng(0).random(shape).astype(np.float32)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(DEVICE)


def binary(sizes: Sizes) -> torch.Tensor:
    """Return random binary images with about as many white pixels as those of MNIST, [batch, C, H, W]."""
    return (grey(sizes) < 0.13).float()


def characters(sizes: Sizes) -> torch.Tensor:
    """Return random texts, [batch, length]."""
    drawn = np.random.default_rng(0).integers(1, sizes.words, (sizes.batch, sizes.length))
    return torch.from_numpy(drawn).to(DEVICE)
