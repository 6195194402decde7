"""A worker's sign of life: a file that its timekeeper touches, which a probe can check in milliseconds.

The probe does not ask the broker: a broker that is away must not get healthy workers killed.
Run as `python -m workers.health`; it exits 0 when the sign is fresh and 1 when it is not.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FRESH_SECONDS = 60.0
BEAT_SECONDS = 1.0


def heartbeat_path() -> Path:
    """Where the sign of life lies; one worker per container, or one TMPDIR per worker."""
    return Path(tempfile.gettempdir()) / "sceneshift-worker-heartbeat"


class Heartbeat:
    """Touches the file, at most once a second, as long as the worker is well."""

    def __init__(self, path: Path, is_well: Callable[[], bool] = lambda: True) -> None:
        self._path = path
        self._is_well = is_well
        self._last = float("-inf")

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._last >= BEAT_SECONDS and self._is_well():
            self._last = now
            try:
                self._path.touch()
            except OSError:
                # A full or read-only disk must not stop the timekeeper; the probe will tell.
                return


def is_fresh(path: Path, *, now: float) -> bool:
    """Whether the file was touched within the last minute of `now` (unix seconds)."""
    try:
        return now - path.stat().st_mtime < FRESH_SECONDS
    except OSError:
        return False


def main() -> int:
    path = heartbeat_path()
    if is_fresh(path, now=time.time()):
        return 0
    sys.stderr.write(f"no fresh heartbeat at {path}: this worker's timekeeper has stopped, or one of its steps hangs\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
