"""Several processes of one run, such as one on each host: how they meet, agree, stop together and notice a loss."""

import contextlib
import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from genjax.checkpoint import first_line
from genjax.runs.directory import PLACES, RunError
from genjax.runs.options import Run

MEET_SECONDS = 120
"""Seconds in which all processes must have started."""
LOST_SECONDS = 30
"""Seconds of silence after which a process counts as lost."""


def meet(run: Run) -> None:
    """Connect this process with the others of the run; it ends with a line if they do not meet in time.

    Call before JAX starts. Raises RunError if there is no cluster that JAX knows, and none is given by hand.
    """
    where = "" if run.coordinator is None else f" at {run.coordinator}"
    late = f"--distributed: not all processes have met{where} within {MEET_SECONDS} seconds"
    try:
        with ended_after(MEET_SECONDS, late):
            jax.distributed.initialize(
                run.coordinator,
                run.processes,
                run.process_id,
                initialization_timeout=2 * MEET_SECONDS,
                heartbeat_timeout_seconds=LOST_SECONDS,
                shutdown_timeout_seconds=LOST_SECONDS,
            )
    except ValueError as error:  # no cluster that JAX knows
        raise RunError(
            f"--distributed: {error} Start each process with --coordinator HOST:PORT --processes N --process-id I",
            exit_code=2,
        ) from error
    except jax.errors.JaxRuntimeError as error:
        raise RunError(f"--distributed: the processes did not meet{where}: {first_line(error)}") from error


@contextlib.contextmanager
def ended_after(seconds: float, message: str) -> Iterator[None]:
    """Inside `with`, end this process with a line if it takes longer; JAX's own limits abort it with a trace."""

    def end() -> None:
        print(f"error: {message}", file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def is_first() -> bool:
    """Return whether this process writes logs, pictures and results: the first of several, or the only one."""
    return jax.process_index() == 0


def check_same(config: Mapping[str, Any], data_sha256: str) -> None:
    """Raise RunError, on all processes, if one of them has other options or other data than the first."""
    if jax.process_count() == 1:
        return
    options = {name: value for name, value in config["options"].items() if name not in PLACES}
    told = json.dumps({**config, "options": options, "data": data_sha256}, sort_keys=True).encode()
    own = np.frombuffer(hashlib.sha256(told).digest(), np.uint8)
    hashes = [bytes(row).hex()[:8] for row in multihost_utils.process_allgather(own)]
    if others := [str(index) for index, one in enumerate(hashes) if one != hashes[0]]:
        raise RunError(
            f"process {', '.join(others)} of --distributed has other options or other data than process 0 "
            f"(hashes {' '.join(hashes)}): give all of them the same command and data",
            exit_code=2,
        )


def part() -> None:
    """End the connection: each process goes on alone, or ends, and SIGTERM ends it again."""
    if jax.process_count() > 1:
        jax.distributed.shutdown()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a handler of Python's in place of JAX's, then none
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def ended_by_a_loss() -> Iterator[None]:
    """Inside `with`, end this process with one line if another process of the run is lost.

    Nothing is left to wait for then, so the process ends at once.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        again = "give the same command again: it continues from the last checkpoint, if there is one"
        print(f"error: another process of the run was lost ({first_line(error)}); {again}", file=sys.stderr, flush=True)
        os._exit(1)
