"""Functions that are made once."""

import functools

from genjax.programs import KEPT, shared


@shared
def adder(number, *, twice=False):
    return lambda value: value + number * (1 + twice)


def test_equal_arguments_give_the_same_function():
    assert adder(3) is adder(3)
    assert adder(3)(1) == 4
    assert adder(3, twice=True) is adder(3, twice=True)
    assert adder(3, twice=True)(1) == 7


def test_what_has_no_hash_is_made_anew():
    concatenation = shared(lambda first: functools.partial(list.__add__, first))
    made = concatenation([1])
    assert made([2]) == [1, 2]
    assert concatenation([1]) is not made


def test_no_more_than_the_last_are_kept():
    first = adder(-1)
    for number in range(KEPT):
        adder(number)
    assert adder(-1) is not first
    assert adder(KEPT - 1) is adder(KEPT - 1)
