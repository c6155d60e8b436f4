"""Settings of JAX and one-line error messages, the same for every command."""

import codecs
import contextlib
import io
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
    plain_streams()
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax logs what it raises as well
    sys.unraisablehook = without_closed_loops(sys.unraisablehook)
    if deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    if CACHE_VARIABLE not in os.environ and (folder := cache_folder()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", CACHED_FROM_SECONDS)


def without_closed_loops(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return `hook` that ignores the errors of callbacks that outlive a failed save or read of Orbax."""

    def quiet(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    return quiet


def cache_folder() -> Path | None:
    """Return the folder in the user's cache in which compiled programs are kept between runs; None without a home."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return None
    return Path(home) / "genjax" / "compiled"


PLAIN = {"±": "+-", "–": "-", "…": "...", "→": "->", "²": "^2"}
"""Signs of our own output, in ASCII."""


def plain_streams() -> None:
    """Let output streams write a sign that their encoding lacks in ASCII, as in the C locale, in place of an error."""
    codecs.register_error("genjax.plain", plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="genjax.plain")


def plainly(error: UnicodeError) -> tuple[str, int]:
    """Return signs in ASCII, by `PLAIN` or else as a question mark; it handles errors of encodings."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def check_devices() -> None:
    """Start JAX; raise RunError if it has no device of the kind that JAX_PLATFORMS asks for."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        said, asked = (str(error).splitlines() or ["none was found"])[0], os.environ.get("JAX_PLATFORMS")
        raise RunError(f"JAX_PLATFORMS={asked}: no such device here ({said})" if asked else said) from error


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
