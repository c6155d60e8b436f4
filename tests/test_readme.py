"""The pages say what the ledger and the code say."""

import re
from pathlib import Path

import numpy as np
import pytest

from experiments.ledger import PAGES, README, results, with_tables
from experiments.tabular import COLOUR

TEXT = README.read_text(encoding="utf-8")

LONGEST = 150
"""Lines of the README."""


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


def python_blocks(page):
    """The Python of a page, at sizes that a test can bear."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    for written, smaller in (("steps=2000", "steps=2"), ("hidden=500", "hidden=2"), ("(100, 28", "(2, 28")):
        code = code.replace(written, smaller)
    return code


@pytest.mark.parametrize("page", ["README.md", "genjax/README.md"])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (60, 8, 8), np.uint8)
    names = {"images": first, "first": first[:2], "labels": rng.integers(0, 3, 60)}
    exec(python_blocks(README.parent / page), names)
    if page == "README.md":
        assert names["samples"].shape == (16, 8, 8, 1)
        assert (tmp_path / "my-run").is_dir()
    else:
        assert names["images"].shape == (2, 28, 28, 1)
        assert names["scores"]["nll_nats"].shape == (5,)
        assert names["threes"].shape == (2, 8, 8, 1)
        np.testing.assert_array_equal(names["halves"][:, :4, :, 0], names["first"][:, :4] > 127)


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


def test_the_readme_is_short():
    assert len(TEXT.splitlines()) <= LONGEST


def test_the_package_index_is_never_suggested():
    assert not re.search(r"pip install (-U |--upgrade )?['\"]?genjax", TEXT)


def test_every_path_named_in_an_experiments_page_exists():
    root = Path(__file__).parents[1]
    for page in (root / "experiments").glob("*.py"):
        for path in re.findall(r"genjax/[\w/]+\.py", page.read_text(encoding="utf-8")):
            assert (root / path).exists(), f"{page.name} names {path}"
