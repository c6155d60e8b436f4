import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

# Programs that tests compile stay out of the user's cache; commands started by tests share them.
CACHE = tempfile.mkdtemp(prefix="genjax-tests-")
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# Most tests compile much and compute little. What they prove holds for any level of optimization.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

# XLA's newer code generator for CPUs takes twice as long to compile such programs as the older one. A version that no
# longer knows the option would end the process: another one is asked first, and what it says goes on to the workers.
OLDER = "--xla_cpu_use_fusion_emitters=false"
flags = os.environ.get("XLA_FLAGS", "")
if "PYTEST_XDIST_WORKER" not in os.environ and OLDER not in flags:
    asked = [sys.executable, "-c", "import jax; jax.devices()"]
    with_older = {**os.environ, "XLA_FLAGS": f"{flags} {OLDER}".strip()}
    if subprocess.run(asked, env=with_older, capture_output=True, check=False).returncode == 0:
        os.environ["XLA_FLAGS"] = with_older["XLA_FLAGS"]


@pytest.fixture(scope="session")
def tfds_dir() -> Path:
    """A TFDS directory with mnist, binarized_mnist, cifar10_jpeg and tiny_shakespeare; a test skips without it."""
    path = Path(os.environ.get("GENJAX_TEST_DATA", REPOSITORY.parent / "shared" / "tfds"))
    if not path.is_dir():
        pytest.skip(f"no TFDS directory at {path}: set GENJAX_TEST_DATA to one")
    return path
