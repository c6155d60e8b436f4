"""Functions for JAX to compile that are the same object whenever they are made of the same parts."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

KEPT = 64
"""Number of functions that each maker keeps, those used last."""


def shared(make: Callable[P, T]) -> Callable[P, T]:
    """Let `make` return the function that it made for equal arguments before, if there is one.

    JAX compiles a program for a function object, so a second one that does the same is compiled again. `make` must
    depend on its arguments alone. Arguments that have no hash, such as lists, are allowed; nothing is kept for them.
    """
    kept = functools.lru_cache(maxsize=KEPT)(make)

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            hash((args, *kwargs.values()))
        except TypeError:
            return make(*args, **kwargs)
        return kept(*args, **kwargs)

    return made
