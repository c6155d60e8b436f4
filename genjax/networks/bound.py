"""Bound networks: a network with its variables is a function, so that a loss reads like the paper's equation.

A model keeps its networks in a NamedTuple of Linen modules (and of whatever else belongs to them, such as a prior).
`init_networks` creates their variables, `bind` joins modules and variables, and `updated` returns the running
statistics after a batch:

    G, D = (bound := bind(networks, params, stats)).generator, bound.discriminator
    fake, G = G.train(z)
    logits, D = D.train(fake)
    return loss, (metrics, updated(stats, generator=G, discriminator=D))
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
from flax import linen as nn
from jaxtyping import Array

from genjax.types import Key, Params, PyTree, Stats

N = TypeVar("N", bound=tuple)

Inputs = Mapping[str, tuple[Array, ...]]
"""Network name -> examples of its inputs."""

Shape = tuple[int | None, ...]
"""Shape of an output, in which None stands for any length above 0."""


class Bound(NamedTuple):
    """Network together with its variables, which is called like a function."""

    module: nn.Module
    params: PyTree
    stats: PyTree
    """Running statistics; empty if the network keeps none."""

    def __call__(self, *inputs: Any) -> Any:
        """Apply the network with its running statistics and without dropout."""
        return self.module.apply({**self.params, **self.stats}, *inputs)

    def train(self, *inputs: Any, key: Key | None = None) -> tuple[Any, "Bound"]:
        """Apply the network with the statistics of this batch, and with dropout if a `key` is given.

        Returns the outputs, and the network with its running statistics after this batch.
        """
        rngs = None if key is None else {"dropout": key}
        outputs, stats = self.module.apply(
            {**self.params, **self.stats}, *inputs, train=True, mutable=list(self.stats), rngs=rngs
        )
        return outputs, self._replace(stats=stats)


def bind(networks: N, params: Params, stats: Stats) -> N:
    """Return `networks` with a `Bound` instead of every module that has parameters; other fields stay as they are."""
    fields = networks._asdict()  # pyright: ignore[reportAttributeAccessIssue]
    bound = {name: Bound(fields[name], params[name], stats.get(name, {})) for name in fields if name in params}
    return networks._replace(**bound)  # pyright: ignore[reportAttributeAccessIssue]


def updated(stats: Stats, **networks: Bound) -> Stats:
    """Return `stats` with the running statistics of these networks instead of the earlier ones."""
    return {**stats, **{name: network.stats for name, network in networks.items()}}


def init_networks(networks: tuple[Any, ...], key: Key, **inputs: tuple[Any, ...]) -> tuple[Params, Stats]:
    """Initialize the variables of the named networks, each under its own key and on its own example inputs.

    Returns the parameters of each network, and its running statistics, an empty dict if it keeps none. `key` is split
    in the order of the arguments; a single network uses `key` itself.
    """
    modules = networks._asdict()  # pyright: ignore[reportAttributeAccessIssue]
    keys = [key] if len(inputs) == 1 else jax.random.split(key, len(inputs))
    variables = {
        name: modules[name].init(network_key, *own)
        for (name, own), network_key in zip(inputs.items(), keys, strict=True)
    }
    return split_variables(variables)


def split_variables(variables: Mapping[str, Mapping[str, Any]]) -> tuple[Params, Stats]:
    """Split variables into the parameters and the running statistics of each network; both may be empty dicts."""
    params = {name: {"params": own.get("params", {})} for name, own in variables.items()}
    stats = {name: {part: tree for part, tree in own.items() if part != "params"} for name, own in variables.items()}
    return params, stats


def output_shapes(networks: tuple[Any, ...], **inputs: tuple[Any, ...]) -> dict[str, Any]:
    """Return the shape of each named network's output on its example inputs, leaf by leaf, without computing it.

    Inputs are arrays or `jax.ShapeDtypeStruct`s.
    """
    modules = networks._asdict()  # pyright: ignore[reportAttributeAccessIssue]

    def apply(key: Key, inputs: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
        return {name: modules[name].init_with_output(key, *own)[0] for name, own in inputs.items()}

    return jax.tree.map(lambda leaf: leaf.shape, jax.eval_shape(apply, jax.random.key(0), inputs))


def check_outputs(networks: tuple[Any, ...], inputs: Mapping[str, tuple[Any, ...]], outputs: Mapping[str, Any]) -> None:
    """Raise ValueError if a network's output does not have the shape that a model needs.

    Args:
        networks: NamedTuple of modules.
        inputs: Examples of the inputs of each network, arrays or `jax.ShapeDtypeStruct`s.
        outputs: Required shape of each named network's output, with `None` for a length that is free; a tuple or dict
            of shapes for a network with several outputs.
    """
    shapes = output_shapes(networks, **{name: inputs[name] for name in outputs})
    for name, expected in outputs.items():
        if not matches(shapes[name], expected):
            raise ValueError(f"networks: the {name} returns arrays of shape {shapes[name]}, must be {shown(expected)}")


def matches(found: Any, expected: Any) -> bool:
    """Return whether the shapes `found` match `expected`, leaf by leaf."""
    if is_shape(expected):
        if not is_shape(found) or len(found) != len(expected):
            return False
        return all(have > 0 if want is None else have == want for have, want in zip(found, expected, strict=True))
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and matches(found[name], expected[name]) for name in expected
        )
    return len(found) == len(expected) and all(map(matches, found, expected))


def is_shape(tree: Any) -> bool:
    """Return whether `tree` is the shape of a single array, not a tree of several shapes."""
    return isinstance(tree, tuple) and all(length is None or isinstance(length, int) for length in tree)


def shown(expected: Any) -> str:
    """Return shapes as text for an error, with "any" for a length that is free."""
    return str(expected).replace("None", "any")
