"""Child processes that end with their parent, even when the parent is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent.parent
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    # Runs in the child between fork and exec; elsewhere than on Linux a killed parent leaves its children behind.
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(
    arguments: Sequence[str | Path],
    *,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    """A child in the checkout's root, with its output appended to `log`, that dies with this process.

    Must be called from a thread that lives as long as the child is needed: Linux ties the child to the thread.
    """
    output: IO[bytes] | int = subprocess.DEVNULL
    if log is not None:
        output = log.open("ab")
    try:
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # one system call that takes no lock of Python's
        )
    finally:
        if not isinstance(output, int):
            output.close()


def stop(process: subprocess.Popen[bytes], *, patience_seconds: float = 10.0) -> None:
    """The process has ended: asked first, killed when it does not listen."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """The process was killed with SIGKILL and is gone."""
    with suppress(ProcessLookupError):
        process.kill()
    process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes], *, timeout_seconds: float = 20.0) -> bool:
    """Whether something listens on this port of 127.0.0.1 before the process ends or the time is over."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
        time.sleep(0.02)
    return False
