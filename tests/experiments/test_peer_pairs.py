"""The pairs that are compared with PyTorch, in small: equal numbers of parameters, and the table that is saved."""

import importlib

import pytest

from experiments.speed import peer, sides
from experiments.speed.sides import Sizes
from genjax.runs.directory import RunError, read_json

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")
pairs = importlib.import_module("experiments.speed.pairs")

SMALL = {"batch": 2, "features": 3, "layers": 1, "latents": 2, "samples": 2, "length": 3, "words": 5}
LARGE = {name: getattr(sides, name) for name in dir(sides) if isinstance(getattr(sides, name), Sizes)}


@pytest.fixture
def small(monkeypatch):
    """Replace the sizes of all pairs by small ones."""
    for name, sizes in LARGE.items():
        own = {**SMALL, "samples": min(sizes.samples, 2), "side": 8 if sizes.side == 28 else 16}
        monkeypatch.setattr(sides, name, sizes._replace(**own))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("pair", pairs.PAIRS, ids=lambda pair: pair.name)
def test_both_sides_have_equally_many_parameters(pair):
    ours, theirs = pair.make("ours"), pair.make("torch")
    peer.check_parameters(pair.name, ours, theirs)
    assert ours.parameters > 0
    result = theirs.call()
    assert torch.isfinite(result.float()).all()


def test_the_sizes_of_the_table():
    """These are the sizes of the comparison; smaller networks would favour whoever has less overhead."""
    assert LARGE["NADE"].pixels == 784
    assert (LARGE["NADE"].features, LARGE["NADE"].batch) == (500, 100)
    assert (LARGE["IWAE"].samples, LARGE["IWAE"].batch) == (50, 20)
    assert (LARGE["AAE"].features, LARGE["AAE"].latents) == (1000, 8)
    assert (LARGE["PIXEL_CNN"].layers, LARGE["PIXEL_CNN"].features, LARGE["PIXEL_CNN"].batch) == (15, 32, 64)
    assert (LARGE["CHAR_SAMPLES"].batch, LARGE["CHAR_SAMPLES"].length) == (16, 200)
    assert len({pair.name for pair in pairs.PAIRS}) == len(pairs.PAIRS)
    assert all((pair.target is None) == pair.name.endswith("sampler") for pair in pairs.PAIRS)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("speed_up", "warned"), [(0.01, True), (1.6, False)])
def test_a_comparison_on_cores_that_others_use_warns(speed_up, warned, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peer, "ceilings", lambda: {"ours": 1e9, "torch": 2e9})
    monkeypatch.setattr(peer, "peak_of", lambda name, library: 1)
    monkeypatch.setattr(peer, "speed_up", lambda side: speed_up)
    peer.peers(out=tmp_path / "peers.json", only="made")
    assert ("warning: made step: PyTorch is slower" in capsys.readouterr().out) == warned


@pytest.mark.usefixtures("small")
def test_the_table_is_saved(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peer, "ceilings", lambda: {"ours": 1e9, "torch": 2e9})
    monkeypatch.setattr(peer, "peak_of", lambda name, library: 3 * peer.MEBIBYTE)
    peer.peers(out=tmp_path / "runs" / "peers.json", only="made")
    saved = read_json(tmp_path / "runs" / "peers.json")
    (row,) = saved["peers"]
    assert (row["name"], row["target"], saved["only"]) == ("made step", 0.55, "made")
    low, high = row["quartiles"]
    assert 0 < low <= row["ratio"] <= high
    assert row["shares"]["ours"] * 1e9 * row["ratio"] == pytest.approx(row["shares"]["torch"] * 2e9, rel=0.5)
    assert "milliseconds" not in row
    assert row["speed_up"] > 0
    printed = capsys.readouterr().out
    assert "made step" in printed
    assert ("warning" in printed) == (row["speed_up"] < peer.CROWDED)
    with pytest.raises(RunError, match="--only nothing"):
        peer.peers(out=tmp_path / "peers.json", only="nothing")


def test_the_memory_of_a_call_is_measured_in_a_process_of_its_own():
    ours, theirs = (peer.peak_of("made step", library) for library in ("ours", "torch"))
    assert ours > 2**20
    assert theirs > 2**20
