"""Copies of genjax's weights in PyTorch's modules: both sides of a comparison of speed are then the same function."""

import itertools
import math

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")


def randomized(params, scale):
    """Return parameters to which noise of this scale is added, since fresh ones are often 0."""
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(0)
    leaves = [leaf + scale * rng.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves]
    return jax.tree.unflatten(tree, leaves)


def leaves_of(params):
    """Yield the arrays of nested dicts, in the order of the dicts."""
    for value in params.values():
        if hasattr(value, "values"):
            yield from leaves_of(value)
        else:
            yield np.asarray(value)


def in_order_of(template, params):
    """Return `params` with the keys of each dict in the order of `template`, which a jitted function sorts."""
    if not hasattr(template, "items"):
        return params
    return {name: in_order_of(value, params[name]) for name, value in template.items()}


def copy(leaves, *modules, flat=None, mirrored=False):
    """Copy arrays into the parameters of PyTorch's modules, in the order in which both were created.

    `flat` = (h, w, c) is the shape of activations that are flattened: PyTorch's are [c, h, w]. With `mirrored`,
    PyTorch's network maps mirrored images to mirrored images, as it does with its own alignment of strided layers.
    """
    own = [(kind, one) for module in modules for kind, one in parameters_of(module)]
    leaves = list(leaves)
    assert len(leaves) == len(own)
    with torch.no_grad():
        for array, (kind, one) in zip(leaves, own, strict=True):
            one.copy_(torch.from_numpy(np.array(as_torch(array, kind, one.shape, flat, mirrored))))


def parameters_of(module):
    """Yield the trained parameters of a module, each with the module that holds it."""
    for part in module.modules():
        for one in part.parameters(recurse=False):
            if one.requires_grad:
                yield part, one


def as_torch(array, kind, shape, flat, mirrored):
    """Return one array as PyTorch keeps it."""
    if flat is not None:
        for axis in range(array.ndim):
            if array.shape[axis] == math.prod(flat):
                array = np.take(array, channels_first(flat, mirrored), axis=axis)
    if array.ndim == 4:
        transposed = isinstance(kind, torch.nn.ConvTranspose2d)
        array = array[::-1, ::-1] if transposed != mirrored else array
        return array.transpose((2, 3, 0, 1) if transposed else (3, 2, 0, 1))
    return array.T.reshape(shape) if array.ndim == 2 else array.reshape(shape)


def channels_first(flat, mirrored):
    """Return the positions of [h, w, c] in the order of [c, h, w]."""
    positions = np.arange(math.prod(flat)).reshape(flat)
    positions = positions[::-1, ::-1] if mirrored else positions
    return positions.transpose(2, 0, 1).reshape(-1)


def images(array, *, mirrored=False):
    """Return images [batch, H, W, C] as PyTorch has them."""
    array = np.moveaxis(np.asarray(array), -1, -3)
    return torch.from_numpy(np.array(array[..., ::-1, ::-1] if mirrored else array))


def tensor(array):
    """Return an array as a tensor."""
    return torch.from_numpy(np.array(array))


def aligned(module):
    """Let transposed convolutions of 3x3 begin one pixel later, as those of genjax do."""
    for part in module.modules():
        if isinstance(part, torch.nn.ConvTranspose2d):
            part.padding, part.output_padding = (0, 0), (0, 0)
            part.register_forward_hook(lambda part, inputs, output: output[..., :-1, :-1])


def chain(*groups):
    """Return the arrays of several groups one after another."""
    return list(itertools.chain(*groups))
