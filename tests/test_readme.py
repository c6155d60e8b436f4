"""The pages say what the ledger and the code say."""

import re
from pathlib import Path

import pytest

from experiments.ledger import PAGES, README, results, with_tables
from experiments.tabular import COLOUR

TEXT = README.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_tables_are_those_of_the_ledger(page):
    assert with_tables(page) == page.read_text(encoding="utf-8")


@pytest.mark.parametrize("result", results(), ids=lambda result: result["command"])
def test_a_kept_result_is_complete(result):
    expected = "experiment preset command dataset seeds steps metrics parameters wall_seconds device versions commit"
    assert set(expected.split()) <= set(result)
    assert re.fullmatch(r"[0-9a-f]{40}", result["commit"])
    assert not re.search(r"--(data-dir|workdir)", result["command"])
    for values in result["metrics"].values():
        assert re.fullmatch(r"exact|elbo|iwae-\d+|estimate", values["kind"])
        assert len(values["per_seed"]) == len(result["seeds"])


def test_the_python_example_runs():
    example = re.search(r"```python\nimport jax(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    code = ("import jax" + example.group(1)).replace("hidden=500", "hidden=2").replace("(100,", "(2,")
    names: dict = {}
    exec(code, names)
    assert names["images"].shape == (2, 28, 28, 1)


def test_the_ledger_is_not_empty():
    assert {result["experiment"] for result in results()} >= {"nade", "tabular", "vae"}


def test_colour_images_stand_beside_what_the_ledger_has_of_tables():
    kept = {
        value
        for result in results()
        if result["experiment"] == "tabular" and result["dataset"]["name"] == COLOUR[0].dataset
        for value in result["metrics"]["nll_nats"]["per_seed"]
    }
    for reference in COLOUR:
        assert any(reference.value == pytest.approx(value, abs=1e-3) for value in kept), reference


def test_the_package_index_is_never_suggested():
    assert not re.search(r"pip install (-U |--upgrade )?['\"]?genjax", TEXT)


def test_every_path_named_in_an_experiments_page_exists():
    root = Path(__file__).parents[1]
    for page in (root / "experiments").glob("*.py"):
        for path in re.findall(r"genjax/[\w/]+\.py", page.read_text(encoding="utf-8")):
            assert (root / path).exists(), f"{page.name} names {path}"
