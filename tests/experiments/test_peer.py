"""Comparisons with another library, and growth of training steps: what is computed from the times."""

import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.speed import __main__ as command
from experiments.speed import growth, ours, peer
from experiments.speed.sides import Side, Sizes
from genjax.runs.directory import RunError, read_json
from genjax.runs.session import user_errors


@pytest.fixture
def clock(monkeypatch):
    """Clock that calls advance."""
    now = [0.0]
    monkeypatch.setattr(peer, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def taking(clock, *seconds):
    """Return a side whose calls take these times, of which the last is repeated."""
    left = list(seconds)

    def call():
        clock[0] += left.pop(0) if len(left) > 1 else left[0]

    return Side(call, 0, wait=lambda result: None)


def test_the_ratio_is_ours_over_theirs_and_of_the_rounds(clock):
    """The first call of each side, which compiles it, does not count."""
    side = taking(clock, 1000, 2, 2, 4, 4, 12, 12, 4)
    found = peer.measure(side, taking(clock, 1000, 4, 4, 8, 2), (2, 1), rounds=4)
    ratios = np.array([2 / 4, 4 / 4, 12 / 8, 4 / 2])
    assert found.median == np.median(ratios)
    assert [found.low, found.high] == np.quantile(ratios, [0.25, 0.75]).tolist()
    assert (found.ours, found.torch) == (4, 4)


def test_a_ceiling_is_the_fastest_product(clock):
    times = iter([9, 3, 0.5, 1, 2])

    def product():
        clock[0] += next(times)

    assert peer.ceiling(product, lambda result: None, 10, rounds=4) == 2 * 10**3 / 0.5
    assert peer.share(500.0, 0.25, 4000.0) == 0.5
    assert peer.share(None, 0.25, 4000.0) is None


def test_different_networks_are_an_error():
    one, other = (Side(lambda: None, parameters) for parameters in (3, 4))
    peer.check_parameters("vae", one, one)
    with pytest.raises(RunError, match="vae: the networks differ: 3 parameters here and 4 in PyTorch"):
        peer.check_parameters("vae", one, other)


def test_an_interrupted_table_keeps_what_it_measured(monkeypatch, tmp_path):
    pairs = [SimpleNamespace(name=name) for name in ("first step", "second step")]
    shares = dict.fromkeys(("ours", "torch"))
    found = {"ratio": 0.5, "quartiles": [0.4, 0.6], "target": None, "shares": shares, "bytes": {}, "speed_up": None}

    def row(pair, limits):
        if pair.name == "second step":
            raise KeyboardInterrupt
        return {"name": pair.name, **found}

    monkeypatch.setattr(peer, "prepared", lambda: pairs)
    monkeypatch.setattr(peer, "ceilings", dict)
    monkeypatch.setattr(peer, "row", row)
    monkeypatch.setattr(peer.importlib.metadata, "version", lambda name: "1")
    with pytest.raises(KeyboardInterrupt):
        peer.peers(out=tmp_path / "peers.json")
    assert read_json(tmp_path / "peers.json")["peers"] == [{"name": "first step", **found}]


def test_without_pytorch_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit) as stopped, user_errors():
        command.speed(peer="torch")
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error == "error: --peer torch needs PyTorch: pip install -e '.[peers]'\n"


def test_the_side_of_pytorch_is_imported_only_when_it_is_asked_for():
    code = "import sys, experiments.speed.__main__; print('experiments.speed.torch_parts' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_one_table_at_a_time(tmp_path):
    with pytest.raises(RunError, match="give one of them") as raised:
        command.speed(out=tmp_path / "a.json", peer="torch", growth=True)
    assert raised.value.exit_code == 2


def test_the_peak_of_a_process_is_that_of_its_largest_array(tmp_path):
    before = peer.resident_peak()
    array = np.ones(2**25, np.uint8)
    assert peer.resident_peak() >= before
    del array
    status = tmp_path / "status"
    status.write_text("VmPeak:\t 9 kB\nVmHWM:\t   300 kB\nVmRSS:\t 200 kB\n")
    assert peer.resident_peak(status) == 300 * 1024
    assert peer.resident_peak(tmp_path / "missing") > 2**25


def test_operations_are_those_of_the_products():
    """A loop whose body has a product has no count, since its repetitions are not counted."""
    x = jnp.ones((8, 8))
    found = ours.flops(jax.jit(lambda x: x @ x), x)
    assert found is not None
    assert 2 * 8**3 * 0.8 <= found <= 2 * 8**3

    def scanned(x):
        return jax.lax.scan(lambda carry, _: (carry @ x, None), x, None, length=3)[0]

    assert ours.flops(jax.jit(scanned), x) is None
    noise = jax.jit(lambda key: jax.random.normal(key, (8, 8)) @ x)
    assert ours.flops(noise, jax.random.key(0)) is not None


def test_a_training_step_changes_the_weights_and_plans_memory():
    sizes = Sizes(4, 5, 1, features=6, layers=1, latents=2)
    small, large = (ours.training(ours.vae_of(one), ours.binary(one)) for one in (sizes, sizes._replace(batch=64)))
    losses = [float(small.call()["bound/loss"]) for _ in range(2)]
    assert losses[0] != losses[1]
    assert small.parameters == large.parameters == 25 * 6 + 6 + 2 * (6 * 2 + 2) + 2 * 6 + 6 + 6 * 25 + 25
    assert small.memory() < large.memory()
    assert small.flops() < large.flops()


@pytest.mark.parametrize("power", [-0.5, 0.0, 1.0, 2.3])
def test_the_exponent_of_a_power_law(power):
    sizes = np.array([8, 16, 32, 64])
    assert growth.exponent(sizes, 0.003 * sizes**power) == pytest.approx(power, abs=1e-12)


def test_the_exponent_is_a_least_squares_fit():
    """Of three points in logarithms 0, 1, 2 the middle one does not turn the line."""
    assert growth.exponent(np.exp([0, 1, 2]), np.exp([0, 7, 4])) == pytest.approx(2)


def test_growth_measures_each_size_of_each_axis(tmp_path, monkeypatch):
    model = growth.MODELS[0]._replace(
        sizes=Sizes(4, 5, 1, features=6, layers=1, latents=2), axes={"batch": (2, 4), "features": (3, 6)}
    )
    monkeypatch.setattr(growth, "MODELS", (model,))
    monkeypatch.setattr(growth, "seconds_per_call", lambda side, count: float(side.parameters))
    growth.growth(out=tmp_path / "runs" / "growth.json")
    batch, features = read_json(tmp_path / "runs" / "growth.json")["exponents"]
    assert (batch["model"], batch["axis"], batch["sizes"]) == ("VAE", "batch", [2, 4])
    assert batch["times"] == [1, 1]
    assert batch["time_exponent"] == pytest.approx(0)
    assert batch["memory_exponent"] > 0
    assert features["time_exponent"] > 0.5
    with pytest.raises(RunError, match="--only GAN"):
        growth.growth(out=tmp_path / "growth.json", only="GAN")
