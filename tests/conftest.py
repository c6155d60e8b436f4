import atexit
import functools
import gc
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import tests.checks  # noqa: F401  jaxtyping looks for it in the package alone

REPOSITORY = Path(__file__).parents[1]

# Programs that tests compile stay out of the user's cache; commands started by tests share them.
CACHE = tempfile.mkdtemp(prefix="genjax-tests-")
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# Most tests compile much and compute little. What they prove holds for any level of optimization.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"
# Tracing makes many objects and little garbage: a search at every 700th of them takes a sixth of the time.
gc.set_threshold(50_000, 20, 20)

# XLA's newer code generator for CPUs takes twice as long to compile such programs as the older one, and they are too
# small to be compiled in parts, scheduled for concurrency or written for wide registers. A version that no longer knows
# the options would end the process: another one is asked first, and what it says goes on to the workers.
QUICKER = (
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1 "
    "--xla_cpu_enable_concurrency_optimized_scheduler=false"
)
if platform.machine() in ("x86_64", "AMD64"):
    QUICKER += " --xla_cpu_max_isa=SSE4_2"
flags = os.environ.get("XLA_FLAGS", "")
if "PYTEST_XDIST_WORKER" not in os.environ and QUICKER not in flags:
    asked = [sys.executable, "-c", "import jax; jax.devices()"]
    with_quicker = {**os.environ, "XLA_FLAGS": f"{flags} {QUICKER}".strip()}
    if subprocess.run(asked, env=with_quicker, capture_output=True, check=False).returncode == 0:
        os.environ["XLA_FLAGS"] = with_quicker["XLA_FLAGS"]

# Programs this small gain nothing from threads: each of several workers keeps to a core of its own.
worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if worker and hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


def pytest_collectstart():
    """Do not store the programs of this process: few are compiled twice, and storing the others takes longer.

    JAX decides at the first program, which may be one of a test file's constants.
    """
    import jax

    jax.config.update("jax_enable_compilation_cache", False)
    share_context()


@functools.cache
def share_context():
    """Let all programs of this process share one MLIR context: making one takes a quarter of the time of a small one.

    JAX has no public way to say so; a version that makes its contexts elsewhere goes on without.
    """
    from jax._src.interpreters import mlir

    if hasattr(mlir, "make_ir_context"):
        mlir.make_ir_context = functools.cache(mlir.make_ir_context)


def pytest_sessionfinish():
    """Leave what there is now out of the ten searches for garbage with which pytest ends: one search is enough."""
    gc.collect()
    gc.freeze()


LONGEST = (
    "test_all_models.py",
    "runs",
    "test_mesh.py",
    "test_front_door.py",
    "experiments",
    "test_readme.py",
    "commands",
    "models",
)


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that no worker is left with one of them at the end."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    place = lambda item: item.path.relative_to(REPOSITORY / "tests").parts[0]  # noqa: E731
    items.sort(key=lambda item: rank.get(place(item), len(rank)))


@pytest.fixture
def optimized():
    """Compile with all optimizations: for a test that computes much and compiles little."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def tfds_dir() -> Path:
    """A TFDS directory with mnist, binarized_mnist, cifar10_jpeg and tiny_shakespeare; a test skips without it."""
    path = Path(os.environ.get("GENJAX_TEST_DATA", REPOSITORY.parent / "shared" / "tfds"))
    if not path.is_dir():
        pytest.skip(f"no TFDS directory at {path}: set GENJAX_TEST_DATA to one")
    return path
