"""Programs written for other machines: what they hold, and that they compute what the model does."""

import pickle
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import genjax
from genjax.core import make_step

ROOT = Path(__file__).parents[1]
IMAGES = (np.random.default_rng(0).random((30, 4, 4, 1)) < 0.4).astype(np.float32)


@pytest.fixture(scope="module")
def vae():
    """A model with its data, and its state after three steps."""
    model = genjax.vae((4, 4, 1), hidden=(8,), latents=2)
    data = genjax.dataset(IMAGES)
    return model, data, genjax.train(model, data, steps=3, batch_size=5)


def examples():
    return {"image": IMAGES[:5]}


def test_programs_compute_what_the_model_does(vae, tmp_path):
    model, data, state = vae
    genjax.export(tmp_path / "programs", model, state, data, batch_size=5, platforms=("cpu",))
    found, key = genjax.load_exported(tmp_path / "programs"), jax.random.key(1)
    variables, batch = (state.params, state.stats), examples()
    pairs = (
        (found.evaluate(*variables, batch, key), jax.jit(model.evaluate)(*variables, batch, key)),
        (found.generate(*variables, batch, key), jax.jit(model.generate)(*variables, batch, key)),
        (found.embed(*variables, batch), jax.jit(model.embed)(*variables, batch)),
        (found.step(state, batch), jax.jit(make_step(model.phases))(state, batch)),
    )
    for one, other in pairs:
        leaves = zip(*(jax.tree.leaves(jax.tree.map(raw, tree)) for tree in (one, other)), strict=True)
        assert all(np.allclose(x, y, rtol=1e-5, atol=1e-6) for x, y in leaves)
        assert jax.tree.structure(one) == jax.tree.structure(other)


def raw(leaf):
    is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


READER = """
import pickle, sys, genjax, jax, numpy as np
folder, given, out = sys.argv[1:]
variables, batch = pickle.load(open(given, "rb"))
metrics = genjax.load_exported(folder).evaluate(*variables, batch, jax.random.key(1))
assert "genjax.models" not in sys.modules
np.savez(out, **metrics)
"""


def test_another_process_reads_programs_without_the_models_code(vae, tmp_path):
    model, data, state = vae
    genjax.export(tmp_path / "programs", model, state, data, batch_size=5, platforms=("cpu", "tpu"))
    given = jax.device_get((state.params, state.stats)), examples()
    (tmp_path / "given").write_bytes(pickle.dumps(given))
    paths = [str(tmp_path / name) for name in ("programs", "given", "out.npz")]
    subprocess.run([sys.executable, "-c", READER, *paths], cwd=ROOT, check=True)
    expected = jax.jit(model.evaluate)(*given[0], given[1], jax.random.key(1))
    with np.load(tmp_path / "out.npz") as found:
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5)


def test_what_cannot_be_exported_or_read_is_refused(vae, tmp_path):
    model, data, state = vae
    with pytest.raises(ValueError, match="exists; choose another path"):
        genjax.export(tmp_path, model, state, data)
    several = genjax.train(model, data, steps=1, seeds=(0, 1))
    with pytest.raises(ValueError, match="state: is of several seeds"):
        genjax.export(tmp_path / "new", model, several, data)
    with pytest.raises(FileNotFoundError, match=r"write some with genjax\.export"):
        genjax.load_exported(tmp_path)
    assert not (tmp_path / "new").exists()
