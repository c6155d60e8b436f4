import numpy as np

from genjax.data import scene_grammar as grammar
from genjax.metrics.scenes import ATTRIBUTES, agreement

NONE = (-1, -1, -1, -1)
SEVEN, TWO = (7, 0, 0, 0), (2, 1, 1, 1)


def scene(*objects):
    return [*objects, *[NONE] * (2 - len(objects))]


CASES = [
    (scene(SEVEN), scene(SEVEN), {"digit", "colour", "size", "place", "scene"}),
    (scene(SEVEN, TWO), scene(TWO, SEVEN), {"digit", "colour", "size", "place", "scene"}),
    (scene(SEVEN), scene((7, 1, 0, 0)), {"digit", "size", "place"}),
    (scene(SEVEN), scene(SEVEN, TWO), set()),
    (scene((7, 0, 0, 1), (2, 1, 1, 0)), scene(SEVEN, TWO), {"digit", "colour", "size", "place"}),
    (scene((2, 0, 0, 0), (7, 1, 1, 1)), scene(SEVEN, TWO), {"digit", "colour", "size", "place"}),
    (scene((3, 0, 0, 0), TWO), scene(SEVEN, TWO), {"colour", "size", "place"}),
]


def test_the_columns_are_those_of_the_data():
    columns = {"digit": grammar.DIGIT, "colour": grammar.COLOUR, "size": grammar.SIZE, "place": grammar.PLACE}
    assert {name: column for column, name in enumerate(ATTRIBUTES)} == columns


def test_what_agrees_is_named_whatever_the_order():
    found, asked = (np.array([case[index] for case in CASES]) for index in (0, 1))
    agreed = agreement(found, asked)
    for row, (_, _, expected) in enumerate(CASES):
        assert {name for name, values in agreed.items() if values[row]} == expected
