"""Errors that name an argument and its value, so that a command line can tell them by the names of its options."""

import math


class NamedArgumentError(Exception):
    """Base of the errors whose text begins with the name of an argument and its value, such as `levels=1 must be ...`.

    `message` is the rest of the text, with its leading space or colon.
    """

    def __init__(self, argument: str, value: object, message: str) -> None:
        shown = repr(value) if isinstance(value, str) else str(value)
        super().__init__(f"{argument}={shown}{message}")
        self.argument = argument
        self.value = value
        self.message = message


class ArgumentError(NamedArgumentError, ValueError):
    """Error for an argument whose value cannot be used."""


class MissingPathError(NamedArgumentError, FileNotFoundError):
    """Error for an argument that names a file, a folder or a data set that does not exist."""


def check_positive(**arguments: float | int) -> None:
    """Raise ArgumentError if an argument is not a finite number above 0."""
    for name, value in arguments.items():
        if not 0 < value < math.inf:
            raise ArgumentError(name, value, " must be above 0 and finite")
