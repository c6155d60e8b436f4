"""The check of shapes and types that tests add to every annotated function, by beartype."""

from collections.abc import Callable

from beartype import beartype

MADE: dict[tuple, Callable] = {}


def check(signature: Callable) -> Callable:
    """Return `signature`, a function that has a signature and does nothing, with beartype's check of it.

    A factory's closures are new functions in each call; the check of one is that of all from the same lines.
    """
    key = (signature.__module__, signature.__qualname__, signature.__code__, *signature.__annotations__.items())
    try:
        found = MADE.get(key)
    except TypeError:  # an annotation has no hash
        return beartype(signature)
    return found or MADE.setdefault(key, beartype(signature))
