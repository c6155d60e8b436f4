"""Imports go down the floors of the library only, and flax and the models stay where they belong."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = (
    ("genjax.types", "genjax.errors", "genjax.keys", "genjax.programs", "genjax.products"),
    ("genjax.core", "genjax.shuffle", "genjax.mesh"),
    ("genjax.losses", "genjax.metrics", "genjax.networks", "genjax.data"),
    ("genjax.capabilities", "genjax.sampling", "genjax.precision"),
    ("genjax.models", "genjax.pictures"),
    ("genjax.training", "genjax.evaluation", "genjax.checkpoint"),
    ("genjax.measures", "genjax.testing", "genjax.factories"),
    ("genjax.front",),
    ("genjax",),
    ("genjax.runs",),
    ("genjax.commands",),
    ("genjax.__main__",),
    ("experiments",),
)
"""Parts from the ground up: a module imports from its own part and from those on floors below, not from its neighbours.

"genjax" is the front door, genjax/__init__.py.
"""

FLOOR = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
FILES = sorted([*(ROOT / "genjax").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])


def imported(path):
    """The modules that a file imports, anywhere in it; a name that is imported from a package stands after it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module):
    """The part that a module, or a name in one, belongs to: `genjax` and the next word, where that is a part."""
    words = module.split(".")
    return next((part for part in (".".join(words[:2]), words[0]) if part in FLOOR), None)


def name_of(path):
    words = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def own(path):
    """The parts of the library and of the experiments that a file imports from."""
    return {part_of(name) for name in imported(path) if name.split(".")[0] in ("genjax", "experiments")}


def test_every_module_has_a_floor():
    there = {".".join(name_of(path).split(".")[:2]) for path in FILES if path.is_relative_to(ROOT / "genjax")}
    assert there <= set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_imports_from_above_or_from_a_neighbour(path):
    here = part_of(name_of(path))
    wrong = {part for part in own(path) if part != here and FLOOR[part] >= FLOOR[here]}
    assert not wrong, f"{name_of(path)} is on floor {FLOOR[here]} and imports from {sorted(wrong)}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_flax_stays_in_networks_and_models(path):
    if any(name.split(".")[0] == "flax" for name in imported(path)):
        name = name_of(path)
        assert part_of(name) in ("genjax.networks", "genjax.models") or name == "genjax.measures.scene_classifier"


@pytest.mark.parametrize("name", ["core", "training", "evaluation", "checkpoint"])
def test_training_code_never_sees_a_model(name):
    assert "genjax.models" not in own(ROOT / "genjax" / f"{name}.py")


def test_the_table_of_floors_finds_what_it_should():
    assert part_of("genjax.data.feed.Feed") == "genjax.data"
    assert part_of("genjax.dataset") == "genjax"
    assert part_of("genjax.core") == "genjax.core"
    assert part_of("experiments.parts.points") == "experiments"
