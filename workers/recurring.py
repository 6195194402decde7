"""A thread that does the same thing again and again beside Celery's own, until it is told to stop."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

STOP_SECONDS = 10.0


class Recurring(ABC):
    """Takes one turn after the other, on a daemon thread of this name. A turn looks after its own failures."""

    def __init__(self, name: str) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def _turn(self) -> float:
        """One turn, whatever comes of it; returns the seconds until the next."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No further turn is taken; the one that is going on has had ten seconds to end."""
        self._stopping.set()
        self._thread.join(timeout=STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._turn())
