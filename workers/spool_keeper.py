"""Hands spooled keys on while the worker runs: at its start, and again as long as there are any."""

from __future__ import annotations

import logging
import threading

from tasks.replay import replay
from tasks.services import Services

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0


class SpoolKeeper:
    """Looks at the spool of this machine every few seconds, on a thread of its own."""

    def __init__(self, services: Services, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._services = services
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Nothing is handed on any more."""
        self._stopping.set()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                replay(self._services)
            except Exception:
                # What cannot be handed on now stays on disk, for the next look.
                log.exception("spool.failed")
            self._stopping.wait(self._interval_seconds)
