"""Settings of JAX and one-line error messages, the same for every command."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import jax

from genjax.data.dataset import DataError
from genjax.runs.directory import RunError, full_disk, is_full_disk

CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
CACHED_FROM_SECONDS = 0.2
"""Compilation time in seconds from which a program is kept in the cache."""


def configure(*, deterministic: bool = False) -> None:
    """Configure determinism, the compilation cache and the loggers of libraries; call before JAX starts."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax logs what it raises as well
    sys.unraisablehook = without_closed_loops(sys.unraisablehook)
    if deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    if CACHE_VARIABLE not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", CACHED_FROM_SECONDS)


def without_closed_loops(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return `hook` that ignores the errors of callbacks that outlive a failed save or read of Orbax."""

    def quiet(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    return quiet


def cache_folder() -> Path:
    """Return the folder in the user's cache in which compiled programs are kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "genjax" / "compiled"


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Inside `with`, print an error that the user can fix as one line, without a traceback, and exit."""
    try:
        yield
    except RunError as error:
        exit_with(error, error.exit_code)
    except DataError as error:  # raised while data are read during training
        exit_with(error, 1)
    except KeyboardInterrupt:
        exit_with("interrupted", 130)
    except BrokenPipeError:  # the process that reads the output has ended, such as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        exit_with(full_disk(Path(error.filename or ".")) if is_full_disk(error) else error, 1)


def exit_with(message: object, code: int) -> NoReturn:
    """Exit with a message on the standard error stream; codes above 128 stand for signals and are not called errors.

    One of several processes of a run does not wait for the others, which may wait for it, unless all stop together.
    """
    print(message if code > 128 else f"error: {message}", file=sys.stderr, flush=True)
    if jax.distributed.is_initialized() and code < 128:
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
