"""Imports go one way: types <- losses, metrics, data, networks, core <- models, train, ... <- experiments."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {"types": 0, "losses": 1, "metrics": 1, "data": 1, "networks": 1, "core": 1}
TRAINING = ("train", "evaluate", "checkpoint")
FILES = sorted([*(ROOT / "genjax").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module):
    """0 to 2 within genjax, 3 for genjax.testing, 4 for experiments."""
    parts = module.split(".")
    if parts[0] == "experiments":
        return 4
    return {"testing": 3}.get(parts[1], LAYERS.get(parts[1], 2)) if len(parts) > 1 else 0


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_imports_from_above(path):
    own = [name for name in imported(path) if name.split(".")[0] in ("genjax", "experiments")]
    assert all(layer(name) <= layer(name_of(path)) for name in own), own


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_flax_stays_in_networks_and_models(path):
    if any(name.split(".")[0] == "flax" for name in imported(path)):
        assert name_of(path).split(".")[1] in ("networks", "models")


@pytest.mark.parametrize("name", TRAINING)
def test_training_code_never_sees_a_model(name):
    assert not any("genjax.models" in module for module in imported(ROOT / "genjax" / f"{name}.py"))
